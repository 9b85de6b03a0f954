//! Brokers that are not ours: TLS, and those that the box may not administer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use common::mosquitto::Mosquitto;
use common::{BOX, BOX_PASSWORD, PATIENCE, connect_external, guest};
use dais_broker::{Broker, ExternalConfig, Incoming, Link, LinkConfig, Provisioning, TlsRoots};
use tokio::time::timeout;

fn config(url: String, provisioning: Provisioning) -> ExternalConfig {
    ExternalConfig {
        url,
        username: "box".to_owned(),
        password: BOX_PASSWORD.to_owned(),
        roots: TlsRoots::System,
        box_id: BOX.to_owned(),
        provisioning,
    }
}

fn link_config(broker: &dyn Broker) -> LinkConfig {
    LinkConfig {
        endpoint: broker.endpoint(),
        username: "box".to_owned(),
        password: BOX_PASSWORD.to_owned(),
        box_id: BOX.to_owned(),
        will_payload: Bytes::from_static(b"0"),
        birth_payload: Bytes::from_static(b"1"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_tls_is_trusted_by_its_ca_and_by_no_other() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = file("cert.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = file("other.pem", &other.cert.pem());
    let lines = format!("certfile {}\nkeyfile {}", cert.display(), key.display());
    let mosquitto = Mosquitto::start_with(BOX_PASSWORD, &lines).await;
    let url = format!("mqtts://localhost:{}", mosquitto.port);

    let trusting = |roots| ExternalConfig {
        roots,
        ..config(url.clone(), Provisioning::Dynsec)
    };
    let refused = connect_external(trusting(TlsRoots::File(other)))
        .await
        .err()
        .expect("a foreign certificate");
    assert!(refused.to_string().contains("certificate"), "{refused}");

    let broker = connect_external(trusting(TlsRoots::File(cert)))
        .await
        .unwrap();
    broker.grant(&guest("ana"), "p").await.unwrap();
    let (link, mut incoming) = Link::start(link_config(&broker));
    assert_eq!(
        timeout(PATIENCE, incoming.recv()).await.unwrap(),
        Some(Incoming::Connected)
    );
    link.stop().await;
    // The bridge's way in carries TLS too.
    broker.endpoint().connect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_or_lets_nobody_in_is_named() {
    let mosquitto = Mosquitto::start(BOX_PASSWORD).await;
    let url = format!("mqtt://127.0.0.1:{}", mosquitto.port);
    let wrong = ExternalConfig {
        password: "wrong".to_owned(),
        ..config(url.clone(), Provisioning::Dynsec)
    };
    let e = connect_external(wrong).await.err().unwrap().to_string();
    assert!(e.contains(&url), "{e}");

    // A user who may not administer is told which role is missing.
    let broker = connect_external(config(url.clone(), Provisioning::Dynsec))
        .await
        .unwrap();
    broker.grant(&guest("ana"), "p").await.unwrap();
    let ana = ExternalConfig {
        username: "guest-ana".to_owned(),
        password: "p".to_owned(),
        ..config(url, Provisioning::Dynsec)
    };
    let e = connect_external(ana).await.err().unwrap().to_string();
    assert!(e.contains("lacks the role `admin`"), "{e}");
}

#[tokio::test]
async fn without_provisioning_a_ban_says_that_it_must_be_done_there() {
    let broker = connect_external(config("mqtt://127.0.0.1:1".to_owned(), Provisioning::None))
        .await
        .unwrap();
    broker.grant(&guest("ana"), "p").await.unwrap();
    let e = broker.revoke(&guest("ana")).await.unwrap_err().to_string();
    assert!(e.contains("guest-ana") && e.contains("dynsec"), "{e}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_that_restarts_finds_its_roles_and_users_as_they_were() {
    let mosquitto = Mosquitto::start(BOX_PASSWORD).await;
    let url = format!("mqtt://127.0.0.1:{}", mosquitto.port);
    for round in 0..2 {
        let broker = connect_external(config(url.clone(), Provisioning::Dynsec))
            .await
            .unwrap();
        // Granting again with another password replaces it.
        broker
            .grant(&guest("ana"), &format!("p{round}"))
            .await
            .unwrap();
        let dial = |p: &str| {
            common::Dial::new(&guest("ana"))
                .to(broker.endpoint())
                .password(p)
                .connect()
        };
        assert!(dial(&format!("p{round}")).await.is_ok());
        assert!(dial("p9").await.is_err());
    }
}
