//! The encoders of the programme and of the returns: a place for each ([`Line`]), where an encoder comes and goes.

mod keeper;
mod pace;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::api::Event;
use crate::encoder::{
    self, Encoding, Key, Ladder, Passport, Passports, Rung, Terms, Unit, VideoShape,
};
use crate::error::StudioError;
use crate::feed::Feed;
use crate::health::{EncoderHealth, add};
use crate::studio::Shared;
use keeper::LOOK;
pub(crate) use keeper::keep;

/// Raw frames that may wait for an encoder: 400 ms at 30 frames a second, so that a short fit of the machine costs no frame.
const WAITING_FRAMES: u64 = 12;
/// Raw 10 ms blocks.
const WAITING_BLOCKS: u64 = 50;
/// No keyframe is asked for.
const NONE: u64 = u64::MAX;
/// The programme moves for so long before what has no passport is tried beside it.
const TRIALS_AFTER: Duration = Duration::from_secs(5);

type Build = Box<dyn Fn(&Line) -> Result<Encoding, StudioError> + Send + Sync>;

/// One encoder's place: it is always there, the encoder in it may come and go.
pub(crate) struct Line {
    name: &'static str,
    pub feed: Arc<Feed>,
    build: Build,
    /// The rungs of a picture's encoder; sound has one that works or none.
    ladder: Option<Ladder>,
    /// Only while somebody takes the feed.
    on_demand: bool,
    max_waiting: u64,
    open: Mutex<Option<Open>>,
    fed: AtomicU64,
    /// Found no place before the encoder.
    dropped: AtomicU64,
    /// Went into an encoder that failed, or came before the next one was there.
    lost: AtomicU64,
    rebuilt: AtomicU64,
    /// How many units had come when the oldest unanswered request for a keyframe was made.
    asked_at: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Open {
    appsrc: gst_app::AppSrc,
    encoder: gst::glib::WeakRef<gst::Element>,
}

impl Line {
    fn new(
        name: &'static str,
        feed: &Arc<Feed>,
        ladder: Option<Ladder>,
        on_demand: bool,
        max_waiting: u64,
        build: Build,
    ) -> Arc<Line> {
        let line = Arc::new(Line {
            name,
            feed: feed.clone(),
            build,
            ladder,
            on_demand,
            max_waiting,
            open: Mutex::default(),
            fed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            rebuilt: AtomicU64::new(0),
            asked_at: Arc::new(AtomicU64::new(NONE)),
        });
        let weak = Arc::downgrade(&line);
        feed.on_keyframe_request(move || {
            if let Some(line) = weak.upgrade() {
                line.request_keyframe();
            }
        });
        line
    }

