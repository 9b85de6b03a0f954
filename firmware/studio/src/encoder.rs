//! Encoders as pipelines of their own: raw buffers in at one end, a [`Feed`] at the other.
//!
//! ```text
//! appsrc ! x264enc ! h264parse ! appsink      appsrc ! audioconvert ! avenc_aac ! aacparse ! appsink
//! ```
//!
//! Which encoder is used was found by trying: it produced frames on this machine a moment ago ([`choose`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::config::Encoder;
use crate::element::{filter, make, posted_error};
use crate::error::StudioError;
use crate::feed::Feed;
use crate::rt;
use crate::time::StudioTime;

/// What a video encoder has to make.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoShape {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub kbps: u32,
    /// Longest distance of keyframes, in frames.
    pub keyframe: u32,
    /// For browsers: constrained baseline.
    pub baseline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    X264,
    Openh264,
    Vp8,
    AvAac,
    VoAac,
    FdkAac,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Codec::X264 => "x264enc",
            Codec::Openh264 => "openh264enc",
            Codec::Vp8 => "vp8enc",
            Codec::AvAac => "avenc_aac",
            Codec::VoAac => "voaacenc",
            Codec::FdkAac => "fdkaacenc",
        }
    }
}

/// One running encoder.
pub(crate) struct Encoding {
    pipeline: gst::Pipeline,
    pub appsrc: gst_app::AppSrc,
    pub encoder: gst::Element,
}

