//! `daisstamp` paints a machine-readable mark into each frame: its number, its capture time, and a source's number.
//!
//! ```sh
//! gst-launch-1.0 videotestsrc num-buffers=300 ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
//!   ! daisstamp source-id=3 ! x264enc bitrate=300 ! matroskamux ! filesink location=marked.mkv
//! ```
//!
//! The mark (see [`crate::mark`]) lies in the middle of the upper half unless `x`, `y`, `width` or `height` say otherwise. `time-source`
//! says which time it carries; `clock` makes the marks of several processes on one machine comparable.
//! [`daisread`](super::read) or `dais analyse FILE` reads it.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Stamp(ObjectSubclass<imp::Stamp>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "daisstamp",
        gst::Rank::NONE,
        Stamp::static_type(),
    )
}
