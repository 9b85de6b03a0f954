//! What this machine can capture, encode and mix, found out by doing it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdais::blend::Yuv;
use gstdais::frame::I420;
use gstdais::tilemix::TileMixer;
use serde::Serialize;

use crate::capture::{Control, Places, controls};
use crate::config::{MixEngine, StudioConfig};
use crate::element::missing;
use crate::encoder::{Key, Passport, Passports, Rung, Terms, VideoShape, try_out};
use crate::engine::{EngineReport, ten_tiles};
use crate::error::StudioError;

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
/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub gstreamer: String,
    pub cameras: Vec<Device>,
    pub microphones: Vec<Device>,
    /// What encoders were asked to make.
    pub shape: VideoShape,
    /// In the order in which the box chooses; the first good one is used.
    pub encoders: Vec<Passport>,
    /// Encoders of the list that are not on this machine.
    pub absent: Vec<String>,
    /// Settings of encoders that these do not know, and leave out.
    pub unknown_settings: Vec<String>,
    /// What the box found at its own starts, where its settings were named.
    pub kept: Option<Kept>,
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
    /// The one that `[capture]` takes by "auto".
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto: bool,
    /// A sound card's controls for capture; the box uses the first, or `[capture] audio_control`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
}

/// The passports that a box has.
#[derive(Debug, Serialize)]
pub struct Kept {
    pub path: PathBuf,
    pub passports: Vec<Passport>,
    /// Why the file could not be read.
    pub damage: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Missing {
    pub element: String,
    pub package: String,
}

impl Report {
    /// Whether a box can run here: nothing is missing, and some encoder keeps up with the programme.
    pub fn is_well(&self) -> bool {
        let needed = f64::from(self.shape.fps);
        let keeps_up =
            |p: &Passport| p.verdict().is_ok() && p.figures.fps.is_some_and(|fps| fps >= needed);
        self.missing.is_empty() && self.encoders.iter().any(keeps_up)
    }
}

/// Takes some seconds: everything is tried, encoders with the programme's shape and settings.
pub fn probe(config: &StudioConfig) -> Result<Report, StudioError> {
    gst::init()?;
    let rungs = crate::encoder::rungs(&config.programme);
    let [camera, microphone] = Places::default().auto();
    let (here, absent): (Vec<_>, Vec<_>) = rungs.into_iter().partition(|rung| rung.exists());
    Ok(Report {
        gstreamer: gst::version_string().to_string(),
        cameras: devices("Video/Source", "device.path", "v4l2", camera),
        microphones: devices("Audio/Source", "alsa.device", "alsa", microphone),
        shape: VideoShape::of_programme(config),
        encoders: here
            .iter()
            .filter_map(|rung| measure(rung, &VideoShape::of_programme(config)))
            .collect(),
        absent: absent.into_iter().map(|rung| rung.element).collect(),
        unknown_settings: unknown_settings(config)?,
        kept: config.passports.clone().map(kept),
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

/// Tries one encoder of this machine, by its element's name, with the programme's shape: a V4L2 encoder of any codec, too, of which
/// the figures are told and that the programme can't use it.
pub fn try_encoder(config: &StudioConfig, element: &str) -> Result<Passport, StudioError> {
    gst::init()?;
    let rung = Rung::new(element, &config.programme.encoder_settings);
    if !rung.exists() {
        return Err(missing(element));
    }
    measure(&rung, &VideoShape::of_programme(config))
        .ok_or_else(|| StudioError::pipeline("trial", "it came to no end"))
}

/// The encoders that are tried, the best first, whether they are on this machine or not.
pub fn ladder(config: &StudioConfig) -> Vec<String> {
    let rungs = crate::encoder::rungs(&config.programme);
    rungs.into_iter().map(|rung| rung.element).collect()
}

/// What `encoder_settings` sets of the encoders of this machine that these have not, or not to this value: left out, unless told.
pub fn unknown_settings(config: &StudioConfig) -> Result<Vec<String>, StudioError> {
    gst::init()?;
    let shape = VideoShape::of_programme(config);
    let mut unknown = Vec::new();
    for (element, named) in &config.programme.encoder_settings {
        let rung = Rung::new(element, &config.programme.encoder_settings);
        if rung.exists() {
            let mut left_out = rung.left_out(&shape)?;
            left_out.retain(|(name, _)| named.contains_key(name));
            unknown.extend(
                left_out
                    .into_iter()
                    .map(|(name, value)| format!("{element} {name} = {value}")),
            );
        }
    }
    Ok(unknown)
}

fn measure(rung: &Rung, shape: &VideoShape) -> Option<Passport> {
    let mut terms = Terms::alone();
    if rung.is_software() {
        // Nobody waits for the programme, and a slow machine shall be told by how much.
        terms.limit = Duration::from_secs(20);
    }
    let tried = try_out(rung, shape, &terms)?;
    Some(Passport::new(Key::of(rung, shape), tried))
}

fn kept(path: PathBuf) -> Kept {
    let passports = Passports::open(Some(path.clone()));
    Kept {
        passports: passports.all(),
        damage: passports.damage().map(Into::into),
        path,
    }
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

/// `auto`: the setting of the one that "auto" takes.
fn devices(class: &str, property: &str, kind: &str, auto: Option<String>) -> Vec<Device> {
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
        .map(|device| {
            let setting = setting(device);
            Device {
                name: device.display_name().to_string(),
                auto: auto.is_some() && setting == auto,
                setting,
                controls: card(device)
                    .map_or_else(Vec::new, |card| controls(card).unwrap_or_default()),
            }
        })
        .collect()
}

/// The number of a sound card.
fn card(device: &gst::Device) -> Option<i32> {
    let properties = device.properties()?;
    let card = properties.get::<String>("alsa.card").ok()?;
    card.parse().ok()
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
