//! `dais host` as a process, against a real mosquitto and a scripted box.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Output, Stdio};

use dais_protocol::{Reason, RpcError};
use serde_json::{Value, json};
use support::{Broker, PATIENCE, ScriptedBox};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

fn console(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dais"));
    command
        .args(["host", "--url", &broker.tcp(), "--user", "host-c1"])
        .args(arguments)
        .arg("--json");
    command
        .env("DAIS_PASSWORD", "right")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text.lines().count(),
        1,
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_calls_its_method() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    for (arguments, method, params) in [
        (
            &["accept", "b7", "--seat", "2"][..],
            "mic.respond",
            json!({"user_id": "b7", "accept": true, "seat": 2}),
        ),
        (
            &["reject", "b7", "--message", "Later."],
            "mic.respond",
            json!({"user_id": "b7", "accept": false, "message": "Later."}),
        ),
        (
            &["layout", "side-by-side"],
            "layout.set",
            json!({"layout": "side-by-side"}),
        ),
        (
            &["gain", "b7", "-3.5"],
            "mic.set",
            json!({"user_id": "b7", "gain_db": -3.5}),
        ),
        (
            &["mute", "b7"],
            "mic.set",
            json!({"user_id": "b7", "audio_muted": true}),
        ),
        (&["record", "start"], "record.start", json!({})),
        (&["record", "list"], "record.list", json!({})),
        (
            &["record", "remove", "programme-0001.mkv"],
            "record.remove",
            json!({"file": "programme-0001.mkv"}),
        ),
    ] {
        let run = console(&broker, arguments).output();
        let script = async {
            let request = scripted.call().await;
            assert_eq!(
                (&request.body["method"], &request.body["params"]),
                (&json!(method), &params),
                "{arguments:?}"
            );
            scripted.reply(&request, json!({"done": method})).await;
        };
        let (output, ()) = tokio::join!(run, script);
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            line(&output),
            json!({"method": method, "result": {"done": method}})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_to_one_guest_lasts_as_long_as_the_command() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let mut talk = console(&broker, &["talk", "b7"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(talk.stdout.take().unwrap()).lines();
    // It says so again and again, for the box would end it by itself.
    for _ in 0..3 {
        let request = scripted.call().await;
        assert_eq!(request.body["method"], "talkback.set");
        assert_eq!(request.body["params"], json!({"user_id": "b7"}));
        scripted.reply(&request, json!({})).await;
    }
    let told = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let told: Value = serde_json::from_str(&told.unwrap()).unwrap();
    assert_eq!(
        told,
        json!({"event": "talkback", "user_id": "b7", "on": true})
    );
    let pid = talk.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    loop {
        let request = scripted.call().await;
        scripted.reply(&request, json!({})).await;
        if request.body["params"] == json!({}) {
            break;
        }
    }
    assert!(
        timeout(PATIENCE, talk.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_printed_and_fails_the_command() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let run = console(&broker, &["accept", "b7"]).output();
    let script = async {
        let request = scripted.call().await;
        scripted
            .refuse(
                &request,
                RpcError::new(Reason::NoSuchRequest, "Nothing is open for b7."),
            )
            .await;
    };
    let (output, ()) = tokio::join!(run, script);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(line(&output)["error"]["data"]["reason"], "no_such_request");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Nothing is open for b7."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_key_comes_from_the_environment() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let mut command = console(
        &broker,
        &[
            "output",
            "start",
            "rtmp",
            "rtmp://live.example/app",
            "--key-env",
            "MY_KEY",
        ],
    );
    let run = command.env("MY_KEY", "abcd-1234").output();
    let script = async {
        let request = scripted.call().await;
        assert_eq!(
            request.body["params"],
            json!({"kind": "rtmp", "url": "rtmp://live.example/app", "key": "abcd-1234"})
        );
        scripted.reply(&request, json!({"output_id": "o1"})).await;
    };
    let (output, ()) = tokio::join!(run, script);
    assert_eq!(line(&output.unwrap())["result"]["output_id"], "o1");
    let unset = console(
        &broker,
        &[
            "output",
            "start",
            "rtmp",
            "rtmp://h/a",
            "--key-env",
            "NO_SUCH_KEY",
        ],
    )
    .output()
    .await
    .unwrap();
    assert!(
        !unset.status.success() && String::from_utf8_lossy(&unset.stderr).contains("NO_SUCH_KEY")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_one_line() {
    let broker = Broker::start();
    let _scripted = ScriptedBox::start(&broker).await;
    let room = line(&console(&broker, &["room"]).output().await.unwrap());
    assert_eq!((&room["event"], &room["rev"]), (&json!("room"), &json!(41)));
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_shows_what_happens_until_told_to_end() {
    let broker = Broker::start();
    let scripted = ScriptedBox::start(&broker).await;
    let mut watching = console(&broker, &["watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut until = async |event: &str| {
        loop {
            let line = timeout(PATIENCE, lines.next_line())
                .await
                .expect("it was not shown in time")
                .unwrap()
                .unwrap();
            let shown: Value = serde_json::from_str(&line).unwrap();
            if shown["event"] == event {
                return shown;
            }
        }
    };
    assert_eq!(until("room").await["title"], "Friday live");
    let params = json!({"rev": 42, "request_id": "r", "user_id": "b7", "name": "Ana", "camera": true, "expires_in_ms": 60000});
    let requested = json!({"jsonrpc": "2.0", "method": "mic.requested", "params": params});
    scripted
        .publish("dais/v1/dev/host/events", &requested)
        .await;
    let shown = until("mic.requested").await;
    assert_eq!((&shown["rev"], &shown["name"]), (&json!(42), &json!("Ana")));
    let pid = watching.id().unwrap().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(
        timeout(PATIENCE, watching.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_argument_never_reaches_the_box() {
    let broker = Broker::start();
    for arguments in [
        &["accept", "B7"][..],
        &["move", "b7", "10"],
        &["gain", "b7", "13"],
        &["layout", "mosaic"],
        &["set", "--title", " "],
    ] {
        let output = console(&broker, arguments).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let guest = Command::new(env!("CARGO_BIN_EXE_dais"))
        .args([
            "host",
            "--url",
            "mqtt://127.0.0.1:9",
            "--user",
            "guest-b7",
            "room",
        ])
        .env("DAIS_PASSWORD", "x")
        .output()
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&guest.stderr).contains("no console's user name"));
}
