//! What was mixed for one src pad and waits to be pushed by the pad's own task, so that a downstream that blocks holds up
//! nobody else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::samples::Format;
use super::{BLOCK_TIME, CAT, DaisMixMinus};
use crate::{BLOCK_FRAMES, BLOCK_SAMPLES, Block};

/// 250 ms: what a downstream may be late without a loss, and what latency later sinks may add.
pub(super) const CAPACITY: usize = 25;

struct Waiting {
    /// Blocks that wait, and those of before, for their memory. Full means oldest lost (live) or mixing waits.
    blocks: VecDeque<(u64, Box<Block>)>,
    #[allow(
        clippy::vec_box,
        reason = "boxes move between here, `blocks` and the task"
    )]
    spare: Vec<Box<Block>>,
    open: bool,
    eos: bool,
    /// The pushing task waits for a block, mixing for room.
    wants_block: bool,
    wants_room: bool,
    stopped: bool,
}

pub(super) struct Output {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Condvar,
    dropped: AtomicU64,
    /// A push is under way: downstream may be holding it.
    pub(super) pushing: AtomicBool,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                blocks: VecDeque::with_capacity(CAPACITY),
                spare: (0..=CAPACITY)
                    .map(|_| Box::new([0.0; BLOCK_SAMPLES]))
                    .collect(),
                open: false,
                eos: false,
                wants_block: false,
                wants_room: false,
                stopped: false,
            }),
            filled: Condvar::new(),
            room: Condvar::new(),
            dropped: AtomicU64::new(0),
            pushing: AtomicBool::new(false),
        }
    }
}

