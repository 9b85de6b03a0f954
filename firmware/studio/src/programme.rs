//! The encoders of the programme and of the returns, kept running: what stalls is built anew, what nobody takes rests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::api::Event;
use crate::encoder::{self, Codec, Encoding, VideoShape};
use crate::error::StudioError;
use crate::feed::Feed;
use crate::health::add;
use crate::studio::Shared;

/// How often encoders are looked after; also the longest a first taker of a return waits for its encoder to be built.
const LOOK: Duration = Duration::from_millis(40);
/// An encoder that is fed and puts nothing out for so long is stalled. Within a second even a starved one gives something,
/// but on a machine at twenty times its load building anew made it worse.
const STALLED: Duration = Duration::from_secs(2);
/// An encoder that nobody takes is kept for so long: people reload pages.
const REST: Duration = Duration::from_secs(10);
/// Between two tries of building an encoder.
const AGAIN: Duration = Duration::from_secs(1);
/// Raw frames that may wait for an encoder: 400 ms at 30 frames a second, so that a short fit of the machine costs no frame.
const WAITING_FRAMES: u64 = 12;
/// Raw 10 ms blocks.
const WAITING_BLOCKS: u64 = 50;

type Build = Box<dyn Fn(&Line) -> Result<Encoding, StudioError> + Send + Sync>;

