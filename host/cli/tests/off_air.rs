//! A look at one guest off air, and a word to one guest alone: a whole box, real guests, and their ears.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::time::Instant;

use dais_cli::client::Heard;
use dais_protocol::{Notification, Reason};
use house::{Console, Guests, House, PATIENCE, SMALL, film};
use serde_json::{Value, json};

/// Of the guest on air; the host plays 440 Hz.
const BO_HZ: u32 = 900;

/// A box whose host plays a tone, longer than any of these tests: at its end a file begins anew, with a gap.
fn box_with_tone(files: &tempfile::TempDir) -> House {
    let tone = files.path().join("host.wav");
    film::make("sine=f=440:r=16000:d=600", &["-ac", "1"], &tone);
    House::start(&format!(
        "[capture]\naudio = \"file:{}\"\n{SMALL}",
        tone.display()
    ))
}

/// Bo on air and Ana waiting, with their ids.
async fn two(house: &House, console: &mut Console) -> ([Guests; 2], [String; 2]) {
    let tone = format!("test:tone={BO_HZ}");
    let bo = house
        .guests(console, &["--name", "Bo", "--audio", &tone])
        .await;
    let of_bo = console.until_pending(1).await.remove(0);
    console.accept(&of_bo).await;
    console.until_seats("on_air", 1).await;
    let ana = house
        .guests(
            console,
            &[
                "--name",
                "Ana",
                "--audio",
                "test:tone=700",
                "--timeout",
                "300",
            ],
        )
        .await;
    let of_ana = console.until_pending(1).await.remove(0);
    ([ana, bo], [of_ana, of_bo])
}

