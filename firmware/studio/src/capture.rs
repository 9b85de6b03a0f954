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
//! A device is looked up by its identity each time it is opened, and opened again as soon as udev says that one was plugged in. Which
//! one `auto` takes, and when a camera does without dmabuf: [`taken`].
//! A capture card is asked all the time whether a signal comes in. While there is none the host's tile is a slate that says why.

mod branch;
mod edid;
mod hotplug;
mod identity;
#[cfg(test)]
mod machine;
mod microphone;
mod mixer;
pub mod monitor;
mod pcm;
mod pipeline;
pub(crate) mod screen;
mod signal;
mod spec;
mod taken;
mod trouble;
mod v4l2;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::api::Source;
use crate::element;
use crate::error::StudioError;
use crate::health::add;
use crate::slot::Slot;
use crate::studio::Shared;
use hotplug::Plugs;
pub use identity::{Device, Places};
pub use mixer::Control;
pub(crate) use mixer::controls;
pub use signal::Signal;
use spec::What;
pub use spec::{AudioSpec, VideoSpec};
use taken::{Found, Place, Taken};
use trouble::Trouble;

/// A capture that gave nothing for so long is dead. A camera may take its time until the first frame.
const STALLED: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_secs(5);
/// Between two tries: the first soon, since a plug is often only pushed in again.
const BACK_OFF: [u64; 5] = [300, 1000, 2000, 5000, 10_000];
const LOOK: Duration = Duration::from_millis(100);
/// A driver that does not end its stream in this hangs: the host's tile says so, and the camera is tried again.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

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
    let camera = Place::default();
    captures
        .into_iter()
        .map(|what| {
            let (shared, host, stop) = (shared.clone(), host.clone(), stop.clone());
            let taken = Taken::new(&camera);
            let name = if matches!(what, What::Sound(_)) {
                "microphone"
            } else {
                "camera"
            };
            std::thread::Builder::new()
                .name(name.into())
                .spawn(move || keep(&shared, &host, &what, taken, &stop))
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
    /// Another sound card is `auto`'s now.
    Another,
    /// The capture card is well, and no usable signal comes in.
    Lost(Signal),
    Broken(String),
}

const CHANGED: &str = "New format";

/// Runs a capture, and runs it again.
fn keep(shared: &Shared, host: &Arc<Slot>, what: &What, mut taken: Taken, stop: &AtomicBool) {
    let plugs = match what {
        What::Sound(AudioSpec::Alsa(_) | AudioSpec::Auto) => Plugs::listen("sound"),
        _ if what.is_camera() => Plugs::listen("video4linux"),
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
        if what.is_camera() {
            shared.counters.tell_signal(signal);
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let found = taken.open(what).transpose();
        let device = found.as_ref().ok().and_then(Option::as_ref);
        let mmap = device.is_some_and(|found| what.is_camera() && taken.without_dmabuf(found));
        let (mut came, mut looked) = (false, Instant::now());
        let mut alive = || {
            came = true;
            taken.works();
            told(Signal::Ok);
            trouble.over();
            if let Some(since) = away.take() {
                let ms = since.elapsed().as_millis() as u64;
                tracing::info!(away_ms = ms, "{} is back", what.noun());
            }
            if !matches!(what, What::Sound(AudioSpec::Auto)) || looked.elapsed() < signal::EVERY {
                return true;
            }
            looked = Instant::now();
            if plugs.came() {
                taken.plugged();
            }
            !taken.has_another()
        };
        let end = match &found {
            Ok(found) => run(shared, host, what, found.as_ref(), mmap, stop, &mut alive),
            Err(why) => End::Broken(why.clone()),
        };
        if came {
            failures = 0;
        }
        if !matches!(end, End::Over) {
            away.get_or_insert_with(Instant::now);
        }
        let plugged = match end {
            End::Stopped => return,
            End::Over if came => false,
            End::Over => wait_again(&mut failures, stop, &plugs),
            End::Changed => {
                tracing::info!("the camera sends another format");
                add(&shared.counters.camera_reopened, 1);
                blank(CHANGED);
                false
            }
            End::Another => {
                add(&shared.counters.microphone_reopened, 1);
                false
            }
            End::Lost(signal) => {
                if came {
                    add(&shared.counters.camera_reopened, 1);
                }
                blank(signal.words());
                told(signal);
                trouble.is(signal.trouble(), || signal.advice().into());
                wait(signal::EVERY, stop, &plugs)
            }
            End::Broken(why) => {
                let why = match device {
                    Some(device) if what.is_auto() => format!("{device}: {why}"),
                    _ => why,
                };
                tracing::warn!(why, "{what_is_wrong}");
                let counter = match what {
                    What::Sound(_) => &shared.counters.microphone_reopened,
                    _ => &shared.counters.camera_reopened,
                };
                add(counter, 1);
                blank(Signal::NoCamera.words());
                told(Signal::NoCamera);
                trouble.is(what_is_wrong, || format!("{advice} ({why})"));
                if let Some(device) = device {
                    taken.failed(device, mmap || !what.is_camera());
                }
                wait_again(&mut failures, stop, &plugs)
            }
        };
        if plugged {
            taken.plugged();
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

/// Waits ever longer, but not past a device that was plugged in: then true.
fn wait_again(failures: &mut usize, stop: &AtomicBool, plugs: &Plugs) -> bool {
    let back_off = Duration::from_millis(BACK_OFF[(*failures).min(BACK_OFF.len() - 1)]);
    *failures += 1;
    let plugged = wait(back_off, stop, plugs);
    if plugged {
        // It may need a moment until it opens: the short waits again.
        *failures = 0;
    }
    plugged
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

/// One run of a capture, from opening the device, where it has one, to whatever ends it. `alive`: see [`watch`].
fn run(
    shared: &Shared,
    host: &Arc<Slot>,
    what: &What,
    device: Option<&Found>,
    mmap: bool,
    stop: &AtomicBool,
    alive: &mut dyn FnMut() -> bool,
) -> End {
    let node = device.map(|found| found.node.as_str());
    let mut card = None;
    if let (What::Sound(_), Some(node)) = (what, node) {
        return microphone::run(shared, host, node, stop, alive);
    }
    if let Some(node) = node {
        let opened = match signal::Watch::open(Path::new(node)) {
            Ok(opened) => card.insert(opened),
            Err(error) => return End::Broken(format!("{node} can't be opened: {error}")),
        };
        let signal = opened.prepare();
        if signal != Signal::Ok {
            return End::Lost(signal);
        }
    }
    match pipeline::build(shared, host, what, node, mmap) {
        Ok(pipeline) => {
            if let Some(found) = device {
                let (node, name) = (&found.node, &found.name);
                tracing::info!(node, name, mmap, "the camera is open");
            }
            let end = watch(&pipeline, host, what, card.as_ref(), stop, alive);
            if !element::stop(&pipeline, STOPS_WITHIN) {
                tracing::warn!(node, "the driver does not let go of the camera");
            }
            end
        }
        Err(error) => End::Broken(error.to_string()),
    }
}

/// Watches a running capture; `alive` is called each time something came, and says whether it goes on.
fn watch(
    pipeline: &gst::Pipeline,
    host: &Slot,
    what: &What,
    card: Option<&signal::Watch>,
    stop: &AtomicBool,
    alive: &mut dyn FnMut() -> bool,
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
                gst::MessageView::AsyncDone(_) if what.is_file() && !looping => {
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
            if !alive() {
                return End::Another;
            }
        } else if since.elapsed() > if first { FIRST } else { STALLED } {
            return End::Broken(format!("nothing came for {} s", since.elapsed().as_secs()));
        }
    }
}