enum Next {
    Block(u64, Box<Block>),
    Eos,
    Closed,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) {
        let mut waiting = self.lock();
        (waiting.open, waiting.eos, waiting.stopped) = (true, false, false);
    }

    /// Nothing is taken or given any more.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.open = false;
        while let Some((_, block)) = waiting.blocks.pop_front() {
            waiting.spare.push(block);
        }
        self.filled.notify_all();
        self.room.notify_all();
    }

    /// Mixing is about to stop: it must not wait here.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.room.notify_all();
    }

    pub(super) fn put_eos(&self) {
        self.lock().eos = true;
        self.filled.notify_all();
    }

    /// A block, with its number. If downstream doesn't take them: loses the oldest and counts it, or, with `wait`, waits.
    /// Then the task also sleeps until half are full or `flush`: a wake-up for each block costs more than mixing it.
    pub(super) fn put(&self, number: u64, block: &Block, wait: bool) {
        let mut waiting = self.lock();
        while wait && waiting.open && !waiting.stopped && waiting.blocks.len() == CAPACITY {
            waiting.wants_room = true;
            waiting = self
                .room
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.open || waiting.eos {
            return;
        }
        if waiting.blocks.len() == CAPACITY
            && let Some((_, oldest)) = waiting.blocks.pop_front()
        {
            waiting.spare.push(oldest);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // One is out with the task, all others are here or wait.
        let Some(mut own) = waiting.spare.pop() else {
            return;
        };
        own.copy_from_slice(block);
        waiting.blocks.push_back((number, own));
        let now = !wait || waiting.blocks.len() > CAPACITY / 2;
        if now && std::mem::take(&mut waiting.wants_block) {
            self.filled.notify_one();
        }
    }

    /// Mixing would have to wait for room.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.lock();
        waiting.open && waiting.blocks.len() == CAPACITY
    }

    /// Wakes the task for what waits.
    pub(super) fn flush(&self) {
        let mut waiting = self.lock();
        if !waiting.blocks.is_empty() && std::mem::take(&mut waiting.wants_block) {
            self.filled.notify_one();
        }
    }

    fn next(&self, done: Option<Box<Block>>) -> Next {
        let mut waiting = self.lock();
        waiting.spare.extend(done);
        loop {
            if !waiting.open {
                return Next::Closed;
            }
            if let Some((number, block)) = waiting.blocks.pop_front() {
                // In bursts, or each block would cost a wake-up.
                if waiting.blocks.len() <= CAPACITY / 2 && std::mem::take(&mut waiting.wants_room) {
                    self.room.notify_one();
                }
                // Under the lock, so that whoever closes the output knows of this one.
                self.pushing.store(true, Ordering::SeqCst);
                return Next::Block(number, block);
            }
            if waiting.eos {
                return Next::Eos;
            }
            waiting.wants_block = true;
            waiting = self
                .filled
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A src pad's task: from the output to downstream.
pub(super) struct Pushing {
    output: Arc<Output>,
    done: Option<Box<Block>>,
    format: Option<Format>,
    begun: bool,
    /// The block that continues the last one pushed.
    expected: Option<u64>,
}

impl Pushing {
    pub(super) fn new(output: Arc<Output>) -> Self {
        Self {
            output,
            done: None,
            format: None,
            begun: false,
            expected: None,
        }
    }

    /// One turn of the task.
    pub(super) fn turn(&mut self, pad: &gst::Pad) {
        match self.output.next(self.done.take()) {
            Next::Closed => {
                let _ = pad.pause_task();
            }
            Next::Eos => {
                self.begin(pad);
                pad.push_event(gst::event::Eos::new());
                let _ = pad.pause_task();
            }
            Next::Block(number, block) => {
                let result = self.push(pad, number, &block);
                self.output.pushing.store(false, Ordering::SeqCst);
                self.done = Some(block);
                if let Err(error) = result {
                    self.fail(pad, error);
                }
            }
        }
    }

    fn fail(&mut self, pad: &gst::Pad, error: gst::FlowError) {
        self.expected = None;
        match error {
            // Nobody there, or not at the moment: the next block may find somebody.
            gst::FlowError::NotLinked | gst::FlowError::Flushing => {}
            gst::FlowError::Eos => self.output.put_eos(),
            _ => {
                self.output.close();
                if let Some(element) = pad.parent_element() {
                    gst::element_error!(
                        element,
                        gst::StreamError::Failed,
                        ("What was mixed could not be sent on."),
                        ["pad {}: {error:?}", pad.name()]
                    );
                }
            }
        }
    }

    fn push(&mut self, pad: &gst::Pad, number: u64, block: &Block) -> Result<(), gst::FlowError> {
        if !pad.is_linked() || !self.begin(pad) {
            return Err(gst::FlowError::NotLinked);
        }
        let format = self.negotiate(pad)?;
        // At the start, and after a flush, which takes it away.
        if self.expected.is_none() && pad.sticky_event::<gst::event::Segment>(0).is_none() {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            pad.push_event(gst::event::Segment::new(&segment));
        }
        // From the heap, not from a pool: a pool of one buffer in flight costs two system calls for each.
        let mut buffer = gst::Buffer::with_size(BLOCK_FRAMES * format.frame_bytes())
            .map_err(|_| gst::FlowError::Error)?;
        {
            let buffer = buffer.get_mut().ok_or(gst::FlowError::Error)?;
            buffer.set_pts(BLOCK_TIME * number);
            buffer.set_duration(BLOCK_TIME);
            buffer.set_offset(number * BLOCK_FRAMES as u64);
            buffer.set_offset_end((number + 1) * BLOCK_FRAMES as u64);
            if self.expected != Some(number) {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            let mut map = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
            format.write(block, &mut map);
        }
        pad.push(buffer)?;
        self.expected = Some(number + 1);
        Ok(())
    }

    /// False while the pad isn't the element's yet.
    fn begin(&mut self, pad: &gst::Pad) -> bool {
        if self.begun {
            return true;
        }
        let element = pad.parent_element();
        let Some(element) = element.and_downcast::<DaisMixMinus>() else {
            return false;
        };
        let id = format!("{}/{}", element.path_string(), pad.name());
        let start = gst::event::StreamStart::builder(&id).group_id(element.imp().group());
        pad.push_event(start.build());
        self.begun = true;
        true
    }

    fn negotiate(&mut self, pad: &gst::Pad) -> Result<Format, gst::FlowError> {
        let again = pad.check_reconfigure();
        if let Some(format) = self.format.filter(|_| !again) {
            return Ok(format);
        }
        let allowed = pad.allowed_caps().ok_or(gst::FlowError::NotLinked)?;
        let caps = Format::choose(allowed).ok_or(gst::FlowError::NotNegotiated)?;
        let format = Format::from_caps(&caps).ok_or(gst::FlowError::NotNegotiated)?;
        if self.format != Some(format) {
            gst::debug!(CAT, obj = pad, "{caps}");
            pad.push_event(gst::event::Caps::new(&caps));
            self.format = Some(format);
        }
        Ok(format)
    }
}
