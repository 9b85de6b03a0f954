//! The host's camera may fail; the programme may not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;

use common::*;
use dais_studio::api::{Event, Source};
use dais_studio::{Studio, StudioConfig, StudioError};

/// What is wrong, and what to do.
async fn until_moving_and_troubled(show: &mut Show) -> (String, String) {
    let (mut moving, mut trouble) = (false, None);
    show.until("the programme moves and the trouble is told", |e| {
        moving |= matches!(e, Event::Moving);
        if let Event::Trouble { what, advice } = e {
            trouble = Some((what.clone(), advice.clone()));
        }
        (moving && trouble.is_some()).then_some(())
    })
    .await;
    trouble.unwrap()
}

#[tokio::test]
async fn without_a_camera_the_programme_runs_with_a_card() {
    let mut c = config();
    c.capture.video = "v4l2:/dev/video-that-is-not-there".into();
    let (events, heard) = tokio::sync::mpsc::unbounded_channel();
    let studio = Studio::start(c, events).unwrap();
    let mut show = Show { studio, heard };
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(1))]));
    let (what, advice) = until_moving_and_troubled(&mut show).await;
    assert!(
        what.contains("camera") && advice.contains("/dev/video-that-is-not-there"),
        "{what}: {advice}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slate.mkv");
    show.frames(15).await;
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(30).await;
    show.stop_record().await;
    assert_unbroken(&packets(&path, "v"), 15.0);
    let watched = watch(&path);
    let last = &watched.pictures.last().unwrap().1;
    let [y, ..] = colour(last, quarter(1));
    assert!(y > 20, "the host's tile is empty: luma {y}");
    assert_colour(colour(last, quarter(2)), [16, 128, 128]);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_no_film_is_trouble_and_a_new_one_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mkv");
    std::fs::write(&film, "this is no film").unwrap();
    let mut c = config();
    c.capture.video = format!("file:{}", film.display());
    let (events, heard) = tokio::sync::mpsc::unbounded_channel();
    let mut show = Show {
        studio: Studio::start(c, events).unwrap(),
        heard,
    };
    show.until("the trouble is told", |e| {
        matches!(e, Event::Trouble { .. }).then_some(())
    })
    .await;
    make(&film, "testsrc=s=160x90:r=15:d=2", "yuv420p", "libx264");
    show.until("the trouble is over", |e| {
        matches!(e, Event::TroubleOver { .. }).then_some(())
    })
    .await;
    show.studio.shutdown().await;
}

/// A film of ffmpeg's own pictures.
fn make(film: &Path, pictures: &str, format: &str, codec: &str) {
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", pictures])
        .args(["-pix_fmt", format, "-c:v", codec])
        .arg(film)
        .status()
        .unwrap();
    assert!(made.success());
}

/// MJPEG, as most webcams give it: BT.601 over the full range. The programme is BT.709 in limited range.
#[tokio::test]
async fn a_webcams_colours_are_seen_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("webcam.mkv");
    make(&film, "color=red:s=160x90:r=15:d=2", "yuvj420p", "mjpeg");
    let mut c = config();
    c.capture.video = format!("file:{}", film.display());
    let mut show = Show::start(c).await;
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(1))]));
    let path = dir.path().join("programme.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(30).await;
    show.stop_record().await;
    let watched = watch(&path);
    let last = &watched.pictures.last().unwrap().1;
    assert_colour(colour(last, quarter(1)), [63, 102, 240]);
    show.studio.shutdown().await;
}

#[test]
fn the_box_may_choose_camera_and_microphone_itself() {
    let mut c = config();
    (c.capture.video, c.capture.audio) = ("auto".into(), "auto".into());
    c.check().unwrap();
    c.capture.video = "auto:".into();
    assert!(c.check().is_err());
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    let refused = |change: &dyn Fn(&mut StudioConfig)| {
        let mut c = config();
        change(&mut c);
        match c.check() {
            Err(StudioError::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(&|c| c.capture.video = "camera".into()),
        "capture.video"
    );
    assert_eq!(
        refused(&|c| c.capture.audio = "alsa:".into()),
        "capture.audio"
    );
    assert_eq!(
        refused(&|c| c.capture.video = "v4l2:by-path:../sda".into()),
        "capture.video"
    );
    assert_eq!(
        refused(&|c| c.monitor.audio = "hw:1".into()),
        "monitor.audio"
    );
    assert_eq!(refused(&|c| c.programme.fps = 0), "programme.fps");
    assert_eq!(
        refused(&|c| c.programme.width = 321),
        "programme.width and programme.height"
    );
    assert_eq!(
        refused(&|c| c.programme.background = "red".into()),
        "programme.background"
    );
    assert_eq!(refused(&|c| c.returns.fps = 61), "returns.fps");
    assert_eq!(
        refused(&|c| c.ice.min_port = 5000),
        "ice.min_port and ice.max_port"
    );
}

#[tokio::test]
async fn a_screen_that_is_not_there_is_told_about_and_costs_the_programme_nothing() {
    let mut c = config();
    // Not "kms": a developer's machine may have a screen.
    c.monitor.video = "kms:NOT-THERE-1".into();
    let (events, heard) = tokio::sync::mpsc::unbounded_channel();
    let studio = Studio::start(c, events).unwrap();
    let mut show = Show { studio, heard };
    let (what, advice) = until_moving_and_troubled(&mut show).await;
    assert_eq!(what, "the host's screen shows nothing");
    assert!(advice.contains("[monitor] video"), "{advice}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("show.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(30).await;
    show.stop_record().await;
    assert_unbroken(&packets(&path, "v"), 15.0);
    assert_eq!(show.studio.health().screen_dropped, 0);
    show.studio.shutdown().await;
}
