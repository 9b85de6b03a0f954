//! One trial: pictures in, units out, and what the difference says.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{
    Fault, Figures, GOOD_DB, LOOK, MOST_HELD, OBEYS_WITHIN, Patience, STALLS, Terms, decode,
};
use crate::encoder::pictures::{PHASES, Pictures, Planes, psnr};
use crate::encoder::{Encoding, Rung, VideoShape, raw_video_caps, request_keyframe};
use crate::time::StudioTime;

const SOFT: u64 = 30;
const NOISY_LEAST: u64 = 24;
const NOISY_MOST: u64 = 60;
/// The keyframe is asked for before this picture goes in, and has to come within so many more.
const ASKED_AT: u64 = 10;
/// Pictures that wait before the encoder, so that it never waits for us.
const AHEAD: u64 = 2;
const WORST_DB: f64 = 20.0;
/// Frames a second above what is needed: a programme is not all that the machine does.
const MARGIN: f64 = 1.2;
const RATE_MOST: f64 = 1.6;
const RATE_LEAST: f64 = 0.4;
/// Without a unit for so long it stalls; hardware opens slowly.
const OPENS: Duration = Duration::from_secs(3);
/// How long all must have been still before what has not come out counts as held, and then as lost.
const SETTLES: Duration = Duration::from_millis(200);
const ENDS: Duration = Duration::from_millis(1500);
/// Beside a programme an encoder works every so manieth part of the time.
const PAUSES: u32 = 5;

/// A unit that came out.
struct Came {
    /// The picture's number, by its timestamp.
    n: u64,
    keyframe: bool,
    unit: gst::Buffer,
    at: Instant,
}

#[derive(Default)]
struct Collected {
    state: Mutex<(Vec<Came>, Option<gst::Caps>)>,
    news: Condvar,
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, (Vec<Came>, Option<gst::Caps>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> u64 {
        self.lock().0.len() as u64
    }

    /// Until something comes out, or the next look is due.
    fn wait(&self) {
        let state = self.lock();
        let _ = self.news.wait_timeout(state, LOOK);
    }
}

pub(super) struct Trial {
    rung: Rung,
    shape: VideoShape,
    terms: Terms,
    pictures: Option<Pictures>,
    /// Ready to go in: soft ones, then noisy ones.
    frames: Vec<gst::Buffer>,
    pub encoding: Encoding,
    began: Instant,
    came: Arc<Collected>,
    pub figures: Figures,
    /// Beside a programme: without the pauses.
    busy: Duration,
}

/// Five frames of grey.
pub(super) fn grey(
    _: &VideoShape,
    info: &gst_video::VideoInfo,
) -> (Option<Pictures>, Vec<gst::Buffer>) {
    (
        None,
        vec![gst::Buffer::from_slice(vec![128u8; info.size()])],
    )
}

fn moving(shape: &VideoShape, info: &gst_video::VideoInfo) -> (Option<Pictures>, Vec<gst::Buffer>) {
    let mut pictures = Pictures::new(shape);
    let frames = pictures
        .soft
        .iter()
        .chain(&pictures.noisy)
        .map(|planes| frame(planes, info))
        .collect();
    // Only soft ones are compared: 25 MB less at 1080p.
    pictures.noisy = Vec::new();
    (Some(pictures), frames)
}

/// A buffer of this layout.
fn frame(planes: &Planes, info: &gst_video::VideoInfo) -> gst::Buffer {
    let mut data = vec![0u8; info.size()];
    for (p, plane) in planes.iter().enumerate() {
        let width = if p == 0 {
            info.width() as usize
        } else {
            info.width().div_ceil(2) as usize
        };
        let (offset, stride) = (info.offset()[p], info.stride()[p] as usize);
        for (row, y) in plane.chunks(width).zip(0..) {
            data[offset + y * stride..][..width].copy_from_slice(row);
        }
    }
    gst::Buffer::from_slice(data)
}

pub(super) type Make =
    fn(&VideoShape, &gst_video::VideoInfo) -> (Option<Pictures>, Vec<gst::Buffer>);

impl Trial {
    pub fn open(rung: Rung, shape: VideoShape, terms: Terms) -> Result<Trial, String> {
        Self::open_with(rung, shape, terms, moving)
    }

