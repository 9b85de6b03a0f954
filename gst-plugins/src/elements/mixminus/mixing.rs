//! The element's own thread: a block from every input, one sum, a block for every output.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use super::BLOCK_TIME;
use super::input::{Input, Ready};
use super::output::Output;
use crate::mixminus::{DEFAULT_TARGET_LUFS, MixMinus};
use crate::{BLOCK_FRAMES, BLOCK_SAMPLES, Block};

/// More pads than this are refused.
pub(super) const MAX_PADS: usize = 64;
/// Pads that just left are still faded out.
const MAX_SLOTS: usize = MAX_PADS + 16;
/// The mixer fades for 20 ms; one block more for the limiter.
const LEAVING_BLOCKS: u8 = 3;
/// Levels are told each so many blocks: 10 times a second.
const LEVELS_EVERY: u64 = 10;
/// A clock that is this far ahead stood still with the machine: what was missed isn't made up for.
const STOOD_STILL: i64 = 1_000_000_000;

/// A sink pad and its src pad.
pub(super) struct Seat {
    pub name: String,
    pub input: Arc<Input>,
    pub output: Arc<Output>,
}

#[derive(Default)]
struct Control {
    stop: bool,
    /// The clock and base time while playing.
    playing: Option<(gst::Clock, gst::ClockTime)>,
    /// What the thread waits for.
    tick: Option<gst::SingleShotClockId>,
}

/// What the element and its mixing thread share. No lock is held while anything waits or is mixed.
#[derive(Default)]
pub(super) struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Counts changes of the seats.
    generation: AtomicU64,
    pub programme: Arc<Output>,
    pub programme_shown: super::input::Shown,
    pub missed: AtomicU64,
    /// The last run's end of all inputs was told.
    pub ended: AtomicBool,
}

