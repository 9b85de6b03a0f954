//! The studio's settings. `daisd` embeds them in its TOML; every unknown key is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::StudioError;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudioConfig {
    pub capture: CaptureConfig,
    pub monitor: MonitorConfig,
    pub programme: ProgrammeConfig,
    pub mix: MixConfig,
    pub returns: ReturnsConfig,
    pub sessions: SessionsConfig,
    pub ice: IceConfig,
    /// Where the encoders' passports are kept; nowhere if `None`.
    #[serde(skip)]
    pub passports: Option<PathBuf>,
}

/// The host's camera and microphone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureConfig {
    /// `auto`, `test`, `v4l2:DEVICE` or `file:PATH`. What a DEVICE is: `capture/identity.rs`.
    pub video: String,
    /// `auto`, `test`, `alsa:DEVICE`, `file:PATH` or `none`.
    pub audio: String,
    /// What the card's own gain is set to, as near as the card can; left alone if `None`.
    pub audio_gain_db: Option<f32>,
    /// The card's mixer control for that; the likeliest if `None`.
    pub audio_control: Option<String>,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig {
            video: "test".into(),
            audio: "test".into(),
            audio_gain_db: None,
            audio_control: None,
        }
    }
}

/// What the host hears and sees.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// `none` or `alsa:DEVICE`: everybody but the host, on that playback device.
    pub audio: String,
    /// `none`, `kms` or `kms:CONNECTOR`: the programme, on a screen of the board.
    pub video: String,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        MonitorConfig {
            audio: "none".into(),
            video: "none".into(),
        }
    }
}

/// The value of an encoder's property, as people write it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "a property's value is a text, a whole number, true or false"
)]
pub enum Setting {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Flag(flag) => flag.fmt(f),
            Setting::Number(number) => number.fmt(f),
            Setting::Text(text) => text.fmt(f),
        }
    }
}

/// The hardware of the boards that are known, one of which a machine has at most; software stands below by itself.
const ENCODERS: [&str; 6] = [
    "v4l2h264enc",
    "vah264lpenc",
    "vah264enc",
    "nvh264enc",
    "mpph264enc",
    "vpuenc_h264",
];
const MOST_ENCODERS: usize = 16;
const MOST_SETTINGS: usize = 64;
const MOST_SETTING: usize = 1024;
/// What the value of a setting may hold, to be filled in.
const FILLED_IN: [&str; 4] = ["kbps", "bps", "fps", "gop"];

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgrammeConfig {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub bitrate_kbps: u32,
    pub audio_kbps: u32,
    /// Longest distance of keyframes in seconds.
    pub keyframe_s: u32,
    /// `auto`, or the one of `encoders` (or of the software's) that is wanted.
    pub encoder: String,
    /// GStreamer's H.264 encoders by their elements' names, the best first; `x264enc` and `openh264enc` stand below all others.
    pub encoders: Vec<String>,
    /// Properties of encoders, in addition to or in place of the box's own: element, property, value.
    pub encoder_settings: BTreeMap<String, BTreeMap<String, Setting>>,
    /// Behind the tiles, as `#rrggbb`.
    pub background: String,
}

impl Default for ProgrammeConfig {
    fn default() -> Self {
        ProgrammeConfig {
            width: 1920,
            height: 1080,
            fps: 30,
            bitrate_kbps: 6000,
            audio_kbps: 160,
            keyframe_s: 2,
            encoder: "auto".into(),
            encoders: ENCODERS.map(String::from).into(),
            encoder_settings: BTreeMap::new(),
            background: "#14171c".into(),
        }
    }
}

/// What mixes the pictures. Sound is always mixed by the box's own mix-minus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixEngine {
    /// The box's own: no copy, nothing waits.
    Dais,
    /// GStreamer's `compositor`.
    Stock,
    /// `glvideomixer`, on a GPU.
    Gl,
    /// `vacompositor`, on an Intel or AMD GPU.
    Va,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixConfig {
    pub engine: MixEngine,
    /// How long a tile takes to its new place when the layout changes; 0: it jumps.
    pub transition_ms: u32,
    /// Whether guests are brought to -16 LUFS, slowly.
    pub levelling: bool,
}