/// One encoder's place: it is always there, the encoder in it may come and go.
pub(crate) struct Line {
    name: &'static str,
    pub feed: Arc<Feed>,
    build: Build,
    /// Only while somebody takes the feed.
    on_demand: bool,
    max_waiting: u64,
    open: Mutex<Option<Open>>,
    fed: AtomicU64,
    dropped: AtomicU64,
    rebuilt: AtomicU64,
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
        on_demand: bool,
        max_waiting: u64,
        build: Build,
    ) -> Arc<Line> {
        let line = Arc::new(Line {
            name,
            feed: feed.clone(),
            build,
            on_demand,
            max_waiting,
            open: Mutex::default(),
            fed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            rebuilt: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&line);
        feed.on_keyframe_request(move || {
            if let Some(encoder) = weak
                .upgrade()
                .and_then(|l| l.open())
                .and_then(|o| o.encoder.upgrade())
            {
                encoder::request_keyframe(&encoder);
            }
        });
        line
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
        let Some(open) = self.open() else { return };
        add(&self.fed, 1);
        if open.appsrc.current_level_buffers() >= self.max_waiting
            || open.appsrc.push_buffer(buffer).is_err()
        {
            add(&self.dropped, 1);
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    fn install(&self, encoding: Option<&Encoding>) {
        let open = encoding.map(|e| Open {
            appsrc: e.appsrc.clone(),
            encoder: e.encoder.downgrade(),
        });
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
}

impl Lines {
    /// Finds out which encoders work here, and makes the lines. None runs yet.
    pub fn new(shared: &Shared) -> Result<Lines, StudioError> {
        let (p, r) = (&shared.config.programme, &shared.config.returns);
        let programme = VideoShape {
            width: p.width,
            height: p.height,
            fps: p.fps,
            kbps: p.bitrate_kbps,
            keyframe: p.fps * p.keyframe_s,
            baseline: false,
        };
        let returns = VideoShape {
            width: r.width,
            height: r.height,
            fps: r.fps,
            kbps: r.bitrate_kbps,
            keyframe: r.fps * 10,
            baseline: true,
        };
        let h264 = encoder::choose(p.encoder, &programme)?;
        let aac = encoder::choose_sound(p.audio_kbps)?;
        let moving = AtomicBool::new(false);
        let feeds = &shared.feeds;
        let programme = {
            let (shared, moving) = (shared.clone(), Arc::new(moving));
            let build = move |line: &Line| {
                let (s, moving) = (shared.clone(), moving.clone());
                Encoding::video(
                    h264,
                    &programme,
                    true,
                    &shared.time,
                    &line.feed,
                    move |pts| {
                        s.counters.ledger.encoded(pts, s.time.now());
                        if !moving.swap(true, Ordering::Relaxed) {
                            s.tell(Event::Moving);
                        }
                    },
                )
            };
            Line::new(
                "programme",
                &feeds.programme,
                false,
                WAITING_FRAMES,
                Box::new(build),
            )
        };
        let return_line = |name, feed, codec| {
            let (time, shape) = (shared.time.clone(), returns.clone());
            let build =
                move |line: &Line| Encoding::video(codec, &shape, false, &time, &line.feed, |_| {});
            Line::new(name, feed, true, WAITING_FRAMES, Box::new(build))
        };
        let sound = {
            let (time, kbps) = (shared.time.clone(), p.audio_kbps);
            let build = move |line: &Line| Encoding::sound(aac, kbps, &time, &line.feed);
            Line::new(
                "sound",
                &feeds.sound,
                false,
                WAITING_BLOCKS,
                Box::new(build),
            )
        };
        Ok(Lines {
            programme,
            sound,
            return_h264: return_line("return", &feeds.return_h264, h264),
            return_vp8: return_line("VP8 return", &feeds.return_vp8, Codec::Vp8),
        })
    }

    fn all(&self) -> [&Arc<Line>; 4] {
        [
            &self.programme,
            &self.sound,
            &self.return_h264,
            &self.return_vp8,
        ]
    }
}

/// What the keeper knows of one line.
struct Kept {
    line: Arc<Line>,
    encoding: Option<Encoding>,
    units: u64,
    fed: u64,
    progress: Instant,
    wanted: Instant,
    next_try: Instant,
    in_trouble: bool,
}

/// Looks after all encoders until `stop`, on a thread of its own: building and stopping one takes time.
pub(crate) fn keep(shared: &Shared, lines: &Lines, stop: &AtomicBool) {
    let now = Instant::now();
    let mut kept: Vec<Kept> = lines
        .all()
        .into_iter()
        .map(|line| Kept {
            line: line.clone(),
            encoding: None,
            units: 0,
            fed: 0,
            progress: now,
            wanted: now,
            next_try: now,
            in_trouble: false,
        })
        .collect();
    let mut pace = Pace::new();
    while !stop.load(Ordering::Relaxed) {
        for line in &mut kept {
            line.look(shared);
        }
        pace.look(shared, &lines.programme);
        std::thread::sleep(LOOK);
    }
    for line in kept {
        line.line.install(None);
    }
}

impl Kept {
    fn look(&mut self, shared: &Shared) {
        let now = Instant::now();
        let wanted = !self.line.on_demand || self.line.feed.is_wanted();
        if wanted {
            self.wanted = now;
        }
        let (units, fed) = (
            self.line.feed.units(),
            self.line.fed.load(Ordering::Relaxed),
        );
        if units != self.units || fed == self.fed {
            (self.units, self.fed, self.progress) = (units, fed, now);
            if units > 0 && self.in_trouble && self.encoding.is_some() {
                self.in_trouble = false;
                shared.tell(Event::TroubleOver { what: self.what() });
            }
        }
        match &self.encoding {
            Some(encoding) => {
                let error = encoding.error();
                if error.is_some() || now - self.progress > STALLED {
                    let why =
                        error.unwrap_or_else(|| "nothing came out of it for two seconds".into());
                    tracing::warn!(
                        encoder = self.line.name,
                        why,
                        "encoder stalled: building it anew"
                    );
                    self.close();
                    add(&self.line.rebuilt, 1);
                    self.trouble(shared, &why);
                } else if now - self.wanted > REST {
                    self.close();
                }
            }
            None if wanted && now >= self.next_try => match (self.line.build)(&self.line) {
                Ok(encoding) => {
                    self.line.install(Some(&encoding));
                    self.encoding = Some(encoding);
                    self.progress = now;
                }
                Err(error) => {
                    self.next_try = now + AGAIN;
                    self.trouble(shared, &error.to_string());
                }
            },
            None => {}
        }
    }

    fn what(&self) -> String {
        format!("the {} encoder", self.line.name)
    }

    fn trouble(&mut self, shared: &Shared, why: &str) {
        if !self.in_trouble {
            self.in_trouble = true;
            let advice = format!(
                "It is being restarted ({why}). If this comes again, choose another programme.encoder."
            );
            shared.tell(Event::Trouble {
                what: self.what(),
                advice,
            });
        }
    }

    /// Stopping a stalled encoder may take for ever: not here.
    fn close(&mut self) {
        self.line.install(None);
        if let Some(encoding) = self.encoding.take() {
            let _ = std::thread::Builder::new()
                .name("encoder-end".into())
                .spawn(move || drop(encoding));
        }
    }
}

/// Whether the programme's encoder keeps up.
struct Pace {
    since: Instant,
    units: u64,
    dropped: u64,
    calm: Option<Instant>,
}

const PACE_WHAT: &str = "the programme encoder is too slow";

impl Pace {
    fn new() -> Pace {
        Pace {
            since: Instant::now(),
            units: 0,
            dropped: 0,
            calm: None,
        }
    }

    fn look(&mut self, shared: &Shared, line: &Line) {
        let took = self.since.elapsed();
        if took < Duration::from_secs(1) {
            return;
        }
        let (units, dropped) = (line.feed.units(), line.dropped());
        let fps = (units - self.units) as f64 / took.as_secs_f64();
        shared
            .counters
            .encoded_fps
            .store((fps * 100.0) as u32, Ordering::Relaxed);
        if dropped > self.dropped {
            if self.calm.is_none() {
                let advice = "Choose a smaller programme size or frame rate, or free this machine of other work.".into();
                shared.tell(Event::Trouble {
                    what: PACE_WHAT.into(),
                    advice,
                });
            }
            self.calm = Some(Instant::now());
        } else if self
            .calm
            .is_some_and(|at| at.elapsed() > Duration::from_secs(5))
        {
            self.calm = None;
            shared.tell(Event::TroubleOver {
                what: PACE_WHAT.into(),
            });
        }
        (self.since, self.units, self.dropped) = (Instant::now(), units, dropped);
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
        let time = shared.time.clone();
        let built = AtomicU64::new(0);
        let build = move |line: &Line| match built.fetch_add(1, Ordering::Relaxed) {
            0 => Encoding::stalled(&time),
            _ => Encoding::video(Codec::X264, &shape, false, &time, &line.feed, |_| {}),
        };
        let line = Line::new(
            "programme",
            &shared.feeds.programme,
            false,
            WAITING_FRAMES,
            Box::new(build),
        );
        let rest = |name, feed| {
            let none = |_: &Line| Err(StudioError::pipeline("test", "nobody wants it"));
            Line::new(name, feed, true, WAITING_FRAMES, Box::new(none))
        };
        let lines = Lines {
            programme: line.clone(),
            sound: rest("sound", &shared.feeds.sound),
            return_h264: rest("return", &shared.feeds.return_h264),
            return_vp8: rest("VP8 return", &shared.feeds.return_vp8),
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
