//! The programme by WHIP, to a real receiver on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod common;
mod whip_server;

use common::*;
use dais_studio::api::{Event, OutputState, Rect};
use dais_studio::{OutputKind, OutputSpec, Secret, StudioConfig, StudioError};
use serde_json::Value;
use whip_server::{KEY, Server};

/// The server's side; started by the tests.
#[test]
#[ignore = "a part of the other tests"]
fn whip_server_process() {
    whip_server::run();
}

fn whip(id: &str, url: String, key: Option<&str>) -> OutputSpec {
    OutputSpec {
        output_id: id.into(),
        kind: OutputKind::Whip,
        url,
        key: key.map(Secret::new),
    }
}

/// Keyframes only when they are asked for.
fn rarely_a_keyframe() -> StudioConfig {
    let mut config = config();
    config.programme.keyframe_s = 10;
    config
}

const GREEN: [u8; 3] = [150, 60, 70];
const HZ: f32 = 700.0;

/// A show with one guest of one colour and one tone.
async fn green_show() -> (Show, Guest) {
    let show = Show::start(rarely_a_keyframe()).await;
    let guest = Guest::new(&show.studio, "green", Some(GREEN), HZ);
    let whole = Rect {
        x: 0,
        y: 0,
        w: WIDTH,
        h: HEIGHT,
    };
    show.studio
        .scene(scene(vec![seat(1, session("green"), whole)]));
    (show, guest)
}

/// Until the server has seen the guest's colour and heard its tone.
async fn until_received(server: &mut Server) {
    let (mut seen, mut heard) = (false, false);
    server
        .until("the guest's colour and tone", |m| {
            if let Some(yuv) = m["picture"].as_array() {
                let near = |v: &Value, want: u8| v.as_u64().unwrap().abs_diff(u64::from(want)) <= 6;
                seen |= yuv.iter().zip(GREEN).all(|(got, want)| near(got, want));
            }
            // A sine of -20 dBFS, 3 dB above its power.
            let fits = |name: &str, want: f64, off: f64| {
                m[name].as_f64().is_some_and(|v| (v - want).abs() < off)
            };
            heard |= fits("db", -23.0, 1.5) && fits("hz", f64::from(HZ), 15.0);
            (seen && heard).then_some(())
        })
        .await;
}

#[tokio::test]
async fn whip_arrives_comes_back_after_the_server_was_killed_and_is_ended_on_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("show.mkv");
    let mut server = Server::start(0).await;
    let (mut show, _guest) = green_show().await;
    show.studio.start_record(recording.clone()).unwrap();
    show.until_recording().await;
    let spec = whip("far", server.url("/moved"), Some(KEY));
    show.studio.start_output(spec).unwrap();
    show.until_output("far", OutputState::Live).await;
    show.until_it_flows().await;
    until_received(&mut server).await;

    // The programme's own keyframes are 150 pictures apart: two that follow closer were asked for.
    for _ in 0..2 {
        server.until_pictures(10).await;
        server.ask_for_keyframe();
        server
            .until("the question is out", |m| m["asked"].as_bool())
            .await;
        let mut pictures = 0;
        server
            .until("a keyframe", |m| {
                pictures += usize::from(m["picture"].is_array());
                m["keyframe"].as_bool()
            })
            .await;
        assert!(pictures < 60, "{pictures} pictures before the keyframe");
    }

    let port = server.port;
    server.child.kill();
    let error = show
        .until("it retries", |e| match e {
            Event::Output(o) if o.state == OutputState::Retrying => o.error.clone(),
            _ => None,
        })
        .await;
    assert!(error.contains("no media received"), "{error}");
    let mut server = Server::start(port).await;
    show.until_output("far", OutputState::Live).await;
    until_received(&mut server).await;
    show.studio.stop_output("far");
    show.until_output("far", OutputState::Stopped).await;
    let deleted = server
        .until("it is ended there too", |m| {
            m["deleted"].as_str().map(str::to_owned)
        })
        .await;
    assert_eq!(deleted, "1");

    show.stop_record().await;
    let health = show.studio.health();
    assert_eq!((health.encoder_dropped, health.ticks_missed), (0, 0));
    assert_unbroken(&packets(&recording, "v"), 15.0);
    assert_unbroken(&packets(&recording, "a"), 48_000.0 / 1024.0);
    assert!(
        !health
            .feeds
            .iter()
            .any(|f| f.subscribers.iter().any(|s| s.name == "far"))
    );
    show.studio.shutdown().await;
}

