//! `cargo bench -p gstdais --bench tilemix_element [-- SECONDS]`: a live show with bad guests, mixed by `daistilemix` and by
//! GStreamer's `compositor`: how long a frame of the host takes through the mixer, and what is missing at its output.
//!
//! The host and four good guests have 30 frames a second; one guest stalls after its first frame, one is late by up to 300 ms,
//! each frame another time. Wall time: run it on a machine that has nothing else to do, or at real-time priority.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

const FPS: u64 = 30;
const SECOND: u64 = 1_000_000_000;
const DEFAULT_SECONDS: u64 = 60;
const GUESTS: usize = 6;
const STALLED: usize = 4;
const JITTERING: usize = 5;

type Failed = Box<dyn std::error::Error>;

fn pts(n: u64) -> u64 {
    n * SECOND / FPS
}

/// When frames passed, by timestamp.
type Passed = Arc<Mutex<Vec<(u64, Instant)>>>;

fn watch(pad: &gst::Pad) -> Passed {
    let passed = Passed::default();
    let noted = passed.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(pts) = info.buffer().and_then(|b| b.pts()) {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push((pts.nseconds(), Instant::now()));
        }
        gst::PadProbeReturn::Ok
    });
    passed
}

fn show(mixer: &str, seconds: u64) -> Result<(), Failed> {
    let pipeline = gst::Pipeline::new();
    let mix = gst::ElementFactory::make(mixer).name("mix").build()?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", 1920)
        .field("height", 1080)
        .field("framerate", gst::Fraction::new(FPS as i32, 1))
        .build();
    let filter = gst::ElementFactory::make("capsfilter")
        .property("caps", &caps)
        .build()?;
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .build()?;
    pipeline.add_many([&mix, &filter, &sink])?;
    gst::Element::link_many([&mix, &filter, &sink])?;
    let mut sources = Vec::new();
    let mut host_in = Passed::default();
    for n in 0..=GUESTS {
        let (width, height) = if n == 0 { (1280, 720) } else { (640, 360) };
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .fps(gst::Fraction::new(FPS as i32, 1))
            .build()?;
        let source = gst_app::AppSrc::builder()
            .caps(&info.to_caps()?)
            .is_live(true)
            .format(gst::Format::Time)
            .build();
        pipeline.add(&source)?;
        let pad = mix.request_pad_simple("sink_%u").ok_or("no pad")?;
        pad.set_property("xpos", (n % 4 * 480) as i32);
        pad.set_property("ypos", (n / 4 * 360) as i32);
        pad.set_property("width", 480i32);
        pad.set_property("height", 360i32);
        if n == 0 {
            host_in = watch(&pad);
        }
        source.static_pad("src").ok_or("no pad")?.link(&pad)?;
        sources.push((source, gst::Buffer::from_slice(vec![90u8; info.size()])));
    }
    let out = watch(&mix.static_pad("src").ok_or("no pad")?);
    pipeline.set_state(gst::State::Playing)?;
    let start = Instant::now();
    let offset = loop {
        if let Some(now) = pipeline.current_running_time() {
            break now.nseconds();
        }
        std::thread::yield_now();
    };
    // All frames in the order in which they are due, with the moment at which each arrives.
    let mut plan = Vec::new();
    let mut state = 1u64;
    for n in 0..seconds * FPS {
        for source in 0..=GUESTS {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let late = match source {
                STALLED if n > 0 => continue,
                JITTERING => (state >> 33) % (SECOND * 3 / 10),
                _ => 0,
            };
            plan.push((pts(n) + late, pts(n), source));
        }
    }
    plan.sort_unstable();
    for (due, at, source) in plan {
        std::thread::sleep(
            (start + Duration::from_nanos(due)).saturating_duration_since(Instant::now()),
        );
        let (source, picture) = &sources[source];
        let mut buffer = picture.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(offset + at));
            buffer.set_duration(gst::ClockTime::from_nseconds(SECOND / FPS));
        }
        source.push_buffer(buffer)?;
    }
    // What is on its way may arrive.
    std::thread::sleep(Duration::from_millis(500));
    pipeline.set_state(gst::State::Null)?;
    report(mixer, &host_in, &out);
    Ok(())
}

fn report(mixer: &str, host_in: &Passed, out: &Passed) {
    let host_in = host_in.lock().unwrap_or_else(PoisonError::into_inner);
    let out = out.lock().unwrap_or_else(PoisonError::into_inner);
    // A host frame's output is the first one whose timestamp is within half a period of its own.
    let number = |pts: u64| (pts * FPS + SECOND / 2) / SECOND;
    let left: HashMap<u64, Instant> = out.iter().rev().map(|(p, t)| (number(*p), *t)).collect();
    let mut took: Vec<f64> = host_in
        .iter()
        .filter_map(|(p, t)| {
            left.get(&number(*p))
                .map(|l| l.saturating_duration_since(*t))
        })
        .map(|d| d.as_secs_f64() * 1e3)
        .collect();
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        took.get(((took.len() as f64 - 1.0) * share) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let longest = |passed: &[(u64, Instant)]| {
        passed
            .windows(2)
            .map(|w| (w[1].1 - w[0].1).as_secs_f64() * 1e3)
            .fold(0.0, f64::max)
    };
    println!(
        "{mixer:<14} host frame in to mixed frame out: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; {} of {} host frames have no output frame; longest interval in {:.1} ms, out {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0),
        host_in.len() - took.len(),
        host_in.len(),
        longest(&host_in),
        longest(&out),
    );
}

fn main() -> Result<(), Failed> {
    gst::init()?;
    gstdais::plugin_register_static()?;
    let seconds = std::env::args()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(DEFAULT_SECONDS);
    for mixer in ["daistilemix", "compositor"] {
        show(mixer, seconds)?;
    }
    Ok(())
}
