//! What the elements have in common that pass one stream through, marking it or reading it.

use gst_base::prelude::*;

/// A pad in and a pad out, of the same caps.
pub(super) fn pad_templates(caps: &gst::Caps) -> Vec<gst::PadTemplate> {
    [
        ("src", gst::PadDirection::Src),
        ("sink", gst::PadDirection::Sink),
    ]
    .into_iter()
    .filter_map(|(name, direction)| {
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).ok()
    })
    .collect()
}

/// A buffer's running time, if it has a timestamp inside the segment.
pub(super) fn running_time(
    element: &impl IsA<gst_base::BaseTransform>,
    buffer: &gst::BufferRef,
) -> Option<gst::ClockTime> {
    element
        .segment()
        .downcast_ref::<gst::ClockTime>()?
        .to_running_time(buffer.pts())
}
