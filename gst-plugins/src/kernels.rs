//! The root of the package in `kernels/`: all kernels, without GStreamer.

pub mod blend;
mod block;
pub mod colours;
pub mod drift;
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