impl Shared {
    pub(super) fn new(programme: Arc<Output>) -> Self {
        Self {
            programme,
            ..Self::default()
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seats(&self) -> Vec<Arc<Seat>> {
        self.lock_seats().clone()
    }

    fn lock_seats(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, seat: Arc<Seat>) {
        self.lock_seats().push(seat);
        self.seats_changed();
    }

    pub(super) fn remove(&self, input: &Arc<Input>) -> Option<Arc<Seat>> {
        let mut seats = self.lock_seats();
        let at = seats.iter().position(|s| Arc::ptr_eq(&s.input, input))?;
        let seat = seats.remove(at);
        drop(seats);
        seat.input.leave();
        self.seats_changed();
        Some(seat)
    }

    fn seats_changed(&self) {
        // Under the lock, or a thread that is about to wait would miss it.
        let _control = self.control();
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
    }

    pub(super) fn begin(&self) {
        *self.control() = Control::default();
        self.ended.store(false, Ordering::Relaxed);
    }

    pub(super) fn play(&self, clock: gst::Clock, base: gst::ClockTime) {
        self.control().playing = Some((clock, base));
        self.changed.notify_all();
    }

    pub(super) fn pause(&self) {
        let mut control = self.control();
        control.playing = None;
        if let Some(tick) = control.tick.take() {
            tick.unschedule();
        }
    }

    pub(super) fn stop(&self) {
        self.control().stop = true;
        self.pause();
        self.changed.notify_all();
        for seat in self.seats() {
            seat.input.stop();
            seat.output.stop();
        }
        self.programme.stop();
    }

    fn stopping(&self) -> bool {
        self.control().stop
    }
}

struct Slot {
    seat: Option<Arc<Seat>>,
    /// Blocks until the slot is free, if its pad has left.
    leaving: Option<u8>,
    version: u32,
    block: Box<Block>,
    heard: bool,
}

pub(super) struct Mixing {
    shared: Arc<Shared>,
    mixer: MixMinus,
    slots: Vec<Slot>,
    generation: u64,
    programme: Box<Block>,
    returns: Vec<Block>,
    number: u64,
    tell: SyncSender<u64>,
    live: bool,
    latency: gst::ClockTime,
}

impl Mixing {
    /// `latency`: how long after a block's timestamp it is mixed, if live.
    pub(super) fn new(
        shared: &Arc<Shared>,
        tell: SyncSender<u64>,
        live: bool,
        latency: gst::ClockTime,
    ) -> Self {
        let mut mixing = Self {
            shared: shared.clone(),
            mixer: MixMinus::new(1),
            slots: Vec::new(),
            generation: u64::MAX,
            programme: Box::new([0.0; BLOCK_SAMPLES]),
            returns: Vec::with_capacity(MAX_SLOTS),
            number: 0,
            tell,
            live,
            latency,
        };
        mixing.add_slot();
        mixing
    }

    pub(super) fn run(mut self) {
        if self.live {
            self.run_live();
        } else {
            self.run_waiting();
        }
    }

    fn run_live(&mut self) {
        let mut begun = false;
        while let Some((clock, base)) = self.playing() {
            if !begun {
                // Nothing of the time before is made up for.
                let now = clock.time().saturating_sub(base);
                let since = now.saturating_sub(self.latency).nseconds();
                self.number = since.div_ceil(BLOCK_TIME.nseconds());
                begun = true;
            }
            let due = base + self.latency + BLOCK_TIME * self.number;
            let Some(late) = self.sleep_until(&clock, due) else {
                continue;
            };
            if late > STOOD_STILL {
                let missed = late as u64 / BLOCK_TIME.nseconds();
                self.shared.missed.fetch_add(missed, Ordering::Relaxed);
                self.number += missed;
                continue;
            }
            self.look_up();
            if !self.shared.ended.load(Ordering::Relaxed) {
                self.mix();
                let mut seated = self.slots.iter().filter_map(seated).peekable();
                if seated.peek().is_some() && seated.all(|s| s.input.has_ended()) {
                    self.end();
                }
            }
        }
    }

    /// The clock and base time, as soon as the element plays. `None` when it stops.
    fn playing(&self) -> Option<(gst::Clock, gst::ClockTime)> {
        let mut control = self.shared.control();
        loop {
            if control.stop {
                return None;
            }
            if let Some(playing) = &control.playing {
                return Some(playing.clone());
            }
            let waited = self.shared.changed.wait(control);
            control = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How late it is then, in ns. `None` if the element was paused or stopped meanwhile.
    fn sleep_until(&self, clock: &gst::Clock, due: gst::ClockTime) -> Option<i64> {
        let tick = clock.new_single_shot_id(due);
        {
            let mut control = self.shared.control();
            control.playing.as_ref()?;
            control.tick = Some(tick.clone());
        }
        let (result, late) = tick.wait();
        self.shared.control().tick = None;
        match result {
            Err(gst::ClockError::Unscheduled) => None,
            _ => Some(late),
        }
    }

    fn run_waiting(&mut self) {
        'blocks: while !self.shared.stopping() {
            self.look_up();
            let mut seats = 0;
            let mut ended = 0;
            for seat in self.slots.iter().filter_map(seated) {
                seats += 1;
                if !seat.input.is_ready() {
                    // Before anything is waited for: somebody may need what was mixed to send more. Others run first,
                    // so that more than one block comes at a time.
                    self.flush_outputs();
                    std::thread::yield_now();
                }
                match seat.input.wait() {
                    Ready::Sound => {}
                    Ready::Ended => ended += 1,
                    Ready::Changed => continue 'blocks,
                }
            }
            if self.generation != self.shared.generation.load(Ordering::Acquire) {
                continue;
            }
            if seats == 0 || self.shared.ended.load(Ordering::Relaxed) {
                self.flush_outputs();
                self.wait_for_seats();
            } else if ended == seats {
                self.end();
            } else {
                self.mix();
            }
        }
    }

    fn wait_for_seats(&self) {
        let mut control = self.shared.control();
        while !control.stop && self.generation == self.shared.generation.load(Ordering::Acquire) {
            let waited = self.shared.changed.wait(control);
            control = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for seat in self.slots.iter().filter_map(seated) {
            seat.output.put_eos();
        }
        self.shared.programme.put_eos();
    }

    fn add_slot(&mut self) -> usize {
        if self.mixer.inputs() <= self.slots.len() {
            self.mixer.add_input();
        }
        self.returns.push([0.0; BLOCK_SAMPLES]);
        self.slots.push(Slot {
            seat: None,
            leaving: None,
            version: 0,
            block: Box::new([0.0; BLOCK_SAMPLES]),
            heard: false,
        });
        self.slots.len() - 1
    }

    /// Pads and settings that changed since the last block.
    fn look_up(&mut self) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.seat_inputs();
        }
        for (n, slot) in self.slots.iter_mut().enumerate() {
            if let Some(seat) = seated(slot) {
                let version = seat.input.version();
                if version != slot.version {
                    apply(&mut self.mixer, n, &seat.input);
                    slot.version = version;
                }
            }
        }
    }

    fn seat_inputs(&mut self) {
        let seats = self.shared.seats();
        for (n, slot) in self.slots.iter_mut().enumerate() {
            let left = seated(slot).is_some_and(|own| !seats.iter().any(|s| Arc::ptr_eq(s, own)));
            if left {
                slot.leaving = Some(LEAVING_BLOCKS);
                self.mixer.set_mute(n, true);
                self.mixer.set_ducks_others(n, false);
            }
        }
        for seat in seats {
            let known = |slot: &Slot| slot.seat.as_ref().is_some_and(|s| Arc::ptr_eq(s, &seat));
            if self.slots.iter().any(known) {
                continue;
            }
            let free = self.slots.iter().position(|s| s.seat.is_none());
            // Rather cut a fade short than grow without bounds.
            let fading = || self.slots.iter().position(|s| s.leaving.is_some());
            let n = match free {
                Some(n) => n,
                None if self.slots.len() < MAX_SLOTS => self.add_slot(),
                None => match fading() {
                    Some(n) => n,
                    None => continue,
                },
            };
            self.mixer.reset_input(n);
            let version = seat.input.version();
            apply(&mut self.mixer, n, &seat.input);
            self.mixer.settle_input(n);
            seat.input.start_at(self.number * BLOCK_FRAMES as u64);
            let slot = &mut self.slots[n];
            slot.version = version;
            slot.leaving = None;
            slot.seat = Some(seat);
        }
    }

    fn mix(&mut self) {
        for slot in &mut self.slots {
            slot.heard = match &slot.seat {
                Some(seat) => seat.input.pull(&mut slot.block),
                None => false,
            };
        }
        let mut blocks = [None; MAX_SLOTS];
        for (block, slot) in blocks.iter_mut().zip(&self.slots) {
            *block = slot.heard.then_some(&*slot.block);
        }
        self.mixer.process(
            &blocks[..self.slots.len()],
            &mut self.programme,
            &mut self.returns,
        );
        for (slot, block) in self.slots.iter().zip(&self.returns) {
            if let Some(seat) = seated(slot) {
                self.put(&seat.output, block);
            }
        }
        self.put(&self.shared.programme, &self.programme);
        self.show();
        self.let_go();
        self.number += 1;
    }

    fn put(&self, output: &Output, block: &Block) {
        if !self.live && output.is_full() {
            self.flush_outputs();
        }
        output.put(self.number, block, !self.live);
    }

    fn flush_outputs(&self) {
        for seat in self.slots.iter().filter_map(seated) {
            seat.output.flush();
        }
        self.shared.programme.flush();
    }

    fn show(&self) {
        for (n, slot) in self.slots.iter().enumerate() {
            if let (Some(seat), Some(meter)) = (seated(slot), self.mixer.meter(n)) {
                let trim = self.mixer.trim_db(n).unwrap_or(0.0);
                seat.input.shown.set_meter(meter, trim);
            }
        }
        let programme = self.mixer.programme_meter();
        self.shared.programme_shown.set_meter(programme, 0.0);
        if (self.number + 1).is_multiple_of(LEVELS_EVERY) {
            if self.live {
                // Nobody waits for one who is slow to hear them.
                let _ = self.tell.try_send(self.number);
            } else {
                let _ = self.tell.send(self.number);
            }
        }
    }

    fn let_go(&mut self) {
        for slot in &mut self.slots {
            slot.leaving = match slot.leaving {
                Some(0) => {
                    slot.seat = None;
                    None
                }
                Some(left) => Some(left - 1),
                None => None,
            };
        }
    }
}

/// Who sits there and stays.
fn seated(slot: &Slot) -> Option<&Arc<Seat>> {
    slot.seat.as_ref().filter(|_| slot.leaving.is_none())
}

fn apply(mixer: &mut MixMinus, n: usize, input: &Input) {
    let settings = input.settings();
    mixer.set_gain_db(n, settings.gain_db as f32);
    mixer.set_mute(n, settings.mute);
    mixer.set_pan(n, settings.pan as f32);
    mixer.set_ducks_others(n, settings.duck_key);
    mixer.set_ducking(n, Some(settings.ducking).filter(|d| d.depth_db > 0.0));
    mixer.set_levelling(n, settings.levelling.then_some(DEFAULT_TARGET_LUFS));
}
