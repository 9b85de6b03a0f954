//! Which time a marking element stamps, and which one a reading element compares it with.

use gst::glib;
use gst::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDaisTimeSource")]
pub enum TimeSource {
    /// Stands still while the pipeline does, and needs no clock.
    #[default]
    #[enum_value(name = "Running time of the buffer's timestamp", nick = "pts")]
    Pts,
    /// For pipelines with the same clock but another base time, in one process or several on one machine.
    #[enum_value(
        name = "Time of the pipeline's clock: when stamping that of the buffer's timestamp, when reading now",
        nick = "clock"
    )]
    Clock,
    #[enum_value(name = "Running time of the pipeline's clock now", nick = "now")]
    Now,
}

/// When a buffer with this running time was captured.
pub(super) fn stamped(
    source: TimeSource,
    element: &gst::Element,
    running_time: Option<gst::ClockTime>,
) -> Option<u64> {
    let time = match source {
        TimeSource::Pts => running_time,
        TimeSource::Clock => running_time.zip(element.base_time()).map(|(t, b)| t + b),
        TimeSource::Now => element.current_running_time(),
    };
    time.map(gst::ClockTime::nseconds)
}

/// When a buffer with this running time is read.
pub(super) fn read_at(
    source: TimeSource,
    element: &gst::Element,
    running_time: Option<gst::ClockTime>,
) -> Option<u64> {
    let time = match source {
        TimeSource::Pts => running_time,
        TimeSource::Clock => element.clock().map(|clock| clock.time()),
        TimeSource::Now => element.current_running_time(),
    };
    time.map(gst::ClockTime::nseconds)
}
