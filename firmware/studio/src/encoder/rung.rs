//! A rung: an H.264 encoder by its element's name, with the settings that make it a live one.
//!
//! Names and values of properties differ between versions and vendors' forks: one that an element does not know is left
//! out, and the trial shows what that means. Values may hold `{kbps}`, `{bps}`, `{fps}` and `{gop}` (the distance of keyframes
//! in frames); `a|b` is the first of these properties that there is. A board adds or replaces settings in
//! `[programme.encoder_settings.ELEMENT]`.

use std::collections::BTreeMap;

use gst::prelude::GstValueExt;
use gst::prelude::*;

use super::VideoShape;
use crate::config::Setting;
use crate::element::{filter, make};
use crate::error::StudioError;

type Settings = &'static [(&'static str, &'static str)];

/// The rungs in software, the better first. They stand below all others, whatever a board says.
pub(crate) const SOFTWARE: [&str; 2] = ["x264enc", "openh264enc"];

const X264: Settings = &[
    ("tune", "zerolatency"),
    // Measured here at 1080p: ultrafast 6.7 ms a frame, superfast 9.5 ms; ultrafast's pictures need half as many bits again.
    ("speed-preset", "superfast"),
    ("bitrate", "{kbps}"),
    ("key-int-max", "{gop}"),
    ("bframes", "0"),
    ("byte-stream", "true"),
];
const OPENH264: Settings = &[
    ("bitrate", "{bps}"),
    ("gop-size", "{gop}"),
    ("complexity", "low"),
    ("rate-control", "bitrate"),
];
const VA: Settings = &[
    ("rate-control", "cbr"),
    ("bitrate", "{kbps}"),
    ("key-int-max", "{gop}"),
    ("b-frames", "0"),
];
const NVIDIA: Settings = &[
    ("zerolatency", "true"),
    ("rc-mode", "cbr"),
    ("preset", "low-latency-hq"),
    ("bitrate", "{kbps}"),
    ("gop-size", "{gop}"),
    ("bframes", "0"),
];
const ROCKCHIP: Settings = &[
    ("rc-mode", "cbr"),
    ("gop", "{gop}"),
    ("header-mode", "each-idr"),
    // 16 frames by default: half a second.
    ("max-pending", "2"),
    ("bps|bitrate", "{bps}"),
];
const IMX: Settings = &[("bitrate", "{kbps}"), ("gop-size", "{gop}")];
/// Any V4L2 mem2mem encoder: drivers leave out the controls that they do not have.
const V4L2: Settings = &[(
    "extra-controls",
    "controls,video_bitrate={bps},h264_i_frame_period={gop},video_gop_size={gop},repeat_sequence_header=1",
)];
const VP8: Settings = &[
    ("deadline", "1"),
    ("cpu-used", "8"),
    ("target-bitrate", "{bps}"),
    ("keyframe-max-dist", "{gop}"),
    ("lag-in-frames", "0"),
    ("end-usage", "cbr"),
    ("error-resilient", "default"),
    ("threads", "1"),
];

fn known(element: &str) -> Settings {
    match element {
        "x264enc" => X264,
        "openh264enc" => OPENH264,
        "vah264enc" | "vah264lpenc" => VA,
        "nvh264enc" => NVIDIA,
        "mpph264enc" => ROCKCHIP,
        "vpuenc_h264" => IMX,
        "vp8enc" => VP8,
        v4l2 if v4l2.starts_with("v4l2") => V4L2,
        _ => &[],
    }
}

/// One encoder, as it is to be built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rung {
    pub element: String,
    settings: Vec<(String, String)>,
}

/// A rung's elements, not linked.
pub(super) struct Built {
    pub encoder: gst::Element,
    /// In the order of the walk, the encoder among them.
    pub chain: Vec<gst::Element>,
    /// What comes out at the end.
    pub out: gst::Caps,
}

impl Rung {
    pub fn new(element: &str, board: &BTreeMap<String, BTreeMap<String, Setting>>) -> Rung {
        let mut settings: Vec<(String, String)> = known(element)
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        for (name, value) in board.get(element).into_iter().flatten() {
            settings.retain(|(known, _)| !known.split('|').any(|k| k == name));
            settings.push((name.clone(), value.to_string()));
        }
        Rung {
            element: element.into(),
            settings,
        }
    }

    /// For who can't decode H.264.
    pub fn vp8() -> Rung {
        Rung::new("vp8enc", &BTreeMap::new())
    }

    /// Whether it is one of those that need no hardware, and whose failings are those of the machine.
    pub fn is_software(&self) -> bool {
        SOFTWARE.contains(&self.element.as_str()) || self.element == "vp8enc"
    }

