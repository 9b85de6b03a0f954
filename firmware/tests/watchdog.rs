//! systemd's watchdog is fed by programme frames: a real box, whose real encoder stops giving.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;

use service::{Options, Service, WATCHDOG};

#[test]
fn a_programme_that_stands_still_starves_the_watchdog_and_is_written_down() {
    let service = Service::start(&Options::default());
    let ready = service.until_notified("READY=1");
    assert!(ready.contains("STATUS=The programme is moving."), "{ready}");
    for _ in 0..3 {
        service.until_notified("WATCHDOG=1");
    }
    service.stall(true);
    let (_, lines) = service.flight_of("stalled");
    let told = |kind: &str, text: &str| {
        lines
            .iter()
            .any(|line| line["kind"] == kind && line.to_string().contains(text))
    };
    assert!(
        told("log", "the programme is moving"),
        "no log in {lines:?}"
    );
    assert!(
        told("log", "the programme stalled"),
        "no fault in {lines:?}"
    );
    assert!(
        told("health", "capture_to_encoded"),
        "no health in {lines:?}"
    );
    assert!(told("levels", "level_db"), "no levels in {lines:?}");
    // What was sent before is in the socket's queue; after it systemd hears nothing of frames for its whole time.
    while let Some(message) = service.notified_within(WATCHDOG / 8) {
        assert!(!message.contains("READY=1\nSTATUS=The programme is moving"));
    }
    let mut waited = std::time::Instant::now();
    let silent_since = waited;
    while waited.duration_since(silent_since) < WATCHDOG {
        if let Some(message) =
            service.notified_within(WATCHDOG - waited.duration_since(silent_since))
        {
            assert!(!message.contains("WATCHDOG=1"), "{message}");
        }
        waited = std::time::Instant::now();
    }
    let stalls = std::fs::read_to_string(service.path("run/stalls")).unwrap();
    assert_eq!(stalls.lines().count(), 1, "{stalls}");
    service.stall(false);
    service.until_notified("WATCHDOG=1");
    assert_eq!(service.stop(), Some(0));
}
