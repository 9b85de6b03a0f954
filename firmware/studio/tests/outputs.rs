//! Servers come, go and freeze; the programme and the recording don't notice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod faulty;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use dais_studio::api::{Event, OutputState, Rect, Source};
use dais_studio::{OutputKind, OutputSpec, Secret, StudioError};
use gst::prelude::*;

/// An RTMP server that writes what it gets into a folder.
struct Nginx(Child);

impl Nginx {
    fn start(dir: &Path, port: u16) -> Nginx {
        let d = dir.display();
        std::fs::create_dir_all(dir.join("rec")).unwrap();
        let conf = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
             daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;\n\
             events {{}}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all; record_path {d}/rec; record_unique on; }} }} }}\n"
        );
        std::fs::write(dir.join("nginx.conf"), conf).unwrap();
        let mut child = Command::new("nginx")
            .arg("-p")
            .arg(dir)
            .arg("-e")
            .arg(dir.join("error.log"))
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .spawn()
            .expect("nginx runs: install nginx and libnginx-mod-rtmp");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "nginx ended: see its error.log"
            );
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(20));
        }
        Nginx(child)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn rtmp(id: &str, port: u16) -> OutputSpec {
    OutputSpec {
        output_id: id.into(),
        kind: OutputKind::Rtmp,
        url: format!("rtmp://127.0.0.1:{port}/live"),
        key: Some(Secret::new("very-secret-key")),
    }
}

fn received(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("rec"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn rtmp_arrives_and_comes_back_after_the_server_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = Nginx::start(dir.path(), port);
    let mut show = Show::start(config()).await;
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
    let recording = dir.path().join("show.mkv");
    show.studio.start_record(recording.clone()).unwrap();
    show.studio.start_output(rtmp("tube", port)).unwrap();
    assert!(matches!(
        show.studio.start_output(rtmp("tube", port)),
        Err(StudioError::OutputExists { .. })
    ));
    show.until_output("tube", OutputState::Live).await;
    show.until_it_flows().await;
    drop(server);
    let error = show
        .until("it retries", |e| match e {
            Event::Output(o) if o.state == OutputState::Retrying => Some(o.error.clone().unwrap()),
            _ => None,
        })
        .await;
    assert!(!error.contains("very-secret"), "{error}");
    let server = Nginx::start(dir.path(), port);
    show.until_output("tube", OutputState::Live).await;
    show.frames(30).await;
    show.studio.stop_output("tube");
    show.until_output("tube", OutputState::Stopped).await;
    show.stop_record().await;
    drop(server);
    let files = received(dir.path());
    assert!(files.len() >= 2, "{files:?}");
    for file in [files.first().unwrap(), files.last().unwrap()] {
        assert!(
            packets(file, "v").len() > 10 && packets(file, "a").len() > 10,
            "{file:?}"
        );
    }
    assert_unbroken(&packets(files.last().unwrap(), "v"), 15.0);
    assert_unbroken(&packets(&recording, "v"), 15.0);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_stream_goes_on_when_the_encoder_is_left_for_another() {
    faulty::errs::register();
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = Nginx::start(dir.path(), port);
    let mut c = config();
    // Few, so that a busy machine is fast enough for the encoder's trial.
    (c.programme.fps, c.returns.fps) = (10, 10);
    faulty::on_top(&mut c, faulty::errs::ELEMENT);
    let mut show = Show::start(c).await;
    show.studio.start_output(rtmp("tube", port)).unwrap();
    show.until_output("tube", OutputState::Live).await;
    show.frames(20).await;
    faulty::errs::ON.store(true, Ordering::Relaxed);
    let left = format!("the programme encoder {}", faulty::errs::ELEMENT);
    show.until("the encoder is left", |e| match e {
        Event::Trouble { what, .. } if *what == left => Some(()),
        _ => None,
    })
    .await;
    show.frames(40).await;
    show.studio.stop_output("tube");
    let broke_off = show
        .until("the stream has stopped", |e| match e {
            Event::Output(o) if o.state == OutputState::Stopped => Some(false),
            Event::Output(o) if o.state == OutputState::Retrying => Some(true),
            _ => None,
        })
        .await;
    assert!(!broke_off);
    drop(server);
    show.studio.shutdown().await;
    // One connection, and all that came is a picture: the first encoder's headers and the second's.
    let files = received(dir.path());
    assert_eq!(files.len(), 1, "{files:?}");
    plays(&files[0]);
    let video = packets(&files[0], "v");
    assert!(video.windows(2).all(|pair| pair[1] > pair[0]), "{video:?}");
    assert!(video.len() > 45, "{} packets", video.len());
}

/// Carries bytes to a server until it freezes: then it accepts, and reads nothing.
struct Proxy {
    port: u16,
    frozen: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (frozen, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (f, s) = (frozen.clone(), stop.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if s.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                for (from, into) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    let (f, s) = (f.clone(), s.clone());
                    std::thread::spawn(move || carry(from, into, &f, &s));
                }
            }
        });
        Proxy { port, frozen, stop }
    }
}

