//! The host's camera and microphone: a pipeline each, which dies and comes back without the programme.
//!
//! ```text
//! v4l2src | videotestsrc | file, decoded ! videoconvert ! videoscale ! I420 ! appsink → video slot of the host
//! ALSA    | audiotestsrc | file, decoded ! audioconvert ! audioresample ! F32LE ! appsink → audio slot of the host
//! ```
//!
//! There is no videorate: the mix takes the newest frame, whatever the camera's rate. ALSA is read here and not by `alsasrc`, whose
//! slaving jumps and which keeps overruns to itself; the slot's queue corrects the drift.
//!
//! A device is looked up by its identity each time it is opened, and opened again as soon as udev says that one was plugged in.
//! A capture card is asked all the time whether a signal comes in. While there is none the host's tile is a slate that says why.

mod branch;
mod edid;
mod hotplug;
mod identity;
mod microphone;
mod mixer;
pub mod monitor;
mod pcm;
mod pipeline;
pub(crate) mod screen;
mod signal;
mod trouble;
mod v4l2;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::api::Source;
use crate::error::StudioError;
use crate::health::add;
use crate::slot::Slot;
use crate::studio::Shared;
use hotplug::Plugs;
pub use identity::{Device, Places};
pub use mixer::Control;
pub(crate) use mixer::controls;
pub use signal::Signal;
use trouble::Trouble;

/// Where the host's picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoSpec {
    Test,
    V4l2(Device),
    File(PathBuf),
}

/// Where the host's sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSpec {
    Test,
    Alsa(Device),
    File(PathBuf),
    None,
}

impl VideoSpec {
    pub fn parse(spec: &str) -> Result<VideoSpec, StudioError> {
        let known = match spec.split_once(':') {
            None if spec == "test" => Some(VideoSpec::Test),
            Some(("v4l2", device)) => Device::camera(device).map(VideoSpec::V4l2),
            Some(("file", path)) if !path.is_empty() => Some(VideoSpec::File(path.into())),
            _ => None,
        };
        known.ok_or_else(|| StudioError::Config {
            key: "capture.video",
            what: format!("\"{spec}\" is none of \"test\", \"v4l2:DEVICE\", \"file:PATH\""),
        })
    }
}

impl AudioSpec {
    pub fn parse(spec: &str) -> Result<AudioSpec, StudioError> {
        let known = match spec.split_once(':') {
            None if spec == "test" => Some(AudioSpec::Test),
            None if spec == "none" => Some(AudioSpec::None),
            Some(("alsa", device)) => Device::sound(device).map(AudioSpec::Alsa),
            Some(("file", path)) if !path.is_empty() => Some(AudioSpec::File(path.into())),
            _ => None,
        };
        known.ok_or_else(|| StudioError::Config {
            key: "capture.audio",
            what: format!(
                "\"{spec}\" is none of \"test\", \"alsa:DEVICE\", \"file:PATH\", \"none\""
            ),
        })
    }
}

/// A capture that gave nothing for so long is dead. A camera may take its time until the first frame.
const STALLED: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_secs(5);
/// Between two tries: the first soon, since a plug is often only pushed in again.
const BACK_OFF: [u64; 5] = [300, 1000, 2000, 5000, 10_000];
const LOOK: Duration = Duration::from_millis(100);

/// What one capture pipeline makes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Picture(VideoSpec),
    Sound(AudioSpec),
    /// Both from one file, so that they stay together.
    Both(PathBuf),
}

