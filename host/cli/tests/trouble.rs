//! One bad guest costs nobody else anything; and many guests leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::fs;
use std::time::Instant;

use dais_cli::client::Heard;
use house::film;
use house::wire::Wire;
use house::{House, SMALL};
use serde_json::json;

/// One at a time: they measure.
static STAGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_freezes_floods_sends_garbage_or_dies_costs_the_others_nothing() {
    let _stage = STAGE.lock().await;
    let house = House::start(&format!("[capture]\naudio = \"none\"\n{SMALL}"));
    let mut console = house.console().await;
    let _good = house
        .guests(&console, &["--name", "Good", "--audio", "test:tone=700"])
        .await;
    let good = console.until_pending(1).await.remove(0);
    console.accept(&good).await;
    let bad = house
        .guests(&console, &["--name", "Bad", "--audio", "test:tone=2100"])
        .await;
    let user = console.until_pending(1).await.remove(0);
    console.accept(&user).await;
    console.until_seats("on_air", 2).await;
    // The host fills the picture, the guests lie over its lower edge.
    console
        .ask("layout.set", json!({"layout": "pip"}))
        .await
        .unwrap();
    console.ask("record.start", json!({})).await.unwrap();
    console
        .until("a live recording", |heard| match heard {
            Heard::Outputs(o) if o.record.state == dais_protocol::OutputState::Live => Some(()),
            _ => None,
        })
        .await;

    let began = Instant::now();
    let now = |what: &str| println!("{:.2} s: {what}", began.elapsed().as_secs_f64());
    // So often that half a thousandth of the recording is more than one block: 10 s are the seat that is kept, a turn takes 2.
    for _ in 0..6 {
        house::signal(bad.process.id(), "STOP");
        now("a guest freezes");
        console.until_seats("reconnecting", 1).await;
        house::signal(bad.process.id(), "CONT");
        now("a guest goes on");
        console.until_seats("on_air", 2).await;
    }

    now("a guest is rude");
    let mut rude = Wire::connect(&house, &house.join(&console, "Rude").await).await;
    rude.ask("mic.request", json!({})).await;
    let offer = rude.notification("media.offer").await;
    for n in 0..15 {
        let sdp = offer["sdp"]
            .as_str()
            .unwrap()
            .replace("a=", &"x=".repeat(n));
        assert_eq!(
            rude.refused(
                "media.answer",
                json!({"session": offer["session"], "sdp": sdp})
            )
            .await,
            "bad_media"
        );
    }
    now("a guest floods");
    for n in 0..2000 {
        rude.send(
            json!({"jsonrpc": "2.0", "id": format!("f{n}"), "method": "mic.cancel"}).to_string(),
        )
        .await;
    }
    // The broker may end such a connection; the box must not.
    house::signal(bad.process.id(), "KILL");
    now("a guest dies");
    console.until_seats("reconnecting", 1).await;
    let room = console.until_seats("reconnecting", 0).await;
    assert_eq!(room.guests.len(), 1);
    assert_eq!(room.guests[0].user_id.as_str(), good);
    console.ask("record.stop", json!({})).await.unwrap();
    console.until_recorded().await;

    let file = house.recordings().remove(0);
    film::assert_no_gap(&file, "v", 1.5 / 15.0);
    let still = film::longest_still(&film::frames(&file, 320, 180), [0.0, 0.0, 1.0, 0.6]);
    assert!(still <= 2, "the host's picture stood for {still} pictures");
    let heard = film::tone_present(&file, 700.0);
    let lost: Vec<usize> = (0..heard.len()).filter(|n| !heard[*n]).collect();
    assert!(heard.len() > 2000, "only {} blocks", heard.len());
    assert!(
        lost.len() as f64 <= 0.0005 * heard.len() as f64,
        "the good guest's tone was lost in {} of {} blocks of 10 ms: {lost:?}",
        lost.len(),
        heard.len()
    );
}

