//! The pipelines of a camera, of a file and of the test sources.

use std::sync::Arc;

use gst::prelude::*;

use super::branch::{chain, file, picture_branch, picture_sink, sound_branch, sound_sink};
use super::{AudioSpec, VideoSpec, What};
use crate::element::{filter, make, posted_error};
use crate::encoder::raw_sound_caps;
use crate::error::StudioError;
use crate::rt;
use crate::slot::Slot;
use crate::studio::Shared;

/// Larger is scaled to nothing that anybody sees: the test picture is made of flat bars.
const TEST_MAX_HEIGHT: u32 = 720;

/// Makes the pipeline of everything but a microphone, and starts it. `node` is the camera's.
pub(super) fn build(
    shared: &Shared,
    host: &Arc<Slot>,
    what: &What,
    node: Option<&str>,
    mmap: bool,
) -> Result<gst::Pipeline, StudioError> {
    let pipeline = gst::Pipeline::new();
    rt::raise_streams(&pipeline);
    let programme = &shared.config.programme;
    match what {
        What::Picture(VideoSpec::Test) => {
            shared.time.adopt(&pipeline);
            let height = programme.height.min(TEST_MAX_HEIGHT);
            let width = (programme.width * height / programme.height) & !1;
            let source = make("videotestsrc")?;
            source.set_property("is-live", true);
            source.set_property_from_str("pattern", "smpte75");
            source.set_property("horizontal-speed", 4i32);
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", width as i32)
                .field("height", height as i32)
                .field("framerate", gst::Fraction::new(programme.fps as i32, 1))
                .build();
            chain(
                &pipeline,
                vec![source, filter(&caps)?, picture_sink(host, false)],
            )?;
        }
        What::Picture(VideoSpec::V4l2(_) | VideoSpec::Auto) => {
            shared.time.adopt(&pipeline);
            let source = make("v4l2src")?;
            if let Some(node) = node {
                source.set_property("device", node);
            }
            // Else as the driver can: dmabuf, where it exports that.
            if mmap {
                source.set_property_from_str("io-mode", "mmap");
            }
            let (wanted, decode) = (filter(&camera_caps(programme))?, make("decodebin")?);
            if let Some(pad) = wanted.static_pad("src") {
                pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
                    jpeg_is_full_range(info);
                    gst::PadProbeReturn::Ok
                });
            }
            chain(&pipeline, vec![source, wanted, decode.clone()])?;
            picture_branch(shared, host, &pipeline, &decode, false)?;
        }
        What::Sound(AudioSpec::Test) => {
            shared.time.adopt(&pipeline);
            let source = make("audiotestsrc")?;
            source.set_property("is-live", true);
            // A beep of 100 ms each second at -20 dBFS.
            source.set_property_from_str("wave", "ticks");
            source.set_property("freq", 1000f64);
            source.set_property("sine-periods-per-tick", 100u32);
            source.set_property("apply-tick-ramp", true);
            source.set_property("volume", 0.1f64);
            source.set_property("samplesperbuffer", 480i32);
            chain(
                &pipeline,
                vec![
                    source,
                    make("audioconvert")?,
                    filter(&raw_sound_caps())?,
                    sound_sink(shared, host, false),
                ],
            )?;
        }
        What::Picture(VideoSpec::File(path)) => {
            let decode = file(&pipeline, path)?;
            picture_branch(shared, host, &pipeline, &decode, true)?;
        }
        What::Sound(AudioSpec::File(path)) => {
            let decode = file(&pipeline, path)?;
            sound_branch(shared, host, &pipeline, &decode)?;
        }
        What::Both(path) => {
            let decode = file(&pipeline, path)?;
            picture_branch(shared, host, &pipeline, &decode, true)?;
            sound_branch(shared, host, &pipeline, &decode)?;
        }
        What::Sound(AudioSpec::Alsa(_) | AudioSpec::Auto | AudioSpec::None) => {
            return Err(StudioError::pipeline("capture", "no pipeline of this kind"));
        }
    }
    pipeline.set_state(gst::State::Playing).map_err(|_| {
        let why = posted_error(&pipeline).map(|e| e.to_string());
        let _ = pipeline.set_state(gst::State::Null);
        StudioError::pipeline("capture", why.unwrap_or_else(|| "it did not start".into()))
    })?;
    Ok(pipeline)
}

/// A camera's JPEG is BT.601 over the full range, as JFIF has it. Drivers say nothing of the kind, GStreamer takes that for limited range, and
/// its decoder believes it: the picture came out with too much contrast.
fn jpeg_is_full_range(info: &mut gst::PadProbeInfo) {
    if let Some(gst::PadProbeData::Event(event)) = &mut info.data
        && let gst::EventView::Caps(caps) = event.view()
        && caps
            .caps()
            .structure(0)
            .is_some_and(|s| s.name() == "image/jpeg")
    {
        let mut caps = caps.caps_owned();
        caps.make_mut().set("colorimetry", "1:4:0:0");
        *event = gst::event::Caps::new(&caps);
    }
}

/// What is asked of a camera: the programme's size and rate raw, else as JPEG, else what it has.
fn camera_caps(programme: &crate::config::ProgrammeConfig) -> gst::Caps {
    let (width, height) = (programme.width as i32, programme.height as i32);
    let rate = gst::Fraction::new(programme.fps as i32, 1);
    let mut caps = gst::Caps::new_empty();
    if let Some(caps) = caps.get_mut() {
        for kind in ["video/x-raw", "image/jpeg"] {
            let exact = gst::Structure::builder(kind)
                .field("width", width)
                .field("height", height)
                .field("framerate", rate);
            caps.append_structure(exact.build());
        }
        for kind in ["video/x-raw", "image/jpeg"] {
            let smaller = gst::Structure::builder(kind)
                .field("width", gst::IntRange::new(1, width))
                .field("height", gst::IntRange::new(1, height));
            caps.append_structure(smaller.build());
        }
        for kind in ["video/x-raw", "image/jpeg", "video/x-h264"] {
            caps.append_structure(gst::Structure::new_empty(kind));
        }
    }
    caps
}
