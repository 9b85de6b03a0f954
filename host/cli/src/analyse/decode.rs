//! Decodes a file as fast as it goes, and gives each stream's frames and samples to [`Picture`] and [`Sound`].
//!
//! ```text
//! uridecodebin ─┬─ videoconvert ─ appsink ─ Picture       (a stream each)
//!               └─ audioconvert ─ audioresample ─ appsink ─ Sound
//! ```
//! The container's timestamps are seen where they leave its demuxer, before a decoder mends them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_video::prelude::*;
use gstdais::mark::Luma;

use super::AnalyseError;
use super::picture::Picture;
use super::sound::Sound;

/// Without a frame or a sample for so long, decoding hangs.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// One stream as its demuxer gives it.
#[derive(Default)]
pub struct Packets {
    pub codec: String,
    pub times: Vec<Option<u64>>,
}

pub enum Content {
    Picture(Picture),
    Sound { sound: Sound, shape: (u32, u32) },
}

pub struct Stream {
    /// Joins it with its packets.
    pub id: String,
    pub content: Content,
}

/// All that was found in a file.
#[derive(Default)]
pub struct Decoded {
    pub container: Option<String>,
    /// Seconds, as the container says.
    pub said: Option<f64>,
    pub packets: BTreeMap<String, Packets>,
    pub streams: Vec<Stream>,
    /// What stopped it, or could not be decoded.
    pub problems: Vec<String>,
}

type Packet = Arc<Mutex<Packets>>;
type Content_ = Arc<Mutex<Option<Content>>>;

#[derive(Default)]
struct Found {
    packets: Mutex<Vec<(String, Packet)>>,
    streams: Mutex<Vec<(String, Content_)>>,
    problems: Mutex<Vec<String>>,
    container: Mutex<Option<&'static str>>,
    progress: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the whole file. An error only if nothing of it could be decoded.
pub fn decode(file: &Path) -> Result<Decoded, AnalyseError> {
    let unreadable = |what: String| AnalyseError::Unreadable {
        file: file.to_owned(),
        what,
    };
    let ours = |error: glib::BoolError| AnalyseError::GStreamer(error.to_string());
    let absolute = file.canonicalize().map_err(|e| unreadable(e.to_string()))?;
    if !absolute.is_file() {
        return Err(unreadable("it is no file".into()));
    }
    std::fs::File::open(&absolute).map_err(|e| unreadable(e.to_string()))?;
    let uri = glib::filename_to_uri(&absolute, None).map_err(|e| unreadable(e.to_string()))?;
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("uridecodebin")
        .property("uri", uri.as_str())
        .build()
        .map_err(ours)?;
    pipeline.add(&source).map_err(ours)?;
    let found = Arc::new(Found::default());
    watch_demuxers(&pipeline, &found);
    let (weak, seen) = (pipeline.downgrade(), found.clone());
    source.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(error) = take(&pipeline, pad, &seen)
        {
            lock(&seen.problems).push(error.to_string());
        }
    });
    let mut decoded = Decoded::default();
    let played = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus();
    if let Some(bus) = &bus {
        follow(bus, &found, &mut decoded);
    }
    let said = pipeline.query_duration::<gst::ClockTime>();
    decoded.said = said.map(|time| time.nseconds() as f64 / 1e9);
    if decoded.container.is_none() {
        decoded.container = lock(&found.container).map(String::from);
    }
    // Joins the streaming threads: what follows is alone with the streams.
    let _ = pipeline.set_state(gst::State::Null);
    if let Err(error) = played
        && decoded.problems.is_empty()
    {
        decoded.problems.push(error.to_string());
    }
    decoded.problems.append(&mut lock(&found.problems));
    for (id, packets) in lock(&found.packets).drain(..) {
        decoded
            .packets
            .insert(id, std::mem::take(&mut *lock(&packets)));
    }
    for (id, content) in lock(&found.streams).drain(..) {
        if let Some(content) = lock(&content).take() {
            decoded.streams.push(Stream { id, content });
        }
    }
    let nothing = found.progress.load(Ordering::Relaxed) == 0;
    if nothing {
        let what = if decoded.problems.is_empty() {
            "it has no picture and no sound".into()
        } else {
            decoded.problems.join("; ")
        };
        return Err(unreadable(what));
    }
    Ok(decoded)
}

