//! `daistoneread` hears the markers of [`daistonestamp`](super::tonestamp) in the sound that passes through it, also in a mix of many.
//!
//! ```sh
//! gst-launch-1.0 -m audiotestsrc num-buffers=500 samplesperbuffer=480 ! audio/x-raw,format=S16LE,rate=48000,channels=2 \
//!   ! daistonestamp source-id=3 ! opusenc bitrate=64000 ! opusdec ! daistoneread ! fakesink
//! ```
//!
//! For each marker it posts an element message `dais-tone`, 0.6 s after the second that it marks, when all of it is heard:
//!
//! | field | |
//! |---|---|
//! | `source` | whose it is |
//! | `second` | which second of the stamped time, modulo 4096 |
//! | `running-time` | when this second began in the stream that passes here |
//! | `likeness` | how clear it was, 0 to 1 |

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct ToneRead(ObjectSubclass<imp::ToneRead>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let kind = ToneRead::static_type();
    gst::Element::register(Some(plugin), "daistoneread", gst::Rank::NONE, kind)
}
