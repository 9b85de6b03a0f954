//! What came in on a sink pad and waits to be mixed.
//!
//! The mixing thread and the pad's streaming thread share one lock, held only to copy a buffer in or a block out.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use super::samples::Format;
use super::timeline::Timeline;
use crate::drift::{DriftQueue, Pulled};
use crate::meter::{FLOOR_DB, Meter};
use crate::mixminus::Ducking;
use crate::{Block, RATE};

/// What the user set on a pad.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub gain_db: f64,
    pub mute: bool,
    pub pan: f64,
    pub duck_key: bool,
    pub ducking: Ducking,
    pub levelling: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gain_db: 0.0,
            mute: false,
            pan: 0.0,
            duck_key: false,
            ducking: Ducking {
                depth_db: 0.0,
                ..Ducking::default()
            },
            levelling: false,
        }
    }
}

/// What properties and messages show, written by the mixing thread: nobody who reads can hold it up.
pub(super) struct Shown {
    level_db: AtomicU32,
    peak_db: AtomicU32,
    trim_db: AtomicU32,
    drift_ppm: AtomicU32,
    queue_ms: AtomicU32,
    speaking: AtomicBool,
    silent_blocks: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            level_db: AtomicU32::new(FLOOR_DB.to_bits()),
            peak_db: AtomicU32::new(FLOOR_DB.to_bits()),
            trim_db: AtomicU32::default(),
            drift_ppm: AtomicU32::default(),
            queue_ms: AtomicU32::default(),
            speaking: AtomicBool::default(),
            silent_blocks: AtomicU64::default(),
            dropped: AtomicU64::default(),
        }
    }
}

fn load(from: &AtomicU32) -> f64 {
    f64::from(f32::from_bits(from.load(Ordering::Relaxed)))
}

fn store(to: &AtomicU32, value: f32) {
    to.store(value.to_bits(), Ordering::Relaxed);
}

impl Shown {
    pub(super) fn set_meter(&self, meter: &Meter, trim_db: f32) {
        store(&self.level_db, meter.level_db());
        store(&self.peak_db, meter.peak_db());
        store(&self.trim_db, trim_db);
        self.speaking.store(meter.speaking(), Ordering::Relaxed);
    }

    pub(super) fn level_db(&self) -> f64 {
        load(&self.level_db)
    }

    pub(super) fn peak_db(&self) -> f64 {
        load(&self.peak_db)
    }

    pub(super) fn trim_db(&self) -> f64 {
        load(&self.trim_db)
    }

    pub(super) fn drift_ppm(&self) -> f64 {
        load(&self.drift_ppm)
    }

    pub(super) fn queue_ms(&self) -> f64 {
        load(&self.queue_ms)
    }

    pub(super) fn speaking(&self) -> bool {
        self.speaking.load(Ordering::Relaxed)
    }

    pub(super) fn silent_blocks(&self) -> u64 {
        self.silent_blocks.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What waits, by the kind of mixing.
enum Waiting {
    /// Nobody waits for the input: its own clock is followed.
    Live(Box<DriftQueue>),
    /// It is waited for: its timestamps count.
    Placed(Timeline),
}

struct Queue {
    waiting: Waiting,
    target_ms: u32,
    longest_ms: u32,
    format: Option<Format>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    flushing: bool,
    eos: bool,
    gone: bool,
    stopped: bool,
    /// The streaming thread waits for room, the mixing thread for sound.
    wants_room: bool,
    wants_sound: bool,
    /// The last block held nothing.
    silent: bool,
}

pub(super) struct Input {
    queue: Mutex<Queue>,
    /// The buffer being read, kept for its memory: the streaming thread's alone.
    reading: Mutex<Vec<[f32; 2]>>,
    room: Condvar,
    sound: Condvar,
    settings: Mutex<Settings>,
    version: AtomicU32,
    pub(super) shown: Shown,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: Waiting::Placed(Timeline::default()),
                target_ms: 30,
                longest_ms: 0,
                format: None,
                segment: gst::FormattedSegment::new(),
                flushing: true,
                eos: false,
                gone: false,
                stopped: true,
                wants_room: false,
                wants_sound: false,
                silent: true,
            }),
            reading: Mutex::default(),
            room: Condvar::new(),
            sound: Condvar::new(),
            settings: Mutex::default(),
            version: AtomicU32::new(1),
            shown: Shown::default(),
        }
    }
}

