//! Where a source meets the programme. A slot never blocks its source and never holds up the mix: the newest frame
//! replaces an older one, sound waits in a short queue with its own clock correction, and what is dropped is counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use gst_video::prelude::*;
use gstdais::drift::{DriftQueue, DriftStats};
use gstdais::elements::colorimetry::colours;
use gstdais::frame::I420Ref;

use crate::api::Source;
use crate::picture::view;
use crate::time::StudioTime;

/// Largest picture that is taken from a source, and the least: a tile needs both chroma samples of a row.
const MAX_PIXELS: u32 = 3840 * 2160;
const MIN_SIDE: u32 = 2;

/// 10 ms blocks that may wait on the way to a session: past 200 ms the oldest go.
const SOUND_OUT_BLOCKS: u64 = 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One decoded picture, mapped and checked: reading it can't fail.
pub struct Picture {
    pub frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    /// Counts the frames of this slot from 1.
    pub seq: u64,
    /// Running time at which it was put into the slot.
    pub arrived: gst::ClockTime,
    /// Running time at which it was captured, as far as its timestamp says so.
    pub captured: gst::ClockTime,
}

impl Picture {
    /// Its pixels, and what they mean as colours.
    pub fn view(&self) -> Option<I420Ref<'_>> {
        let frame = &self.frame;
        let planes = [0, 1, 2].map(|plane| frame.plane_data(plane));
        let size = (frame.width(), frame.height());
        let view = view(size, planes, frame.plane_stride())?;
        Some(view.with_colours(colours(&frame.info().colorimetry())))
    }
}

