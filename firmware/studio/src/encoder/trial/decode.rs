//! Units back to pictures, by a decoder that has nothing to do with the encoder.

use gst::prelude::*;
use gst_video::prelude::*;

use crate::element::{chain, make, posted_error};
use crate::encoder::pictures::Planes;

/// Without a picture for so long the decoder hangs.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// The pictures, each with its timestamp.
pub(super) fn decode(
    units: &[gst::Buffer],
    caps: &gst::Caps,
    (width, height): (usize, usize),
) -> Result<Vec<(gst::ClockTime, Planes)>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let decoder = decoder(caps)?;
    if decoder.has_property("max-threads") {
        // Frame threads would hold pictures back.
        decoder.set_property_from_str("max-threads", "1");
    }
    let source = gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .max_bytes(0)
        .max_buffers(0)
        .build();
    let convert = make("videoconvert").map_err(|e| text(&e))?;
    let raw = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width as i32)
        .field("height", height as i32)
        .build();
    let sink = gst_app::AppSink::builder().caps(&raw).sync(false).build();
    let pipeline = gst::Pipeline::new();
    let elements = [source.upcast_ref(), &decoder, &convert, sink.upcast_ref()];
    chain(&pipeline, "decoder", &elements).map_err(|e| text(&e))?;
    let pictures = (|| {
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| text(&e))?;
        for unit in units {
            source.push_buffer(unit.clone()).map_err(|e| text(&e))?;
        }
        source.end_of_stream().map_err(|e| text(&e))?;
        let mut pictures = Vec::new();
        while let Some(sample) = sink.try_pull_sample(PATIENCE) {
            pictures.push(packed(&sample).ok_or("a picture could not be read")?);
        }
        if !sink.is_eos() {
            let error = posted_error(&pipeline).map(|e| e.to_string());
            return Err(error.unwrap_or_else(|| "the decoder hangs".into()));
        }
        Ok(pictures)
    })();
    let _ = pipeline.set_state(gst::State::Null);
    pictures
}

/// FFmpeg's for H.264, which takes what players take; for another codec whatever there is.
fn decoder(caps: &gst::Caps) -> Result<gst::Element, String> {
    let named = ["avdec_h264", "openh264dec"]
        .into_iter()
        .filter_map(gst::ElementFactory::find);
    let all = gst::ElementFactory::factories_with_type(
        gst::ElementFactoryType::DECODER,
        gst::Rank::MARGINAL,
    );
    named
        .chain(all)
        .find(|factory| factory.can_sink_any_caps(caps))
        .and_then(|factory| factory.create().build().ok())
        .ok_or_else(|| "there is no decoder for them: install gstreamer1.0-libav".into())
}

fn packed(sample: &gst::Sample) -> Option<(gst::ClockTime, Planes)> {
    let (buffer, caps) = (sample.buffer()?, sample.caps()?);
    let info = gst_video::VideoInfo::from_caps(caps).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let mut planes = Planes::default();
    for (p, plane) in planes.iter_mut().enumerate() {
        let component = p as u32;
        let (width, height) = (
            frame.comp_width(component) as usize,
            frame.comp_height(component) as usize,
        );
        let stride = usize::try_from(*frame.plane_stride().get(p)?).ok()?;
        let data = frame.plane_data(component).ok()?;
        for y in 0..height {
            plane.extend_from_slice(data.get(y * stride..)?.get(..width)?);
        }
    }
    Some((buffer.pts()?, planes))
}
