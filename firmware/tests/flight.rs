//! The flight recorder of real processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;

use std::process::Command;

use daisd::flight::{Flight, Kind};
use service::{Options, Service};

#[test]
fn a_person_can_ask_for_it() {
    let service = Service::start(&Options::default());
    service.until_notified("READY=1");
    service.signal("USR1");
    let (_, lines) = service.flight_of("asked");
    assert!(lines.iter().any(|line| line["kind"] == "log"));
    assert_eq!(service.stop(), Some(0));
}

/// Not a test of its own: the process that the next one lets panic.
#[test]
fn panics_when_told_to() {
    let Some(data) = std::env::var_os("DAIS_TEST_PANIC") else {
        return;
    };
    let flight = Flight::default();
    flight.write_below(data.as_ref());
    daisd::log::start(&flight);
    flight.on_panic();
    flight.note(Kind::Input, "the last thing that happened");
    std::thread::spawn(|| panic!("a bug")).join().unwrap_err();
    std::process::abort();
}

#[test]
fn a_panic_is_on_the_disk_before_the_process_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panics_when_told_to", "--nocapture"])
        .env("DAIS_TEST_PANIC", data.path())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), None, "it was to be aborted");
    let file = std::fs::File::open(data.path().join("flight/flight-0001.jsonl.gz")).unwrap();
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
    for part in [
        "\"fault\":\"panic\"",
        "a bug",
        "the last thing that happened",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
