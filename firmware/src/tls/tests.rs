//! What a phone's own check says of the certificates, at the phone's time.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;

use super::validity::unix;
use super::*;

fn names(addresses: &[&str]) -> Names {
    Names {
        hosts: vec![
            "dev.local".into(),
            "localhost".into(),
            "rack".into(),
            "rack.local".into(),
        ],
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
    }
}

fn open(data: &TempDir, now: SystemTime, own: Option<Own>) -> (Certificates, Tls) {
    let names = names(&["192.168.1.5", "127.0.0.1", "::1"]);
    Certificates::open_at(data.path(), &"dev".parse().unwrap(), own, now, names).unwrap()
}

/// What a phone that trusts `root` says of this chain under this name.
fn judge(
    root: &CertificateDer<'static>,
    chain: &[CertificateDer<'static>],
    name: &str,
    phone: SystemTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(unix(phone)));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], time)
        .map(|_| ())
}

fn chain_of(certificates: &Certificates) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(certificates.leaf.secret_pem().as_bytes())
        .map(Result::unwrap)
        .collect()
}

fn a_year_from(time: SystemTime) -> SystemTime {
    time + Duration::from_secs(365 * 86_400)
}

#[test]
fn a_phone_that_trusts_the_root_takes_each_name_of_the_box_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (certificates, tls) = open(&data, now, None);
    let (root, chain) = (tls.root.unwrap().der.clone(), chain_of(&certificates));
    for name in [
        "dev.local",
        "localhost",
        "rack",
        "192.168.1.5",
        "127.0.0.1",
        "::1",
    ] {
        judge(&root, &chain, name, now).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in ["other.local", "192.168.1.6", "example.com"] {
        assert!(judge(&root, &chain, name, now).is_err(), "{name}");
    }
    judge(&root, &chain, "dev.local", a_year_from(now)).unwrap();
}

#[test]
fn the_key_of_a_stolen_box_vouches_for_nothing_outside_a_local_network() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (certificates, tls) = open(&data, now, None);
    let root = tls.root.unwrap().der.clone();
    let kept = std::fs::read_to_string(data.path().join("tls/authority.pem")).unwrap();
    let key = KeyPair::from_pem(&kept[kept.find("-----BEGIN PRIVATE").unwrap()..]).unwrap();
    let issuer_der = chain_of(&certificates)[1].clone();
    let issuer = Issuer::from_ca_cert_der(&issuer_der, &key).unwrap();
    let forge = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(name.try_into().unwrap()),
        });
        let own = KeyPair::generate().unwrap();
        let forged = params.signed_by(&own, &issuer).unwrap();
        judge(
            &root,
            &[forged.der().clone(), issuer_der.clone()],
            name,
            now,
        )
    };
    for name in [
        "bank.example",
        "local.example",
        "8.8.8.8",
        "2001:db8::1",
        "172.32.0.1",
    ] {
        let refused = forge(name).unwrap_err();
        assert!(format!("{refused:?}").contains("Name"), "{name}: {refused}");
    }
    for name in ["another.local", "10.1.2.3", "172.31.0.1", "fd12::1"] {
        forge(name).unwrap_or_else(|e| panic!("{name} is local: {e}"));
    }
    // The root's key is nowhere: one key is kept, and it is the issuer's.
    assert_eq!(kept.matches("PRIVATE KEY-----").count(), 2);
    assert_ne!(issuer_der, root);
}

#[test]
fn a_box_that_believes_1970_is_trusted_by_phones_of_today_and_again_when_it_learns_the_time() {
    let data = tempfile::tempdir().unwrap();
    let today = SystemTime::now();
    let (mut certificates, tls) = open(&data, UNIX_EPOCH, None);
    let root = tls.root.unwrap().der.clone();
    judge(&root, &chain_of(&certificates), "dev.local", today).unwrap();
    let years_on = (0..5).fold(today, |time, _| a_year_from(time));
    assert!(judge(&root, &chain_of(&certificates), "dev.local", years_on).is_err());
    certificates.look(years_on, &names(&[]));
    judge(&root, &chain_of(&certificates), "dev.local", years_on).unwrap();
    // The clock is lost again: the better certificate stays.
    let learnt = chain_of(&certificates);
    certificates.look(UNIX_EPOCH, &names(&[]));
    assert_eq!(chain_of(&certificates), learnt);
}

#[test]
fn a_new_address_is_named_within_the_running_box_and_the_root_stays() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (mut certificates, mut tls) = open(&data, now, None);
    let root = tls.root.clone().unwrap().der.clone();
    tls.server.mark_unchanged();
    certificates.look(now, &names(&["192.168.1.5"]));
    assert!(!tls.server.has_changed().unwrap(), "an address that went");
    certificates.look(now, &names(&["10.0.0.9"]));
    assert!(tls.server.has_changed().unwrap());
    judge(&root, &chain_of(&certificates), "10.0.0.9", now).unwrap();
}

#[test]
fn a_name_that_the_authority_may_not_vouch_for_does_not_spoil_the_certificate() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (mut certificates, tls) = open(&data, now, None);
    let mut renamed = names(&["10.0.0.9"]);
    renamed.hosts.push("renamed".into());
    certificates.look(now, &renamed);
    let root = tls.root.unwrap().der.clone();
    judge(&root, &chain_of(&certificates), "10.0.0.9", now).unwrap();
    let made = chain_of(&certificates);
    certificates.look(now, &renamed);
    assert_eq!(chain_of(&certificates), made, "made anew at each look");
}

