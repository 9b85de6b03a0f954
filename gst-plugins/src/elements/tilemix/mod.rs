//! `daistilemix`: mixes videos into one picture, as tiles with place, size, order, opacity, round corners and borders.
//!
//! Its properties are named like those of `compositor`. What differs is *live*: nothing waits. The frames of one pad, the clock
//! pad, drive the output: each leaves at once, mixed with the newest frame of every other pad. A pad that is late, stalled or gone
//! keeps its last picture and costs nobody a frame. While the clock pad has no frames the pipeline clock keeps the rate. If no
//! upstream is live the element waits for all pads instead, so that the same input always gives the same pictures.
//!
//! | element property | |
//! |---|---|
//! | `clock-pad` | name of the pad whose frames drive the output; by default the first that was requested |
//! | `mode` | `auto` (live if any upstream says so when its first frame comes), `live`, `offline` |
//! | `background` | 0xAARRGGBB |
//! | `transition-ms` | how long a change of a pad's `xpos`, `ypos`, `width` or `height` moves; 0 jumps |
//! | `threads` | how many scale the tiles, that of the frame included |
//! | `stats` | counters: `frames`, `repeated` (made up for by the pipeline clock), `skipped` (clock pad's frames that were ahead of the grid), `dropped` (unusable buffers) |
//!
//! | pad property | |
//! |---|---|
//! | `xpos`, `ypos`, `width`, `height` | the tile; it may leave the canvas, and a side of 0 is the picture's own |
//! | `alpha`, `zorder` | opacity; who lies above |
//! | `fit` | `contain` (bars), `cover` (cut off evenly), `fill` (stretched) |
//! | `radius`, `border`, `border-color` | round corners; a line inside the tile's edge |
//!
//! Size, rate and format (I420 or NV12) are what downstream asks for; what it leaves open follows the tiles and the clock pad. Pads come
//! and go and change their caps at any time without a new negotiation of the output.
//!
//! ```console
//! gst-launch-1.0 daistilemix name=mix background=0xff101418 \
//!     sink_0::width=640 sink_0::height=360 \
//!     sink_1::xpos=400 sink_1::ypos=200 sink_1::width=200 sink_1::height=120 sink_1::radius=16 sink_1::border=3 \
//!     ! video/x-raw,width=640,height=360,framerate=30/1 ! videoconvert ! autovideosink \
//!     videotestsrc is-live=true ! mix.sink_0  videotestsrc is-live=true pattern=ball ! mix.sink_1
//! ```
//!
//! It does not seek, and answers LATENCY with that of the clock pad alone.

mod beat;
mod chain;
mod events;
mod imp;
mod input;
mod output;
mod pad;
mod scene;
mod task;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `daistilemix`.
    pub struct TileMix(ObjectSubclass<imp::TileMix>)
        @extends gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

glib::wrapper! {
    /// A sink pad of `daistilemix`: one tile.
    pub struct TileMixPad(ObjectSubclass<pad::TileMixPad>) @extends gst::Pad, gst::Object;
}

/// Whether the output waits for all inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "DaisTileMixMode")]
pub enum Mode {
    #[default]
    #[enum_value(name = "Live if an upstream is", nick = "auto")]
    Auto,
    #[enum_value(name = "Never waits", nick = "live")]
    Live,
    #[enum_value(name = "Waits for all pads", nick = "offline")]
    Offline,
}

/// How a picture of another shape meets its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "DaisTileMixFit")]
pub enum Fit {
    #[enum_value(name = "All of the picture, bars beside it", nick = "contain")]
    Contain,
    #[default]
    #[enum_value(name = "No bars: cut off evenly", nick = "cover")]
    Cover,
    #[enum_value(name = "Stretched", nick = "fill")]
    Fill,
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "daistilemix",
        gst::Rank::NONE,
        TileMix::static_type(),
    )
}