/// Packets late by up to 75 ms, and each fiftieth lost: the worst network that a rehearsal has but for a phone at the edge of its cell.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_behind_three_walls_is_heard_without_holes() {
    const LEARNS_S: usize = 10;
    const MEASURED_S: usize = 20;
    let _stage = STAGE.lock().await;
    let house = House::start(&format!("[capture]\naudio = \"none\"\n{SMALL}"));
    let mut console = house.console().await;
    let far = ["--audio", "test:tone=700", "--profile", "weak-wifi"];
    let _guest = house.guests(&console, &far).await;
    let guest = console.until_pending(1).await.remove(0);
    console.accept(&guest).await;
    console.until_seats("on_air", 1).await;
    console.ask("record.start", json!({})).await.unwrap();
    let mut torn = Vec::new();
    console
        .until("half a minute of health", |heard| match heard {
            Heard::Health(health) => {
                torn.push(health.dropped["guests_sound"]);
                (torn.len() > LEARNS_S + MEASURED_S).then_some(())
            }
            _ => None,
        })
        .await;
    console.ask("record.stop", json!({})).await.unwrap();
    console.until_recorded().await;
    let heard = film::tone_present(&house.recordings().remove(0), 700.0);
    let (learnt, measured) = heard.split_at(100 * LEARNS_S);
    let holes = |blocks: &[bool]| blocks.iter().filter(|heard| !**heard).count();
    let found = format!(
        "not heard: {} of {} blocks of 10 ms, then {} of {}; torn by then, each second: {torn:?}",
        holes(learnt),
        learnt.len(),
        holes(measured),
        measured.len()
    );
    println!("{found}");
    assert!(measured.len() > 90 * MEASURED_S, "{found}");
    // None to five of 2000 were seen; twenty and more with a queue of 30 ms that waits for no network.
    assert!(
        holes(measured) as f64 <= 0.0075 * measured.len() as f64,
        "{found}"
    );
}

struct Size {
    rss_mb: u64,
    threads: u64,
    files: usize,
}

fn size(pid: u32) -> Size {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    Size {
        rss_mb: field("VmRSS:") / 1024,
        threads: field("Threads:"),
        files: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_joins_and_leaves_leave_nothing_behind() {
    const AT_ONCE: usize = 5;
    let _stage = STAGE.lock().await;
    let joins: usize = std::env::var("DAIS_JOINS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    let house = House::start(SMALL);
    let mut console = house.console().await;
    let mut after_ten = None;
    for done in (AT_ONCE..=joins).step_by(AT_ONCE) {
        let guests = house
            .guests(&console, &["--count", &AT_ONCE.to_string()])
            .await;
        for user in console.until_pending(AT_ONCE).await {
            console.accept(&user).await;
        }
        for guest in console.until_seats("on_air", AT_ONCE).await.guests {
            console
                .ask("mic.disconnect", json!({"user_id": guest.user_id}))
                .await
                .unwrap();
        }
        drop(guests);
        if done % 50 == 0 {
            println!("after {done}: {} MB", size(house.pid()).rss_mb);
        }
        if done == 2 * AT_ONCE {
            after_ten = Some(settled(&house, &mut console, None).await);
        }
    }
    let before = after_ten.unwrap();
    let after = settled(&house, &mut console, Some(&before)).await;
    println!(
        "after ten: {} MB, {} threads, {} files; after {joins}: {} MB, {} threads, {} files",
        before.rss_mb, before.threads, before.files, after.rss_mb, after.threads, after.files
    );
    assert!(
        after.threads <= before.threads + 4,
        "threads grew from {} to {}",
        before.threads,
        after.threads
    );
    assert!(
        after.files <= before.files + 4,
        "open files grew from {} to {}",
        before.files,
        after.files
    );
    assert!(
        after.rss_mb <= before.rss_mb + 40,
        "memory grew from {} to {} MB",
        before.rss_mb,
        after.rss_mb
    );
}

/// The size once it no longer shrinks from one second's health to the next, and is as small as it was `before`: a session that
/// still closes may take longer than that.
async fn settled(house: &House, console: &mut house::Console, before: Option<&Size>) -> Size {
    let mut last = size(house.pid());
    for _ in 0..20 {
        let mut seconds = 0;
        console
            .until("two seconds of health", |heard| {
                seconds += usize::from(matches!(heard, Heard::Health(_)));
                (seconds == 2).then_some(())
            })
            .await;
        let now = size(house.pid());
        let small = before.is_none_or(|b| now.threads <= b.threads + 4 && now.files <= b.files + 4);
        if small && now.threads == last.threads && now.files == last.files {
            return now;
        }
        last = now;
    }
    last
}
