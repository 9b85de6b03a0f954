//! The sink pads, with the properties of their tiles.

use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Fit;
use super::input::{Slot, lock};
use crate::blend::Yuv;
use crate::tilemix::{Border, Style};

/// What the user set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PadSettings {
    pub xpos: i32,
    pub ypos: i32,
    /// Not above zero: the picture's own.
    pub width: i32,
    pub height: i32,
    pub alpha: f64,
    pub zorder: u32,
    pub fit: Fit,
    pub radius: u32,
    pub border: u32,
    pub border_color: u32,
}

const DEFAULT_BORDER_COLOR: u32 = 0xffff_ffff;
const MAX_SIDE: i32 = crate::frame::MAX_SIDE as i32;

impl Default for PadSettings {
    fn default() -> Self {
        Self {
            xpos: 0,
            ypos: 0,
            width: 0,
            height: 0,
            alpha: 1.0,
            zorder: 0,
            fit: Fit::default(),
            radius: 0,
            border: 0,
            border_color: DEFAULT_BORDER_COLOR,
        }
    }
}

/// 0xAARRGGBB; its alpha is not used.
pub(super) fn colour(argb: u32) -> Yuv {
    let [_, r, g, b] = argb.to_be_bytes();
    Yuv::from_rgb(r, g, b)
}

impl PadSettings {
    pub fn style(&self) -> Style {
        Style {
            alpha: self.alpha as f32,
            radius: self.radius,
            border: Border {
                width: self.border,
                colour: colour(self.border_color),
            },
        }
    }
}

#[derive(Default)]
pub struct TileMixPad {
    pub(super) slot: Arc<Slot>,
}

#[glib::object_subclass]
impl ObjectSubclass for TileMixPad {
    const NAME: &'static str = "DaisTileMixPad";
    type Type = super::TileMixPad;
    type ParentType = gst::Pad;
}

impl ObjectImpl for TileMixPad {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let int = |name: &str, nick: &str, blurb: &str, min: i32, max: i32| {
                glib::ParamSpecInt::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .minimum(min)
                    .maximum(max)
                    .mutable_playing()
                    .build()
            };
            let uint = |name: &str, nick: &str, blurb: &str, max: u32, default: u32| {
                glib::ParamSpecUInt::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .maximum(max)
                    .default_value(default)
                    .mutable_playing()
                    .build()
            };
            let side = "in pixels; 0 is the picture's own";
            vec![
                int(
                    "xpos",
                    "X position",
                    "Left edge of the tile; odd ones are moved to the chroma grid",
                    i32::MIN,
                    i32::MAX,
                ),
                int(
                    "ypos",
                    "Y position",
                    "Top edge of the tile; odd ones are moved to the chroma grid",
                    i32::MIN,
                    i32::MAX,
                ),
                int(
                    "width",
                    "Width",
                    &format!("Width of the tile {side}"),
                    i32::MIN,
                    MAX_SIDE,
                ),
                int(
                    "height",
                    "Height",
                    &format!("Height of the tile {side}"),
                    i32::MIN,
                    MAX_SIDE,
                ),
                glib::ParamSpecDouble::builder("alpha")
                    .nick("Alpha")
                    .blurb("0 is invisible, 1 opaque")
                    .minimum(0.0)
                    .maximum(1.0)
                    .default_value(1.0)
                    .mutable_playing()
                    .build(),
                uint(
                    "zorder",
                    "Z order",
                    "Higher lies above; the default is the number of pads before",
                    i32::MAX as u32,
                    0,
                ),
                glib::ParamSpecEnum::builder_with_default("fit", Fit::default())
                    .nick("Fit")
                    .blurb("How a picture of another shape meets its tile")
                    .mutable_playing()
                    .build(),
                uint(
                    "radius",
                    "Radius",
                    "Radius of the tile's corners in pixels",
                    MAX_SIDE as u32,
                    0,
                ),
                uint(
                    "border",
                    "Border",
                    "Width of the line inside the tile's edge in pixels",
                    MAX_SIDE as u32,
                    0,
                ),
                uint(
                    "border-color",
                    "Border colour",
                    "0xAARRGGBB; alpha is not used",
                    u32::MAX,
                    DEFAULT_BORDER_COLOR,
                ),
            ]
        });
        &PROPERTIES
    }

    #[allow(
        clippy::unwrap_used,
        reason = "GObject has checked the value's type against the properties above"
    )]
    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.slot.settings);
        match pspec.name() {
            "xpos" => settings.xpos = value.get().unwrap(),
            "ypos" => settings.ypos = value.get().unwrap(),
            "width" => settings.width = value.get().unwrap(),
            "height" => settings.height = value.get().unwrap(),
            "alpha" => settings.alpha = value.get().unwrap(),
            "zorder" => settings.zorder = value.get().unwrap(),
            "fit" => settings.fit = value.get().unwrap(),
            "radius" => settings.radius = value.get().unwrap(),
            "border" => settings.border = value.get().unwrap(),
            "border-color" => settings.border_color = value.get().unwrap(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.slot.settings);
        match pspec.name() {
            "xpos" => settings.xpos.to_value(),
            "ypos" => settings.ypos.to_value(),
            "width" => settings.width.to_value(),
            "height" => settings.height.to_value(),
            "alpha" => settings.alpha.to_value(),
            "zorder" => settings.zorder.to_value(),
            "fit" => settings.fit.to_value(),
            "radius" => settings.radius.to_value(),
            "border" => settings.border.to_value(),
            _ => settings.border_color.to_value(),
        }
    }
}

impl GstObjectImpl for TileMixPad {}
impl PadImpl for TileMixPad {}