    pub fn open_with(
        rung: Rung,
        shape: VideoShape,
        terms: Terms,
        make: Make,
    ) -> Result<Trial, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let info = raw_video_caps(shape.width, shape.height, shape.fps).map_err(|e| text(&e))?;
        let (pictures, frames) = make(&shape, &info);
        let came = Arc::<Collected>::default();
        let (collected, fps) = (came.clone(), u64::from(shape.fps));
        let began = Instant::now();
        let encoding = Encoding::video(&rung, &shape, false, &StudioTime::start(), move |unit| {
            // The nearest frame: encoders have time bases of their own.
            let n = (unit.pts.nseconds() * fps + 500_000_000) / 1_000_000_000;
            let mut state = collected.lock();
            if let Some(caps) = unit.caps {
                state.1 = Some(caps.to_owned());
            }
            state.0.push(Came {
                n,
                keyframe: unit.is_keyframe(),
                unit: unit.buffer.clone(),
                at: Instant::now(),
            });
            collected.news.notify_all();
        })
        .map_err(|e| text(&e))?;
        Ok(Trial {
            rung,
            shape,
            terms,
            pictures,
            frames,
            encoding,
            began,
            came,
            figures: Figures::default(),
            busy: Duration::ZERO,
        })
    }

    /// Pushes the n-th frame.
    fn push(&self, n: u64, which: usize) -> Result<(), String> {
        let at =
            |n: u64| gst::ClockTime::from_nseconds(n * 1_000_000_000 / u64::from(self.shape.fps));
        let mut frame = self.frames[which].clone();
        let stamped = frame.make_mut();
        stamped.set_pts(at(n));
        stamped.set_duration(at(n + 1) - at(n));
        self.encoding
            .appsrc
            .push_buffer(frame)
            .map(drop)
            .map_err(|e| e.to_string())
    }

    pub fn first_unit(&mut self) -> Result<(), String> {
        for n in 0..5 {
            self.push(n, 0)?;
        }
        let mut patience = Patience::new();
        while self.came.count() == 0 {
            if let Some(error) = self.encoding.error() {
                return Err(error);
            }
            if patience.look(LOOK) > OPENS {
                return Err(format!("nothing came out of it in {} s", OPENS.as_secs()));
            }
            self.came.wait();
        }
        Ok(())
    }

    /// `None` if it was stopped, or could not be brought to an end beside the programme.
    pub fn run(&mut self) -> Option<Vec<Fault>> {
        let noisy = u64::from(self.shape.fps).clamp(NOISY_LEAST, NOISY_MOST);
        let all = SOFT + noisy;
        if let Err(fault) = self.feed(all)? {
            return Some(vec![fault]);
        }
        self.settle(all);
        let (mut units, caps) = std::mem::take(&mut *self.came.lock());
        units.sort_by_key(|came| came.n);
        let mut faults = Vec::new();
        complete(&units, all, &mut faults);
        if let Some(Fault::Stalls { .. }) = faults.last() {
            return Some(faults);
        }
        self.keyframes(&units, &mut faults);
        self.rate(&units, noisy, &mut faults);
        self.speed(&mut faults);
        let is_h264 = caps
            .as_ref()
            .and_then(|c| c.structure(0))
            .is_some_and(|s| s.has_name("video/x-h264"));
        if !is_h264 {
            let what = caps.as_ref().and_then(|c| c.structure(0));
            let what = what.map_or("nothing".into(), |s| s.name().to_string());
            faults.insert(0, Fault::NotH264(what));
        }
        if let Some(caps) = caps {
            self.compare(units, &caps, &mut faults);
        }
        if let Some(held) = self.figures.held.filter(|held| *held > MOST_HELD) {
            faults.push(Fault::Holds(held));
        }
        Some(faults)
    }

