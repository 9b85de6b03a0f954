//! Parts of capture pipelines: from a source or a decoder to the host's slot.

use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;

use crate::element::{filter, make};
use crate::encoder::raw_sound_caps;
use crate::error::StudioError;
use crate::slot::Slot;
use crate::studio::Shared;

pub(super) fn chain(
    pipeline: &gst::Pipeline,
    elements: Vec<gst::Element>,
) -> Result<(), StudioError> {
    crate::element::chain(pipeline, "capture", &elements.iter().collect::<Vec<_>>())
}

pub(super) fn file(pipeline: &gst::Pipeline, path: &Path) -> Result<gst::Element, StudioError> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    let decode = make("decodebin")?;
    chain(pipeline, vec![source, decode.clone()])?;
    Ok(decode)
}

pub(super) fn picture_branch(
    shared: &Shared,
    host: &Arc<Slot>,
    pipeline: &gst::Pipeline,
    decode: &gst::Element,
    paced: bool,
) -> Result<(), StudioError> {
    let programme = &shared.config.programme;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", gst::IntRange::new(2, programme.width as i32))
        .field("height", gst::IntRange::new(2, programme.height as i32))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    branch(
        pipeline,
        decode,
        paced,
        "video/x-raw",
        vec![
            make("videoconvert")?,
            make("videoscale")?,
            filter(&caps)?,
            picture_sink(host, paced),
        ],
    )
}

pub(super) fn sound_branch(
    shared: &Shared,
    host: &Arc<Slot>,
    pipeline: &gst::Pipeline,
    decode: &gst::Element,
) -> Result<(), StudioError> {
    let elements = vec![
        make("audioconvert")?,
        make("audioresample")?,
        filter(&raw_sound_caps())?,
        sound_sink(shared, host, true),
    ];
    branch(pipeline, decode, true, "audio/x-raw", elements)
}

/// Hangs a branch on the first pad of `decode` that gives `media`.
fn branch(
    pipeline: &gst::Pipeline,
    decode: &gst::Element,
    paced: bool,
    media: &'static str,
    elements: Vec<gst::Element>,
) -> Result<(), StudioError> {
    let queue = make("queue")?;
    if paced {
        // Read ahead, so that nothing is missing while the file begins again.
        queue.set_property("max-size-time", 300_000_000u64);
        queue.set_property("max-size-buffers", 0u32);
        queue.set_property("max-size-bytes", 0u32);
    } else {
        queue.set_property("max-size-buffers", 3u32);
    }
    let mut all = vec![queue.clone()];
    all.extend(elements);
    chain(pipeline, all)?;
    let Some(entry) = queue.static_pad("sink") else {
        return Err(StudioError::pipeline("capture", "a queue without pad"));
    };
    decode.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps.structure(0).is_some_and(|s| s.name() == media) && !entry.is_linked() {
            // A refusal comes to the bus as an error of the source.
            let _ = pad.link(&entry);
        }
    });
    Ok(())
}

pub(super) fn picture_sink(host: &Arc<Slot>, paced: bool) -> gst::Element {
    let host = host.clone();
    sink(paced, move |sample| {
        if paced {
            // A file's own time is not the studio's: without it a frame counts as captured when it comes.
            let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
                return;
            };
            let mut buffer = buffer.copy();
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(gst::ClockTime::NONE);
            }
            host.video
                .put(&gst::Sample::builder().buffer(&buffer).caps(&caps).build());
        } else {
            host.video.put(&sample);
        }
    })
}

pub(super) fn sound_sink(shared: &Shared, host: &Arc<Slot>, paced: bool) -> gst::Element {
    let (host, shared) = (host.clone(), shared.clone());
    let mut samples: Vec<f32> = Vec::with_capacity(4800);
    sink(paced, move |sample| {
        let Some(buffer) = sample.buffer() else {
            return;
        };
        let segment = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::format::Time>());
        if let (false, Some(segment), Some(pts)) = (paced, segment, buffer.pts())
            && let Some(captured) = segment.to_running_time(pts)
        {
            shared
                .lips
                .saw_sound(shared.time.now().saturating_sub(captured));
        }
        let Ok(map) = buffer.map_readable() else {
            return;
        };
        samples.clear();
        samples.extend(
            map.as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes)),
        );
        host.audio.push(&samples);
    })
}

/// Live sources give their frames when they are there (`sync` would add the latency that they report); files are paced by the clock.
fn sink(paced: bool, mut take: impl FnMut(gst::Sample) + Send + 'static) -> gst::Element {
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            take(sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    gst_app::AppSink::builder()
        .max_buffers(2)
        .sync(paced)
        .callbacks(callbacks)
        .build()
        .upcast()
}
