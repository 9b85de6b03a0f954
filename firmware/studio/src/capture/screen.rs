//! What the host sees: the programme on a screen of the board (HDMI, DSI), by the kernel's mode setting (KMS), without a desktop.
//!
//! ```text
//! mix ─▶ slot: its newest picture ─▶ appsrc ! videoscale ! videoconvert ! kmssink, in a mode of the screen's own
//! ```
//!
//! The mix leaves its picture in the slot and goes on. A screen that is slow, switched off, unplugged or hangs costs itself alone,
//! and comes back by itself. Its thread is no real-time thread: a busy machine shows less here before the programme loses anything.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::{End, LOOK, STALLED, keep_open};
use crate::element::{chain, filter, make, posted_error};
use crate::encoder::raw_video_caps;
use crate::error::StudioError;
use crate::health::add;
use crate::studio::Shared;

const WHAT: &str = "the host's screen shows nothing";
/// How often the kernel is asked whether the screen is still there.
const ASK: Duration = Duration::from_secs(1);

/// The newest picture of the programme, for whoever shows it.
#[derive(Default)]
pub(crate) struct Newest {
    wanted: AtomicBool,
    picture: Mutex<Option<gst::Buffer>>,
    came: Condvar,
}

impl Newest {
    pub fn put(&self, picture: &gst::Buffer) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let old = {
            let mut newest = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
            newest.replace(picture.clone())
        };
        self.came.notify_all();
        // Back to its pool, which has a lock of its own.
        drop(old);
    }

    fn take(&self, wait: Duration) -> Option<gst::Buffer> {
        let newest = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(newest, wait, |n| n.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// What `[monitor] video` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    /// As the kernel calls it: `HDMI-A-1`.
    Connector(String),
}

/// `None` for `none`.
pub(crate) fn parse(spec: &str) -> Result<Option<Wanted>, StudioError> {
    let named = |name: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=32).contains(&name.len()) && name.chars().all(known)
    };
    match (spec, spec.strip_prefix("kms:")) {
        ("none", _) => Ok(None),
        ("kms", _) => Ok(Some(Wanted::Any)),
        (_, Some(name)) if named(name) => Ok(Some(Wanted::Connector(name.into()))),
        _ => Err(StudioError::Config {
            key: "monitor.video",
            what: format!("\"{spec}\" is none of \"none\", \"kms\", \"kms:CONNECTOR\" (HDMI-A-1)"),
        }),
    }
}

/// A connector with a screen at it.
#[derive(Debug, PartialEq, Eq)]
struct Screen {
    /// Its folder in sysfs, which says whether it is still connected.
    folder: PathBuf,
    card: PathBuf,
    connector: String,
    /// Kernels before 6.5 do not say it: then GStreamer takes the first one that is connected.
    id: Option<i32>,
    /// The best first.
    modes: Vec<(u32, u32)>,
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// What the connector of this folder in sysfs says.
fn is_connected(connector: &Path) -> bool {
    read(&connector.join("status")) == "connected"
}

impl Screen {
    fn find(sys: &Path, dev: &Path, wanted: &Wanted) -> Result<Screen, String> {
        let mut connectors: Vec<(String, PathBuf)> = fs::read_dir(sys.join("class/drm"))
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name().into_string().ok()?, entry.path()))
            })
            .filter(|(name, _)| name.starts_with("card") && name.contains('-'))
            .collect();
        connectors.sort();
        let called = |name: &str| name.split_once('-').map_or("", |(_, c)| c).to_owned();
        let list = |all: &[(String, PathBuf)]| {
            let names: Vec<String> = all.iter().map(|(name, _)| called(name)).collect();
            names.join(", ")
        };
        if connectors.is_empty() {
            return Err("the kernel knows no screen output here: its graphics driver is missing, or the board has none".into());
        }
        let all = list(&connectors);
        if let Wanted::Connector(wanted) = wanted {
            connectors.retain(|(name, _)| called(name) == *wanted);
            if connectors.is_empty() {
                return Err(format!("there is no {wanted}, only {all}"));
            }
        }
        let tried = list(&connectors);
        let found = connectors
            .into_iter()
            .find(|(_, folder)| is_connected(folder));
        let Some((name, folder)) = found else {
            return Err(format!("nothing is connected to {tried}"));
        };
        let size = |mode: &str| {
            let (width, height) = mode.split_once('x')?;
            // An interlaced one has an "i" behind it.
            Some((width.parse().ok()?, height.parse().ok()?))
        };
        let modes: Vec<(u32, u32)> = read(&folder.join("modes"))
            .lines()
            .filter_map(size)
            .collect();
        if modes.is_empty() {
            return Err(format!("{} says no mode that it can show", called(&name)));
        }
        let card = name.split('-').next().unwrap_or(&name);
        Ok(Screen {
            card: dev.join("dri").join(card),
            connector: called(&name),
            id: read(&folder.join("connector_id")).parse().ok(),
            modes,
            folder,
        })
    }

    /// The programme's own size if the screen has it: nothing is scaled then.
    fn mode(&self, programme: (u32, u32)) -> (u32, u32) {
        match self.modes.contains(&programme) {
            true => programme,
            false => self.modes[0],
        }
    }
}