/// What waiting for an input came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Sound,
    /// It has ended, and all was taken.
    Ended,
    /// It is gone, or mixing stops: look again.
    Changed,
}

impl Input {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.room.notify_all();
        self.sound.notify_all();
    }

    pub(super) fn settings(&self) -> Settings {
        let settings = self.settings.lock();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let settings = self.settings.lock();
        change(&mut settings.unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Changes with each setting.
    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// Mixing begins.
    pub(super) fn start(&self, live: bool, queue_ms: u32) {
        let mut queue = self.lock();
        queue.waiting = if live {
            Waiting::Live(Box::new(DriftQueue::new(queue_ms)))
        } else {
            Waiting::Placed(Timeline::default())
        };
        (queue.target_ms, queue.longest_ms) = (queue_ms, 0);
        queue.stopped = false;
        queue.eos = false;
    }

    /// Mixing, which waits for this input, stands at this frame.
    pub(super) fn start_at(&self, position: u64) {
        if let Waiting::Placed(timeline) = &mut self.lock().waiting {
            let lost = timeline.start_at(position);
            self.shown.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.wake();
    }

    /// The pad is released: nobody waits for it any more; what waits is faded out.
    pub(super) fn leave(&self) {
        self.lock().gone = true;
        self.wake();
    }

    pub(super) fn set_flushing(&self, flushing: bool) {
        let mut queue = self.lock();
        queue.flushing = flushing;
        if !flushing {
            queue.eos = false;
        } else if !queue.gone {
            match &mut queue.waiting {
                Waiting::Live(drift) => drift.reset(),
                Waiting::Placed(timeline) => timeline.clear(),
            }
        }
        self.wake();
    }

    pub(super) fn set_format(&self, format: Format) {
        self.lock().format = Some(format);
    }

    pub(super) fn set_segment(&self, segment: gst::FormattedSegment<gst::ClockTime>) {
        self.lock().segment = segment;
    }

    pub(super) fn set_eos(&self, eos: bool) {
        self.lock().eos = eos;
        self.wake();
    }

    /// A gap in the stream: silence, known at once.
    pub(super) fn gap(&self, pts: gst::ClockTime, duration: Option<gst::ClockTime>) {
        let mut queue = self.lock();
        let end = pts.saturating_add(duration.unwrap_or_default());
        let place = queue.segment.to_running_time(end).and_then(frame_at);
        if let (Waiting::Placed(timeline), Some(place)) = (&mut queue.waiting, place) {
            timeline.know_until(place);
        }
        self.sound.notify_all();
    }

    /// A buffer arrives. Waits for room only if mixing waits for the input.
    pub(super) fn push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (format, segment) = {
            let queue = self.lock();
            let format = queue.format.ok_or(gst::FlowError::NotNegotiated)?;
            let placed = matches!(queue.waiting, Waiting::Placed(_));
            (format, placed.then(|| queue.segment.clone()))
        };
        // Live, what comes is heard whenever it is of; else what a segment leaves out is not.
        let within = match segment {
            Some(segment) => gst_audio::audio_buffer_clip(
                buffer,
                segment.upcast_ref(),
                RATE,
                format.frame_bytes() as u32,
            ),
            None => Some(buffer),
        };
        let Some(buffer) = within else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let reading = self.reading.lock();
        let mut frames = reading.unwrap_or_else(PoisonError::into_inner);
        format.read(&map, &mut frames);
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            frames.fill([0.0; 2]);
        }
        let mut guard = self.lock();
        let mut place = None;
        loop {
            let queue = &mut *guard;
            if queue.flushing || queue.gone || queue.stopped {
                return Err(gst::FlowError::Flushing);
            }
            if queue.eos {
                return Err(gst::FlowError::Eos);
            }
            let timeline = match &mut queue.waiting {
                Waiting::Placed(timeline) => timeline,
                Waiting::Live(drift) => {
                    let ms = (frames.len() / (RATE as usize / 1000)) as u32;
                    if ms > queue.longest_ms {
                        queue.longest_ms = ms;
                        // More than one of them must wait before the first is played, or each leaves a hole.
                        if ms + 10 > queue.target_ms {
                            drift.set_target_ms(ms + 15);
                        }
                    }
                    drift.push(frames.as_flattened());
                    return Ok(gst::FlowSuccess::Ok);
                }
            };
            let place = *place.get_or_insert_with(|| {
                let stamped = buffer.pts().and_then(|t| queue.segment.to_running_time(t));
                timeline.place(stamped.and_then(frame_at))
            });
            timeline.know_until(place);
            let room = timeline.has_room(place, frames.len());
            if room {
                let late = timeline.put(place, &frames);
                self.shown.dropped.fetch_add(late, Ordering::Relaxed);
            }
            if queue.wants_sound && timeline.is_ready() {
                queue.wants_sound = false;
                self.sound.notify_one();
            }
            if room {
                return Ok(gst::FlowSuccess::Ok);
            }
            queue.wants_room = true;
            guard = self
                .room
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether `wait` would not wait.
    pub(super) fn is_ready(&self) -> bool {
        let queue = self.lock();
        match &queue.waiting {
            Waiting::Placed(timeline) => {
                queue.gone || queue.stopped || queue.eos || timeline.is_ready()
            }
            Waiting::Live(_) => true,
        }
    }

    /// Waits until the next block is known.
    pub(super) fn wait(&self) -> Ready {
        let mut guard = self.lock();
        loop {
            let queue = &mut *guard;
            let Waiting::Placed(timeline) = &queue.waiting else {
                return Ready::Sound;
            };
            if queue.gone || queue.stopped {
                return Ready::Changed;
            }
            if timeline.is_ready() {
                return Ready::Sound;
            }
            if queue.eos {
                return if timeline.is_drained() {
                    Ready::Ended
                } else {
                    Ready::Sound
                };
            }
            queue.wants_sound = true;
            guard = self
                .sound
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next block; false if it is all silent. Never waits.
    pub(super) fn pull(&self, block: &mut Block) -> bool {
        let mut guard = self.lock();
        let queue = &mut *guard;
        let (whole, heard) = match &mut queue.waiting {
            Waiting::Live(drift) => {
                let whole = drift.pull(block) == Pulled::Ok;
                let stats = drift.stats();
                store(&self.shown.drift_ppm, stats.ppm as f32);
                store(&self.shown.queue_ms, stats.level_ms as f32);
                self.shown
                    .dropped
                    .store(stats.dropped_frames, Ordering::Relaxed);
                (whole, whole || block.iter().any(|x| *x != 0.0))
            }
            Waiting::Placed(timeline) => {
                let before = timeline.waiting();
                let whole = timeline.take(block);
                store(
                    &self.shown.queue_ms,
                    (timeline.waiting() * 1000) as f32 / RATE as f32,
                );
                if queue.wants_room && timeline.is_low() {
                    queue.wants_room = false;
                    self.room.notify_one();
                }
                (whole, before > 0)
            }
        };
        queue.silent = !heard;
        if !whole {
            self.shown.silent_blocks.fetch_add(1, Ordering::Relaxed);
        }
        heard
    }

    /// It has ended, and what it left was heard.
    pub(super) fn has_ended(&self) -> bool {
        let queue = self.lock();
        queue.eos && queue.silent
    }
}

/// The frame that is due at a running time.
fn frame_at(time: gst::ClockTime) -> Option<u64> {
    let rate = u64::from(RATE);
    time.nseconds()
        .mul_div_round(rate, gst::ClockTime::SECOND.nseconds())
}
