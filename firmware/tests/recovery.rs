//! A box whose media part does not start is reached all the same, says why, and comes back by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;

use std::process::Command;

use serde_json::json;
use service::{Options, SMALL, Service, http};

fn pairs(said: &serde_json::Value) -> bool {
    let origin = said["http"].as_str().unwrap();
    let body = json!({"code": said["pairing_code"], "name": "Desk"}).to_string();
    http(origin, "POST", "/api/pair", &body).0 == 200
}

#[test]
fn without_a_working_encoder_the_doors_are_open_and_frames_come_when_it_works() {
    let service = Service::start(&Options {
        stalled: true,
        ..Options::default()
    });
    let status = service.until_notified("READY=1");
    assert!(
        status.contains("STATUS=In recovery: ") && status.contains("encoder"),
        "{status}"
    );
    let said = service.announced();
    assert_eq!(said["event"], "recovery");
    let origin = said["http"].as_str().unwrap();
    assert_eq!(http(origin, "GET", "/healthz", "").0, 200);
    let (status, why) = http(origin, "GET", "/readyz", "");
    assert!(status == 503 && why.contains("encoder"), "{status} {why}");
    assert!(pairs(&said));
    // It is alive without a frame: nothing is gained by ending it.
    for _ in 0..3 {
        service.until_notified("WATCHDOG=1");
    }
    service.stall(false);
    service.until_notified("STATUS=The programme is moving.");
    assert_eq!(service.announced()["event"], "ready");
    assert_eq!(http(origin, "GET", "/readyz", "").0, 200);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn without_gstreamers_plugins_it_says_what_to_install() {
    let nothing = tempfile::tempdir().unwrap();
    let folder = nothing.path().display().to_string();
    let registry = nothing.path().join("registry").display().to_string();
    let service = Service::start(&Options {
        env: &[
            ("GST_PLUGIN_SYSTEM_PATH_1_0", &folder),
            ("GST_REGISTRY_1_0", &registry),
        ],
        ..Options::default()
    });
    let status = service.until_notified("READY=1");
    assert!(status.contains("gstreamer1.0-plugins"), "{status}");
    assert!(pairs(&service.announced()));
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_mistake_in_the_settings_is_told_with_line_and_key_by_a_box_that_serves() {
    let settings = format!("[capture]\nvideo = \"vhs:1\"\n{SMALL}");
    let service = Service::start(&Options {
        settings: &settings,
        ..Options::default()
    });
    let status = service.until_notified("READY=1");
    assert!(status.contains("dais.toml:10: capture.video: "), "{status}");
    let said = service.announced();
    let (code, why) = http(said["http"].as_str().unwrap(), "GET", "/readyz", "");
    assert!(code == 503 && why.contains("capture.video"), "{code} {why}");
    assert!(pairs(&said));
    let check = Command::new(env!("CARGO_BIN_EXE_daisd"))
        .args(["--check", "--config"])
        .arg(service.path("dais.toml"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(
        check.status.code() == Some(1) && told.contains("dais.toml:10: capture.video: "),
        "{told}"
    );
    assert_eq!(service.stop(), Some(0));
}
