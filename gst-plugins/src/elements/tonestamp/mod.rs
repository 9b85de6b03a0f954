//! `daistonestamp` adds a marker to the sound at each whole second of the stamped time: the counterpart of [`daisstamp`](super::stamp),
//! so that the offset between picture and sound can be measured.
//!
//! ```sh
//! gst-launch-1.0 matroskamux name=mux ! filesink location=marked.mkv \
//!   videotestsrc num-buffers=300 ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! daisstamp source-id=3 ! x264enc ! mux. \
//!   audiotestsrc num-buffers=1000 samplesperbuffer=480 ! audio/x-raw,format=S16LE,rate=48000,channels=2 \
//!     ! daistonestamp source-id=3 ! opusenc bitrate=64000 ! mux.
//! ```
//!
//! Markers of sources that differ modulo 16 don't disturb each other in a mix (see [`crate::tone`]). Give it the `time-source` of the
//! picture's stamp.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct ToneStamp(ObjectSubclass<imp::ToneStamp>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let kind = ToneStamp::static_type();
    gst::Element::register(Some(plugin), "daistonestamp", gst::Rank::NONE, kind)
}