/// Until the end of the stream, an error, or a standstill.
fn follow(bus: &gst::Bus, found: &Found, decoded: &mut Decoded) {
    let mut progress = 0;
    loop {
        let Some(message) = bus.timed_pop(PATIENCE) else {
            let now = found.progress.load(Ordering::Relaxed);
            if now == progress {
                decoded
                    .problems
                    .push("decoding stood still for 30 s".into());
                return;
            }
            progress = now;
            continue;
        };
        match message.view() {
            gst::MessageView::Eos(_) => return,
            gst::MessageView::Error(error) => {
                decoded.problems.push(error.error().to_string());
                return;
            }
            gst::MessageView::Tag(tags) => {
                if let Some(name) = tags.tags().get::<gst::tags::ContainerFormat>() {
                    decoded.container.get_or_insert(name.get().to_owned());
                }
            }
            gst::MessageView::Element(element) => {
                let missing = element
                    .structure()
                    .filter(|s| s.name() == "missing-plugin")
                    .and_then(|s| s.get::<String>("name").ok());
                if let Some(name) = missing {
                    decoded.problems.push(format!("no plugin for: {name}"));
                }
            }
            _ => {}
        }
    }
}

fn watch_demuxers(pipeline: &gst::Pipeline, found: &Arc<Found>) {
    let found = found.clone();
    pipeline.connect_deep_element_added(move |_, _, element| {
        let demuxer = element
            .factory()
            .is_some_and(|f| f.metadata("klass").is_some_and(|k| k.contains("Demux")));
        if demuxer {
            let name = element.factory().map(|f| f.name());
            if let Some(name) = name.and_then(|name| untagged(&name)) {
                *lock(&found.container) = Some(name);
            }
            let found = found.clone();
            element.connect_pad_added(move |_, pad| watch_packets(pad, &found));
        }
    });
}

/// Containers that no tag names, by their demuxer.
fn untagged(demuxer: &str) -> Option<&'static str> {
    match demuxer {
        "tsdemux" => Some("MPEG-TS"),
        "flvdemux" => Some("FLV"),
        "oggdemux" => Some("Ogg"),
        "wavparse" => Some("WAV"),
        _ => None,
    }
}

fn watch_packets(pad: &gst::Pad, found: &Found) {
    if pad.direction() != gst::PadDirection::Src {
        return;
    }
    let packets = Packet::default();
    let Some(id) = pad.stream_id() else { return };
    lock(&found.packets).push((id.into(), packets.clone()));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let mut packets = lock(&packets);
            if packets.codec.is_empty()
                && let Some(caps) = pad.current_caps()
            {
                packets.codec = codec(&caps);
            }
            packets
                .times
                .push(buffer.pts().map(gst::ClockTime::nseconds));
        }
        gst::PadProbeReturn::Ok
    });
}

/// A codec's usual name.
fn codec(caps: &gst::Caps) -> String {
    let Some(s) = caps.structure(0) else {
        return String::new();
    };
    let name = match s.name().as_str() {
        "video/x-h264" => "H.264",
        "video/x-h265" => "H.265",
        "video/x-vp8" => "VP8",
        "video/x-vp9" => "VP9",
        "video/x-av1" => "AV1",
        "audio/x-opus" => "Opus",
        "audio/x-vorbis" => "Vorbis",
        "audio/x-flac" => "FLAC",
        "audio/mpeg" if s.get::<i32>("mpegversion").is_ok_and(|v| v != 1) => "AAC",
        "audio/mpeg" => "MP3",
        "video/x-raw" | "audio/x-raw" => "raw",
        other => other,
    };
    name.into()
}

