//! The web origin by `https://` against a whole box, with the box's own authority as the only one that is trusted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use dais_cli::client::{Client, ClientConfig, Heard};
use dais_cli::door;
use house::{House, PATIENCE, SMALL, call};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use ureq::{Agent, tls};

struct Answer {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Asks as a program does that trusts these certificates alone.
fn get(url: &str, ca: &[u8], headers: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = tls::parse_pem(ca).filter_map(|item| match item {
        Ok(tls::PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(
            tls::TlsConfig::builder()
                .root_certs(tls::RootCerts::from(trusted))
                .build(),
        )
        .build()
        .into();
    let mut request = agent.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.call()?;
    let kind = answer
        .headers()
        .get("content-type")
        .map_or("", |kind| kind.to_str().unwrap())
        .to_owned();
    Ok(Answer {
        status: answer.status().as_u16(),
        kind,
        body: answer.body_mut().read_to_vec()?,
    })
}

fn ca(data: &Path) -> Vec<u8> {
    fs::read(data.join("tls/ca.pem")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_comes_in_by_https_and_hears_the_room_over_wss() {
    let house = House::start(SMALL);
    let console = house.console().await;
    let https = house.https.clone().unwrap();
    assert!(https.starts_with("https://localhost:"), "{https}");
    let ca = ca(house.data.path());
    let invite = console.invite().await.invite;
    let joining = |ca| door::join(&https, invite.clone(), "Ana".parse().unwrap(), ca);
    let stranger = joining(None).await.unwrap_err();
    assert!(
        stranger.to_string().contains("ertificate"),
        "only who trusts the box's authority comes in: {stranger}"
    );
    let credential = joining(Some(ca.clone())).await.unwrap();
    let mut config = ClientConfig::new(https.as_str(), &credential).unwrap();
    config.ca = Some(ca.clone());
    let (guest, _heard) = Client::connect(config).await.unwrap();
    let asked = guest.call(call("mic.request", json!({"camera": false})));
    assert!(asked.await.unwrap()["request_id"].is_string());
    for path in ["/", "/join", "/watch", "/ca", "/healthz"] {
        let url = format!("{https}{path}");
        let by_address = url.replace("localhost", "127.0.0.1");
        for url in [url, by_address] {
            let ca = ca.clone();
            let page = tokio::task::spawn_blocking(move || get(&url, &ca, &[]))
                .await
                .unwrap();
            assert_eq!(page.unwrap().status, 200, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_gets_the_authority_in_the_form_and_the_language_that_it_knows() {
    let house = House::start(SMALL);
    let (http, ca) = (house.http.clone(), ca(house.data.path()));
    tokio::task::spawn_blocking(move || {
        let open = |path: &str, headers: &[(&str, &str)]| {
            let answer = get(&format!("{http}{path}"), &[], headers).unwrap();
            assert_eq!(answer.status, 200, "{path}");
            answer
        };
        let pem = open("/ca/dais-ca.pem", &[]);
        assert_eq!(pem.body, ca);
        let base64: String = pem
            .text()
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let der = open("/ca/dais-ca.crt", &[]);
        assert_eq!(der.kind, "application/x-x509-ca-cert");
        let tls::PemItem::Certificate(same) = tls::parse_pem(&ca).next().unwrap().unwrap() else {
            panic!("no certificate in ca.pem");
        };
        assert_eq!(der.body, same.der());
        let profile = open("/ca/dais-ca.mobileconfig", &[]);
        assert_eq!(profile.kind, "application/x-apple-aspen-config");
        for part in [
            base64.as_str(),
            "com.apple.security.root",
            "<?xml version=\"1.0\"",
        ] {
            assert!(profile.text().contains(part), "{part}");
        }
        let english = open("/ca", &[("accept-language", "de, en;q=0.5")]);
        assert!(english.text().contains("<html lang=\"en\""));
        let chinese = open("/ca", &[("accept-language", "zh-CN,zh;q=0.9")]);
        assert!(chinese.text().contains("<html lang=\"zh\""));
        for page in [english, chinese] {
            assert!(!page.text().contains("{{"), "a placeholder is left");
            assert_eq!(fingerprint_in(page.text()).len(), 32 * 3 - 1);
        }
    })
    .await
    .unwrap();
}

fn fingerprint_in(page: &str) -> &str {
    let from = page.find("<code>").unwrap() + "<code>".len();
    &page[from..from + page[from..].find('<').unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_and_says_nothing_holds_the_door_for_nobody_and_is_put_out() {
    let house = House::start(SMALL);
    let https = house.https.clone().unwrap();
    let port: u16 = https.rsplit(':').next().unwrap().parse().unwrap();
    let door: SocketAddr = ([127, 0, 0, 1], port).into();
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        silent.push(socket.connect(door).await.unwrap());
    }
    let ca = ca(house.data.path());
    let (url, trusted) = (format!("{https}/healthz"), ca.clone());
    let served = tokio::task::spawn_blocking(move || get(&url, &trusted, &[])).await;
    assert_eq!(served.unwrap().unwrap().text(), "ok\n");
    for mut socket in silent {
        let mut nothing = [0; 1];
        let ended = timeout(PATIENCE, socket.read(&mut nothing)).await;
        let ended = ended.expect("a silent connection was not ended");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    let url = format!("{https}/metrics");
    let metrics = tokio::task::spawn_blocking(move || get(&url, &ca, &[])).await;
    let metrics = metrics.unwrap().unwrap();
    assert!(
        metrics.text().contains("{place=\"connections\"}"),
        "who was turned away is not shown"
    );
}

/// A certificate of the studio's own in `folder`; its PEM.
fn bring(folder: &Path, years: std::ops::Range<i32>) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("studio.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("studio.pem"), certificate.pem()).unwrap();
    certificate.pem().into_bytes()
}

fn own(folder: &Path) -> String {
    format!(
        "[https]\nlisten = \"127.0.0.1:0\"\ncertificate = {:?}\nkey = {:?}\n",
        folder.join("studio.pem"),
        folder.join("studio.key")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_of_the_studios_own_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = bring(folder.path(), 2020..2049);
    let house = House::start_as(
        "public_url = \"https://studio.example\"\n",
        &format!("{}{SMALL}", own(folder.path())),
    );
    let https = house.https.clone().unwrap();
    let console = house.console().await;
    let invite = console.invite().await.url;
    assert!(
        invite.starts_with("https://studio.example/join?"),
        "{invite}"
    );
    assert!(house.http.starts_with("http://localhost:"));
    let trusts = |ca: Vec<u8>| {
        let url = format!("{https}/healthz");
        async move {
            let asked = tokio::task::spawn_blocking(move || get(&url, &ca, &[]));
            asked.await.unwrap().is_ok()
        }
    };
    assert!(trusts(first.clone()).await);
    let nothing = get(&format!("{}/ca", house.http), &[], &[]).unwrap();
    assert_eq!(nothing.status, 404, "there is nothing to install");
    let second = bring(folder.path(), 2020..2048);
    let end = Instant::now() + PATIENCE;
    while !trusts(second.clone()).await {
        assert!(Instant::now() < end, "the renewed one was not served");
        // The box looks every two seconds; there is no event to wait for.
        sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(!trusts(first).await);
}

#[test]
fn check_says_what_is_wrong_with_a_certificate_and_in_which_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dais.toml");
    let settings = format!(
        "[http]\npublic_url = \"https://localhost\"\n{}",
        own(folder.path())
    );
    fs::write(&file, settings).unwrap();
    let check = || {
        let daisd = Path::new(env!("CARGO_BIN_EXE_dais")).with_file_name("daisd");
        let done = Command::new(daisd)
            .arg("--check")
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.code(), said)
    };
    let complains = |line: u32, what: &str| {
        let (code, said) = check();
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("dais.toml:{line}: https.")) && said.contains(what),
            "{said}"
        );
    };
    complains(5, "cannot be read");
    bring(folder.path(), 2019..2020);
    complains(5, "expired");
    bring(folder.path(), 2020..2049);
    assert_eq!(check().0, Some(0));
    let other = KeyPair::generate().unwrap();
    fs::write(folder.path().join("studio.key"), other.serialize_pem()).unwrap();
    complains(6, "does not belong to the certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_stands_in_the_log_nor_in_what_the_box_says() {
    let house = House::start(SMALL);
    let https = house.https.clone().unwrap();
    let (url, ca) = (format!("{https}/healthz"), ca(house.data.path()));
    let asked = tokio::task::spawn_blocking(move || get(&url, &ca, &[])).await;
    asked.unwrap().unwrap();
    let mut log = String::new();
    fs::File::open(house.data.path().join("log"))
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert!(log.contains("made a server certificate"), "{log}");
    let mut keys = 0;
    for file in ["authority.pem", "server.pem"] {
        let pem = fs::read_to_string(house.data.path().join("tls").join(file)).unwrap();
        let key = &pem[pem.find("-----BEGIN PRIVATE KEY").unwrap()..];
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!log.contains(line), "a line of the key in {file}");
            keys += 1;
        }
    }
    assert!(keys >= 4);
    assert!(!log.contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaired_console_is_out_at_once_and_stays_out() {
    let house = House::start(SMALL);
    let desk = house.console().await;
    let phone = house.pair().await;
    let mut lost = house.console_of(&phone).await;
    lost.room().await;
    // The broker's word that a console came may still be on its way to the list.
    let end = Instant::now() + PATIENCE;
    loop {
        let told = desk.ask("room.hosts", json!({})).await.unwrap();
        let hosts = told["hosts"].as_array().unwrap();
        assert_eq!(hosts.len(), 2);
        assert!(hosts.iter().all(|host| host["name"] == "Test"), "{told}");
        if hosts.iter().all(|host| host["connected"] == true) {
            break;
        }
        assert!(Instant::now() < end, "{told}");
    }
    let who = json!({"user_id": phone.user_id});
    desk.ask("host.unpair", who.clone()).await.unwrap();
    lost.until("the end of its session", |heard| {
        matches!(heard, Heard::Refused { .. }).then_some(())
    })
    .await;
    let again = Client::connect(ClientConfig::new(&house.mqtt, &phone).unwrap()).await;
    assert!(again.is_err(), "the credential still works");
    let twice = desk.ask("host.unpair", who).await.unwrap_err();
    assert_eq!(twice.data.more["field"], "user_id");
    let left = desk.ask("room.hosts", json!({})).await.unwrap();
    assert_eq!(left["hosts"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_unpairs_itself_is_answered_first() {
    let house = House::start(SMALL);
    let credential = house.pair().await;
    let mut own = house.console_of(&credential).await;
    let who = json!({"user_id": credential.user_id});
    own.ask("host.unpair", who).await.unwrap();
    own.until("the end of its session", |heard| {
        matches!(heard, Heard::Refused { .. }).then_some(())
    })
    .await;
}
