//! The GStreamer elements of the plugin `dais`.

/// Registers all elements: called by GStreamer for the plugin, and through `gstdais::plugin_register_static` by programs
/// that link this crate.
pub(crate) fn register(_plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    Ok(())
}