fn carry(mut from: TcpStream, mut into: TcpStream, frozen: &AtomicBool, stop: &AtomicBool) {
    let mut bytes = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        if frozen.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        match from.read(&mut bytes) {
            Ok(n) if n > 0 && into.write_all(&bytes[..n]).is_ok() => {}
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = into.shutdown(Shutdown::Both);
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_disturbs_nobody_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Nginx::start(dir.path(), free_port_for(dir.path()));
    let proxy = Proxy::start(port_of(dir.path()));
    let mut c = config();
    // Noise at a high rate fills the sockets' buffers soon.
    c.programme.bitrate_kbps = 6000;
    let mut show = Show::start(c).await;
    let _noise = Guest::new(&show.studio, "noise", None, 400.0);
    let whole = Rect {
        x: 0,
        y: 0,
        w: WIDTH,
        h: HEIGHT,
    };
    show.studio
        .scene(scene(vec![seat(1, session("noise"), whole)]));
    let recording = dir.path().join("show.mkv");
    show.studio.start_record(recording.clone()).unwrap();
    show.studio
        .start_output(rtmp("wedged", proxy.port))
        .unwrap();
    // A second one that never gets past the handshake.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    show.studio
        .start_output(rtmp("deaf", deaf.local_addr().unwrap().port()))
        .unwrap();
    show.until_output("wedged", OutputState::Live).await;
    proxy.frozen.store(true, Ordering::Relaxed);
    let (mut wedged, mut not_heard) = (None, None);
    show.until("both are given up", |e| {
        if let Event::Output(o) = e
            && o.state == OutputState::Retrying
        {
            let error = if o.output_id == "deaf" {
                &mut not_heard
            } else {
                &mut wedged
            };
            *error = o.error.clone();
        }
        (wedged.is_some() && not_heard.is_some()).then_some(())
    })
    .await;
    proxy.frozen.store(false, Ordering::Relaxed);
    show.until_output("wedged", OutputState::Live).await;
    show.stop_record().await;
    let began = Instant::now();
    show.studio.stop_output("wedged");
    show.studio.stop_output("deaf");
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "stopping an output must not wait for it"
    );
    let health = show.studio.health();
    assert_eq!((health.encoder_dropped, health.ticks_missed), (0, 0));
    assert_unbroken(&packets(&recording, "v"), 15.0);
    assert_unbroken(&packets(&recording, "a"), 48_000.0 / 1024.0);
    show.studio.shutdown().await;
    drop(server);
}

fn free_port_for(dir: &Path) -> u16 {
    let port = free_port();
    std::fs::write(dir.join("port"), port.to_string()).unwrap();
    port
}

fn port_of(dir: &Path) -> u16 {
    std::fs::read_to_string(dir.join("port"))
        .unwrap()
        .parse()
        .unwrap()
}

/// An SRT listener that counts what comes.
struct Listener {
    pipeline: gst::Pipeline,
    bytes: Arc<AtomicU64>,
}

impl Listener {
    fn start(port: u16, passphrase: &str) -> Listener {
        let launch = format!(
            "srtsrc uri=\"srt://127.0.0.1:{port}?mode=listener\" passphrase={passphrase} ! tsdemux ! h264parse ! appsink name=s sync=false"
        );
        let pipeline = gst::parse::launch(&launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = pipeline
            .by_name("s")
            .unwrap()
            .downcast::<gst_app::AppSink>()
            .unwrap();
        let bytes = Arc::new(AtomicU64::new(0));
        let count = bytes.clone();
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    count.fetch_add(
                        sample.buffer().map_or(0, |b| b.size() as u64),
                        Ordering::Relaxed,
                    );
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        Listener { pipeline, bytes }
    }

    async fn until_pictures_come(&self) {
        let coming = async {
            while self.bytes.load(Ordering::Relaxed) < 5_000 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, coming)
            .await
            .expect("H.264 comes out of the SRT listener");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[tokio::test]
async fn srt_arrives_encrypted_and_comes_back_with_its_listener() {
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut show = Show::start(config()).await;
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
    let spec = OutputSpec {
        output_id: "far".into(),
        kind: OutputKind::Srt,
        url: format!("srt://127.0.0.1:{port}"),
        key: Some(Secret::new("a-long-passphrase")),
    };
    show.studio.start_output(spec).unwrap();
    // Nobody listens yet.
    show.until_output("far", OutputState::Retrying).await;
    let listener = Listener::start(port, "a-long-passphrase");
    show.until_output("far", OutputState::Live).await;
    listener.until_pictures_come().await;
    drop(listener);
    show.until_output("far", OutputState::Retrying).await;
    let listener = Listener::start(port, "a-long-passphrase");
    show.until_output("far", OutputState::Live).await;
    listener.until_pictures_come().await;
    show.studio.stop_output("far");
    show.until_output("far", OutputState::Stopped).await;
    drop(listener);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn addresses_that_cannot_be_are_refused_without_telling_the_key() {
    let show = Show::start(config()).await;
    let refused = |kind, url: &str, key: Option<&str>, whose: &str| {
        let spec = OutputSpec {
            output_id: "x".into(),
            kind,
            url: url.into(),
            key: key.map(Secret::new),
        };
        assert!(!format!("{spec:?}").contains("hidden"), "{spec:?}");
        match show.studio.start_output(spec) {
            Err(StudioError::BadUrl { what }) if whose == "url" => {
                assert!(!what.contains("hidden"), "{what}");
            }
            Err(StudioError::BadKey { what }) if whose == "key" => {
                assert!(!what.contains("hidden"), "{what}");
            }
            other => panic!("{url}: {other:?}"),
        }
    };
    refused(OutputKind::Rtmp, "not a url", None, "url");
    refused(OutputKind::Rtmp, "http://host/live", Some("hidden"), "url");
    refused(OutputKind::Rtmp, "rtmp://host", Some("hidden"), "url");
    refused(OutputKind::Rtmp, "rtmp://host/live", None, "url");
    refused(
        OutputKind::Rtmp,
        "rtmp://host/live",
        Some("hidden key\r\n"),
        "key",
    );
    refused(OutputKind::Srt, "srt://host", None, "url");
    refused(OutputKind::Srt, "srt://host:99999", None, "url");
    refused(OutputKind::Srt, "srt://host:9999", Some("hidden"), "key");
    show.studio.shutdown().await;
}