/// The newest picture of a source.
pub struct VideoSlot {
    time: StudioTime,
    newest: Mutex<Newest>,
    arrival: Condvar,
    taken: AtomicU64,
    overwritten: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Newest {
    picture: Option<Arc<Picture>>,
    seq: u64,
    /// The last sequence number the mix has seen.
    seen: u64,
}

impl VideoSlot {
    fn new(time: StudioTime) -> VideoSlot {
        VideoSlot {
            time,
            newest: Mutex::default(),
            arrival: Condvar::new(),
            taken: AtomicU64::new(0),
            overwritten: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes an I420 picture of any size. Anything else is counted and left alone: a source must not be able to break the mix.
    /// The timestamp is not relied upon: a frame without one is stamped here.
    pub fn put(&self, sample: &gst::Sample) {
        let Some(frame) = readable_i420(sample) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let arrived = self.time.now();
        let captured = capture_time(sample, arrived);
        let old = {
            let mut newest = lock(&self.newest);
            newest.seq += 1;
            if newest.seen + 1 < newest.seq {
                self.overwritten.fetch_add(1, Ordering::Relaxed);
            }
            let picture = Arc::new(Picture {
                frame,
                seq: newest.seq,
                arrived,
                captured,
            });
            newest.picture.replace(picture)
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.arrival.notify_all();
        // Unmapping and returning a buffer to its pool takes a lock of that pool: not under ours.
        drop(old);
    }

    /// The newest picture, again and again until another comes.
    pub fn newest(&self) -> Option<Arc<Picture>> {
        let mut newest = lock(&self.newest);
        newest.seen = newest.seq;
        newest.picture.clone()
    }

    /// The newest picture, for who only looks on: the programme's count of what it missed is not touched.
    pub(crate) fn peek(&self) -> Option<Arc<Picture>> {
        lock(&self.newest).picture.clone()
    }

    /// Forgets the picture, so that what comes next (another camera, another guest) doesn't start with an old one.
    pub fn clear(&self) {
        let old = lock(&self.newest).picture.take();
        drop(old);
    }

    /// The number of the newest picture, without taking it.
    pub fn seq(&self) -> u64 {
        lock(&self.newest).seq
    }

    /// Waits at most until `deadline` for a picture newer than `seq`.
    pub(crate) fn wait_newer(&self, seq: u64, deadline: gst::ClockTime) -> bool {
        let mut newest = lock(&self.newest);
        loop {
            if newest.seq > seq {
                return true;
            }
            let left = deadline.saturating_sub(self.time.now());
            if left.is_zero() {
                return false;
            }
            newest = self
                .arrival
                .wait_timeout(newest, left.into())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn readable_i420(
    sample: &gst::Sample,
) -> Option<gst_video::VideoFrame<gst_video::video_frame::Readable>> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let size_ok = info.width() >= MIN_SIDE
        && info.height() >= MIN_SIDE
        && info
            .width()
            .checked_mul(info.height())
            .is_some_and(|pixels| pixels <= MAX_PIXELS);
    if info.format() != gst_video::VideoFormat::I420 || !size_ok {
        return None;
    }
    // Checks the planes against the buffer's size, with the strides of its VideoMeta if it has one.
    gst_video::VideoFrame::from_buffer_readable(sample.buffer_owned()?, &info).ok()
}

/// The sample's running time if it can be a capture time, else now.
fn capture_time(sample: &gst::Sample, now: gst::ClockTime) -> gst::ClockTime {
    let stamped = sample.buffer().and_then(|b| b.pts()).and_then(|pts| {
        let segment = sample.segment()?.downcast_ref::<gst::format::Time>()?;
        segment.to_running_time(pts)
    });
    let oldest = now.saturating_sub(gst::ClockTime::from_seconds(2));
    stamped
        .filter(|at| (oldest..=now).contains(at))
        .unwrap_or(now)
}

/// The sound of a source on its way into the mix: a short queue that makes the source's clock and ours one.
#[derive(Default)]
pub struct AudioSlot {
    queue: Mutex<DriftQueue>,
    frames: AtomicU64,
}

impl AudioSlot {
    fn through_network() -> AudioSlot {
        AudioSlot {
            queue: Mutex::new(DriftQueue::through_network()),
            frames: AtomicU64::new(0),
        }
    }

    /// Interleaved stereo at 48 kHz, any number of frames. What is more than 200 ms is dropped and counted.
    pub fn push(&self, samples: &[f32]) {
        lock(&self.queue).push(samples);
        self.frames
            .fetch_add(samples.len() as u64 / 2, Ordering::Relaxed);
    }

    /// Forgets what waits: another microphone or guest comes.
    pub fn clear(&self) {
        lock(&self.queue).reset();
    }

    /// The next 10 ms; silence where nothing came. Gives what is counted by now.
    pub(crate) fn pull(&self, block: &mut gstdais::Block) -> DriftStats {
        let mut queue = lock(&self.queue);
        queue.pull(block);
        queue.stats()
    }

    pub fn stats(&self) -> DriftStats {
        lock(&self.queue).stats()
    }

    /// Frames that came, since the start.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

/// The way of a source's mix-minus (or of the programme's sound, for a watcher) to its session.
#[derive(Default)]
pub struct SoundOut {
    appsrc: Mutex<Option<gst_app::AppSrc>>,
    /// The queue in front of the host's monitor output.
    monitor: OnceLock<Arc<AudioSlot>>,
    dropped: AtomicU64,
}

impl SoundOut {
    /// From now on 10 ms buffers of F32LE, stereo, 48 kHz, interleaved go there, stamped with running time. The `appsrc` is
    /// made bounded and leaky: the oldest block goes when 200 ms wait.
    pub fn set(&self, appsrc: Option<gst_app::AppSrc>) {
        if let Some(appsrc) = &appsrc {
            appsrc.set_max_bytes(0);
            appsrc.set_max_time(gst::ClockTime::ZERO);
            appsrc.set_max_buffers(SOUND_OUT_BLOCKS);
            appsrc.set_leaky_type(gst_app::AppLeakyType::Downstream);
            appsrc.set_block(false);
            appsrc.set_format(gst::Format::Time);
        }
        *lock(&self.appsrc) = appsrc;
    }

    /// From now on each block goes there too, for as long as the source lives.
    pub(crate) fn set_monitor(&self, queue: Arc<AudioSlot>) {
        // There is one host, and one monitor.
        let _ = self.monitor.set(queue);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.monitor.get().is_some() || lock(&self.appsrc).is_some()
    }

    pub(crate) fn push(&self, block: gst::Buffer) {
        if let Some(queue) = self.monitor.get()
            && let Ok(map) = block.map_readable()
        {
            let mut samples: gstdais::Block = [0.0; gstdais::BLOCK_SAMPLES];
            let bytes = map.as_chunks::<4>().0;
            for (sample, bytes) in samples.iter_mut().zip(bytes) {
                *sample = f32::from_le_bytes(*bytes);
            }
            queue.push(&samples);
        }
        let Some(appsrc) = lock(&self.appsrc).clone() else {
            return;
        };
        if appsrc.current_level_buffers() >= SOUND_OUT_BLOCKS {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // A session that is being torn down refuses it: its own affair.
        let _ = appsrc.push_buffer(block);
    }
}

/// Everything of one source.
pub struct Slot {
    pub source: Source,
    pub video: VideoSlot,
    pub audio: AudioSlot,
    pub sound_out: SoundOut,
    /// What is sent to this session is the sound of that source alone, not the programme's.
    pub(crate) listens_to: OnceLock<Source>,
    /// What the guest has muted: it holds for private views, too.
    pub(crate) silent: AtomicBool,
    pub(crate) dark: AtomicBool,
}

/// What a slot counted, for health.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct SlotHealth {
    /// The session, or `host`.
    pub source: String,
    pub frames: u64,
    /// Frames that came and went between two programme frames.
    pub frames_overwritten: u64,
    /// Pictures that could not be read as I420.
    pub frames_refused: u64,
    /// How often the sound broke off.
    pub sound_underruns: u64,
    /// Sound thrown away because too much waited.
    pub sound_dropped_ms: u64,
    pub sound_waiting_ms: f64,
    /// How much faster than nominal the source's clock is.
    pub sound_ppm: f64,
    pub sound_out_dropped: u64,
}

impl Slot {
    pub(crate) fn new(source: Source, time: StudioTime) -> Slot {
        let audio = match source {
            Source::Host => AudioSlot::default(),
            Source::Session(_) => AudioSlot::through_network(),
        };
        Slot {
            source,
            video: VideoSlot::new(time),
            audio,
            sound_out: SoundOut::default(),
            listens_to: OnceLock::new(),
            silent: AtomicBool::new(false),
            dark: AtomicBool::new(false),
        }
    }

    pub fn health(&self) -> SlotHealth {
        let sound = self.audio.stats();
        SlotHealth {
            source: match &self.source {
                Source::Host => "host".into(),
                Source::Session(id) => id.clone(),
            },
            frames: self.video.taken.load(Ordering::Relaxed),
            frames_overwritten: self.video.overwritten.load(Ordering::Relaxed),
            frames_refused: self.video.refused.load(Ordering::Relaxed),
            sound_underruns: sound.underruns,
            sound_dropped_ms: sound.dropped_frames / 48,
            sound_waiting_ms: sound.level_ms,
            sound_ppm: sound.ppm,
            sound_out_dropped: self.sound_out.dropped.load(Ordering::Relaxed),
        }
    }
}

/// All slots by source. Cheap to clone.
#[derive(Clone)]
pub struct Slots {
    time: StudioTime,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    slots: RwLock<HashMap<Source, Arc<Slot>>>,
    version: AtomicU64,
}

impl Slots {
    pub(crate) fn new(time: StudioTime) -> Slots {
        Slots {
            time,
            inner: Arc::default(),
        }
    }

    /// The slot of `source`, made if there is none.
    pub fn add(&self, source: Source) -> Arc<Slot> {
        let mut slots = self
            .inner
            .slots
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .entry(source.clone())
            .or_insert_with(|| Arc::new(Slot::new(source, self.time.clone())))
            .clone();
        self.inner.version.fetch_add(1, Ordering::Release);
        slot
    }

    pub fn remove(&self, source: &Source) {
        let removed = self
            .inner
            .slots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(source);
        self.inner.version.fetch_add(1, Ordering::Release);
        drop(removed);
    }

    pub fn get(&self, source: &Source) -> Option<Arc<Slot>> {
        self.inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(source)
            .cloned()
    }

    pub fn all(&self) -> Vec<Arc<Slot>> {
        self.inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Changes with each `add` and `remove`, so that the mixing threads need not look at the map each time.
    pub(crate) fn version(&self) -> u64 {
        self.inner.version.load(Ordering::Acquire)
    }
}
