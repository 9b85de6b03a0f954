//! A box whose media part is down, as consoles and guests see it; and what no box ever writes into its log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::fs;

use dais_cli::client::Heard;
use dais_protocol::Reason;
use house::wire::Wire;
use house::{House, SMALL};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn consoles_are_told_what_is_wrong_and_settings_work_while_the_media_part_is_down() {
    let house = House::start("[capture]\nvideo = \"vhs:1\"\n");
    let mut console = house.console().await;
    let alarms = console
        .until("alarms", |heard| match heard {
            Heard::Health(health) if !health.alarms.is_empty() => Some(health.alarms.clone()),
            _ => None,
        })
        .await;
    for what in ["media", "settings"] {
        let alarm = alarms.iter().find(|alarm| alarm.what == what);
        let advice = &alarm.unwrap_or_else(|| panic!("{what}: {alarms:?}")).advice;
        assert!(advice.contains("capture.video: "), "{advice}");
    }
    for (method, params) in [
        ("media.watch", json!({"on": true})),
        ("record.start", json!({})),
        (
            "output.start",
            json!({"kind": "rtmp", "url": "rtmp://127.0.0.1/app"}),
        ),
        ("mic.invite", json!({"user_id": "nobody"})),
    ] {
        let refused = console.ask(method, params).await.unwrap_err();
        assert_eq!(refused.data.reason, Reason::Unavailable, "{method}");
        assert!(refused.message.contains("capture.video: "), "{refused:?}");
    }
    console
        .ask("room.set", json!({"title": "Mended"}))
        .await
        .unwrap();
    console
        .until("the new title", |heard| match heard {
            Heard::Room(room) if room.title.as_str() == "Mended" => Some(()),
            _ => None,
        })
        .await;
    let mut guest = Wire::connect(&house, &house.join(&console, "Ana").await).await;
    assert_eq!(guest.refused("mic.request", json!({})).await, "unavailable");
    // It is not asked for frames that it cannot make.
    let late = console
        .until("four more seconds of health", {
            let mut seconds = 0;
            move |heard| match heard {
                Heard::Health(health) => {
                    seconds += 1;
                    (seconds > 4).then(|| health.alarms.clone())
                }
                _ => None,
            }
        })
        .await;
    assert!(
        late.iter().all(|alarm| alarm.what != "frame_rate"),
        "{late:?}"
    );
}

/// As when both get their power from one switch.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_is_there_before_its_broker_shows_its_programme_and_takes_consoles_when_that_comes()
 {
    let mut house = House::start_before_mosquitto(SMALL).await;
    house.start_mosquitto().await;
    let mut console = house.console().await;
    console.room().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_recorded_however_much_is_logged() {
    let turn = "[[ice.turn]]\nurl = \"turn://127.0.0.1:3478\"\nusername = \"dais\"\ncredential = \"turn-hush-3141\"\n";
    let house = House::start_talkative(&format!("{SMALL}{turn}"));
    let host = house.pair().await;
    let mut console = house.console_of(&host).await;
    let invite = console.invite().await;
    let guest = house.join_by(&invite, "Ana").await;
    let mut wire = Wire::connect(&house, &guest).await;
    wire.ask("mic.request", json!({})).await;
    console.until_pending(1).await;
    console
        .ask(
            "output.start",
            json!({"kind": "rtmp", "url": "rtmp://127.0.0.1:9/app", "key": "key-hush-2718"}),
        )
        .await
        .unwrap();
    console
        .until("a destination that is tried", |heard| match heard {
            Heard::Outputs(outputs) if outputs.outputs.iter().any(|o| o.error.is_some()) => {
                Some(())
            }
            _ => None,
        })
        .await;
    console.ask("record.start", json!({})).await.unwrap();
    let written = console.until_recording().await;
    let file = written.rsplit('/').next().unwrap();
    let link = console.ask("record.link", json!({"file": file})).await;
    let link = link.unwrap()["url"].as_str().unwrap().to_owned();
    let fetched = link.clone();
    let status = tokio::task::spawn_blocking(move || ureq::get(fetched).call().unwrap().status());
    assert_eq!(status.await.unwrap(), 200);
    house::signal(house.pid(), "USR1");
    let folder = house.data.path().join("flight");
    let end = std::time::Instant::now() + house::PATIENCE;
    let flight = loop {
        assert!(std::time::Instant::now() < end, "no flight was recorded");
        let written = fs::read_dir(&folder).into_iter().flatten().flatten();
        let whole = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|e| e == "gz");
        let texts: Vec<String> = written.filter(whole).map(unpacked).collect();
        if let Some(asked) = texts.iter().find(|text| text.contains("SIGUSR1")) {
            break asked.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let log = fs::read_to_string(house.data.path().join("log")).unwrap();
    assert!(log.contains("DEBUG"), "it was not asked to log much");
    for (what, secret) in [
        ("the pairing code", house.code.as_str()),
        ("a console's password", &host.password),
        ("a guest's password", &guest.password),
        ("an invite", invite.invite.as_str()),
        ("a stream key", "key-hush-2718"),
        ("a recording's link", link.rsplit('/').nth(1).unwrap()),
        ("a TURN credential", "turn-hush-3141"),
    ] {
        for (place, text) in [("log", &log), ("flight recorder", &flight)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what} stands in the {place}");
        }
    }
}

fn unpacked(entry: fs::DirEntry) -> String {
    let done = std::process::Command::new("gzip")
        .arg("-dc")
        .arg(entry.path())
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap()
}
