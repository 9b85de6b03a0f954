//! The host's camera and microphone: a pipeline each, which dies and comes back without the programme.
//!
//! ```text
//! v4l2src | videotestsrc | file, decoded ! videoconvert ! videoscale ! I420 ! appsink → video slot of the host
//! alsasrc | audiotestsrc | file, decoded ! audioconvert ! audioresample ! F32LE ! appsink → audio slot of the host
//! ```
//!
//! There is no videorate: the mix takes the newest frame, whatever the camera's rate. The sound card's clock is not slaved here:
//! skewing jumps and `resample` is not implemented; the slot's queue corrects the drift.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::api::{Event, Source};
use crate::element::{filter, make, posted_error};
use crate::encoder::raw_sound_caps;
use crate::error::StudioError;
use crate::rt;
use crate::slot::Slot;
use crate::studio::Shared;

/// Where the host's picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoSpec {
    Test,
    V4l2(String),
    File(PathBuf),
}

/// Where the host's sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSpec {
    Test,
    Alsa(String),
    File(PathBuf),
    None,
}

impl VideoSpec {
    pub fn parse(spec: &str) -> Result<VideoSpec, StudioError> {
        match spec.split_once(':') {
            None if spec == "test" => Ok(VideoSpec::Test),
            Some(("v4l2", device)) if !device.is_empty() => Ok(VideoSpec::V4l2(device.into())),
            Some(("file", path)) if !path.is_empty() => Ok(VideoSpec::File(path.into())),
            _ => Err(StudioError::Config {
                key: "capture.video",
                what: format!("\"{spec}\" is none of \"test\", \"v4l2:DEVICE\", \"file:PATH\""),
            }),
        }
    }
}

impl AudioSpec {
    pub fn parse(spec: &str) -> Result<AudioSpec, StudioError> {
        match spec.split_once(':') {
            None if spec == "test" => Ok(AudioSpec::Test),
            None if spec == "none" => Ok(AudioSpec::None),
            Some(("alsa", device)) if !device.is_empty() => Ok(AudioSpec::Alsa(device.into())),
            Some(("file", path)) if !path.is_empty() => Ok(AudioSpec::File(path.into())),
            _ => Err(StudioError::Config {
                key: "capture.audio",
                what: format!(
                    "\"{spec}\" is none of \"test\", \"alsa:DEVICE\", \"file:PATH\", \"none\""
                ),
            }),
        }
    }
}

/// A capture that gave nothing for so long is dead. A camera may take its time until the first frame.
const STALLED: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_secs(5);
/// Between two tries: the first soon, since a plug is often only pushed in again.
const BACK_OFF: [u64; 5] = [300, 1000, 2000, 5000, 10_000];
const LOOK: Duration = Duration::from_millis(100);
/// Larger is scaled to nothing that anybody sees: the test picture is made of flat bars.
const TEST_MAX_HEIGHT: u32 = 720;

/// What one capture pipeline makes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Picture(VideoSpec),
    Sound(AudioSpec),
    /// Both from one file, so that they stay together.
    Both(PathBuf),
}

impl What {
    fn trouble(&self) -> (&'static str, String) {
        match self {
            What::Picture(VideoSpec::V4l2(device)) => (
                "the host's camera gives no picture",
                format!("Check the cable and the camera at {device}. It is tried again."),
            ),
            What::Sound(AudioSpec::Alsa(device)) => (
                "the host's microphone gives no sound",
                format!("Check the microphone at {device}. It is tried again."),
            ),
            What::Picture(VideoSpec::File(path))
            | What::Sound(AudioSpec::File(path))
            | What::Both(path) => (
                "the host's file can't be played",
                format!("Check the file {}. It is tried again.", path.display()),
            ),
            What::Picture(VideoSpec::Test) | What::Sound(AudioSpec::Test | AudioSpec::None) => (
                "the test source stands still",
                "This machine may be overloaded. It is tried again.".into(),
            ),
        }
    }
}

