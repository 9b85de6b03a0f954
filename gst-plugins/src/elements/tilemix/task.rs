//! The src pad's task: live, frames that the clock pad did not bring; else all of them.

use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Mode;
use super::imp::{CAT, TileMix, Way};
use super::input::lock;
use super::scene::Look;

impl TileMix {
    pub(super) fn activate(&self, pad: &gst::Pad, active: bool) -> Result<(), gst::LoggableError> {
        let result = if active {
            let weak = self.obj().downgrade();
            pad.start_task(move || {
                if let Some(mix) = weak.upgrade() {
                    mix.imp().turn();
                }
            })
        } else {
            let mut state = lock(&self.state);
            state.flushing = true;
            self.wake(&mut state);
            drop(state);
            pad.stop_task()
        };
        result.map_err(|_| gst::loggable_error!(CAT, "The task could not be changed"))
    }

    fn turn(&self) {
        match self.way() {
            Way::Undecided => {
                let state = lock(&self.state);
                if state.flushing {
                    let _ = self.src.pause_task();
                } else if self.way() == Way::Undecided {
                    drop(self.wait(state));
                }
            }
            Way::Live => self.live_turn(),
            Way::Offline => self.offline_turn(),
        }
    }

    /// One frame, if the clock pad doesn't bring one in time.
    fn live_turn(&self) {
        let alone = lock(&self.settings).mode == Mode::Live;
        {
            let state = lock(&self.state);
            if state.flushing {
                let _ = self.src.pause_task();
                return;
            }
            // With nothing to show yet nothing is made up for, unless the user said that it is live.
            if !self.playing.load(Ordering::SeqCst)
                || !(alone || self.any_frame.load(Ordering::SeqCst))
            {
                drop(self.wait(state));
                return;
            }
        }
        let (Some(clock), Some(base)) = (self.obj().clock(), self.obj().base_time()) else {
            return self.rest();
        };
        // Zero before the base time, which may lie ahead.
        let now = self.running_time().unwrap_or(0);
        let deadline = {
            let mut output = lock(&self.output);
            if output.eos {
                let _ = self.src.pause_task();
                return;
            }
            self.look_up_pads(&mut output);
            let ready = output.prepare(&self.src);
            ready.map(|()| output.beat.deadline(now))
        };
        let deadline = match deadline {
            Ok(deadline) => deadline,
            Err(error) => return self.fail(error),
        };
        let id = clock.new_single_shot_id(base + gst::ClockTime::from_nseconds(deadline));
        {
            let mut state = lock(&self.state);
            if state.flushing || !self.playing.load(Ordering::SeqCst) {
                return;
            }
            state.wait = Some(id.clone());
        }
        let (result, _) = id.wait();
        lock(&self.state).wait = None;
        if result == Err(gst::ClockError::Unscheduled) {
            return;
        }
        let mut output = lock(&self.output);
        let Some(now) = self.running_time() else {
            return;
        };
        if output.eos || output.beat.deadline(now) > now {
            return;
        }
        let n = output.beat.expired(now);
        self.counters.repeated.fetch_add(1, Ordering::Relaxed);
        self.look_up_pads(&mut output);
        match self.send(&mut output, n..n + 1, Look::Glance) {
            // What comes after may be back by the next frame.
            Ok(_) | Err(gst::FlowError::Flushing) => {}
            Err(error) => {
                drop(output);
                self.fail(error);
            }
        }
    }

    /// Until something changes.
    fn rest(&self) {
        let state = lock(&self.state);
        if !state.flushing && self.playing.load(Ordering::SeqCst) {
            drop(self.wait(state));
        }
    }

    /// The next frame, when every pad is known at its time.
    fn offline_turn(&self) {
        let mut output = lock(&self.output);
        let time = output.beat.pts(output.beat.next());
        let mut state = lock(&self.state);
        let over = loop {
            if state.flushing || output.eos {
                let _ = self.src.pause_task();
                return;
            }
            if self.way() != Way::Offline {
                return;
            }
            let (mut known, mut over, mut moved) = (!state.pads.is_empty(), true, false);
            for (_, slot) in &state.pads {
                let mut input = lock(&slot.input);
                moved |= input.advance(time);
                known &= input.is_known_at(time);
                over &= input.is_over(time);
            }
            if moved {
                self.room.notify_all();
            }
            if known {
                break over;
            }
            state = self.wait(state);
        };
        drop(state);
        self.look_up_pads(&mut output);
        let done = match output.prepare(&self.src) {
            Ok(()) if over => {
                output.end(&self.src);
                let _ = self.noted(Err(gst::FlowError::Eos));
                return;
            }
            Ok(()) => {
                let n = output.beat.take_next();
                self.send(&mut output, n..n + 1, Look::Stare).map(|_| ())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            drop(output);
            self.fail(error);
        }
    }

    /// The task has nobody to return an error to.
    fn fail(&self, error: gst::FlowError) {
        let _ = self.noted(Err(error));
        gst::debug!(CAT, imp = self, "the task stops: {error}");
        let _ = self.src.pause_task();
        if !matches!(error, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The mixed video could not be sent on."),
                ["downstream said: {error}"]
            );
        }
        let state = lock(&self.state);
        self.announce();
        drop(state);
    }
}
