//! The box's own certificate authority, made at its first start.
//!
//! ```text
//!  root          what a phone trusts. Its key signed one certificate and was thrown away.
//!   └─ issuer    its key is on the box. It can only vouch for `.local`, the box's names and private addresses.
//!       └─ server certificate
//! ```
//!
//! A thief of the box's key can pose as a box in a local network to phones that trust this one, and as nothing else: every
//! client checks the constraints of an issuer, while some do not check those of a root. That is why there are two.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::TlsError;
use super::leaf::Leaf;
use super::names::{self, Names};
use super::validity::Window;
use crate::store::{self, StoreError};

/// Before any phone's clock, and the last year that the shorter of the two forms of dates can say (RFC 5280, 4.1.2.5).
/// A root that ended earlier would have to be installed anew on each phone.
const FIRST_YEAR: i32 = 2020;
const LAST_YEAR: i32 = 2049;

const END: &str = "-----END CERTIFICATE-----";

pub struct Authority {
    root: Root,
    issuer: CertificateDer<'static>,
    issuer_pem: String,
    key: KeyPair,
    /// The names of hosts that the issuer may vouch for, with all below them.
    zones: Vec<String>,
}

/// What everybody may see of it.
#[derive(Clone, Debug)]
pub struct Root {
    pub der: CertificateDer<'static>,
    pub pem: String,
}

impl Root {
    /// SHA-256, as phones show it: `3F:A2:…`.
    pub fn fingerprint(&self) -> String {
        let bytes = Sha256::digest(&self.der);
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

impl Authority {
    /// The one of `folder`, made if there is none. One that cannot be read is set aside: phones must trust the new one.
    pub fn open(folder: &Path, box_id: &str, names: &Names) -> Result<Self, TlsError> {
        let path = folder.join("authority.pem");
        if let Some(bytes) = store::read(&path).map_err(StoreError::read(&path))? {
            match Self::parse(&String::from_utf8_lossy(&bytes)) {
                Some(authority) => return Ok(authority),
                None => {
                    store::set_aside(&path, "it holds no authority, its issuer and their key")?;
                    tracing::error!("each phone must be made to trust this box anew");
                }
            }
        }
        let pem = Self::make(box_id, names)?;
        let authority = Self::parse(&pem).ok_or(TlsError::Unreadable)?;
        store::replace(&path, pem.as_bytes()).map_err(StoreError::write(&path))?;
        tracing::info!("made this box's certificate authority");
        Ok(authority)
    }

    /// Root, issuer and the issuer's key, in this order.
    fn parse(pem: &str) -> Option<Self> {
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        let root = certificates.next()?.ok()?;
        let issuer = certificates.next()?.ok()?;
        let mut blocks = pem.split_inclusive(END);
        let (root_pem, issuer_pem) = (blocks.next()?, blocks.next()?);
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let authority = Self {
            root: Root {
                der: root,
                pem: root_pem.trim().to_owned() + "\n",
            },
            zones: zones(&issuer).unwrap_or_default(),
            issuer,
            issuer_pem: issuer_pem.trim().to_owned() + "\n",
            key: KeyPair::try_from(&key).ok()?,
        };
        authority.issuer().ok()?;
        Some(authority)
    }

    fn make(box_id: &str, names: &Names) -> Result<String, TlsError> {
        // So that two boxes of one id can be told apart on a phone that trusts both.
        let mark = format!("{:04x}", rand::random::<u16>());
        let params = |name: &str, below: u8| -> Result<CertificateParams, TlsError> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.not_before = date_time_ymd(FIRST_YEAR, 1, 1);
            params.not_after = date_time_ymd(LAST_YEAR, 12, 31);
            params.distinguished_name = called(&format!("Dais {name} {box_id} {mark}"));
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Ok(params)
        };
        let root_key = KeyPair::generate()?;
        let root_params = params("root", 1)?;
        let root = root_params.self_signed(&root_key)?;
        let key = KeyPair::generate()?;
        let mut issuer_params = params("issuer", 0)?;
        issuer_params.use_authority_key_identifier_extension = true;
        issuer_params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names::permitted(names),
            excluded_subtrees: Vec::new(),
        });
        let issuer = issuer_params.signed_by(&key, &Issuer::new(root_params, root_key))?;
        Ok(root.pem() + &issuer.pem() + &key.serialize_pem())
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn issuer_der(&self) -> &CertificateDer<'static> {
        &self.issuer
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, TlsError> {
        Ok(Issuer::from_ca_cert_der(&self.issuer, &self.key)?)
    }

    /// A server certificate with a key of its own.
    pub fn issue(&self, names: &Names, window: Window) -> Result<Leaf, TlsError> {
        let names = names.clone().within(&self.zones);
        let mut params = CertificateParams::new(names.hosts.clone())?;
        let addresses = names.addresses.iter().map(|ip| SanType::IpAddress(*ip));
        params.subject_alt_names.extend(addresses);
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(window.from);
        params.not_after = epoch + Duration::from_secs(window.until);
        params.distinguished_name = called(names.hosts.first().map_or("Dais", String::as_str));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        let pem = certificate.pem() + &self.issuer_pem + &key.serialize_pem();
        Leaf::parse(&pem).ok_or(TlsError::Unreadable)
    }

    pub fn zones(&self) -> &[String] {
        &self.zones
    }
}

fn zones(issuer: &[u8]) -> Option<Vec<String>> {
    let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
    let constraints = issuer.name_constraints().ok()??;
    let permitted = constraints.value.permitted_subtrees.iter().flatten();
    let zones = permitted.filter_map(|zone| match zone.base {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        _ => None,
    });
    Some(zones.collect())
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished.push(DnType::OrganizationName, "Dais");
    distinguished
}
