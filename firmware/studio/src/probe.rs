//! What this machine can capture, encode and mix, found out by doing it.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdais::blend::Yuv;
use gstdais::frame::I420;
use gstdais::tilemix::TileMixer;
use serde::Serialize;

use crate::capture::Places;
use crate::config::MixEngine;
use crate::element::missing;
use crate::engine::{EngineReport, ten_tiles};
use crate::error::StudioError;

/// Frames that are encoded for a figure: two seconds of a 30 fps programme.
const FRAMES: u32 = 60;
/// A hardware encoder that hangs must not hang the doctor.
const PATIENCE: Duration = Duration::from_secs(20);
const MIXES: u32 = 60;

/// The elements that no Dais can do without, and those that serve one kind of source or destination.
const NEEDED: &[&str] = &[
    "webrtcbin",
    "nicesrc",
    "dtlssrtpenc",
    "srtpenc",
    "opusenc",
    "opusdec",
    "vp8enc",
    "vp8dec",
    "h264parse",
    "rtph264pay",
    "rtpopuspay",
    "avdec_h264",
    "avenc_aac",
    "matroskamux",
    "flvmux",
    "rtmp2sink",
    "mpegtsmux",
    "srtsink",
    "v4l2src",
    "jpegdec",
];
const VIDEO_ENCODERS: &[&str] = &[
    "x264enc",
    "openh264enc",
    "vah264lpenc",
    "vah264enc",
    "nvh264enc",
    "v4l2h264enc",
    "mpph264enc",
    "vpuenc_h264",
    "nvv4l2h264enc",
];

/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub gstreamer: String,
    pub cameras: Vec<Device>,
    pub microphones: Vec<Device>,
    pub encoders: Vec<EncoderReport>,
    /// A 1080p picture of ten 1280x720 pictures, scaled, all new, on one core.
    pub mix_ms: f64,
    /// What else could mix, `[mix] engine`.
    pub engines: Vec<EngineReport>,
    pub missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
pub struct Device {
    pub name: String,
    /// As `[capture]` names it, where it can be told.
    pub setting: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct EncoderReport {
    pub element: String,
    /// Moving 1080p pictures a second; `None` if it made none.
    pub fps: Option<f64>,
    pub trouble: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Missing {
    pub element: String,
    pub package: String,
}

impl Report {
    /// Whether a box can run here: nothing is missing, and some encoder keeps up with 1080p30.
    pub fn is_well(&self) -> bool {
        self.missing.is_empty()
            && self
                .encoders
                .iter()
                .any(|encoder| encoder.fps.is_some_and(|fps| fps >= 30.0))
    }
}

/// Takes some seconds: everything is tried.
pub fn probe() -> Result<Report, StudioError> {
    gst::init()?;
    Ok(Report {
        gstreamer: gst::version_string().to_string(),
        cameras: devices("Video/Source", "device.path", "v4l2"),
        microphones: devices("Audio/Source", "alsa.device", "alsa"),
        encoders: VIDEO_ENCODERS
            .iter()
            .filter(|element| gst::ElementFactory::find(element).is_some())
            .map(|element| measure(element))
            .collect(),
        mix_ms: mix_ms(),
        engines: [MixEngine::Stock, MixEngine::Gl, MixEngine::Va]
            .map(crate::engine::report)
            .into(),
        missing: NEEDED
            .iter()
            .filter(|element| gst::ElementFactory::find(element).is_none())
            .map(|element| lacking(element))
            .collect(),
    })
}

fn lacking(element: &str) -> Missing {
    let package = match missing(element) {
        StudioError::MissingElement { package, .. } => package.to_owned(),
        other => other.to_string(),
    };
    Missing {
        element: element.into(),
        package,
    }
}

fn devices(class: &str, property: &str, kind: &str) -> Vec<Device> {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some(class), None);
    if monitor.start().is_err() {
        return Vec::new();
    }
    let found = monitor.devices();
    monitor.stop();
    let setting = |device: &gst::Device| {
        let properties = device.properties()?;
        let value = properties.get::<String>(property).ok();
        // ALSA's provider tells card and device apart; v4l2's the path under one of two names.
        let value = value.or_else(|| properties.get::<String>("api.v4l2.path").ok());
        let value = value.or_else(|| {
            Some(format!(
                "hw:{}",
                properties.get::<String>("alsa.card").ok()?
            ))
        });
        let setting = value.map(|value| format!("{kind}:{value}"))?;
        // Numbers change from start to start: what stays with the device is better written down.
        Some(Places::default().lasting(&setting).unwrap_or(setting))
    };
    found
        .iter()
        .map(|device| Device {
            name: device.display_name().to_string(),
            setting: setting(device),
        })
        .collect()
}

fn measure(element: &str) -> EncoderReport {
    let tuned = match element {
        "x264enc" => "x264enc tune=zerolatency speed-preset=superfast bitrate=6000",
        other => other,
    };
    let line = format!(
        "videotestsrc pattern=ball num-buffers={FRAMES} ! video/x-raw,width=1920,height=1080,framerate=30/1 ! videoconvert ! {tuned} ! fakesink name=end sync=false"
    );
    let outcome = run(&line);
    match outcome {
        Ok(took) => EncoderReport {
            element: element.into(),
            fps: Some(f64::from(FRAMES) / took.as_secs_f64()),
            trouble: None,
        },
        Err(trouble) => EncoderReport {
            element: element.into(),
            fps: None,
            trouble: Some(trouble),
        },
    }
}

/// Runs a pipeline to its end; an encoder that ends without a picture has failed.
fn run(line: &str) -> Result<Duration, String> {
    let pipeline = gst::parse::launch(line)
        .map_err(|e| e.to_string())?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "no pipeline".to_owned())?;
    let start = Instant::now();
    let outcome = pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())
        .and_then(|_| {
            let bus = pipeline.bus().ok_or("no bus")?;
            let patience =
                gst::ClockTime::try_from(PATIENCE).unwrap_or(gst::ClockTime::from_seconds(20));
            match bus
                .timed_pop_filtered(patience, &[gst::MessageType::Eos, gst::MessageType::Error])
            {
                Some(message) => match message.view() {
                    gst::MessageView::Error(error) => Err(error.error().to_string()),
                    _ => Ok(start.elapsed()),
                },
                None => Err(format!(
                    "it made no {FRAMES} pictures in {} s",
                    PATIENCE.as_secs()
                )),
            }
        });
    let made = pipeline.by_name("end").and_then(|end| {
        end.property::<Option<gst::Structure>>("stats")?
            .get::<u64>("rendered")
            .ok()
    });
    let _ = pipeline.set_state(gst::State::Null);
    match made {
        Some(0) => outcome.and(Err("it ended without a picture".into())),
        _ => outcome,
    }
}

fn mix_ms() -> f64 {
    let sources: [I420; 10] = std::array::from_fn(|n| {
        let n = n as u8;
        I420::of_colour(1280, 720, Yuv::from_rgb(20 * n, 200 - 20 * n, 90))
    });
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    let mut mix = |serial: u64| {
        let tiles = ten_tiles(sources.each_ref(), serial, (1920, 1080));
        mixer.mix(&mut canvas.as_mut(), &tiles);
    };
    mix(0);
    let start = Instant::now();
    for serial in 1..=MIXES {
        mix(u64::from(serial));
    }
    start.elapsed().as_secs_f64() * 1000.0 / f64::from(MIXES)
}
