//! GStreamer elements by name, with an error that says what to install.

use std::sync::mpsc;
use std::time::Duration;

use gst::prelude::*;

use crate::error::StudioError;

pub(crate) fn make(factory: &str) -> Result<gst::Element, StudioError> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| missing(factory))
}

/// Which Debian and Ubuntu package holds an element that the studio uses.
pub(crate) fn missing(factory: &str) -> StudioError {
    let package = match factory {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "avenc_aac" | "avdec_h264" => "gstreamer1.0-libav",
        "nicesrc" => "gstreamer1.0-nice",
        "matroskamux" | "flvmux" | "vp8enc" | "vp8dec" | "v4l2src" | "jpegdec" | "rtph264pay"
        | "rtpvp8pay" | "rtpopuspay" | "capssetter" => "gstreamer1.0-plugins-good",
        "webrtcbin" | "dtlssrtpenc" | "srtpenc" | "openh264enc" | "rtmp2sink" | "srtsink"
        | "mpegtsmux" | "h264parse" | "kmssink" | "fdkaacenc" | "voaacenc" => {
            "gstreamer1.0-plugins-bad"
        }
        "aacparse" => "gstreamer1.0-plugins-good",
        "glvideomixer" | "gldownload" => "gstreamer1.0-gl",
        "vacompositor" | "vapostproc" => "gstreamer1.0-plugins-bad",
        _ => "gstreamer1.0-plugins-base",
    };
    StudioError::MissingElement {
        element: factory.into(),
        package,
    }
}

pub(crate) fn filter(caps: &gst::Caps) -> Result<gst::Element, StudioError> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Adds elements and links them one after the other.
pub(crate) fn chain(
    pipeline: &gst::Pipeline,
    which: &str,
    elements: &[&gst::Element],
) -> Result<(), StudioError> {
    pipeline
        .add_many(elements)
        .map_err(|e| StudioError::pipeline(which, e))?;
    gst::Element::link_many(elements).map_err(|e| StudioError::pipeline(which, e))
}

/// Stops a pipeline; true if that was done within `patience`. A driver that hangs may hold up whoever stops it: that is a thread
/// of its own.
pub(crate) fn stop(pipeline: &gst::Pipeline, patience: Duration) -> bool {
    let pipeline = pipeline.clone();
    let (done, ended) = mpsc::channel();
    let spawned = std::thread::Builder::new()
        .name("pipeline-end".into())
        .spawn(move || {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = done.send(());
        });
    spawned.is_ok() && ended.recv_timeout(patience).is_ok()
}

/// For a pipeline's bus: tells all its elements the latency when it changes. webrtcbin adds its transports late; untold, rtpsession
/// (1.26) makes no sender reports.
pub(crate) fn tell_latency(pipeline: &gst::glib::WeakRef<gst::Pipeline>, message: &gst::Message) {
    if matches!(message.view(), gst::MessageView::Latency(_))
        && let Some(pipeline) = pipeline.upgrade()
    {
        pipeline.call_async(|pipeline| drop(pipeline.recalculate_latency()));
    }
}

/// The first error that the pipeline has posted and nobody has read.
pub(crate) fn posted_error(pipeline: &gst::Pipeline) -> Option<gst::glib::Error> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error()),
        _ => None,
    }
}
