//! The GStreamer elements of the plugin `dais`.

pub mod mixminus;

/// Registers all elements: called by GStreamer for the plugin, and through `gstdais::plugin_register_static` by programs
/// that link this crate.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    mixminus::register(plugin)?;
    Ok(())
}