impl Default for MixConfig {
    fn default() -> Self {
        MixConfig {
            engine: MixEngine::Dais,
            transition_ms: 200,
            levelling: false,
        }
    }
}

/// The programme as guests and previews see it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReturnsConfig {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub bitrate_kbps: u32,
}

impl Default for ReturnsConfig {
    fn default() -> Self {
        ReturnsConfig {
            width: 640,
            height: 360,
            fps: 30,
            bitrate_kbps: 900,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// Sessions that only watch; past that the box answers `unavailable`.
    pub max_watchers: usize,
    /// Without a decoded frame for this long a guest counts as lost.
    pub stall_ms: u64,
    /// What a guest may send at most.
    pub up: UpConfig,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        SessionsConfig {
            max_watchers: 20,
            stall_ms: 2000,
            up: UpConfig::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpConfig {
    pub width: u32,
    pub height: u32,
    pub max_fps: u32,
    pub max_kbps: u32,
}

impl Default for UpConfig {
    fn default() -> Self {
        UpConfig {
            width: 640,
            height: 360,
            max_fps: 30,
            max_kbps: 1200,
        }
    }
}

/// Where media may go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceConfig {
    /// Names of network interfaces to offer; empty: all.
    pub interfaces: Vec<String>,
    /// Addresses to offer; empty: all of the interfaces.
    pub addresses: Vec<String>,
    /// Offer 127.0.0.1 too, for tests and a PC without a network.
    pub loopback: bool,
    /// `stun://host:port`.
    pub stun: Vec<String>,
    pub turn: Vec<TurnServer>,
    /// First and last UDP port, both 0: any.
    pub min_port: u16,
    pub max_port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnServer {
    /// `turn://host:port` or `turns://host:port`, without user and password.
    pub url: String,
    pub username: String,
    pub credential: Secret,
}

/// A key or a password: it is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(secret.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl StudioConfig {
    /// Pictures a second of the returns: at most the programme's. Who lowers that need not know of them.
    pub fn returns_fps(&self) -> u32 {
        self.returns.fps.min(self.programme.fps)
    }

    /// Says which setting can't be, before anything is started.
    pub fn check(&self) -> Result<(), StudioError> {
        let bad = |key, what: String| Err(StudioError::Config { key, what });
        let size = |key, width: u32, height: u32| {
            let even = width.is_multiple_of(2) && height.is_multiple_of(2);
            if !even || !(64..=3840).contains(&width) || !(36..=2160).contains(&height) {
                return bad(
                    key,
                    format!("{width}x{height} is not an even size between 64x36 and 3840x2160"),
                );
            }
            Ok(())
        };
        let p = &self.programme;
        size("programme.width and programme.height", p.width, p.height)?;
        size(
            "returns.width and returns.height",
            self.returns.width,
            self.returns.height,
        )?;
        if !(1..=60).contains(&p.fps) {
            return bad(
                "programme.fps",
                format!("{} is not between 1 and 60", p.fps),
            );
        }
        if self.mix.transition_ms > 2_000 {
            return bad(
                "mix.transition_ms",
                format!("{} is not between 0 and 2000", self.mix.transition_ms),
            );
        }
        if !(1..=60).contains(&self.returns.fps) {
            return bad(
                "returns.fps",
                format!("{} is not between 1 and 60", self.returns.fps),
            );
        }
        if !(50..=100_000).contains(&p.bitrate_kbps) {
            return bad(
                "programme.bitrate_kbps",
                format!("{} is not between 50 and 100000", p.bitrate_kbps),
            );
        }
        if !(50..=20_000).contains(&self.returns.bitrate_kbps) {
            return bad(
                "returns.bitrate_kbps",
                format!("{} is not between 50 and 20000", self.returns.bitrate_kbps),
            );
        }
        if !(32..=320).contains(&p.audio_kbps) {
            return bad(
                "programme.audio_kbps",
                format!("{} is not between 32 and 320", p.audio_kbps),
            );
        }
        if !(1..=10).contains(&p.keyframe_s) {
            return bad(
                "programme.keyframe_s",
                format!("{} is not between 1 and 10", p.keyframe_s),
            );
        }
        p.background_rgb()?;
        p.check_encoders()?;
        if (self.ice.min_port == 0) != (self.ice.max_port == 0)
            || self.ice.min_port > self.ice.max_port
        {
            return bad(
                "ice.min_port and ice.max_port",
                "both 0, or the first not above the last".into(),
            );
        }
        crate::capture::VideoSpec::parse(&self.capture.video)?;
        crate::capture::AudioSpec::parse(&self.capture.audio)?;
        if let Some(gain) = self.capture.audio_gain_db
            && !(-100.0..=100.0).contains(&gain)
        {
            return bad(
                "capture.audio_gain_db",
                format!("{gain} is not between -100 and 100"),
            );
        }
        crate::capture::monitor::parse(&self.monitor.audio)?;
        crate::capture::screen::parse(&self.monitor.video)?;
        Ok(())
    }
}

/// Whether this can be the name of an element or a property.
fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(known)
}

/// A `{word}` of a setting's value that nothing is filled into. GStreamer's own braces are around lists: `{ a, b }`.
fn unknown_word(value: &str) -> Option<&str> {
    let words = value.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
        is_word.then_some(word)
    });
    words.into_iter().find(|word| !FILLED_IN.contains(word))
}