#[test]
fn certificates_survive_a_restart_and_only_the_box_reads_their_keys() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (first, tls) = open(&data, now, None);
    let (second, again) = open(&data, now, None);
    assert_eq!(chain_of(&first), chain_of(&second));
    assert_eq!(
        tls.root.unwrap().fingerprint(),
        again.root.unwrap().fingerprint()
    );
    let mut files = 0;
    for entry in std::fs::read_dir(data.path().join("tls")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{entry:?}");
        files += 1;
    }
    assert_eq!(files, 3);
}

#[test]
fn an_authority_that_cannot_be_read_is_set_aside_with_all_it_made() {
    let data = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (_, before) = open(&data, now, None);
    let path = data.path().join("tls/authority.pem");
    let half = std::fs::read(&path).unwrap()[..300].to_vec();
    std::fs::write(&path, half).unwrap();
    let (certificates, after) = open(&data, now, None);
    assert!(path.with_extension("bad").exists());
    let root = after.root.unwrap();
    assert_ne!(root.der, before.root.unwrap().der);
    judge(&root.der, &chain_of(&certificates), "dev.local", now).unwrap();
}

/// A certificate of the studio's own for `name`, written to two files.
fn bring(folder: &TempDir, name: &str, year: i32) -> (Own, CertificateDer<'static>) {
    let own = Own {
        certificate: folder.path().join("studio.pem"),
        key: folder.path().join("studio.key"),
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    // A second file in the same tick of the file system's clock would look unchanged.
    for file in [&own.certificate, &own.key] {
        let _ = std::fs::remove_file(file);
    }
    std::fs::write(&own.certificate, certificate.pem()).unwrap();
    std::fs::write(&own.key, key.serialize_pem()).unwrap();
    (own, certificate.der().clone())
}

/// What the server would show now.
fn served(tls: &Tls) -> CertificateDer<'static> {
    let (mut client, mut server) = hello(tls);
    loop {
        let mut wire = Vec::new();
        if client.wants_write() {
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
        } else if server.wants_write() {
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            let _ = client.process_new_packets();
        }
        if let Some(chain) = client.peer_certificates() {
            return chain[0].clone().into_owned();
        }
    }
}

fn hello(tls: &Tls) -> (rustls::ClientConnection, rustls::ServerConnection) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let name = ServerName::try_from("studio.example").unwrap();
    (
        rustls::ClientConnection::new(Arc::new(config), name).unwrap(),
        rustls::ServerConnection::new(tls.server.borrow().clone()).unwrap(),
    )
}

/// Takes every certificate: the test looks at it itself.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn a_certificate_of_the_studios_own_is_served_and_its_successor_too() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = SystemTime::now();
    let (own, first) = bring(&folder, "studio.example", 2049);
    let (mut certificates, tls) = open(&data, now, Some(own.clone()));
    assert!(tls.root.is_none(), "there is nothing to install on phones");
    assert_eq!(served(&tls), first);
    let (_, second) = bring(&folder, "studio.example", 2048);
    certificates.look(now, &names(&[]));
    assert_eq!(served(&tls), second);
    // Half of a renewal: the old pair stays.
    std::fs::remove_file(&own.key).unwrap();
    certificates.look(now, &names(&["10.0.0.7"]));
    assert_eq!(served(&tls), second);
}

#[test]
fn a_box_whose_own_certificate_is_missing_starts_with_the_one_it_made() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = SystemTime::now();
    let (own, _) = bring(&folder, "studio.example", 2049);
    std::fs::remove_file(&own.certificate).unwrap();
    let (mut certificates, tls) = open(&data, now, Some(own));
    assert_eq!(served(&tls), chain_of(&certificates)[0]);
    let (_, late) = bring(&folder, "studio.example", 2049);
    certificates.look(now, &names(&[]));
    assert_eq!(served(&tls), late);
}

#[test]
fn what_is_wrong_with_a_certificate_of_ones_own_is_said_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (own, _) = bring(&folder, "studio.example", 2049);
    let fault = |own: &Own| Leaf::load(&own.certificate, &own.key).err();
    assert_eq!(fault(&own), None);
    let missing = Own {
        key: "/nonexistent/k".into(),
        ..own.clone()
    };
    assert!(
        matches!(fault(&missing), Some(Fault::Key(why)) if why.contains("/nonexistent/k cannot be read"))
    );
    let swapped = Own {
        certificate: own.key.clone(),
        key: own.certificate.clone(),
    };
    assert!(
        matches!(fault(&swapped), Some(Fault::Certificate(why)) if why.contains("no certificate in it"))
    );
    let other = tempfile::tempdir().unwrap();
    let mismatched = Own {
        key: bring(&other, "studio.example", 2049).0.key,
        ..own.clone()
    };
    assert!(
        matches!(fault(&mismatched), Some(Fault::Key(why)) if why.contains("does not belong to"))
    );
    let old = bring(&folder, "studio.example", 2021).0;
    let leaf = Leaf::load(&old.certificate, &old.key).unwrap();
    let over = leaf.time_fault(unix(SystemTime::now())).unwrap();
    assert!(over.contains("expired"), "{over}");
}
