//! Pictures in their tiles, sound where it belongs, and a beat that no guest can touch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::atomic::Ordering;

use common::ear::Ear;
use common::*;
use dais_studio::api::{Event, Look, Source};

const GREEN: [u8; 3] = [120, 60, 70];
const BLUE: [u8; 3] = [60, 200, 110];
const RED: [u8; 3] = [80, 100, 210];

#[tokio::test]
async fn each_source_is_seen_and_heard_in_its_own_seat_only() {
    let mut show = Show::start(config()).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let _b = Guest::new(&show.studio, "b", Some(BLUE), 700.0);
    let _idle = Guest::new(&show.studio, "idle", Some(RED), 1100.0);
    let mut heard_only = seat(3, session("b"), quarter(3));
    heard_only.rect = None;
    show.studio.scene(scene(vec![
        seat(1, session("a"), quarter(1)),
        seat(2, session("b"), quarter(2)),
    ]));
    show.frames(30).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mix.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(45).await;
    show.stop_record().await;

    let watched = watch(&path);
    for (_, picture) in &watched.pictures {
        assert_colour(colour(picture, quarter(0)), [16, 128, 128]);
        assert_colour(colour(picture, quarter(1)), GREEN);
        assert_colour(colour(picture, quarter(2)), BLUE);
        assert_colour(colour(picture, quarter(3)), [16, 128, 128]);
    }
    let sound = &watched.sound[24_000..72_000];
    let (a, b, idle) = (
        level_db(sound, 400.0),
        level_db(sound, 700.0),
        level_db(sound, 1100.0),
    );
    assert!(
        (a + 20.0).abs() < 1.5 && (b + 20.0).abs() < 1.5,
        "a {a} dB, b {b} dB"
    );
    assert!(idle < -80.0, "somebody in no seat is heard at {idle} dB");
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_soft_guest_is_levelled_if_the_settings_say_so() {
    let mut settings = config();
    settings.mix.levelling = true;
    let show = Show::start(settings).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let watcher = show.studio.shared().slots.add(session("watcher"));
    let ear = Ear::new(&show, &watcher);
    show.studio
        .scene(scene(vec![seat(1, session("a"), quarter(1))]));
    // -20 dBFS of a tone are about -20 LUFS: four dB to go, at two a second, once the meter has heard enough.
    let level = level_db(&ear.second(6).await, 400.0);
    assert!(level > -18.0, "the guest is still at {level:.1} dB");
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_tile_moves_to_its_new_place_without_a_jump() {
    let mut settings = config();
    settings.mix.transition_ms = 400;
    let mut show = Show::start(settings).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    show.studio
        .scene(scene(vec![seat(1, session("a"), quarter(2))]));
    show.frames(30).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("move.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.studio
        .scene(scene(vec![seat(1, session("a"), quarter(3))]));
    show.frames(20).await;
    show.stop_record().await;

    // The left edge of the green in the row through the tiles' middle.
    let row = HEIGHT as usize * 3 / 4 * WIDTH as usize;
    let edge = |picture: &[u8]| {
        let lit = picture[row..row + WIDTH as usize]
            .iter()
            .position(|y| *y > 70);
        lit.expect("the tile was gone")
    };
    let edges: Vec<usize> = watch(&path).pictures.iter().map(|(_, p)| edge(p)).collect();
    assert!(edges.is_sorted(), "{edges:?}");
    let there = WIDTH as usize / 2;
    assert!(*edges.last().unwrap() >= there - 2, "{edges:?}");
    let between = edges
        .iter()
        .filter(|x| (10..there - 2).contains(*x))
        .count();
    // Six frames of 15 a second; the last two are nearly there.
    assert!(
        (3..=7).contains(&between),
        "{between} frames between: {edges:?}"
    );
    show.studio.shutdown().await;
}

#[tokio::test]
async fn nobody_hears_themselves_and_a_watcher_hears_all() {
    let show = Show::start(config()).await;
    let a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let b = Guest::new(&show.studio, "b", Some(BLUE), 700.0);
    let watcher = show.studio.shared().slots.add(session("watcher"));
    let (ear_a, ear_b, ear_w) = (
        Ear::new(&show, &a.slot),
        Ear::new(&show, &b.slot),
        Ear::new(&show, &watcher),
    );
    show.studio.scene(scene(vec![
        seat(1, session("a"), quarter(1)),
        seat(2, session("b"), quarter(2)),
    ]));
    let (at_a, at_b, at_w) = tokio::join!(ear_a.second(2), ear_b.second(2), ear_w.second(2));
    for (own, other, heard) in [(400.0, 700.0, &at_a), (700.0, 400.0, &at_b)] {
        let (own, other) = (level_db(heard, own), level_db(heard, other));
        assert!(
            (other + 20.0).abs() < 1.0,
            "the other is heard at {other} dB"
        );
        assert!(
            other - own >= 60.0,
            "the own tone is only {} dB down",
            other - own
        );
    }
    for hz in [400.0, 700.0] {
        let level = level_db(&at_w, hz);
        assert!(
            (level + 20.0).abs() < 1.0,
            "the watcher hears {hz} Hz at {level} dB"
        );
    }

    // Out of the seat: heard by nobody any more.
    show.studio
        .scene(scene(vec![seat(1, session("a"), quarter(1))]));
    let at_a = ear_a.second(1).await;
    assert!(level_db(&at_a, 700.0) < -100.0);
    drop((ear_a, ear_b, ear_w));
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_muted_seat_is_silent_and_a_gain_is_heard() {
    let show = Show::start(config()).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let _b = Guest::new(&show.studio, "b", Some(BLUE), 700.0);
    let watcher = show.studio.shared().slots.add(session("watcher"));
    let ear = Ear::new(&show, &watcher);
    let (mut muted, mut loud) = (
        seat(1, session("a"), quarter(1)),
        seat(2, session("b"), quarter(2)),
    );
    muted.audible = false;
    loud.gain_db = 6.0;
    show.studio.scene(scene(vec![muted, loud]));
    let heard = ear.second(2).await;
    assert!(level_db(&heard, 400.0) < -100.0);
    assert!((level_db(&heard, 700.0) + 14.0).abs() < 1.0);
    drop(ear);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn levels_tell_who_speaks() {
    let mut show = Show::start(config()).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let silent = show.studio.shared().slots.add(session("silent"));
    show.studio.scene(scene(vec![
        seat(4, session("a"), quarter(1)),
        seat(5, session("silent"), quarter(2)),
    ]));
    let levels = show
        .until("seat 4 speaks", |e| match e {
            Event::Levels(levels) if levels.iter().any(|l| l.seat == 4 && l.speaking) => {
                Some(levels.clone())
            }
            _ => None,
        })
        .await;
    let quiet = levels.iter().find(|l| l.seat == 5).unwrap();
    assert!(!quiet.speaking && quiet.level_db <= -90.0);
    let level = show
        .until("the level stands", |e| match e {
            Event::Levels(levels) => levels
                .iter()
                .find(|l| l.seat == 4)
                .filter(|l| l.level_db > -24.0)
                .copied(),
            _ => None,
        })
        .await;
    assert!(
        (level.level_db + 23.0).abs() < 1.0 && (level.peak_db + 20.0).abs() < 1.0,
        "{level:?}"
    );
    drop(silent);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_frozen_guest_is_dimmed_and_the_programme_keeps_its_beat() {
    let mut show = Show::start(config()).await;
    let guest = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    show.studio.scene(scene(vec![
        seat(0, Source::Host, quarter(0)),
        seat(1, session("a"), quarter(1)),
    ]));
    show.frames(15).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frozen.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    let before = show.studio.health();
    guest.frozen.store(true, Ordering::Relaxed);
    show.frames(60).await;
    let after = show.studio.health();
    show.stop_record().await;
    assert_unbroken(&packets(&path, "v"), 15.0);
    assert_eq!(after.ticks_missed, before.ticks_missed);
    assert_eq!(after.encoder_dropped, 0);
    assert!(after.guests_sound_torn > before.guests_sound_torn);
    assert_eq!(after.host_sound_torn, 0);
    let watched = watch(&path);
    let (first, last) = (&watched.pictures[2].1, &watched.pictures.last().unwrap().1);
    assert_colour(colour(first, quarter(1)), GREEN);
    // 40 % of the luma above black, a quarter of the colour.
    assert_colour(colour(last, quarter(1)), [58, 111, 113]);

    guest.frozen.store(false, Ordering::Relaxed);
    let path = dir.path().join("back.mkv");
    show.frames(15).await;
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(5).await;
    show.stop_record().await;
    assert_colour(
        colour(&watch(&path).pictures.last().unwrap().1, quarter(1)),
        GREEN,
    );
    show.studio.shutdown().await;
}

#[tokio::test]
async fn looks_are_carried_out_and_odd_pictures_do_no_harm() {
    let mut show = Show::start(config()).await;
    let _a = Guest::new(&show.studio, "a", Some(GREEN), 400.0);
    let _b = Guest::new(&show.studio, "b", Some(BLUE), 700.0);
    let odd = show.studio.shared().slots.add(session("odd"));
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", 640i32)
        .field("height", 360i32)
        .field("framerate", gst::Fraction::new(15, 1))
        .build();
    let short = gst::Buffer::from_slice(vec![0u8; 1000]);
    odd.video
        .put(&gst::Sample::builder().buffer(&short).caps(&caps).build());
    odd.video.put(&gst::Sample::builder().caps(&caps).build());
    odd.video.put(
        &gst::Sample::builder()
            .buffer(&short)
            .caps(&gst::Caps::new_empty_simple("video/x-raw"))
            .build(),
    );
    odd.audio.push(&[f32::NAN, f32::INFINITY, 1e30]);
    let (mut card, mut dimmed) = (
        seat(1, session("a"), quarter(1)),
        seat(2, session("b"), quarter(2)),
    );
    (card.look, card.name) = (Look::Card, "Ana".into());
    dimmed.look = Look::Dimmed;
    let mut empty = seat(3, session("odd"), quarter(3));
    empty.name = "Zoë".into();
    show.studio.scene(scene(vec![card, dimmed, empty]));
    show.frames(30).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("looks.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(15).await;
    show.stop_record().await;
    let watched = watch(&path);
    let last = &watched.pictures.last().unwrap().1;
    assert_colour(colour(last, quarter(2)), [34, 146, 123]);
    for card in [1, 3] {
        let [y, ..] = colour(last, quarter(card));
        assert!(
            (20..120).contains(&y),
            "tile {card} shows no card: luma {y}"
        );
        assert!(colour(last, quarter(card)) != colour(last, quarter(0)));
    }
    let health = show.studio.health();
    assert_eq!(
        health
            .slots
            .iter()
            .find(|s| s.source == "odd")
            .unwrap()
            .frames_refused,
        3
    );
    assert!(
        watched
            .sound
            .iter()
            .all(|x| x.is_finite() && x.abs() <= 1.0)
    );
    show.studio.shutdown().await;
}

#[tokio::test]
async fn the_return_picture_is_encoded_only_while_somebody_takes_it() {
    let show = Show::start(config()).await;
    show.frames(15).await;
    let units = |show: &Show, name: &str| {
        show.studio
            .health()
            .feeds
            .iter()
            .find(|f| f.feed == name)
            .unwrap()
            .units
    };
    assert_eq!(
        (units(&show, "return_h264"), units(&show, "return_vp8")),
        (0, 0)
    );
    for (name, feed, media) in [
        (
            "return_h264",
            show.studio.shared().feeds.return_h264.clone(),
            "video/x-h264",
        ),
        (
            "return_vp8",
            show.studio.shared().feeds.return_vp8.clone(),
            "video/x-vp8",
        ),
    ] {
        let (taken, mut first) = tokio::sync::mpsc::unbounded_channel();
        let subscription = feed.subscribe("test", move |unit| {
            taken
                .send(unit.flags().contains(gst::BufferFlags::DELTA_UNIT))
                .is_ok()
        });
        let is_delta = tokio::time::timeout(PATIENCE, first.recv())
            .await
            .unwrap()
            .unwrap();
        assert!(!is_delta, "{name} began with a delta unit");
        let caps = feed.caps().unwrap();
        let s = caps.structure(0).unwrap();
        assert_eq!(s.name(), media);
        assert_eq!(
            (
                s.get::<i32>("width").unwrap(),
                s.get::<i32>("height").unwrap()
            ),
            (160, 90)
        );
        if media == "video/x-h264" {
            assert_eq!(s.get::<&str>("profile").unwrap(), "constrained-baseline");
        }
        drop(subscription);
    }
    show.studio.shutdown().await;
}