#[tokio::test]
async fn what_a_server_refuses_is_told_in_plain_words_and_only_a_wrong_key_is_for_good() {
    let server = Server::start(0).await;
    let (mut show, _guest) = green_show().await;
    let nowhere = format!("http://127.0.0.1:{}/whip", {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    });
    for (path, key, state, words) in [
        (
            server.url("/whip"),
            Some("wrong-hidden"),
            OutputState::Failed,
            "refuses the key (401)",
        ),
        (server.url("/whip"), None, OutputState::Failed, "right key"),
        (
            server.url("/none"),
            Some(KEY),
            OutputState::Retrying,
            "no WHIP endpoint at this address (404)",
        ),
        (
            server.url("/loop"),
            Some(KEY),
            OutputState::Retrying,
            "redirected more than 5 times",
        ),
        (
            server.url("/flood"),
            Some(KEY),
            OutputState::Retrying,
            "larger than 64 KiB",
        ),
        (
            server.url("/busy"),
            Some(KEY),
            OutputState::Retrying,
            "503 Service Unavailable: All seats are taken.",
        ),
        (
            server.url("/forged"),
            Some(KEY),
            OutputState::Retrying,
            "certificate is not the one",
        ),
        (nowhere, Some(KEY), OutputState::Retrying, "server"),
    ] {
        show.studio
            .start_output(whip("x", path.clone(), key))
            .unwrap();
        let (told, error) = show
            .until(&format!("{path} is refused"), |e| match e {
                Event::Output(o) if o.error.is_some() => Some((o.state, o.error.clone().unwrap())),
                _ => None,
            })
            .await;
        assert_eq!(told, state, "{path}: {error}");
        assert!(error.contains(words), "{path}: {error}");
        assert!(!error.contains("hidden") && !error.contains(KEY), "{error}");
        show.studio.stop_output("x");
        if state == OutputState::Retrying {
            show.until_output("x", OutputState::Stopped).await;
        }
    }
    show.studio.shutdown().await;
}

#[tokio::test]
async fn addresses_that_cannot_be_are_refused_without_telling_the_key() {
    let show = Show::start(config()).await;
    for (url, key, words) in [
        ("rtmp://host/live", "hidden", "https://"),
        ("https://", "hidden", ""),
        (
            "https://user:hidden@host/whip",
            "hidden",
            "no user and no password",
        ),
        ("https://host/whip", "hidden key\r\n", "bearer token"),
    ] {
        match show.studio.start_output(whip("x", url.into(), Some(key))) {
            Err(StudioError::BadUrl { what } | StudioError::BadKey { what }) => {
                assert!(what.contains(words) && !what.contains("hidden"), "{what}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    show.studio.shutdown().await;
}

/// Answers every request with 401, behind this certificate.
fn strict_door(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    use std::io::{Read, Write};
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key.into())
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket.unwrap());
            let mut asked = Vec::new();
            let mut bytes = [0; 4096];
            // A client that does not trust the certificate goes here.
            while let Ok(n @ 1..) = stream.read(&mut bytes) {
                asked.extend_from_slice(&bytes[..n]);
                if asked.windows(4).any(|w| w == b"\r\n\r\n") {
                    let _ = stream.write_all(
                        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    );
                    break;
                }
            }
        }
    });
    port
}

/// Which certificates are trusted is a matter of the whole process; started by the next test.
#[tokio::test]
#[ignore = "a part of the next test"]
async fn whip_over_tls() {
    let mut show = Show::start(config()).await;
    let ports = std::env::var("WHIP_DOORS").unwrap();
    let (trusted, foreign) = ports.split_once(' ').unwrap();
    for (port, state, words) in [
        (trusted, OutputState::Failed, "refuses the key (401)"),
        (foreign, OutputState::Retrying, "invalid peer certificate"),
    ] {
        let spec = whip(port, format!("https://127.0.0.1:{port}/whip"), Some(KEY));
        show.studio.start_output(spec).unwrap();
        let told = show
            .until("it is refused", |e| match e {
                Event::Output(o) if o.output_id == port && o.error.is_some() => Some(o.clone()),
                _ => None,
            })
            .await;
        let error = told.error.unwrap();
        assert!(told.state == state && error.contains(words), "{error}");
    }
    show.studio.shutdown().await;
}

#[test]
fn a_server_is_spoken_to_by_tls_only_if_its_certificate_is_trusted() {
    let certificate = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (trusted, foreign) = (certificate(), certificate());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), trusted.cert.pem()).unwrap();
    let doors = format!("{} {}", strict_door(&trusted), strict_door(&foreign));
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "whip_over_tls", "--nocapture"])
        .env("SSL_CERT_FILE", file.path())
        .env("WHIP_DOORS", doors)
        .status()
        .unwrap();
    assert!(done.success());
}