    fn request_keyframe(&self) {
        let Some(encoder) = self.open().and_then(|o| o.encoder.upgrade()) else {
            return;
        };
        let _ = self.asked_at.compare_exchange(
            NONE,
            self.feed.units(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        encoder::request_keyframe(&encoder);
    }

    /// What takes an encoder's units into the feed.
    fn feeder(&self) -> impl Fn(&Unit<'_>) + Send + Sync + 'static {
        let (feed, asked_at) = (self.feed.clone(), self.asked_at.clone());
        move |unit| {
            if let Some(caps) = unit.caps {
                feed.set_caps(caps);
            }
            if unit.is_keyframe() {
                asked_at.store(NONE, Ordering::Relaxed);
            }
            feed.publish(unit.buffer);
        }
    }

    fn rung(&self) -> Result<(&Rung, &VideoShape), StudioError> {
        let ladder = self.ladder.as_ref();
        ladder
            .and_then(|ladder| Some((ladder.rung()?, &ladder.shape)))
            .ok_or_else(|| StudioError::pipeline("encoder", "it has no rung"))
    }

    /// Units in which a keyframe that was asked for has to come: half a second's, and at least as many as a trial allows.
    fn obeys_within(&self) -> Option<u64> {
        let ladder = self.ladder.as_ref()?;
        Some(u64::from(ladder.shape.fps / 2).max(10))
    }

    pub fn health(&self) -> Option<EncoderHealth> {
        let ladder = self.ladder.as_ref()?;
        Some(EncoderHealth {
            line: self.name,
            element: ladder.rung()?.element.clone(),
            left: ladder.left().iter().map(|r| r.element.clone()).collect(),
        })
    }

    fn open(&self) -> Option<Open> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether an encoder is there to take something.
    pub fn is_open(&self) -> bool {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Gives the encoder a frame or a block; one too many is dropped and counted. Never blocks.
    pub fn push(&self, buffer: gst::Buffer) {
        let Some(open) = self.open() else {
            if !self.on_demand && self.feed.units() > 0 {
                add(&self.lost, 1);
            }
            return;
        };
        add(&self.fed, 1);
        if open.appsrc.current_level_buffers() >= self.max_waiting
            || open.appsrc.push_buffer(buffer).is_err()
        {
            add(&self.dropped, 1);
        }
    }

    /// Frames that are not in the feed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.lost.load(Ordering::Relaxed)
    }

    pub fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    fn install(&self, encoding: Option<&Encoding>) {
        let open = encoding.map(|e| Open {
            appsrc: e.appsrc.clone(),
            encoder: e.encoder.downgrade(),
        });
        self.asked_at.store(NONE, Ordering::Relaxed);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }
}

/// All lines.
#[derive(Clone)]
pub(crate) struct Lines {
    pub programme: Arc<Line>,
    pub sound: Arc<Line>,
    pub return_h264: Arc<Line>,
    pub return_vp8: Arc<Line>,
    passports: Arc<Passports>,
    /// What may be tried when the programme moves.
    untried: Arc<Vec<(Rung, VideoShape)>>,
}

impl Lines {
    /// Finds out which encoders work here, and makes the lines. None runs yet.
    pub fn new(shared: &Shared) -> Result<Lines, StudioError> {
        let config = &shared.config;
        let p = &config.programme;
        let (programme, returns) = (
            VideoShape::of_programme(config),
            VideoShape::of_returns(config),
        );
        // Beside the pictures' encoders, so that the first frame does not wait for the sound's.
        let kbps = p.audio_kbps;
        let sound = std::thread::Builder::new()
            .name("encoder-trial".into())
            .spawn(move || encoder::choose_sound(kbps))
            .map_err(StudioError::Thread)?;
        let passports = Passports::open(config.passports.clone());
        let for_programme = encoder::find(p, &programme, &passports, true)?;
        // What gave a picture of the programme's shape a moment ago is not asked again.
        let for_returns = encoder::find(p, &returns, &passports, false)?;
        let troubles = [("programme", &for_programme), ("return", &for_returns)];
        for (what, advice) in troubles
            .into_iter()
            .flat_map(|(line, found)| found.troubles(line))
        {
            shared.tell(Event::Trouble { what, advice });
        }
        let untried = [
            (for_programme.untried, &programme),
            (for_returns.untried, &returns),
        ];
        let untried = untried
            .into_iter()
            .flat_map(|(rungs, shape)| rungs.into_iter().map(|rung| (rung, shape.clone())))
            .collect();
        let aac = sound
            .join()
            .map_err(|_| StudioError::pipeline("encoder", "the trial of AAC came to no end"))??;
        let feeds = &shared.feeds;
        let programme = {
            let (shared, moving) = (shared.clone(), Arc::new(AtomicBool::new(false)));
            let build = move |line: &Line| {
                let (s, moving) = (shared.clone(), moving.clone());
                let (rung, shape) = line.rung()?;
                let feeder = line.feeder();
                Encoding::video(rung, shape, true, &shared.time, move |unit| {
                    s.counters.ledger.encoded(unit.pts, s.time.now());
                    if !moving.swap(true, Ordering::Relaxed) {
                        s.tell(Event::Moving);
                    }
                    feeder(unit);
                })
            };
            Line::new(
                "programme",
                &feeds.programme,
                Some(Ladder::new(for_programme.rungs, programme)),
                false,
                WAITING_FRAMES,
                Box::new(build),
            )
        };
        let return_line = |name, feed, rungs| {
            let time = shared.time.clone();
            let build = move |line: &Line| {
                let (rung, shape) = line.rung()?;
                Encoding::video(rung, shape, false, &time, line.feeder())
            };
            let ladder = Ladder::new(rungs, returns.clone());
            Line::new(
                name,
                feed,
                Some(ladder),
                true,
                WAITING_FRAMES,
                Box::new(build),
            )
        };
        let sound = {
            let (time, kbps) = (shared.time.clone(), p.audio_kbps);
            let build = move |line: &Line| Encoding::sound(aac, kbps, &time, line.feeder());
            Line::new(
                "sound",
                &feeds.sound,
                None,
                true,
                WAITING_BLOCKS,
                Box::new(build),
            )
        };
        Ok(Lines {
            programme,
            sound,
            return_h264: return_line("return", &feeds.return_h264, for_returns.rungs),
            return_vp8: return_line("VP8 return", &feeds.return_vp8, vec![Rung::vp8()]),
            passports: Arc::new(passports),
            untried: Arc::new(untried),
        })
    }

    pub fn all(&self) -> [&Arc<Line>; 4] {
        [
            &self.programme,
            &self.sound,
            &self.return_h264,
            &self.return_vp8,
        ]
    }

    /// Tries in full what was not tried at the start, once the programme moves. Nothing to keep it in, nothing to try it for.
    pub fn try_rest(&self, stop: &Arc<AtomicBool>) {
        if self.untried.is_empty() || !self.passports.are_kept() {
            return;
        }
        let mut moving = None;
        while moving.is_none_or(|since: Instant| since.elapsed() < TRIALS_AFTER) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if moving.is_none() && self.programme.feed.units() > 0 {
                moving = Some(Instant::now());
            }
            std::thread::sleep(LOOK);
        }
        for (rung, shape) in self.untried.iter() {
            let Some(tried) = encoder::try_out(rung, shape, &Terms::beside(stop)) else {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                tracing::info!(
                    encoder = rung.element,
                    "this machine is too busy to try this encoder: at the next start"
                );
                continue;
            };
            let passport = Passport::new(Key::of(rung, shape), tried);
            tracing::info!(
                encoder = rung.element,
                width = shape.width,
                height = shape.height,
                refused = passport.refused,
                "this encoder has a passport"
            );
            if let Err(why) = passport.verdict() {
                for line in self.all() {
                    let ladder = line.ladder.as_ref().filter(|l| l.shape == *shape);
                    if let Some(ladder) = ladder {
                        ladder.condemn(&rung.element, &why);
                    }
                }
            }
            self.passports.put(passport);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_that_stalls_is_built_anew_and_begins_with_a_keyframe() {
        gst::init().unwrap();
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let shared = Shared::new(crate::StudioConfig::default(), events);
        let shape = VideoShape {
            width: 64,
            height: 64,
            fps: 30,
            kbps: 200,
            keyframe: 1000,
            baseline: false,
        };
        let x264 = Rung::new("x264enc", &Default::default());
        let ladder_shape = shape.clone();
        let time = shared.time.clone();
        let built = AtomicU64::new(0);
        let build = move |line: &Line| match built.fetch_add(1, Ordering::Relaxed) {
            0 => Encoding::stalled(&time),
            _ => {
                let rung = Rung::new("x264enc", &Default::default());
                Encoding::video(&rung, &shape, false, &time, line.feeder())
            }
        };
        let line = Line::new(
            "programme",
            &shared.feeds.programme,
            // The last rung.
            Some(Ladder::new(vec![x264], ladder_shape)),
            false,
            WAITING_FRAMES,
            Box::new(build),
        );
        let rest = |name, feed| {
            let none = |_: &Line| Err(StudioError::pipeline("test", "nobody wants it"));
            Line::new(name, feed, None, true, WAITING_FRAMES, Box::new(none))
        };
        let lines = Lines {
            programme: line.clone(),
            sound: rest("sound", &shared.feeds.sound),
            return_h264: rest("return", &shared.feeds.return_h264),
            return_vp8: rest("VP8 return", &shared.feeds.return_vp8),
            passports: Arc::new(Passports::open(None)),
            untried: Arc::default(),
        };
        let (keyframes, first) = std::sync::mpsc::channel();
        let _taken = shared.feeds.programme.subscribe("test", move |unit| {
            keyframes
                .send(!unit.flags().contains(gst::BufferFlags::DELTA_UNIT))
                .is_ok()
        });
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| keep(&shared, &lines, &stop));
            let began = Instant::now();
            let is_keyframe = loop {
                let mut frame = gst::Buffer::from_slice(vec![128u8; 64 * 64 * 3 / 2]);
                frame.get_mut().unwrap().set_pts(shared.time.now());
                line.push(frame);
                if let Ok(is_keyframe) = first.recv_timeout(Duration::from_millis(20)) {
                    break is_keyframe;
                }
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "it was not built anew"
                );
            };
            assert!(is_keyframe);
            assert_eq!(line.rebuilt(), 1);
            stop.store(true, Ordering::Relaxed);
        });
        assert!(matches!(heard.try_recv(), Ok(Event::Trouble { .. })));
    }
}
