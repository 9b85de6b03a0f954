//! One running encoder, a pipeline of its own.
//!
//! ```text
//! appsrc ! (videoconvert) ! x264enc ! h264parse ! appsink      appsrc ! audioconvert ! avenc_aac ! aacparse ! appsink
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use super::sound::Codec;
use super::{Rung, VideoShape, raw_video_caps};
use crate::element::{chain, make, posted_error};
use crate::error::StudioError;
use crate::rt;
use crate::time::StudioTime;

/// One running encoder.
pub(crate) struct Encoding {
    pipeline: gst::Pipeline,
    pub appsrc: gst_app::AppSrc,
    pub encoder: gst::Element,
    /// Nobody wants its units any more: a late one must not come between those of its successor.
    left: Arc<AtomicBool>,
}

/// One access unit, stamped with running time.
pub(crate) struct Unit<'a> {
    pub caps: Option<&'a gst::CapsRef>,
    pub buffer: &'a gst::Buffer,
    pub pts: gst::ClockTime,
}

impl Unit<'_> {
    pub fn is_keyframe(&self) -> bool {
        !self.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        // A stalled encoder may take its time: whoever drops it does so off the media path.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

pub(crate) fn raw_sound_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("rate", 48_000i32)
        .field("channels", 2i32)
        .field("layout", "interleaved")
        .field("channel-mask", gst::Bitmask::new(0x3))
        .build()
}

fn appsrc(caps: &gst::Caps) -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .is_live(true)
        .min_latency(0)
        .max_buffers(0)
        .max_bytes(0)
        .block(false)
        .build()
}

impl Encoding {
    /// Builds and starts a video encoder. `urgent`: it goes before what is not the programme. `take` gets its units on the encoder's thread and must not block.
    pub fn video(
        rung: &Rung,
        shape: &VideoShape,
        urgent: bool,
        time: &StudioTime,
        take: impl Fn(&Unit<'_>) + Send + Sync + 'static,
    ) -> Result<Encoding, StudioError> {
        let info = raw_video_caps(shape.width, shape.height, shape.fps)?;
        let caps = info
            .to_caps()
            .map_err(|e| StudioError::pipeline("encoder", e))?;
        let built = rung.build(shape, &caps)?;
        let parts = Parts {
            appsrc: appsrc(&caps),
            encoder: built.encoder,
            chain: built.chain,
            out: built.out,
        };
        Self::start(parts, urgent, time, take)
    }

    /// The same for sound.
    pub fn sound(
        codec: Codec,
        kbps: u32,
        time: &StudioTime,
        take: impl Fn(&Unit<'_>) + Send + Sync + 'static,
    ) -> Result<Encoding, StudioError> {
        let encoder = make(codec.name())?;
        encoder.set_property("bitrate", kbps as i32 * 1000);
        if codec == Codec::Av {
            // 30 s of pink noise take 0.28 s of a 2.6 GHz core, with the default (twoloop) 0.52 s.
            encoder.set_property_from_str("aac-coder", "fast");
        }
        let convert = make("audioconvert")?;
        let parse = make("aacparse")?;
        let parts = Parts {
            appsrc: appsrc(&raw_sound_caps()),
            encoder: encoder.clone(),
            chain: vec![convert, encoder, parse],
            out: gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 4i32)
                .field("stream-format", "raw")
                .build(),
        };
        Self::start(parts, true, time, take)
    }

    fn start(
        parts: Parts,
        urgent: bool,
        time: &StudioTime,
        take: impl Fn(&Unit<'_>) + Send + Sync + 'static,
    ) -> Result<Encoding, StudioError> {
        let which = "encoder";
        let left = Arc::new(AtomicBool::new(false));
        let is_left = left.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if is_left.load(Ordering::Acquire) {
                    return Err(gst::FlowError::Eos);
                }
                if let Some((buffer, pts)) = in_running_time(&sample) {
                    take(&Unit {
                        caps: sample.caps(),
                        buffer: &buffer,
                        pts,
                    });
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let appsink = gst_app::AppSink::builder()
            .caps(&parts.out)
            .sync(false)
            .async_(false)
            .callbacks(callbacks)
            .build();
        let pipeline = gst::Pipeline::new();
        time.adopt(&pipeline);
        if urgent {
            rt::raise_streams(&pipeline);
        }
        let mut elements: Vec<gst::Element> = vec![parts.appsrc.clone().upcast()];
        elements.extend(parts.chain);
        elements.push(appsink.upcast());
        chain(&pipeline, which, &elements.iter().collect::<Vec<_>>())?;
        let encoding = Encoding {
            pipeline,
            appsrc: parts.appsrc,
            encoder: parts.encoder,
            left,
        };
        encoding
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| {
                StudioError::pipeline(
                    which,
                    encoding
                        .error()
                        .unwrap_or_else(|| "it did not start".into()),
                )
            })?;
        Ok(encoding)
    }

    /// An encoder that takes everything and gives nothing.
    #[cfg(test)]
    pub fn stalled(time: &StudioTime) -> Result<Encoding, StudioError> {
        let (appsrc, encoder) = (appsrc(&raw_sound_caps()), make("fakesink")?);
        let pipeline = gst::Pipeline::new();
        time.adopt(&pipeline);
        chain(&pipeline, "test", &[appsrc.upcast_ref(), &encoder])?;
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Encoding {
            pipeline,
            appsrc,
            encoder,
            left: Arc::default(),
        })
    }

    /// What the pipeline says went wrong, if it did.
    pub fn error(&self) -> Option<String> {
        posted_error(&self.pipeline).map(|e| e.to_string())
    }

    /// No unit comes from here any more. Stopping a stalled encoder may take for ever: that is done on a thread of its own.
    pub fn leave(self) {
        self.left.store(true, Ordering::Release);
        let _ = std::thread::Builder::new()
            .name("encoder-end".into())
            .spawn(move || drop(self));
    }
}

/// What an encoder's pipeline is made of.
struct Parts {
    appsrc: gst_app::AppSrc,
    encoder: gst::Element,
    chain: Vec<gst::Element>,
    out: gst::Caps,
}

/// Asks an encoder for a keyframe with headers; returns at once.
pub(crate) fn request_keyframe(encoder: &gst::Element) {
    if let Some(pad) = encoder.static_pad("src") {
        pad.send_event(
            gst_video::UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build(),
        );
    }
}

/// x264enc stamps from 1000 hours on: its segment says so, and only running time means the same to a feed's subscribers.
fn in_running_time(sample: &gst::Sample) -> Option<(gst::Buffer, gst::ClockTime)> {
    let segment = sample
        .segment()?
        .downcast_ref::<gst::format::Time>()?
        .clone();
    let mut unit = sample.buffer_owned()?;
    let pts = segment.to_running_time(unit.pts()?)?;
    let stamped = unit.make_mut();
    stamped.set_pts(pts);
    // Without B-frames both are the same; a muxer needs it said.
    stamped.set_dts(pts);
    Some((unit, pts))
}