/// Starts the screen's thread, if one is set.
pub(crate) fn start(
    shared: &Shared,
    stop: &Arc<AtomicBool>,
) -> Result<Option<std::thread::JoinHandle<()>>, StudioError> {
    let Some(wanted) = parse(&shared.config.monitor.video)? else {
        return Ok(None);
    };
    let (shared, stop) = (shared.clone(), stop.clone());
    std::thread::Builder::new()
        .name("screen".into())
        .spawn(move || keep(&shared, &wanted, &stop))
        .map(Some)
        .map_err(StudioError::Thread)
}

fn keep(shared: &Shared, wanted: &Wanted, stop: &AtomicBool) {
    let advice = |why: &str| {
        format!(
            "Switch the screen on and check its cable, or set [monitor] video. It is tried again. ({why})"
        )
    };
    keep_open(shared, "drm", WHAT, stop, advice, |alive| {
        let found = Screen::find(Path::new("/sys"), Path::new("/dev"), wanted);
        let shown = match found.and_then(|screen| Shown::open(shared, screen)) {
            Ok(shown) => shown,
            Err(why) => return End::Broken(why),
        };
        shared.screen.wanted.store(true, Ordering::Relaxed);
        let end = shown.run(shared, stop, alive);
        shared.screen.wanted.store(false, Ordering::Relaxed);
        drop(shared.screen.take(Duration::ZERO));
        shown.leave();
        end
    });
}

/// A screen that shows.
struct Shown {
    screen: Screen,
    pipeline: gst::Pipeline,
    entry: gst_app::AppSrc,
    sink: gst::Element,
    /// Ours, so that the card is this one; it must live as long as the sink.
    card: File,
}