/// Starts the threads that keep the host's capture alive until `stop`.
pub(crate) fn start(
    shared: &Shared,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<std::thread::JoinHandle<()>>, StudioError> {
    let config = &shared.config.capture;
    let (video, audio) = (
        VideoSpec::parse(&config.video)?,
        AudioSpec::parse(&config.audio)?,
    );
    let captures = match (&video, &audio) {
        (VideoSpec::File(v), AudioSpec::File(a)) if v == a => vec![What::Both(v.clone())],
        (_, AudioSpec::None) => vec![What::Picture(video)],
        _ => vec![What::Picture(video), What::Sound(audio)],
    };
    let host = shared.slots.add(Source::Host);
    captures
        .into_iter()
        .map(|what| {
            let (shared, host, stop) = (shared.clone(), host.clone(), stop.clone());
            let name = if matches!(what, What::Sound(_)) {
                "microphone"
            } else {
                "camera"
            };
            std::thread::Builder::new()
                .name(name.into())
                .spawn(move || keep(&shared, &host, &what, &stop))
                .map_err(StudioError::Thread)
        })
        .collect()
}

/// Why a capture ended.
enum End {
    Stopped,
    /// A file that can't seek is over: from the beginning.
    Over,
    Broken(String),
}

/// Builds the pipeline, watches it, and builds it again.
fn keep(shared: &Shared, host: &Arc<Slot>, what: &What, stop: &AtomicBool) {
    let mut failures = 0;
    let mut in_trouble = false;
    let (trouble, advice) = what.trouble();
    while !stop.load(Ordering::Relaxed) {
        let mut came = false;
        let end = match build(shared, host, what, failures) {
            Ok(pipeline) => {
                let end = watch(&pipeline, host, what, stop, || {
                    came = true;
                    if std::mem::take(&mut in_trouble) {
                        shared.tell(Event::TroubleOver {
                            what: trouble.into(),
                        });
                    }
                });
                let _ = pipeline.set_state(gst::State::Null);
                end
            }
            Err(error) => End::Broken(error.to_string()),
        };
        if came {
            failures = 0;
        }
        match end {
            End::Stopped => return,
            End::Over if came => continue,
            End::Over => wait_again(&mut failures, stop),
            End::Broken(why) => {
                tracing::warn!(why, "{trouble}");
                match what {
                    What::Picture(_) => host.video.clear(),
                    What::Sound(_) => host.audio.clear(),
                    What::Both(_) => {
                        host.video.clear();
                        host.audio.clear();
                    }
                }
                if !std::mem::replace(&mut in_trouble, true) {
                    shared.tell(Event::Trouble {
                        what: trouble.into(),
                        advice: format!("{advice} ({why})"),
                    });
                }
                wait_again(&mut failures, stop);
            }
        }
    }
}

fn wait_again(failures: &mut usize, stop: &AtomicBool) {
    let until =
        Instant::now() + Duration::from_millis(BACK_OFF[(*failures).min(BACK_OFF.len() - 1)]);
    *failures += 1;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
}

/// Watches a running capture; `alive` is called each time something came.
fn watch(
    pipeline: &gst::Pipeline,
    host: &Slot,
    what: &What,
    stop: &AtomicBool,
    mut alive: impl FnMut(),
) -> End {
    let Some(bus) = pipeline.bus() else {
        return End::Broken("it has no bus".into());
    };
    let came = || match what {
        What::Picture(_) | What::Both(_) => host.video.seq(),
        What::Sound(_) => host.audio.frames(),
    };
    let (mut seen, mut since, mut first) = (came(), Instant::now(), true);
    let mut looping = false;
    loop {
        if stop.load(Ordering::Relaxed) {
            return End::Stopped;
        }
        if let Some(message) = bus.timed_pop(gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64))
        {
            match message.view() {
                gst::MessageView::Error(error) => return End::Broken(error.error().to_string()),
                gst::MessageView::Eos(_) => return End::Over,
                gst::MessageView::AsyncDone(_) if is_file(what) && !looping => {
                    // Segment seeks make the loop seamless: at the end the demuxer goes on from the beginning.
                    looping = true;
                    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT;
                    let _ = pipeline.seek_simple(flags, gst::ClockTime::ZERO);
                }
                gst::MessageView::SegmentDone(_)
                    if pipeline
                        .seek_simple(gst::SeekFlags::SEGMENT, gst::ClockTime::ZERO)
                        .is_err() =>
                {
                    return End::Over;
                }
                _ => {}
            }
        }
        let now = came();
        if now != seen {
            (seen, since, first) = (now, Instant::now(), false);
            alive();
        } else if since.elapsed() > if first { FIRST } else { STALLED } {
            return End::Broken(format!("nothing came for {} s", since.elapsed().as_secs()));
        }
    }
}

fn is_file(what: &What) -> bool {
    matches!(
        what,
        What::Both(_) | What::Picture(VideoSpec::File(_)) | What::Sound(AudioSpec::File(_))
    )
}

fn build(
    shared: &Shared,
    host: &Arc<Slot>,
    what: &What,
    failures: usize,
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
        What::Picture(VideoSpec::V4l2(device)) => {
            shared.time.adopt(&pipeline);
            let source = make("v4l2src")?;
            source.set_property("device", device);
            if failures % 2 == 1 {
                // Some drivers export dmabuf and then fail at it.
                source.set_property_from_str("io-mode", "mmap");
            }
            let decode = make("decodebin")?;
            chain(
                &pipeline,
                vec![source, filter(&camera_caps(programme))?, decode.clone()],
            )?;
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
        What::Sound(AudioSpec::Alsa(device)) => {
            shared.time.adopt(&pipeline);
            let source = make("alsasrc")?;
            source.set_property("device", device);
            source.set_property("provide-clock", false);
            source.set_property_from_str("slave-method", "re-timestamp");
            source.set_property("buffer-time", 80_000i64);
            source.set_property("latency-time", 10_000i64);
            let elements = vec![
                source,
                make("audioconvert")?,
                make("audioresample")?,
                filter(&raw_sound_caps())?,
                sound_sink(shared, host, false),
            ];
            chain(&pipeline, elements)?;
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
        What::Sound(AudioSpec::None) => {
            return Err(StudioError::pipeline("capture", "there is no microphone"));
        }
    }
    pipeline.set_state(gst::State::Playing).map_err(|_| {
        let why = posted_error(&pipeline).map(|e| e.to_string());
        let _ = pipeline.set_state(gst::State::Null);
        StudioError::pipeline("capture", why.unwrap_or_else(|| "it did not start".into()))
    })?;
    Ok(pipeline)
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

fn chain(pipeline: &gst::Pipeline, elements: Vec<gst::Element>) -> Result<(), StudioError> {
    pipeline
        .add_many(&elements)
        .map_err(|e| StudioError::pipeline("capture", e))?;
    gst::Element::link_many(&elements).map_err(|e| StudioError::pipeline("capture", e))
}

fn file(pipeline: &gst::Pipeline, path: &Path) -> Result<gst::Element, StudioError> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    let decode = make("decodebin")?;
    chain(pipeline, vec![source, decode.clone()])?;
    Ok(decode)
}

fn picture_branch(
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

fn sound_branch(
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

fn picture_sink(host: &Arc<Slot>, paced: bool) -> gst::Element {
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

fn sound_sink(shared: &Shared, host: &Arc<Slot>, paced: bool) -> gst::Element {
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