/// As soon as something of the guest is decoded.
async fn talk_to(console: &Console, user: &str) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = console.ask("talkback.set", json!({"user_id": user})).await {
        assert_eq!(error.reason(), Reason::Unavailable, "{error}");
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// The tone of 440 Hz in what a guest hears, when it has been so for three seconds: the first of them may have begun before.
fn hears_host(guest: &Guests, what: &str, wanted: impl Fn(f64) -> bool) {
    let mut seconds = 0;
    guest.until(what, |line| {
        let tone = &line["tone"];
        let level = match tone["other_hz"].as_u64()? {
            440 => tone["other_db"].as_f64()?,
            _ => -120.0,
        };
        seconds = if wanted(level) { seconds + 1 } else { 0 };
        (seconds == 3).then_some(())
    });
}

fn attention(watching: bool, talking: bool) -> impl FnMut(&Value) -> Option<()> {
    move |line| {
        let told = line["event"] == "attention";
        (told && line["watching"] == watching && line["talking"] == talking).then_some(())
    }
}

async fn until_talkback(console: &mut Console, user: Option<&str>) {
    console
        .until("the talkback in pending", |heard| match heard {
            Heard::Pending(p) => {
                let spoken_to = p.talkback.as_ref().map(|t| t.user_id.as_str());
                (spoken_to == user).then_some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_guest_who_is_spoken_to_hears_the_host() {
    let files = tempfile::tempdir().unwrap();
    let house = box_with_tone(&files);
    let mut console = house.console().await;
    let ([ana, bo], [of_ana, of_bo]) = two(&house, &mut console).await;
    // The programme is the host's tone then, or nothing.
    console
        .ask("mic.set", json!({"user_id": of_bo, "audio_muted": true}))
        .await
        .unwrap();
    hears_host(&bo, "host on air", |db| db > -40.0);
    console.ask("record.start", json!({})).await.unwrap();
    // Ana waits: she hears the programme, and then the host alone over it.
    talk_to(&console, &of_ana).await;
    ana.until("word that she is spoken to", attention(false, true));
    until_talkback(&mut console, Some(&of_ana)).await;
    // Longer than the box holds it by itself.
    for _ in 0..3 {
        talk_to(&console, &of_ana).await;
        hears_host(&bo, "host off air", |db| db < -95.0);
    }
    hears_host(&ana, "host for her alone", |db| db > -40.0);

    console.ask("talkback.set", json!({})).await.unwrap();
    ana.until("word that it is over", attention(false, false));
    until_talkback(&mut console, None).await;
    hears_host(&bo, "host on air again", |db| db > -40.0);
    console.ask("record.stop", json!({})).await.unwrap();
    console.until_recorded().await;
    let file = house.recordings().remove(0);
    let levels = film::tone_db(&file, 440.0);
    let gone = |level: &f64| *level < -80.0;
    let first = levels.iter().position(gone).expect("silence");
    let silence = levels[first..]
        .iter()
        .take_while(|level| gone(level))
        .count();
    assert!(silence > 60, "off air for 6 s at least: {levels:?}");
    // A machine that is too slow for its own file has gaps there; a word in the silence would have left most of this silent.
    let after = &levels[first + silence..];
    let on_air = after.iter().filter(|level| **level > -40.0).count();
    assert!(
        on_air * 2 > after.len() && after.len() > 10,
        "the host is back in the recording: {levels:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_back_on_air_when_the_console_or_the_guest_is_lost_and_after_a_restart() {
    let files = tempfile::tempdir().unwrap();
    let mut house = box_with_tone(&files);
    let mut console = house.console().await;
    let credential = house.pair().await;
    let ([mut ana, bo], [of_ana, of_bo]) = two(&house, &mut console).await;
    let phone = house.console().await;
    talk_to(&phone, &of_bo).await;
    until_talkback(&mut console, Some(&of_bo)).await;
    hears_host(&bo, "host", |db| db > -40.0);
    // A phone that says nothing any more, connected as it is.
    until_talkback(&mut console, None).await;
    talk_to(&phone, &of_bo).await;
    until_talkback(&mut console, Some(&of_bo)).await;
    phone.client.leave().await;
    until_talkback(&mut console, None).await;
    // A guest whose phone is gone.
    talk_to(&console, &of_ana).await;
    until_talkback(&mut console, Some(&of_ana)).await;
    ana.process.kill().unwrap();
    until_talkback(&mut console, None).await;

    talk_to(&console, &of_bo).await;
    until_talkback(&mut console, Some(&of_bo)).await;
    house.kill();
    house.restart();
    let mut console = house.console_of(&credential).await;
    until_talkback(&mut console, None).await;
    hears_host(&bo, "host on air after the restart", |db| db > -40.0);
}

/// What this console is offered, by whom it shows.
async fn offered(console: &mut Console, user: Option<&str>) -> String {
    console
        .until("an offer", |heard| match heard {
            Heard::Notification {
                notification:
                    Notification::MediaOffer {
                        session, user_id, ..
                    },
                ..
            } => (user_id.as_deref() == user).then(|| session.to_string()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_is_looked_at_is_told_so_and_when_it_is_over() {
    let house = House::start(SMALL);
    let mut console = house.console().await;
    let guest = house.join(&console, "Eve").await;
    let eve = dais_cli::client::ClientConfig::new(&house.mqtt, &guest).unwrap();
    let (eve, _heard) = dais_cli::client::Client::connect(eve).await.unwrap();
    let watch = |user: Option<&str>, on: bool| match user {
        Some(user) => json!({"on": on, "user_id": user}),
        None => json!({"on": on}),
    };
    let refused = eve
        .call(house::call("media.watch", watch(Some("x"), true)))
        .await
        .unwrap_err();
    assert_eq!(refused.rpc().unwrap().reason(), Reason::InvalidParams);
    for nobody in ["nobody", guest.user_id.as_str()] {
        let refused = console.ask("media.watch", watch(Some(nobody), true)).await;
        assert_eq!(refused.unwrap_err().reason(), Reason::NoSuchRequest);
    }

    let ana = house.guests(&console, &["--name", "Ana"]).await;
    let user = console.until_pending(1).await.remove(0);
    ana.until_event("connected");
    console.ask("media.watch", watch(None, true)).await.unwrap();
    offered(&mut console, None).await;
    console
        .ask("media.watch", watch(Some(&user), true))
        .await
        .unwrap();
    ana.until("word that she is seen", attention(true, false));
    let session = offered(&mut console, Some(&user)).await;
    // The audience is one, whoever else is looked at.
    console
        .until("health", |heard| match heard {
            Heard::Health(h) => (h.watchers == 1).then_some(()),
            _ => None,
        })
        .await;
    // A new network: another session, of the same guest.
    console
        .ask("media.restart", json!({"session": session}))
        .await
        .unwrap();
    assert_ne!(offered(&mut console, Some(&user)).await, session);
    // From waiting to a seat the look goes on.
    console.accept(&user).await;
    console.until_seats("on_air", 1).await;
    console
        .ask("media.watch", watch(Some(&user), false))
        .await
        .unwrap();
    ana.until("word that it is over", attention(false, false));

    console
        .ask("media.watch", watch(Some(&user), true))
        .await
        .unwrap();
    ana.until("word that she is seen again", attention(true, false));
    console.client.leave().await;
    ana.until("word that the console is gone", attention(false, false));
}