    pub fn exists(&self) -> bool {
        gst::ElementFactory::find(&self.element).is_some()
    }

    /// Settings as they are for this shape.
    pub fn settings(&self, shape: &VideoShape) -> Vec<(String, String)> {
        let mut settings: Vec<(String, String)> = self
            .settings
            .iter()
            .map(|(name, value)| {
                let value = value
                    .replace("{kbps}", &shape.kbps.to_string())
                    .replace("{bps}", &(u64::from(shape.kbps) * 1000).to_string())
                    .replace("{fps}", &shape.fps.to_string())
                    .replace("{gop}", &shape.keyframe.to_string());
                (name.clone(), value)
            })
            .collect();
        if self.element == "x264enc" && shape.width * shape.height <= 640 * 360 {
            // One slice a picture, and no thread switches for a millisecond of work.
            settings.push(("threads".into(), "1".into()));
        }
        if self.element == "mpph264enc" && shape.baseline {
            settings.push(("profile".into(), "baseline".into()));
        }
        settings
    }

    /// The settings that its element does not know.
    pub fn left_out(&self, shape: &VideoShape) -> Result<Vec<(String, String)>, StudioError> {
        Ok(self.set_all(&make(&self.element)?, shape))
    }

    /// Gives those that could not be set.
    fn set_all(&self, encoder: &gst::Element, shape: &VideoShape) -> Vec<(String, String)> {
        let mut settings = self.settings(shape);
        settings.retain(|(names, value)| !names.split('|').any(|name| set(encoder, name, value)));
        settings
    }

    /// The encoder, with what it needs before and behind it.
    pub(super) fn build(&self, shape: &VideoShape, raw: &gst::Caps) -> Result<Built, StudioError> {
        let encoder = make(&self.element)?;
        for (setting, value) in self.set_all(&encoder, shape) {
            tracing::debug!(
                encoder = self.element,
                setting,
                value,
                "it does not know this setting"
            );
        }
        let mut chain = Vec::new();
        if !takes(&encoder, raw) {
            // Most hardware wants NV12.
            chain.push(make("videoconvert")?);
        }
        chain.push(encoder.clone());
        let made = template(&encoder, gst::PadDirection::Src);
        let h264 = gst::Caps::new_empty_simple("video/x-h264");
        let out = if made.as_ref().is_none_or(|made| made.can_intersect(&h264)) {
            if let Some(wanted) = wanted(&self.element, shape, made.as_ref()) {
                chain.push(filter(&wanted)?);
            }
            let parse = make("h264parse")?;
            parse.set_property("config-interval", -1i32);
            chain.push(parse);
            gst::Caps::builder("video/x-h264")
                .field("stream-format", "byte-stream")
                .field("alignment", "au")
                .build()
        } else {
            made.unwrap_or(h264)
        };
        Ok(Built {
            encoder,
            chain,
            out,
        })
    }
}

/// Sets a property from text if there is such a property and the text is one of its values.
fn set(element: &gst::Element, name: &str, text: &str) -> bool {
    let Some(property) = element
        .find_property(name)
        .filter(|p| p.flags().contains(gst::glib::ParamFlags::WRITABLE))
    else {
        return false;
    };
    match gst::glib::Value::deserialize_with_pspec(text, &property) {
        Ok(value) => {
            element.set_property_from_value(name, &value);
            true
        }
        Err(_) => false,
    }
}

fn template(element: &gst::Element, direction: gst::PadDirection) -> Option<gst::Caps> {
    let templates = element.factory()?.static_pad_templates();
    let caps = templates
        .iter()
        .find(|t| t.direction() == direction)
        .map(|t| t.caps());
    // An element without static templates says at its pad what it takes.
    caps.filter(|c| !c.is_any()).or_else(|| {
        let name = match direction {
            gst::PadDirection::Sink => "sink",
            _ => "src",
        };
        Some(element.static_pad(name)?.query_caps(None)).filter(|c| !c.is_any())
    })
}

fn takes(encoder: &gst::Element, raw: &gst::Caps) -> bool {
    template(encoder, gst::PadDirection::Sink).is_none_or(|takes| takes.can_intersect(raw))
}

/// Profile and level that are asked for, where the encoder says that it can be asked.
fn wanted(element: &str, shape: &VideoShape, made: Option<&gst::Caps>) -> Option<gst::Caps> {
    let says = |field: &str| {
        made.is_some_and(|caps| caps.iter().any(|structure| structure.has_field(field)))
    };
    let mut caps = gst::Caps::builder("video/x-h264");
    let mut asks = false;
    if shape.baseline && says("profile") {
        // Without FMO, ASO and redundant slices, which no encoder here makes, the two are the same.
        caps = caps.field(
            "profile",
            gst::List::new(["constrained-baseline", "baseline"]),
        );
        asks = true;
    }
    if element == "v4l2h264enc" {
        // Without a level, or with too low a one, the Raspberry Pi's gives nothing (raspberrypi/linux#3974, #4906).
        caps = caps.field("level", level(shape));
        asks = true;
    }
    asks.then(|| caps.build())
}