    /// Everything in, as fast as it is taken.
    fn feed(&mut self, all: u64) -> Option<Result<(), Fault>> {
        let mut whole = Patience::new();
        let mut patience = Patience::new();
        let (mut seen, mut level) = (0, 0);
        let mut n = 0;
        loop {
            let (count, waiting) = (
                self.came.count(),
                self.encoding.appsrc.current_level_buffers(),
            );
            if count > 0 && self.figures.first_after.is_none() {
                self.figures.first_after = Some(n - waiting.min(n));
            }
            if count != seen || waiting != level {
                // An encoder that takes and gives nothing is found out when all are in.
                (seen, level) = (count, waiting);
                patience.renew();
            }
            if n == all && waiting == 0 && count > 0 {
                return Some(Ok(()));
            }
            if let Some(what) = self.encoding.error() {
                return Some(Err(Fault::Fails { after: count, what }));
            }
            let limit = if count == 0 { OPENS } else { STALLS };
            if patience.look(LOOK) > limit {
                return Some(Err(Fault::Stalls { after: count }));
            }
            if self.terms.stop.load(Ordering::Relaxed) {
                return None;
            }
            if whole.look(LOOK) > self.terms.limit {
                if self.terms.beside {
                    return None;
                }
                let fps = count as f64 / self.began.elapsed().as_secs_f64();
                self.figures.fps = Some(fps);
                return Some(Err(Fault::TooSlow {
                    fps,
                    need: self.need(),
                }));
            }
            if n < all && waiting < AHEAD {
                if n == ASKED_AT {
                    request_keyframe(&self.encoding.encoder);
                }
                let which = match n < SOFT {
                    true => n as usize % PHASES,
                    false => PHASES + n as usize % PHASES,
                };
                if let Err(what) = self.push(n, which) {
                    return Some(Err(Fault::Fails { after: count, what }));
                }
                n += 1;
                if self.terms.beside {
                    self.pause(n);
                }
                continue;
            }
            self.came.wait();
        }
    }

    /// Until the n-th picture is out, or is held; then until four fifths of the time were somebody else's.
    fn pause(&mut self, n: u64) {
        let (began, mut patience) = (Instant::now(), Patience::new());
        while self.came.count() < n && patience.look(LOOK) < SETTLES {
            self.came.wait();
        }
        let took = began.elapsed();
        self.busy += took;
        std::thread::sleep((took * (PAUSES - 1)).min(SETTLES));
    }

    /// What comes by itself, and what comes at the end of the stream.
    fn settle(&mut self, all: u64) {
        self.still(all, SETTLES);
        self.figures.held = Some(all - self.came.count().min(all));
        let (first, last, count) = {
            let state = self.came.lock();
            let at = |came: Option<&Came>| came.map(|c| c.at);
            (at(state.0.first()), at(state.0.last()), state.0.len())
        };
        if let (Some(first), Some(last)) = (first, last) {
            self.figures.opens_ms = Some((first - self.began).as_secs_f64() * 1e3);
            let took = match self.terms.beside {
                true => self.busy,
                false => last - first,
            };
            let took = took.as_secs_f64();
            if count > 1 && took > 0.0 {
                self.figures.fps = Some((count - 1) as f64 / took);
            }
        }
        let _ = self.encoding.appsrc.end_of_stream();
        self.still(all, ENDS);
    }

    /// Until all are out, or nothing has come for `long`.
    fn still(&self, all: u64, long: Duration) {
        let (mut patience, mut seen) = (Patience::new(), self.came.count());
        while seen < all && patience.look(LOOK) < long {
            self.came.wait();
            if self.came.count() != seen {
                seen = self.came.count();
                patience.renew();
            }
        }
    }

    fn need(&self) -> f64 {
        MARGIN * f64::from(self.shape.fps)
    }

    fn speed(&self, faults: &mut Vec<Fault>) {
        let need = self.need();
        if let Some(fps) = self.figures.fps.filter(|fps| *fps < need) {
            faults.push(Fault::TooSlow { fps, need });
        }
    }

