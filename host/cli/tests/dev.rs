//! `dais dev` when its box is missing, dies, says nothing, or is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with `dais` and, if `script` is given, a `daisd` that does this.
fn house(script: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dais = folder.path().join("dais");
    let built = env!("CARGO_BIN_EXE_dais");
    // A link where the folders share a file system: the debug binary is large.
    fs::hard_link(built, &dais)
        .or_else(|_| fs::copy(built, &dais).map(drop))
        .unwrap();
    if let Some(script) = script {
        let daisd = folder.path().join("daisd");
        fs::write(&daisd, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&daisd, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn dev(house: &Path) -> Child {
    Command::new(house.join("dais"))
        .args([
            "dev",
            "--json",
            "--http-port",
            "0",
            "--mqtt-port",
            "0",
            "--data",
        ])
        .arg(house.join("data"))
        .env("PATH", "/usr/bin:/bin")
        .env_remove("DAIS_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, standard output and standard error, or a panic when it does not end in time.
fn end(mut child: Child) -> (Option<i32>, String, String) {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (tx, rx) = mpsc::channel();
    let pid = child.id();
    std::thread::spawn(move || {
        let (mut said, mut complained) = (String::new(), String::new());
        out.read_to_string(&mut said).unwrap();
        err.read_to_string(&mut complained).unwrap();
        tx.send((child.wait().unwrap().code(), said, complained))
            .unwrap();
    });
    rx.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        signal(pid, "KILL");
        panic!("it did not end");
    })
}

fn signal(pid: u32, name: &str) {
    Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_missing_daisd_is_told_with_what_to_do() {
    let house = house(None);
    let (code, said, complained) = end(dev(house.path()));
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(
        complained.contains("neither beside this program")
            && complained.contains("cargo build -p daisd"),
        "{complained}"
    );
}

#[test]
fn a_daisd_that_dies_is_told_with_its_last_words() {
    let house = house(Some("echo 'The encoder x264enc is missing.' >&2; exit 3"));
    let (code, said, complained) = end(dev(house.path()));
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(
        complained.contains("exit status: 3")
            && complained.contains("Its last words:\n  The encoder x264enc is missing."),
        "{complained}"
    );
}

#[test]
fn a_daisd_that_announces_nonsense_is_ended_and_told() {
    let house = house(Some("echo hello; exec sleep 100"));
    let (code, _, complained) = end(dev(house.path()));
    assert_eq!(code, Some(1));
    assert!(complained.contains("does not know: hello"), "{complained}");
}

#[test]
fn daisd_gets_settings_it_is_asked_for() {
    let house = house(Some("cat \"$2\" >&2; echo \"$1 $3\" >&2; exit 1"));
    let (_, _, complained) = end(dev(house.path()));
    assert!(
        complained.contains("listen = \"127.0.0.1:0\"")
            && complained.contains("--config --announce"),
        "{complained}"
    );
}

#[test]
fn an_interrupt_ends_daisd_in_order_and_is_a_good_end() {
    let house = house(Some(
        "trap 'touch \"$0.closed\"; exit 0' TERM; touch \"$0.up\"; while :; do sleep 0.1; done",
    ));
    let child = dev(house.path());
    wait_until("the start", || house.path().join("daisd.up").exists());
    signal(child.id(), "INT");
    let (code, _, complained) = end(child);
    assert_eq!(code, Some(0), "{complained}");
    assert!(
        house.path().join("daisd.closed").exists(),
        "daisd was not given the time to close"
    );
}

/// Nothing may be left behind, however this command ends.
#[test]
fn daisd_ends_when_its_parent_is_killed() {
    let house = house(Some("echo $$ >&2; exec sleep 1000"));
    let mut child = dev(house.path());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let daisd = lines.next().unwrap().unwrap();
    let alive = || Path::new("/proc").join(&daisd).join("exe").exists();
    assert!(alive());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of daisd", || !alive());
}
