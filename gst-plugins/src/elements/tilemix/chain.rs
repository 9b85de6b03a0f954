//! Frames come in.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};

use gst::subclass::prelude::*;

use super::TileMixPad;
use super::imp::{CAT, FLOWS, State, TileMix, Way};
use super::input::{Picture, QUEUE, Slot, lock};
use super::output::{Output, Painting};
use super::scene::Look;

impl TileMix {
    pub(super) fn chain(
        &self,
        pad: &TileMixPad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let slot = &pad.imp().slot;
        let way = self.way_for(pad);
        let (info, times) = {
            let mut input = lock(&slot.input);
            if input.flushing {
                return Err(gst::FlowError::Flushing);
            }
            if input.eos {
                return Err(gst::FlowError::Eos);
            }
            let info = input.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
            let times = input.times(&buffer);
            if let Some((_, end)) = times {
                input.follows = end;
            }
            (info, times)
        };
        // Live, the newest frame is shown whatever its timestamp; else there is no telling when.
        let Some(known) = times.or((way == Way::Live).then_some((0, 0))) else {
            return self.drop_frame(pad, "is outside its segment");
        };
        let stamped = times.is_some() && buffer.pts().is_some();
        let Some(picture) = Picture::new(buffer, &info, slot.take_spare(), known) else {
            return self.drop_frame(pad, "is smaller than its caps say");
        };
        let picture = Arc::new(picture);
        if way == Way::Live {
            return self.take_live(pad, picture, stamped.then_some(known.0));
        }
        match self.enqueue(slot, &picture)? {
            Way::Live => self.take_live(pad, picture, stamped.then_some(known.0)),
            _ => self.last_flow(),
        }
    }

    fn drop_frame(&self, pad: &TileMixPad, why: &str) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        gst::debug!(CAT, obj = pad, "dropped a frame that {why}");
        self.last_flow()
    }

    /// What the last push said, so that upstream stops when downstream is gone.
    fn last_flow(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.flow.load(Ordering::SeqCst).checked_sub(1) {
            Some(n) => Err(FLOWS[n]),
            None => Ok(gst::FlowSuccess::Ok),
        }
    }

    fn take_live(
        &self,
        pad: &TileMixPad,
        picture: Arc<Picture>,
        at: Option<u64>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let slot = &pad.imp().slot;
        slot.show(picture);
        if !self.any_frame.swap(true, Ordering::SeqCst) {
            let _state = lock(&self.state);
            self.announce();
        }
        if !slot.is_clock.load(Ordering::SeqCst) {
            return self.last_flow();
        }
        let mut output = lock(&self.output);
        if output.eos {
            return Err(gst::FlowError::Eos);
        }
        self.look_up_pads(&mut output);
        self.noted(output.prepare(&self.src).map(|()| gst::FlowSuccess::Ok))?;
        let now = self.running_time();
        let frames = output.beat.clock_frame(at, now);
        let count = frames.end - frames.start;
        if count == 0 {
            self.counters.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(gst::FlowSuccess::Ok);
        }
        self.counters
            .repeated
            .fetch_add(count - 1, Ordering::Relaxed);
        self.send(&mut output, frames, Look::Glance)
    }

    fn painting(&self, look: Look) -> Painting {
        let settings = lock(&self.settings);
        Painting {
            look,
            background: settings.background,
            transition: u64::from(settings.transition_ms) * 1_000_000,
        }
    }

    pub(super) fn send(
        &self,
        output: &mut Output,
        frames: std::ops::Range<u64>,
        look: Look,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let count = frames.end - frames.start;
        self.counters.frames.fetch_add(count, Ordering::Relaxed);
        self.noted(output.produce(&self.src, frames, self.painting(look)))
    }

    pub(super) fn noted(
        &self,
        flow: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let index = FLOWS.iter().position(|error| flow == Err(*error));
        self.flow
            .store(index.map_or(0, |n| n + 1), Ordering::SeqCst);
        flow
    }

    /// Waits for room, then queues. `Live` if the element has become that meanwhile.
    fn enqueue(&self, slot: &Slot, picture: &Arc<Picture>) -> Result<Way, gst::FlowError> {
        let mut state = lock(&self.state);
        loop {
            if self.way() == Way::Live {
                return Ok(Way::Live);
            }
            // The task has stopped, and takes nothing any more.
            self.last_flow()?;
            {
                let mut input = lock(&slot.input);
                if state.flushing || input.flushing {
                    return Err(gst::FlowError::Flushing);
                }
                if input.queue.len() < QUEUE {
                    // Time that goes back is shown at once; it is deterministic too.
                    input.queue.push_back(picture.clone());
                    self.changed.notify_all();
                    return Ok(Way::Offline);
                }
            }
            state = wait(&self.room, state);
        }
    }

    /// In the task, until something changes.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        wait(&self.changed, state)
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}