impl What {
    fn noun(&self) -> &'static str {
        match self {
            What::Sound(_) => "the host's sound",
            What::Picture(_) | What::Both(_) => "the host's picture",
        }
    }

    fn trouble(&self) -> (&'static str, String) {
        match self {
            What::Picture(VideoSpec::V4l2(device)) => (
                Signal::NoCamera.trouble(),
                format!("Check the camera and its cable: {device}. It is tried again."),
            ),
            What::Sound(AudioSpec::Alsa(device)) => (
                "the host's microphone gives no sound",
                format!("Check the microphone and its cable: {device}. It is tried again."),
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
    /// The camera sends another format: from the beginning.
    Changed,
    /// The capture card is well, and no usable signal comes in.
    Lost(Signal),
    Broken(String),
}

const CHANGED: &str = "New format";

/// Runs a capture, and runs it again.
fn keep(shared: &Shared, host: &Arc<Slot>, what: &What, stop: &AtomicBool) {
    let plugs = match what {
        What::Picture(VideoSpec::V4l2(_)) => Plugs::listen("video4linux"),
        What::Sound(AudioSpec::Alsa(_)) => Plugs::listen("sound"),
        _ => Plugs::none(),
    };
    let mut failures = 0;
    let mut away: Option<Instant> = None;
    let mut trouble = Trouble::new(shared);
    let (what_is_wrong, advice) = what.trouble();
    // The slate first: the tile shall not be empty.
    let blank = |words: &str| match what {
        What::Sound(_) => host.audio.clear(),
        What::Picture(_) => {
            shared.stage.set_slate(words);
            host.video.clear();
        }
        What::Both(_) => {
            shared.stage.set_slate(words);
            host.video.clear();
            host.audio.clear();
        }
    };
    // Of a card's input only: a test picture has no signal.
    let told = |signal: Signal| {
        if matches!(what, What::Picture(VideoSpec::V4l2(_))) {
            shared.counters.tell_signal(signal);
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let mut came = false;
        let mut alive = || {
            came = true;
            told(Signal::Ok);
            trouble.over();
            if let Some(since) = away.take() {
                let ms = since.elapsed().as_millis() as u64;
                tracing::info!(away_ms = ms, "{} is back", what.noun());
            }
        };
        let end = run(shared, host, what, failures, stop, &mut alive);
        if came {
            failures = 0;
        }
        if !matches!(end, End::Over) {
            away.get_or_insert_with(Instant::now);
        }
        match end {
            End::Stopped => return,
            End::Over if came => {}
            End::Over => wait_again(&mut failures, stop, &plugs),
            End::Changed => {
                tracing::info!("the camera sends another format");
                add(&shared.counters.camera_reopened, 1);
                blank(CHANGED);
            }
            End::Lost(signal) => {
                if came {
                    add(&shared.counters.camera_reopened, 1);
                }
                blank(signal.words());
                told(signal);
                trouble.is(signal.trouble(), || signal.advice().into());
                wait(signal::EVERY, stop, &plugs);
            }
            End::Broken(why) => {
                tracing::warn!(why, "{what_is_wrong}");
                let counter = match what {
                    What::Sound(_) => &shared.counters.microphone_reopened,
                    _ => &shared.counters.camera_reopened,
                };
                add(counter, 1);
                blank(Signal::NoCamera.words());
                told(Signal::NoCamera);
                trouble.is(what_is_wrong, || format!("{advice} ({why})"));
                wait_again(&mut failures, stop, &plugs);
            }
        }
    }
}

/// Opens one of the host's outputs, and again when it broke, for as long as the box runs. `once` is one run of it, which says when
/// something came out; `what` is wrong while nothing does.
fn keep_open(
    shared: &Shared,
    subsystem: &'static str,
    what: &'static str,
    stop: &AtomicBool,
    advice: impl Fn(&str) -> String,
    mut once: impl FnMut(&mut dyn FnMut()) -> End,
) {
    let plugs = Plugs::listen(subsystem);
    let mut trouble = Trouble::new(shared);
    let mut failures = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut worked = false;
        let end = once(&mut || {
            worked = true;
            trouble.over();
        });
        if worked {
            failures = 0;
        }
        if let End::Broken(why) = end {
            tracing::warn!(why, "{what}");
            trouble.is(what, || advice(&why));
            wait_again(&mut failures, stop, &plugs);
        }
    }
}

/// Waits ever longer, but not past a device that was plugged in.
fn wait_again(failures: &mut usize, stop: &AtomicBool, plugs: &Plugs) {
    let back_off = Duration::from_millis(BACK_OFF[(*failures).min(BACK_OFF.len() - 1)]);
    *failures += 1;
    if wait(back_off, stop, plugs) {
        // It may need a moment until it opens: the short waits again.
        *failures = 0;
    }
}

/// Returns early, and true, when a device was plugged in.
fn wait(long: Duration, stop: &AtomicBool, plugs: &Plugs) -> bool {
    let until = Instant::now() + long;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        if plugs.came() {
            return true;
        }
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    false
}

/// One run of a capture, from opening the device to whatever ends it.
fn run(
    shared: &Shared,
    host: &Arc<Slot>,
    what: &What,
    failures: usize,
    stop: &AtomicBool,
    alive: &mut dyn FnMut(),
) -> End {
    let mut found = None;
    match what {
        What::Sound(AudioSpec::Alsa(device)) => {
            return match Places::default().pcm(device) {
                Ok(name) => microphone::run(shared, host, &name, stop, alive),
                Err(why) => End::Broken(why),
            };
        }
        What::Picture(VideoSpec::V4l2(device)) => {
            let opened = Places::default().camera(device).and_then(|node| {
                let card = signal::Watch::open(&node)
                    .map_err(|error| format!("{} can't be opened: {error}", node.display()))?;
                Ok((node, card))
            });
            match opened {
                Ok((node, card)) => {
                    let signal = card.prepare();
                    if signal != Signal::Ok {
                        return End::Lost(signal);
                    }
                    found = Some((node, card));
                }
                Err(why) => return End::Broken(why),
            }
        }
        _ => {}
    }
    let node = found.as_ref().map(|(node, _)| node.as_path());
    let card = found.as_ref().map(|(_, card)| card);
    // Some drivers export dmabuf and then fail at it.
    let mmap = failures % 2 == 1;
    match pipeline::build(shared, host, what, node, mmap) {
        Ok(pipeline) => {
            if let Some(node) = node {
                tracing::info!(node = %node.display(), mmap, "the camera is open");
            }
            let end = watch(&pipeline, host, what, card, stop, alive);
            let _ = pipeline.set_state(gst::State::Null);
            end
        }
        Err(error) => End::Broken(error.to_string()),
    }
}

/// Watches a running capture; `alive` is called each time something came.
fn watch(
    pipeline: &gst::Pipeline,
    host: &Slot,
    what: &What,
    card: Option<&signal::Watch>,
    stop: &AtomicBool,
    alive: &mut dyn FnMut(),
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
    let mut looked = Instant::now();
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
        if let Some(card) = card
            && looked.elapsed() >= signal::EVERY
        {
            looked = Instant::now();
            match card.look() {
                None => return End::Broken("it was unplugged".into()),
                Some(look) if look.signal != Signal::Ok => return End::Lost(look.signal),
                Some(look) if look.changed => return End::Changed,
                Some(_) => {}
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
