//! A recording is whole, whatever ends it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use dais_studio::StudioError;
use dais_studio::api::Source;
use gst::prelude::*;

#[tokio::test]
async fn a_recording_has_no_gap_and_no_repeated_timestamp() {
    let mut c = config();
    c.capture.audio = "test".into();
    let mut show = Show::start(c).await;
    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
    show.frames(30).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new folder/show.mkv");
    // Sound is encoded from here on.
    assert_eq!(show.studio.shared().feeds.sound.health().units, 0);
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    assert!(matches!(
        show.studio.start_record(dir.path().join("other.mkv")),
        Err(StudioError::Recording { .. })
    ));
    show.frames(75).await;
    show.stop_record().await;

    let (video, sound) = (packets(&path, "v"), packets(&path, "a"));
    assert_eq!(video[0], 0.0);
    assert!(video.len() >= 75, "{} frames", video.len());
    assert_unbroken(&video, 15.0);
    assert_unbroken(&sound, 48_000.0 / 1024.0);
    assert!(sound[0] < 0.03, "sound begins at {} s", sound[0]);
    let ends = (video.last().unwrap() - sound.last().unwrap()).abs();
    assert!(ends < 0.25, "picture and sound end {ends} s apart");
    // Finished: with duration and index.
    let seekable = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let duration: f64 = String::from_utf8(seekable.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(
        (duration - video.last().unwrap()).abs() < 0.3,
        "{duration} s"
    );

    // What exists is never touched.
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(
        show.studio.start_record(path.clone()),
        Err(StudioError::CreateFile { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    show.studio.shutdown().await;
}

#[tokio::test]
async fn shutting_down_ends_a_recording_whole() {
    let mut show = Show::start(config()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("show.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(30).await;
    show.studio.shutdown().await;
    let video = packets(&path, "v");
    assert!(video.len() >= 30);
    assert_unbroken(&video, 15.0);
}

const CHILD: &str = "DAIS_TEST_RECORD_TO";

/// Not a test of its own: what [`a_killed_process_leaves_a_recording_that_plays`] kills.
#[tokio::test]
async fn child_that_records_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let mut c = config();
    c.capture.audio = "test".into();
    let mut show = Show::start(c).await;
    show.frames(15).await;
    show.studio.start_record(PathBuf::from(path)).unwrap();
    show.until_recording().await;
    println!("recording");
    tokio::time::sleep(PATIENCE).await;
}

fn length(path: &Path, stream: &str) -> f64 {
    packets(path, stream).last().copied().unwrap_or(0.0)
}

#[tokio::test]
async fn a_killed_process_leaves_a_recording_that_plays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("killed.mkv");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_records_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let begun = lines
        .map_while(Result::ok)
        .any(|line| line.contains("recording"));
    assert!(begun, "the child did not record");
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    child.kill().unwrap();
    let lived = began.elapsed().as_secs_f64();
    child.wait().unwrap();
    let (video, sound) = (length(&path, "v"), length(&path, "a"));
    assert!(
        video > lived - 1.0 && sound > lived - 1.0,
        "of {lived} s are left {video} s of picture and {sound} s of sound"
    );
    assert_unbroken(&packets(&path, "v"), 15.0);
    let watched = watch(&path);
    assert!(watched.pictures.len() as f64 > (lived - 1.0) * 15.0);
}

/// Flash and beep together at each whole second, 160x90 at 30.
fn clapper(path: &Path, seconds: u64) {
    gst::init().unwrap();
    let launch = format!(
        "appsrc name=v format=time caps=video/x-raw,format=I420,width=160,height=90,framerate=30/1 ! x264enc bframes=0 key-int-max=15 ! h264parse ! mux.video_0 \
         appsrc name=a format=time caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved ! audioconvert ! mux.audio_0 \
         matroskamux name=mux ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let source = |name| {
        pipeline
            .by_name(name)
            .unwrap()
            .downcast::<gst_app::AppSrc>()
            .unwrap()
    };
    let (v, a) = (source("v"), source("a"));
    for s in [&v, &a] {
        s.set_max_bytes(0);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let stamped = |data: Vec<u8>, pts: u64, duration: u64| {
        let mut buffer = gst::Buffer::from_slice(data);
        let b = buffer.get_mut().unwrap();
        b.set_pts(gst::ClockTime::from_nseconds(pts));
        b.set_duration(gst::ClockTime::from_nseconds(duration));
        buffer
    };
    for n in 0..seconds * 30 {
        let mut data = vec![128u8; 160 * 90 * 3 / 2];
        data[..160 * 90].fill(if n % 30 < 4 { 235 } else { 16 });
        v.push_buffer(stamped(data, n * 1_000_000_000 / 30, 33_333_333))
            .unwrap();
    }
    for n in 0..seconds * 50 {
        let data = (n * 960..(n + 1) * 960).flat_map(|i| {
            let loud = if i % 48_000 < 6400 { 8000.0 } else { 0.0 };
            ((loud * (std::f64::consts::TAU * 1000.0 * i as f64 / 48_000.0).sin()) as i16)
                .to_le_bytes()
        });
        a.push_buffer(stamped(data.collect(), n * 20_000_000, 20_000_000))
            .unwrap();
    }
    v.end_of_stream().unwrap();
    a.end_of_stream().unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    let end = end.expect("the clapper is made");
    assert!(matches!(end.view(), gst::MessageView::Eos(_)), "{end:?}");
}

#[tokio::test]
async fn lips_fit_and_a_file_of_the_host_loops() {
    let dir = tempfile::tempdir().unwrap();
    let clap = dir.path().join("clap.mkv");
    clapper(&clap, 9);
    let mut c = config();
    c.programme.fps = 30;
    c.returns.fps = 30;
    c.capture.video = format!("file:{}", clap.display());
    c.capture.audio = c.capture.video.clone();
    let mut show = Show::start(c).await;
    let whole = dais_studio::api::Rect {
        x: 0,
        y: 0,
        w: WIDTH,
        h: HEIGHT,
    };
    show.studio.scene(scene(vec![seat(0, Source::Host, whole)]));
    show.frames(60).await;
    let path = dir.path().join("lips.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    show.frames(150).await;
    show.stop_record().await;
    // More pictures than the file has: it has begun again.
    let frames = |show: &Show| {
        let health = show.studio.health();
        health
            .slots
            .iter()
            .find(|s| s.source == "host")
            .map_or(0, |s| s.frames)
    };
    while frames(&show) < 9 * 30 + 45 {
        show.frames(5).await;
    }
    let watched = watch(&path);
    let mut flashes = Vec::new();
    for pair in watched.pictures.windows(2) {
        let luma = |n: usize| colour(&pair[n].1, whole)[0];
        if luma(0) < 100 && luma(1) > 150 {
            flashes.push(pair[1].0);
        }
    }
    let mut beeps = Vec::<f64>::new();
    for (n, x) in watched.sound.iter().enumerate() {
        let at = watched.sound_from + n as f64 / 48_000.0;
        if x.abs() > 0.05 && beeps.last().is_none_or(|last| at - last > 0.5) {
            beeps.push(at);
        }
    }
    assert!(flashes.len() >= 4, "flashes at {flashes:?}");
    let mut offsets: Vec<f64> = flashes
        .iter()
        .filter_map(|f| {
            beeps
                .iter()
                .map(|b| b - f)
                .min_by(|a, b| a.abs().total_cmp(&b.abs()))
        })
        .collect();
    offsets.sort_by(f64::total_cmp);
    let median = offsets[offsets.len() / 2];
    println!(
        "sound is {:.0} ms after the picture ({offsets:?})",
        median * 1e3
    );
    // A frame and a half; people notice from 45 ms (sound early) on.
    assert!(
        median.abs() <= 0.050,
        "sound is {median} s after the picture"
    );
    show.studio.shutdown().await;
}