    fn keyframes(&mut self, units: &[Came], faults: &mut Vec<Fault>) {
        if units.first().is_none_or(|first| !first.keyframe) {
            faults.push(Fault::NoKeyframeFirst);
        }
        // It may be granted to one of the pictures that wait.
        let from = ASKED_AT - AHEAD;
        let came = units.iter().find(|c| c.keyframe && c.n >= from);
        let after = came.map(|c| c.n.saturating_sub(ASKED_AT));
        self.figures.keyframe_after = after;
        if after.is_none_or(|after| after > OBEYS_WITHIN) {
            faults.push(Fault::IgnoresKeyframes);
        }
    }

    fn rate(&mut self, units: &[Came], noisy: u64, faults: &mut Vec<Fault>) {
        let from = SOFT + noisy / 2;
        let measured: Vec<&Came> = units.iter().filter(|c| c.n >= from).collect();
        if measured.is_empty() {
            return;
        }
        let bits: usize = measured.iter().map(|c| c.unit.size() * 8).sum();
        let s = &self.shape;
        let kbps = bits as f64 / measured.len() as f64 * f64::from(s.fps) / 1000.0;
        let rate = kbps / f64::from(s.kbps);
        self.figures.rate = Some(rate);
        // A small picture does not need what it may have.
        let fills = f64::from(s.width * s.height * s.fps) / 1000.0 / f64::from(s.kbps);
        if !(RATE_LEAST * fills.min(1.0)..=RATE_MOST).contains(&rate) {
            faults.push(Fault::Rate(rate));
        }
    }

    fn compare(&mut self, units: Vec<Came>, caps: &gst::Caps, faults: &mut Vec<Fault>) {
        let Some(pictures) = &self.pictures else {
            return;
        };
        let soft: Vec<gst::Buffer> = units
            .into_iter()
            .filter(|c| c.n < SOFT)
            .map(|c| c.unit)
            .collect();
        let size = (self.shape.width as usize, self.shape.height as usize);
        let decoded = match decode::decode(&soft, caps, size) {
            Ok(decoded) => decoded,
            Err(why) => {
                faults.push(Fault::Undecodable(why));
                return;
            }
        };
        let fps = u64::from(self.shape.fps);
        let (mut planes, mut wrong) = ([const { Vec::new() }; 3], 0);
        let of = decoded.len() as u64;
        for (pts, picture) in decoded {
            let n = (pts.nseconds() * fps + 500_000_000) / 1_000_000_000;
            let meant = n as usize % PHASES;
            let (nearest, db) = pictures.nearest(&picture[0]);
            if nearest != meant && db >= WORST_DB {
                wrong += 1;
                continue;
            }
            for (all, db) in planes.iter_mut().zip(psnr(&picture, &pictures.soft[meant])) {
                all.push(db);
            }
        }
        if wrong > 0 {
            faults.push(Fault::Repeats { wrong, of });
        }
        if planes[0].is_empty() {
            if wrong == 0 {
                faults.push(Fault::Undecodable("no picture came back".into()));
            }
            return;
        }
        let sorted = planes.map(|mut all| {
            all.sort_by(f64::total_cmp);
            all
        });
        let median = sorted.each_ref().map(|all| all[all.len() / 2]);
        let worst = sorted.each_ref().map(|all| all[0]);
        self.figures.psnr_db = Some(median);
        if median.iter().any(|db| *db < GOOD_DB) {
            faults.push(Fault::Garbles(median));
        } else if worst.iter().any(|db| *db < WORST_DB) {
            faults.push(Fault::Garbles(worst));
        }
        tracing::debug!(encoder = self.rung.element, ?median, ?worst, "compared");
    }
}

fn complete(units: &[Came], all: u64, faults: &mut Vec<Fault>) {
    let twice = units.windows(2).filter(|pair| pair[0].n == pair[1].n);
    let twice = twice.count() as u64;
    if twice > 0 {
        faults.push(Fault::Twice(twice));
    }
    let came = units.len() as u64 - twice;
    let lost = all.saturating_sub(came);
    if lost * 10 <= all {
        return;
    }
    let all_before = units.last().is_some_and(|last| last.n + 1 == came);
    faults.push(match all_before {
        true => Fault::Stalls { after: came },
        false => Fault::Loses { lost, of: all },
    });
}
