//! What a sink pad has: the frames that came in, and how far its stream is known.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gst_video::prelude::*;

use super::pad::PadSettings;
use crate::colours::Colours;
use crate::elements::colorimetry;
use crate::frame::I420Ref;
use crate::nv12::Chroma;
use crate::tilemix::Source;

/// Timestamps that went through a container were rounded: Matroska's to a millisecond.
pub(super) const TOLERANCE: u64 = 1_000_000;
/// Frames that wait on a pad when not live.
pub(super) const QUEUE: usize = 2;

/// No panic leaves these short critical sections half done, so a poisoned lock's data is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame as it came in, mapped once.
pub(super) struct Picture {
    frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    /// Of an NV12 frame, taken apart.
    chroma: Option<Chroma>,
    pub serial: u64,
    /// Running times.
    pub at: u64,
    pub end: u64,
}

impl Picture {
    /// `None` if the buffer isn't what its caps say. `spare` is memory of an older picture.
    pub fn new(
        buffer: gst::Buffer,
        info: &gst_video::VideoInfo,
        spare: Option<Chroma>,
        (at, end): (u64, u64),
    ) -> Option<Picture> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info).ok()?;
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let chroma = if frame.format() == gst_video::VideoFormat::Nv12 {
            let mut chroma = spare.unwrap_or_default();
            let stride = usize::try_from(frame.plane_stride()[1]).ok()?;
            chroma
                .split(width, height, frame.plane_data(1).ok()?, stride)
                .ok()?;
            Some(chroma)
        } else {
            None
        };
        let picture = Picture {
            frame,
            chroma,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            at,
            end,
        };
        picture.view().is_some().then_some(picture)
    }
}

impl Picture {
    pub fn colours(&self) -> Colours {
        colorimetry::colours(&self.frame.info().colorimetry())
    }
}

impl Source for Picture {
    fn view(&self) -> Option<I420Ref<'_>> {
        let strides = self.frame.plane_stride();
        let stride = |p: usize| strides.get(p).and_then(|s| usize::try_from(*s).ok());
        let luma = self.frame.plane_data(0).ok()?;
        if let Some(chroma) = &self.chroma {
            return chroma.with_luma(luma, stride(0)?).ok();
        }
        I420Ref::new(
            self.frame.width() as usize,
            self.frame.height() as usize,
            [
                luma,
                self.frame.plane_data(1).ok()?,
                self.frame.plane_data(2).ok()?,
            ],
            [stride(0)?, stride(1)?, stride(2)?],
        )
        .ok()
    }
}

#[derive(Default)]
pub(super) struct Input {
    pub info: Option<gst_video::VideoInfo>,
    pub segment: gst::FormattedSegment<gst::ClockTime>,
    /// What is shown.
    pub newest: Option<Arc<Picture>>,
    /// What comes after it, when not live.
    pub queue: VecDeque<Arc<Picture>>,
    /// Running time of a frame that has no timestamp.
    pub follows: u64,
    /// A GAP event said that nothing comes before this running time.
    pub known_until: u64,
    pub eos: bool,
    pub flushing: bool,
}

impl Input {
    /// As after a flush; the picture stays until the next one if it may.
    pub fn flush(&mut self, keep_picture: bool) {
        self.queue.clear();
        self.segment = gst::FormattedSegment::default();
        self.follows = 0;
        self.known_until = 0;
        self.eos = false;
        self.flushing = false;
        if !keep_picture {
            self.newest = None;
        }
    }

    /// Running times at which a buffer begins and ends. One without timestamp follows the one before; `None` if the segment cuts
    /// it off.
    pub fn times(&self, buffer: &gst::BufferRef) -> Option<(u64, u64)> {
        let at = match buffer.pts() {
            Some(pts) => self.segment.to_running_time(pts)?.nseconds(),
            None => self.follows,
        };
        let fps = self.info.as_ref().map(|i| i.fps());
        let frame = fps.and_then(|f| {
            let (n, d) = (
                u64::try_from(f.numer()).ok()?,
                u64::try_from(f.denom()).ok()?,
            );
            (1_000_000_000 * d).checked_div(n)
        });
        let length = buffer.duration().map(|d| d.nseconds()).or(frame);
        // Of unknown length: shown with the frame of its own time.
        Some((at, at.saturating_add(length.unwrap_or(2 * TOLERANCE))))
    }

    /// Nothing is waited for any more: of what waits, the last is shown.
    pub fn show_last(&mut self) {
        if let Some(last) = self.queue.pop_back() {
            self.newest = Some(last);
            self.queue.clear();
        }
    }

    /// Shows the newest frame that is not after `time`; whether that made room in the queue.
    pub fn advance(&mut self, time: u64) -> bool {
        let mut moved = false;
        while self
            .queue
            .front()
            .is_some_and(|p| p.at <= time.saturating_add(TOLERANCE))
        {
            self.newest = self.queue.pop_front();
            moved = true;
        }
        if self.is_over(time) {
            self.newest = None;
        }
        moved
    }

    /// What is shown at `time` can't change any more.
    pub fn is_known_at(&self, time: u64) -> bool {
        self.eos
            || !self.queue.is_empty()
            || self.known_until > time.saturating_add(TOLERANCE)
            || self
                .newest
                .as_ref()
                .is_some_and(|p| p.at.saturating_add(TOLERANCE) >= time)
    }

    /// Ended, and its last frame too.
    pub fn is_over(&self, time: u64) -> bool {
        self.eos
            && self.queue.is_empty()
            && self
                .newest
                .as_ref()
                .is_none_or(|p| p.end <= time.saturating_add(TOLERANCE))
    }
}

/// A sink pad's part that outlives no pad and that the mixer sees without one.
pub(super) struct Slot {
    pub id: u64,
    pub settings: Mutex<PadSettings>,
    pub input: Mutex<Input>,
    pub is_clock: AtomicBool,
    /// Its upstream was asked whether it is live.
    pub asked: AtomicBool,
    /// Memory of an older picture.
    spare: Mutex<Option<Chroma>>,
}

impl Default for Slot {
    fn default() -> Self {
        static ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: ID.fetch_add(1, Ordering::Relaxed),
            settings: Mutex::default(),
            input: Mutex::default(),
            is_clock: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            spare: Mutex::default(),
        }
    }
}

impl Slot {
    pub fn take_spare(&self) -> Option<Chroma> {
        lock(&self.spare).take()
    }

    /// Shows a picture at once.
    pub fn show(&self, picture: Arc<Picture>) {
        let old = lock(&self.input).newest.replace(picture);
        self.retire(old);
    }

    /// A picture that one of its owners has no use for: the last one gives back its memory.
    pub fn retire(&self, picture: Option<Arc<Picture>>) {
        if let Some(chroma) = picture.and_then(Arc::into_inner).and_then(|p| p.chroma)
            && let Ok(mut spare) = self.spare.try_lock()
        {
            *spare = Some(chroma);
        }
    }
}
