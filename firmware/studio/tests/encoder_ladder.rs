//! An encoder that fails during the show is left for the next one; what was found out about encoders is kept for the next start.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod faulty;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::*;
use dais_studio::api::{Event, Source};
use dais_studio::{Feed, Studio, StudioConfig};
use faulty::{Standstill, blocks, deaf, errs, garbles, on_top, stalls};

const FPS: u32 = 10;

fn with(element: &str) -> StudioConfig {
    let mut config = config();
    // Few, so that a busy machine is fast enough for the trial.
    (config.programme.fps, config.returns.fps) = (FPS, FPS);
    on_top(&mut config, element);
    config
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A packet of the picture: seconds, and whether it is a keyframe.
fn flagged(path: &Path) -> Vec<(f64, bool)> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v"])
        .args(["-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs: install ffmpeg");
    let text = String::from_utf8(out.stdout).unwrap();
    let packets = text.lines().filter_map(|line| {
        let (pts, flags) = line.split_once(',')?;
        Some((pts.parse().ok()?, flags.starts_with('K')))
    });
    packets.collect()
}

fn encoder_of(show: &Show, line: &str) -> (String, Vec<String>) {
    let health = show.studio.health();
    let found = health.encoders.iter().find(|e| e.line == line).unwrap();
    (found.element.clone(), found.left.clone())
}

/// The encoder fails while a recording and a watcher run: both go on, and the box says so.
async fn fails_in_service(element: &str, on: &'static AtomicBool, why: &str) {
    let mut config = with(element);
    config.capture.audio = "test".into();
    let mut show = Show::start(config).await;
    assert_eq!(encoder_of(&show, "programme"), (element.into(), vec![]));
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("show.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    let feeds = show.studio.shared().feeds.clone();
    let _watcher = feeds.return_h264.subscribe("watcher", |_| true);
    let units_of = |feed: &Feed| feed.health().units;
    show.frames(30).await;
    until("guests see the programme", || {
        units_of(&feeds.return_h264) > 12
    })
    .await;
    let standstill = Standstill::watch();
    on.store(true, Ordering::Relaxed);
    // An encoder that gives pictures but no keyframe fails only when one is wanted.
    feeds.programme.request_keyframe();
    feeds.return_h264.request_keyframe();
    let what = format!("the programme encoder {element}");
    let advice = show
        .until("the encoder is left", |e| match e {
            Event::Trouble { what: told, advice } if *told == what => Some(advice.clone()),
            _ => None,
        })
        .await;
    assert!(
        advice.contains(why) && advice.contains("x264enc"),
        "{advice}"
    );
    let software = ("x264enc".to_owned(), vec![element.to_owned()]);
    assert_eq!(encoder_of(&show, "programme"), software);
    until("the returns' encoder is left", || {
        encoder_of(&show, "return") == software
    })
    .await;
    for feed in [&feeds.programme, &feeds.return_h264] {
        let before = units_of(feed);
        until("it goes on", || units_of(feed) > before + 30).await;
    }
    let stood = standstill.seconds();
    on.store(false, Ordering::Relaxed);
    show.stop_record().await;
    show.studio.shutdown().await;

    let video = flagged(&path);
    let mut gaps = Vec::new();
    for pair in video.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!(step > 0.09, "from {} to {}", pair[0].0, pair[1].0);
        if step > 0.11 {
            gaps.push((step, pair[1].1));
        }
    }
    println!("{element}: gaps {gaps:?}, the machine stood still for {stood:.3} s");
    assert!(gaps.len() <= 1, "{gaps:?}");
    let limit = 1.0 + stood;
    assert!(
        gaps.iter().all(|(gap, key)| *gap < limit && *key),
        "{gaps:?}"
    );
    // Two kinds of headers are in it, and both play.
    plays(&path);
    assert_eq!(watch(&path).pictures.len(), video.len());
    assert_unbroken(&packets(&path, "a"), 48_000.0 / 1024.0);
}

#[tokio::test]
async fn an_encoder_that_stalls_is_left_within_a_second() {
    stalls::register();
    fails_in_service(stalls::ELEMENT, &stalls::ON, "nothing came out").await;
}

#[tokio::test]
async fn an_encoder_that_blocks_is_left_within_a_second() {
    blocks::register();
    fails_in_service(blocks::ELEMENT, &blocks::ON, "nothing came out").await;
}

#[tokio::test]
async fn an_encoder_that_ignores_keyframe_requests_is_left_within_a_second() {
    deaf::register();
    fails_in_service(deaf::ELEMENT, &deaf::ON, "ignores requests").await;
}

#[tokio::test]
async fn an_encoder_that_posts_an_error_is_left_within_a_second() {
    errs::register();
    fails_in_service(errs::ELEMENT, &errs::ON, "the test wants it").await;
}

#[tokio::test]
async fn what_a_trial_found_holds_for_the_next_start() {
    garbles::register();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("encoders.json");
    let mut config = with(garbles::ELEMENT);
    config.passports = Some(path.clone());
    // What encodes, and what the console says of the one that was wanted.
    let used = async |config: &StudioConfig, garbled: bool| {
        garbles::ON.store(garbled, Ordering::Relaxed);
        let (events, heard) = tokio::sync::mpsc::unbounded_channel();
        let studio = Studio::start(config.clone(), events).unwrap();
        let mut show = Show { studio, heard };
        let (wanted, mut told) = (format!("the programme encoder {}", garbles::ELEMENT), None);
        show.until("the programme moves", |e| {
            if let Event::Trouble { what, advice } = e
                && *what == wanted
            {
                told = Some(advice.clone());
            }
            matches!(e, Event::Moving).then_some(())
        })
        .await;
        let used = encoder_of(&show, "programme").0;
        show.studio.shutdown().await;
        (used, told)
    };
    let refused = async |config: &StudioConfig, garbled: bool| {
        let (used, told) = used(config, garbled).await;
        let told = told.expect("the console says nothing");
        assert!(
            told.contains("it garbles pictures") && told.contains("x264enc"),
            "{told}"
        );
        assert_eq!(used, "x264enc");
    };
    let right = (garbles::ELEMENT.to_owned(), None);
    // Found garbling: the software encodes, and it is not tried again when it has become right.
    refused(&config, true).await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("it garbles pictures"), "{text}");
    refused(&config, false).await;
    // Another setting is another encoder.
    let mut other = config.clone();
    other.programme.bitrate_kbps += 1;
    assert_eq!(used(&other, false).await, right);
    // Found right, it has only to give pictures.
    assert_eq!(used(&other, true).await, right);
    // A damaged file is no passport.
    std::fs::write(&path, "{").unwrap();
    refused(&other, true).await;
    garbles::ON.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn software_gets_its_passport_beside_the_programme() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("encoders.json");
    let mut config = config();
    config.programme.encoders = Vec::new();
    config.passports = Some(path.clone());
    let show = Show::start(config.clone()).await;
    let kept = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let document: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let passports = document.and_then(|d| d["passports"].as_array().cloned());
        passports.unwrap_or_default()
    };
    // Two encoders, two shapes.
    until("all are tried", || kept().len() == 4).await;
    for passport in kept() {
        assert!(passport["refused"].is_null(), "{passport}");
        assert!(
            passport["figures"]["fps"].as_f64().unwrap() > 1.0,
            "{passport}"
        );
    }
    show.studio.shutdown().await;
    // Nothing is left to be tried, and nothing to be written.
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    let show = Show::start(config).await;
    // Past the time when it would be.
    show.frames(15 * 7).await;
    show.studio.shutdown().await;
    assert_eq!(
        std::fs::metadata(&path).unwrap().modified().unwrap(),
        written
    );
}
