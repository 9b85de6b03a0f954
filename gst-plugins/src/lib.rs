//! The kernels that mix a programme's picture and sound, as plain functions and types; and GStreamer elements made of them.
//!
//! Nothing here outside [`elements`] knows GStreamer, rooms or guests: pixels and samples go in and come out, so that each kernel can be
//! tested and timed alone. Nothing that runs once a frame or once a block allocates after it has seen its inputs once.

pub mod blend;
mod block;
pub mod colours;
pub mod drift;
pub mod elements;
pub mod frame;
mod limiter;
pub mod loudness;
pub mod mark;
pub mod meter;
pub mod mixminus;
pub mod nv12;
pub mod scale;
mod sinc;
pub mod tilemix;
pub mod tone;

pub use block::*;

use elements::register;

gst::plugin_define!(
    dais,
    env!("CARGO_PKG_DESCRIPTION"),
    register,
    env!("CARGO_PKG_VERSION"),
    // GStreamer loads only licences that it knows by name; the code is MIT OR Apache-2.0.
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME")
);

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
