//! A programme without guests' networks: `cargo run -p dais-studio --example programme -- --seconds 10 --out x.mkv`.
//!
//! `--guests N` puts N synthetic sources of 640x360 into a grid with the host; `--returns` also encodes the return picture.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dais_studio::api::{Event, Fit, Look, Rect, Scene, SceneSeat, Source};
use dais_studio::{Slot, Studio, StudioConfig};

fn option(name: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|a| a != name);
    args.next()?;
    args.next()
}

fn number(name: &str, default: u32) -> u32 {
    option(name).and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Ten tiles, four a row.
fn scene(guests: u32, width: u32, height: u32) -> Scene {
    let seats = (0..=guests).map(|n| {
        let columns = if guests == 0 { 1 } else { 4 };
        let (w, h) = ((width / columns) & !1, (height / columns) & !1);
        SceneSeat {
            seat: n as u8,
            source: if n == 0 {
                Source::Host
            } else {
                Source::Session(format!("guest-{n}"))
            },
            rect: Some(Rect {
                x: (n % columns * w) as i32,
                y: (n / columns * h) as i32,
                w,
                h,
            }),
            z: 0,
            fit: Fit::Cover,
            look: if n == 9 { Look::Card } else { Look::Live },
            name: if n == 0 {
                "Studio A".into()
            } else {
                format!("Guest {n}")
            },
            audible: true,
            gain_db: 0.0,
        }
    });
    Scene {
        talkback: None,
        seats: seats.collect(),
    }
}

/// Frames of one colour that moves, and a tone of 200 Hz times `n`.
fn guest(slot: Arc<Slot>, n: u32, stop: Arc<AtomicBool>) {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 640, 360)
        .build()
        .unwrap();
    let caps = info.to_caps().unwrap();
    let frames: Vec<gst::Sample> = (0..8u8)
        .map(|f| {
            let mut data = vec![0u8; info.size()];
            data[..640 * 360].fill(40 + n as u8 * 20);
            for row in 0..360 {
                data[row * 640 + usize::from(f) * 80..][..80].fill(200);
            }
            data[640 * 360..640 * 360 * 5 / 4].fill((n * 25) as u8);
            data[640 * 360 * 5 / 4..].fill(255 - (n * 25) as u8);
            gst::Sample::builder()
                .buffer(&gst::Buffer::from_slice(data))
                .caps(&caps)
                .build()
        })
        .collect();
    std::thread::spawn(move || {
        let mut tick = std::time::Instant::now();
        let mut at = 0u32;
        for f in 0usize.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if f % 3 == 0 {
                slot.video.put(&frames[f / 3 % 8]);
            }
            let samples: Vec<f32> = (0..960)
                .map(|i| {
                    let t = (at + i / 2) as f32 / 48_000.0;
                    0.05 * (std::f32::consts::TAU * 200.0 * n as f32 * t).sin()
                })
                .collect();
            at += 480;
            slot.audio.push(&samples);
            tick += Duration::from_millis(10);
            std::thread::sleep(tick.saturating_duration_since(std::time::Instant::now()));
        }
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (seconds, guests) = (number("--seconds", 10), number("--guests", 0));
    let mut config = StudioConfig::default();
    config.programme.width = number("--width", 1920);
    config.programme.height = number("--height", 1080);
    config.programme.fps = number("--fps", 30);
    config.returns.fps = config.programme.fps;
    if let Some(video) = option("--video") {
        config.capture.video = video;
    }
    if let Some(audio) = option("--audio") {
        config.capture.audio = audio;
    }
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (width, height) = (config.programme.width, config.programme.height);
    let studio = Studio::start(config, events).expect("the studio starts");
    studio.scene(scene(guests, width, height));
    let stop = Arc::new(AtomicBool::new(false));
    for n in 1..=guests {
        guest(
            studio
                .shared()
                .slots
                .add(Source::Session(format!("guest-{n}"))),
            n,
            stop.clone(),
        );
    }
    let taken = std::env::args().any(|a| a == "--returns").then(|| {
        studio
            .shared()
            .feeds
            .return_h264
            .subscribe("example", |_| true)
    });
    while let Some(event) = heard.recv().await {
        if matches!(event, Event::Moving) {
            break;
        }
    }
    println!("moving");
    if let Some(out) = option("--out") {
        studio.start_record(out.into()).expect("the file is new");
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds.into());
    while let Ok(Some(event)) = tokio::time::timeout_at(end, heard.recv()).await {
        if !matches!(event, Event::Levels(_)) {
            println!("{event:?}");
        }
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&studio.health()).unwrap()
    );
    stop.store(true, Ordering::Relaxed);
    drop(taken);
    studio.shutdown().await;
    while let Ok(event) = heard.try_recv() {
        if !matches!(event, Event::Levels(_)) {
            println!("{event:?}");
        }
    }
}
