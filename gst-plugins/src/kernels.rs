//! The root of the package in `kernels/`: the scaler and what it needs, without GStreamer.

pub mod blend;
pub mod colours;
pub mod frame;
pub mod scale;