impl Shown {
    fn open(shared: &Shared, screen: Screen) -> Result<Shown, String> {
        let text = |error: StudioError| error.to_string();
        let p = &shared.config.programme;
        let card = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&screen.card)
            .map_err(|error| {
                format!(
                    "{} can't be opened: {error}: is this user in the group video?",
                    screen.card.display()
                )
            })?;
        let info = raw_video_caps(p.width, p.height, p.fps).map_err(text)?;
        let entry = gst_app::AppSrc::builder()
            .caps(&info.to_caps().map_err(|e| e.to_string())?)
            .format(gst::Format::Time)
            .is_live(true)
            .build();
        let (width, height) = screen.mode((p.width, p.height));
        let shape = gst::Caps::builder("video/x-raw")
            .field("width", width as i32)
            .field("height", height as i32)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        let sink = make("kmssink").map_err(text)?;
        sink.set_property("fd", card.as_raw_fd());
        sink.set_property("force-modesetting", true);
        // As soon as it comes: what waits for its time is late.
        sink.set_property("sync", false);
        if let Some(id) = screen.id {
            sink.set_property("connector-id", id);
        }
        let pipeline = gst::Pipeline::new();
        shared.time.adopt(&pipeline);
        let elements = [
            entry.upcast_ref(),
            &make("videoscale").map_err(text)?,
            &make("videoconvert").map_err(text)?,
            &filter(&shape).map_err(text)?,
            &sink,
        ];
        chain(&pipeline, "screen", &elements).map_err(text)?;
        let shown = Shown {
            screen,
            pipeline,
            entry,
            sink,
            card,
        };
        if shown.pipeline.set_state(gst::State::Playing).is_err() {
            let why = shown.error().unwrap_or_else(|| "it did not start".into());
            shown.leave();
            return Err(why);
        }
        tracing::info!(
            connector = shown.screen.connector,
            card = %shown.screen.card.display(),
            width,
            height,
            "the programme is shown on a screen"
        );
        Ok(shown)
    }

    fn run(&self, shared: &Shared, stop: &AtomicBool, alive: &mut dyn FnMut()) -> End {
        let (mut rendered, mut since) = (0, Instant::now());
        let mut asked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Some(picture) = shared.screen.take(LOOK) {
                if self.entry.current_level_buffers() > 0 {
                    // It has not taken the one before.
                    add(&shared.counters.screen_dropped, 1);
                } else if self.entry.push_buffer(picture).is_err() {
                    let why = self.error();
                    return End::Broken(why.unwrap_or_else(|| "it takes no pictures".into()));
                }
            } else {
                // The programme itself stands still.
                since = Instant::now();
            }
            if let Some(why) = self.error() {
                return End::Broken(why);
            }
            let now = self.rendered();
            if now != rendered {
                (rendered, since) = (now, Instant::now());
                alive();
            } else if since.elapsed() > STALLED {
                return End::Broken(format!(
                    "{} took no picture for {} s",
                    self.screen.connector,
                    STALLED.as_secs()
                ));
            }
            if asked.elapsed() > ASK {
                asked = Instant::now();
                if !is_connected(&self.screen.folder) {
                    return End::Broken(format!(
                        "nothing is connected to {}",
                        self.screen.connector
                    ));
                }
            }
        }
        End::Stopped
    }

    fn rendered(&self) -> u64 {
        let stats: Option<gst::Structure> = self.sink.property("stats");
        stats.and_then(|s| s.get("rendered").ok()).unwrap_or(0)
    }

    fn error(&self) -> Option<String> {
        posted_error(&self.pipeline).map(|error| error.to_string())
    }

    /// A driver that hangs may hold up whoever stops it: that is a thread of its own.
    fn leave(self) {
        let _ = std::thread::Builder::new()
            .name("screen-end".into())
            .spawn(move || {
                let _ = self.pipeline.set_state(gst::State::Null);
                drop(self.card);
            });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn connector(sys: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = sys.join("class/drm").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    #[test]
    fn a_screen_is_a_connector_or_any_or_none() {
        assert_eq!(parse("none").unwrap(), None);
        assert_eq!(parse("kms").unwrap(), Some(Wanted::Any));
        let named = Wanted::Connector("HDMI-A-1".into());
        assert_eq!(parse("kms:HDMI-A-1").unwrap(), Some(named));
        for bad in ["", "hdmi", "kms:", "kms:../card0", "KMS"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_screen_that_is_connected_is_found_with_its_modes() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, dev) = (folder.path(), Path::new("/dev"));
        let find = |wanted: &Wanted| Screen::find(sys, dev, wanted);
        let why = find(&Wanted::Any).unwrap_err();
        assert!(why.contains("no screen output"), "{why}");
        // A Raspberry Pi's 3D unit is a card without connectors.
        connector(sys, "card0", &[]);
        connector(sys, "renderD128", &[]);
        connector(sys, "card1-HDMI-A-1", &[("status", "disconnected\n")]);
        connector(sys, "card1-Writeback-1", &[("status", "unknown\n")]);
        let why = find(&Wanted::Any).unwrap_err();
        assert!(why.contains("connected to HDMI-A-1"), "{why}");
        let modes = "3840x2160\n1920x1080i\n1920x1080\n1280x720\n";
        connector(
            sys,
            "card1-HDMI-A-2",
            &[
                ("status", "connected\n"),
                ("modes", modes),
                ("connector_id", "38\n"),
            ],
        );
        let found = find(&Wanted::Any).unwrap();
        assert_eq!(found.card, Path::new("/dev/dri/card1"));
        assert_eq!((found.connector.as_str(), found.id), ("HDMI-A-2", Some(38)));
        assert_eq!(found.mode((1920, 1080)), (1920, 1080));
        assert_eq!(found.mode((640, 360)), (3840, 2160));
        assert!(is_connected(&found.folder));
        let named = |name: &str| Wanted::Connector(name.into());
        assert_eq!(find(&named("HDMI-A-2")).unwrap(), found);
        let why = find(&named("HDMI-A-1")).unwrap_err();
        assert!(why.contains("nothing is connected"), "{why}");
        let why = find(&named("DSI-1")).unwrap_err();
        assert!(why.contains("no DSI-1, only HDMI-A-1"), "{why}");
    }

    #[test]
    fn the_slot_keeps_the_newest_picture_and_nothing_while_nobody_looks() {
        gst::init().unwrap();
        let slot = Newest::default();
        let picture = |n| gst::Buffer::from_slice([n]);
        slot.put(&picture(1));
        assert!(slot.take(Duration::ZERO).is_none());
        slot.wanted.store(true, Ordering::Relaxed);
        slot.put(&picture(2));
        slot.put(&picture(3));
        let taken = slot.take(Duration::ZERO).unwrap();
        assert_eq!(taken.map_readable().unwrap().as_slice(), [3]);
        assert!(slot.take(Duration::ZERO).is_none());
    }
}
