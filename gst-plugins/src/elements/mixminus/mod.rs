//! `daismixminus`: everybody's sound for the programme, and for each input everybody but itself.
//!
//! Each request pad `sink_N` comes with a pad `src_N`, which carries all other inputs; `src` carries the programme. One sum
//! is made, and each return is that sum less its own input. Pads are mono or stereo, F32LE or S16LE, at 48 kHz, each as it
//! likes. Every output has a true-peak limiter at -1 dBTP. This plays two tones; `src_0` hears only the second:
//!
//! ```sh
//! gst-launch-1.0 daismixminus name=m sink_0::gain-db=-6 sink_1::pan=0.5 \
//!   audiotestsrc num-buffers=200 freq=440 ! audio/x-raw,rate=48000 ! m.sink_0 \
//!   audiotestsrc num-buffers=200 freq=660 ! audio/x-raw,rate=48000 ! m.sink_1 \
//!   m.src ! fakesink m.src_0 ! wavenc ! filesink location=/tmp/without-440.wav m.src_1 ! fakesink
//! ```
//!
//! **Live** (`live=true`): the element's own thread mixes a block each 10 ms by the pipeline's clock. Each input waits in a
//! short queue (`queue-ms`, 10 to 40) that follows the input's own clock by resampling. What is not there when a block is due
//! is silence for that block and counted (`silent-blocks`); nothing ever waits for it. Sound is stamped with the time of
//! its arrival. Each src pad pushes from a task of its own: one that is slow, blocked, flushing or not linked loses its own
//! blocks (`dropped`) and holds up nobody. No `queue` is needed behind it.
//!
//! **Not live** (the default): mixing waits for every input that has not ended, places sound by its running time, and for every
//! output that is full; the same inputs give the same bytes. A late buffer is cut and counted.
//!
//! In both, timestamps are whole blocks without a gap, sound comes out 1 ms late (the limiter), and EOS goes out when all
//! inputs have ended. After it, and for a seek, the element has to go through READY.
//!
//! Ten times a second an element message `daismixminus-levels` tells `running-time`, `programme` and an array `inputs` of
//! structures named for their pads, with `level-db`, `peak-db`, `speaking`, `trim-db`, `silent-blocks` and `dropped`. The mixing
//! thread announces itself with a stream-status message, from itself, so that an application can give it priority.

mod imp;
mod input;
mod mixing;
mod output;
mod pads;
mod samples;
mod timeline;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

const BLOCK_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(10);

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "daismixminus",
        gst::DebugColorFlags::empty(),
        Some("Dais mix-minus"),
    )
});

glib::wrapper! {
    pub struct DaisMixMinus(ObjectSubclass<imp::MixMinusElement>)
        @extends gst::Element, gst::Object, @implements gst::ChildProxy;
}

glib::wrapper! {
    pub struct DaisMixMinusSinkPad(ObjectSubclass<pads::SinkPad>) @extends gst::Pad, gst::Object;
}

glib::wrapper! {
    pub struct DaisMixMinusSrcPad(ObjectSubclass<pads::SrcPad>) @extends gst::Pad, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "daismixminus",
        gst::Rank::NONE,
        DaisMixMinus::static_type(),
    )
}
