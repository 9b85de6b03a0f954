//! `daisread` reads the marks of [`daisstamp`](super::stamp) in what passes through it: several in one frame, at any place and size.
//!
//! ```sh
//! gst-launch-1.0 -m filesrc location=marked.mkv ! decodebin ! daisread ! fakesink
//! ```
//!
//! Live, with the time from stamp to reader:
//!
//! ```sh
//! gst-launch-1.0 -m videotestsrc is-live=true num-buffers=150 ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
//!   ! daisstamp source-id=1 ! x264enc tune=zerolatency bitrate=300 ! avdec_h264 ! daisread ! fakesink
//! ```
//!
//! Every `interval` milliseconds of the stream it posts an element message `dais-read`, which the property `stats` has too, at any time:
//!
//! | field | |
//! |---|---|
//! | `running-time` | of the last frame |
//! | `frames`, `unmarked` | frames that passed; those in which no mark was read |
//! | `sources` | an array of `dais-source`, one for each source that was read |
//!
//! and of each source: `source`, `first` and `last` number; `frames` (different ones), `lost`, `repeated`, `out-of-order`, `restarts`;
//! `latency-ms` of the last frame, `latency-min-ms` and `latency-max-ms` since the last message (the time of `time-source` less the stamped
//! one, for the first sight of each frame; wrong where the two are no times of one clock); `x y width height` of the mark.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Read(ObjectSubclass<imp::Read>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "daisread",
        gst::Rank::NONE,
        Read::static_type(),
    )
}