/// Adds what a decoded stream needs.
fn take(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    found: &Arc<Found>,
) -> Result<(), glib::BoolError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let kind = caps
        .structure(0)
        .map(|s| s.name().to_string())
        .unwrap_or_default();
    let (chain, content): (&[&str], Content) = match kind.as_str() {
        "video/x-raw" => (&["videoconvert"], Content::Picture(Picture::new())),
        "audio/x-raw" => {
            let s = caps.structure(0);
            let number = |field| s.and_then(|s| s.get::<i32>(field).ok()).unwrap_or(0);
            let shape = (
                number("rate").unsigned_abs(),
                number("channels").unsigned_abs(),
            );
            let sound = Sound::new();
            (
                &["audioconvert", "audioresample"],
                Content::Sound { sound, shape },
            )
        }
        // Subtitles and the like: they must go somewhere, else the others wait for them.
        _ => (
            &[],
            Content::Sound {
                sound: Sound::new(),
                shape: (0, 0),
            },
        ),
    };
    let sink = if chain.is_empty() {
        gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()?
    } else {
        let content = Arc::new(Mutex::new(Some(content)));
        let id = pad.stream_id().map(String::from).unwrap_or_default();
        lock(&found.streams).push((id, content.clone()));
        sink(kind == "video/x-raw", content, found.clone()).upcast()
    };
    let mut elements = chain
        .iter()
        .map(|name| gst::ElementFactory::make(name).build())
        .collect::<Result<Vec<_>, _>>()?;
    elements.push(sink);
    pipeline.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    for element in &elements {
        element.sync_state_with_parent()?;
    }
    let input = elements.first().and_then(|e| e.static_pad("sink"));
    let input = input.ok_or_else(|| glib::bool_error!("a converter without a pad"))?;
    pad.link(&input)
        .map(|_| ())
        .map_err(|error| glib::bool_error!("a stream can't be converted: {error}"))
}

fn sink(video: bool, content: Content_, found: Arc<Found>) -> gst_app::AppSink {
    let caps = if video {
        gst::Caps::builder("video/x-raw")
            .field(
                "format",
                gst::List::new(["I420", "NV12", "YV12", "NV21", "Y42B", "Y444", "GRAY8"]),
            )
            .build()
    } else {
        gst::Caps::builder("audio/x-raw")
            .field(
                "format",
                if cfg!(target_endian = "big") {
                    "F32BE"
                } else {
                    "F32LE"
                },
            )
            .field("layout", "interleaved")
            .field("rate", 48_000)
            .field("channels", gst::IntRange::new(1, 2))
            .build()
    };
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        found.progress.fetch_add(1, Ordering::Relaxed);
        match &mut *lock(&content) {
            Some(Content::Picture(picture)) => see(picture, &sample),
            Some(Content::Sound { sound, .. }) => hear(sound, &sample),
            None => None,
        };
        Ok(gst::FlowSuccess::Ok)
    });
    gst_app::AppSink::builder()
        .caps(&caps)
        .sync(false)
        .max_buffers(4)
        .callbacks(callbacks.build())
        .build()
}

/// Seconds of the file's time.
fn shown_at(sample: &gst::Sample, pts: Option<gst::ClockTime>) -> Option<f64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let time = segment.to_running_time(pts?)?;
    Some(time.nseconds() as f64 / 1e9)
}

fn see(picture: &mut Picture, sample: &gst::Sample) -> Option<()> {
    let (buffer, caps) = (sample.buffer()?, sample.caps()?);
    let info = gst_video::VideoInfo::from_caps(caps).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let (width, height) = (info.width() as usize, info.height() as usize);
    picture.size = (width, height);
    let fps = info.fps();
    picture.fps = (fps.numer() > 0).then(|| f64::from(fps.numer()) / f64::from(fps.denom()));
    let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
    let luma = Luma::new(frame.plane_data(0).ok()?, stride, width, height)?;
    let duration = buffer.duration().map(|d| d.nseconds() as f64 / 1e9);
    picture.push(&luma, shown_at(sample, buffer.pts()), duration);
    Some(())
}

fn hear(sound: &mut Sound, sample: &gst::Sample) -> Option<()> {
    let (buffer, caps) = (sample.buffer()?, sample.caps()?);
    let channels: i32 = caps.structure(0)?.get("channels").ok()?;
    let map = buffer.map_readable().ok()?;
    let samples: Vec<f32> = map
        .chunks_exact(4)
        .filter_map(|b| Some(f32::from_ne_bytes(b.try_into().ok()?)))
        .collect();
    sound.push(
        &samples,
        usize::try_from(channels).ok()?,
        shown_at(sample, buffer.pts()),
    );
    Some(())
}
