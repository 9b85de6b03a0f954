//! The GStreamer elements of the plugin `dais`.

pub mod canvas;
pub mod colorimetry;
mod filter;
pub mod mixminus;
pub mod packets;
pub mod read;
mod samples;
pub mod stamp;
pub mod tilemix;
mod time_source;
pub mod toneread;
pub mod tonestamp;

pub use time_source::TimeSource;

use gst::prelude::*;

/// Answers a SEEKING query: one output can't tell its many inputs where to be, whatever one of them could.
fn is_not_seekable(query: &mut gst::QueryRef) -> bool {
    let gst::QueryViewMut::Seeking(seeking) = query.view_mut() else {
        return false;
    };
    let none = gst::GenericFormattedValue::none_for_format(seeking.format());
    seeking.set(false, none, none);
    true
}

/// Registers all elements: called by GStreamer for the plugin, and through `gstdais::plugin_register_static` by programs
/// that link this crate.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    mixminus::register(plugin)?;
    read::register(plugin)?;
    stamp::register(plugin)?;
    tilemix::register(plugin)?;
    toneread::register(plugin)?;
    tonestamp::register(plugin)?;
    Ok(())
}