impl Drop for Encoding {
    fn drop(&mut self) {
        // A stalled encoder may take its time: whoever drops it does so off the media path.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

pub(crate) fn raw_video_caps(
    width: u32,
    height: u32,
    fps: u32,
) -> Result<gst_video::VideoInfo, StudioError> {
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
        .fps(gst::Fraction::new(fps as i32, 1))
        .par(gst::Fraction::new(1, 1))
        .colorimetry(&gst_video::VideoColorimetry::new(
            gst_video::VideoColorRange::Range16_235,
            gst_video::VideoColorMatrix::Bt709,
            gst_video::VideoTransferFunction::Bt709,
            gst_video::VideoColorPrimaries::Bt709,
        ))
        .build()
        .map_err(|e| StudioError::pipeline("encoder", e))
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

fn video_encoder(codec: Codec, shape: &VideoShape) -> Result<gst::Element, StudioError> {
    let encoder = make(codec.name())?;
    match codec {
        Codec::X264 => {
            encoder.set_property_from_str("tune", "zerolatency");
            // Measured here at 1080p: ultrafast 6.7 ms a frame, superfast 9.5 ms; ultrafast's pictures need half as many bits again.
            encoder.set_property_from_str("speed-preset", "superfast");
            encoder.set_property("bitrate", shape.kbps);
            encoder.set_property("key-int-max", shape.keyframe);
            encoder.set_property("bframes", 0u32);
            encoder.set_property("byte-stream", true);
            if shape.width * shape.height <= 640 * 360 {
                // One slice a picture, and no thread switches for a millisecond of work.
                encoder.set_property("threads", 1u32);
            }
        }
        Codec::Openh264 => {
            encoder.set_property("bitrate", shape.kbps * 1000);
            encoder.set_property("gop-size", shape.keyframe);
            encoder.set_property_from_str("complexity", "low");
            encoder.set_property_from_str("rate-control", "bitrate");
        }
        Codec::Vp8 => {
            encoder.set_property("deadline", 1i64);
            encoder.set_property("cpu-used", 8i32);
            encoder.set_property("target-bitrate", shape.kbps as i32 * 1000);
            encoder.set_property("keyframe-max-dist", shape.keyframe as i32);
            encoder.set_property("lag-in-frames", 0i32);
            encoder.set_property_from_str("end-usage", "cbr");
            encoder.set_property_from_str("error-resilient", "default");
            encoder.set_property("threads", 1i32);
        }
        Codec::AvAac | Codec::VoAac | Codec::FdkAac => {
            return Err(StudioError::pipeline(
                "encoder",
                format!("{} does not encode pictures", codec.name()),
            ));
        }
    }
    Ok(encoder)
}

impl Encoding {
    /// Builds and starts a video encoder that publishes to `feed`. `urgent`: it goes before what is not the programme.
    /// `encoded` hears of each unit's timestamp.
    pub fn video(
        codec: Codec,
        shape: &VideoShape,
        urgent: bool,
        time: &StudioTime,
        feed: &Arc<Feed>,
        encoded: impl Fn(gst::ClockTime) + Send + Sync + 'static,
    ) -> Result<Encoding, StudioError> {
        let info = raw_video_caps(shape.width, shape.height, shape.fps)?;
        let caps = info
            .to_caps()
            .map_err(|e| StudioError::pipeline("encoder", e))?;
        let encoder = video_encoder(codec, shape)?;
        let mut chain = vec![encoder.clone()];
        let out = if codec == Codec::Vp8 {
            gst::Caps::new_empty_simple("video/x-vp8")
        } else {
            if shape.baseline {
                let profile = gst::Caps::builder("video/x-h264")
                    .field("profile", "constrained-baseline")
                    .build();
                chain.push(filter(&profile)?);
            }
            let parse = make("h264parse")?;
            parse.set_property("config-interval", -1i32);
            chain.push(parse);
            gst::Caps::builder("video/x-h264")
                .field("stream-format", "byte-stream")
                .field("alignment", "au")
                .build()
        };
        Self::start(
            appsrc(&caps),
            encoder,
            chain,
            &out,
            urgent,
            time,
            feed,
            encoded,
        )
    }

    /// The same for sound.
    pub fn sound(
        codec: Codec,
        kbps: u32,
        time: &StudioTime,
        feed: &Arc<Feed>,
    ) -> Result<Encoding, StudioError> {
        let encoder = make(codec.name())?;
        encoder.set_property("bitrate", kbps as i32 * 1000);
        if codec == Codec::AvAac {
            // 30 s of pink noise take 0.28 s of a 2.6 GHz core, with the default (twoloop) 0.52 s.
            encoder.set_property_from_str("aac-coder", "fast");
        }
        let convert = make("audioconvert")?;
        let parse = make("aacparse")?;
        let chain = vec![convert, encoder.clone(), parse];
        let out = gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4i32)
            .field("stream-format", "raw")
            .build();
        Self::start(
            appsrc(&raw_sound_caps()),
            encoder,
            chain,
            &out,
            true,
            time,
            feed,
            |_| {},
        )
    }

    #[allow(clippy::too_many_arguments)] // Private, and each is another thing.
    fn start(
        appsrc: gst_app::AppSrc,
        encoder: gst::Element,
        chain: Vec<gst::Element>,
        out: &gst::Caps,
        urgent: bool,
        time: &StudioTime,
        feed: &Arc<Feed>,
        encoded: impl Fn(gst::ClockTime) + Send + Sync + 'static,
    ) -> Result<Encoding, StudioError> {
        let which = "encoder";
        let feed = feed.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(caps) = sample.caps() {
                    feed.set_caps(caps);
                }
                if let Some((unit, pts)) = in_running_time(&sample) {
                    encoded(pts);
                    feed.publish(&unit);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let appsink = gst_app::AppSink::builder()
            .caps(out)
            .sync(false)
            .async_(false)
            .callbacks(callbacks)
            .build();
        let pipeline = gst::Pipeline::new();
        time.adopt(&pipeline);
        if urgent {
            rt::raise_streams(&pipeline);
        }
        let mut elements: Vec<gst::Element> = vec![appsrc.clone().upcast()];
        elements.extend(chain);
        elements.push(appsink.upcast());
        pipeline
            .add_many(&elements)
            .map_err(|e| StudioError::pipeline(which, e))?;
        gst::Element::link_many(&elements).map_err(|e| StudioError::pipeline(which, e))?;
        let encoding = Encoding {
            pipeline,
            appsrc,
            encoder,
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
        crate::element::chain(&pipeline, "test", &[appsrc.upcast_ref(), &encoder])?;
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Encoding {
            pipeline,
            appsrc,
            encoder,
        })
    }

    /// What the pipeline says went wrong, if it did.
    pub fn error(&self) -> Option<String> {
        posted_error(&self.pipeline).map(|e| e.to_string())
    }
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

/// How long an encoder may take for its first unit before it counts as not working. Hardware opens slowly; software needs 50 ms.
const TRIAL: Duration = Duration::from_secs(3);

/// The first H.264 encoder that produces frames of this shape here and now.
pub(crate) fn choose(wanted: Encoder, shape: &VideoShape) -> Result<Codec, StudioError> {
    let candidates: &[Codec] = match wanted {
        Encoder::Auto => &[Codec::X264, Codec::Openh264],
        Encoder::X264 => &[Codec::X264],
        Encoder::Openh264 => &[Codec::Openh264],
    };
    first_that_works("H.264", candidates, |codec| {
        let time = StudioTime::start();
        let feed = Feed::new("trial");
        let encoding = Encoding::video(codec, shape, false, &time, &feed, |_| {})?;
        let info = raw_video_caps(shape.width, shape.height, shape.fps)?;
        try_out(&encoding, &feed, 5, u64::from(shape.fps), || {
            gst::Buffer::from_slice(vec![128u8; info.size()])
        })
    })
}

/// The first AAC encoder that produces blocks here and now.
pub(crate) fn choose_sound(kbps: u32) -> Result<Codec, StudioError> {
    first_that_works(
        "AAC",
        &[Codec::FdkAac, Codec::AvAac, Codec::VoAac],
        |codec| {
            let time = StudioTime::start();
            let feed = Feed::new("trial");
            let encoding = Encoding::sound(codec, kbps, &time, &feed)?;
            try_out(&encoding, &feed, 10, 100, || {
                gst::Buffer::from_slice(vec![0u8; 480 * 8])
            })
        },
    )
}

fn first_that_works(
    what: &'static str,
    candidates: &[Codec],
    works: impl Fn(Codec) -> Result<(), StudioError>,
) -> Result<Codec, StudioError> {
    let mut tried = Vec::new();
    for codec in candidates {
        match works(*codec) {
            Ok(()) => {
                tracing::info!(encoder = codec.name(), "this {what} encoder works here");
                return Ok(*codec);
            }
            Err(error) => tried.push(format!("{}: {error}", codec.name())),
        }
    }
    Err(StudioError::NoEncoder {
        codec: what,
        tried: tried.join("; "),
    })
}

fn try_out(
    encoding: &Encoding,
    feed: &Feed,
    buffers: u64,
    rate: u64,
    make: impl Fn() -> gst::Buffer,
) -> Result<(), StudioError> {
    for n in 0..buffers {
        let mut buffer = make();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(n * 1_000_000_000 / rate));
            buffer.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / rate));
        }
        encoding
            .appsrc
            .push_buffer(buffer)
            .map_err(|e| StudioError::pipeline("encoder", e))?;
    }
    let began = Instant::now();
    while feed.units() == 0 {
        if let Some(error) = encoding.error() {
            return Err(StudioError::pipeline("encoder", error));
        }
        if began.elapsed() > TRIAL {
            return Err(StudioError::pipeline(
                "encoder",
                "nothing came out of it in 3 s",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