impl ProgrammeConfig {
    fn check_encoders(&self) -> Result<(), StudioError> {
        let bad = |key, what: String| Err(StudioError::Config { key, what });
        let no_element = |name: &str| format!("\"{name}\" is not the name of a GStreamer element");
        if !is_name(&self.encoder) {
            return bad("programme.encoder", no_element(&self.encoder));
        }
        if self.encoders.len() > MOST_ENCODERS {
            return bad(
                "programme.encoders",
                format!("at most {MOST_ENCODERS} are tried"),
            );
        }
        if let Some(name) = self.encoders.iter().find(|name| !is_name(name)) {
            return bad("programme.encoders", no_element(name));
        }
        let key = "programme.encoder_settings";
        for (element, settings) in &self.encoder_settings {
            if !is_name(element) {
                return bad(key, no_element(element));
            }
            if settings.len() > MOST_SETTINGS {
                return bad(key, format!("{element} has more than {MOST_SETTINGS}"));
            }
            if let Some(name) = settings.keys().find(|name| !is_name(name)) {
                return bad(key, format!("\"{name}\" is not the name of a property"));
            }
            let long = |value: &&Setting| value.to_string().len() > MOST_SETTING;
            if settings.values().any(|value| long(&value)) {
                return bad(
                    key,
                    format!("a value of {element} is longer than {MOST_SETTING} characters"),
                );
            }
            for (name, value) in settings {
                if let Some(word) = unknown_word(&value.to_string()) {
                    return bad(
                        key,
                        format!(
                            "{{{word}}} of {element} {name} is none of {{{}}}",
                            FILLED_IN.join("}, {")
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    pub fn background_rgb(&self) -> Result<[u8; 3], StudioError> {
        let hex = self
            .background
            .strip_prefix('#')
            .filter(|h| h.len() == 6 && h.is_ascii());
        let rgb = hex.and_then(|h| u32::from_str_radix(h, 16).ok());
        let Some(rgb) = rgb else {
            let what = format!("\"{}\" is not a colour like \"#14171c\"", self.background);
            return Err(StudioError::Config {
                key: "programme.background",
                what,
            });
        };
        let [_, r, g, b] = rgb.to_be_bytes();
        Ok([r, g, b])
    }
}