/// The lowest level that holds this shape (H.264, table A-1: macroblocks a second and a frame, kbit/s), from 4 on, as in all
/// recipes for the Raspberry Pi; for browsers from 3.1 on, which is what they are offered.
fn level(shape: &VideoShape) -> &'static str {
    const LEVELS: [(&str, u32, u32, u32); 8] = [
        ("3.1", 108_000, 3_600, 14_000),
        ("3.2", 216_000, 5_120, 20_000),
        ("4", 245_760, 8_192, 20_000),
        ("4.1", 245_760, 8_192, 50_000),
        ("4.2", 522_240, 8_704, 50_000),
        ("5", 589_824, 22_080, 135_000),
        ("5.1", 983_040, 36_864, 240_000),
        ("5.2", 2_073_600, 36_864, 240_000),
    ];
    let frame = shape.width.div_ceil(16) * shape.height.div_ceil(16);
    let from = if shape.baseline { 0 } else { 2 };
    LEVELS[from..]
        .iter()
        .find(|(_, second, most, kbps)| {
            frame * shape.fps <= *second && frame <= *most && shape.kbps <= *kbps
        })
        .map_or("5.2", |(name, ..)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shape(width: u32, height: u32, fps: u32) -> VideoShape {
        VideoShape {
            width,
            height,
            fps,
            kbps: 6000,
            keyframe: 60,
            baseline: false,
        }
    }

    #[test]
    fn the_level_holds_the_shape() {
        assert_eq!(level(&shape(1280, 720, 30)), "4");
        assert_eq!(level(&shape(1920, 1080, 30)), "4");
        assert_eq!(level(&shape(1920, 1080, 60)), "4.2");
        assert_eq!(level(&shape(3840, 2160, 30)), "5.1");
        let mut returns = shape(640, 360, 30);
        returns.baseline = true;
        assert_eq!(level(&returns), "3.1");
        let mut rich = shape(1920, 1080, 30);
        rich.kbps = 30_000;
        assert_eq!(level(&rich), "4.1");
    }

    #[test]
    fn a_board_replaces_and_adds_settings() {
        let board = BTreeMap::from([(
            "mpph264enc".to_owned(),
            BTreeMap::from([
                ("bitrate".to_owned(), Setting::Text("{kbps}".into())),
                ("max-pending".to_owned(), Setting::Number(1)),
                ("qp-max".to_owned(), Setting::Number(30)),
            ]),
        )]);
        let settings = Rung::new("mpph264enc", &board).settings(&shape(1280, 720, 30));
        let value = |name: &str| {
            let mut found = settings.iter().filter(|(n, _)| n == name);
            let value = found.next().map(|(_, v)| v.as_str());
            assert!(found.next().is_none(), "{name} is set twice");
            value
        };
        assert_eq!(value("bps|bitrate"), None);
        assert_eq!(value("bitrate"), Some("6000"));
        assert_eq!(value("max-pending"), Some("1"));
        assert_eq!(value("qp-max"), Some("30"));
        assert_eq!(value("gop"), Some("60"));
    }

    #[test]
    fn what_an_element_does_not_know_is_left_out() {
        gst::init().unwrap();
        let encoder = make("x264enc").unwrap();
        assert!(!set(&encoder, "no-such-setting", "1"));
        assert!(!set(&encoder, "tune", "no-such-value"));
        assert!(!set(&encoder, "bitrate", "much"));
        assert!(set(&encoder, "bitrate", "1234"));
        assert_eq!(encoder.property::<u32>("bitrate"), 1234);
        // The form that V4L2 encoders take their controls in.
        let structure = gst::glib::Value::deserialize(
            "controls,video_bitrate=6000000,repeat_sequence_header=1",
            gst::Structure::static_type(),
        );
        let structure: gst::Structure = structure.unwrap().get().unwrap();
        assert_eq!(structure.get::<i32>("video_bitrate").unwrap(), 6_000_000);
    }

    #[test]
    fn an_encoder_that_refuses_i420_gets_its_own_format() {
        gst::init().unwrap();
        let raw = super::super::raw_video_caps(64, 64, 30)
            .unwrap()
            .to_caps()
            .unwrap();
        let x264 = make("x264enc").unwrap();
        assert!(takes(&x264, &raw));
        // It takes RGB only.
        let png = make("pngenc").unwrap();
        assert!(!takes(&png, &raw));
    }
}
