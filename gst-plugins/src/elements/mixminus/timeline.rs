//! Sound of one input on the common timeline, for mixing that waits.

use crate::mixminus::LATENCY_FRAMES;
use crate::{BLOCK_FRAMES, Block};

/// More than this is not taken in advance: 200 ms.
const CAPACITY: usize = 20 * BLOCK_FRAMES;
/// Timestamps that are off by less (40 ms) are rounding or jitter; the sound is continuous.
const TOLERANCE: u64 = 4 * BLOCK_FRAMES as u64;

#[derive(Default)]
pub(super) struct Timeline {
    /// Place of the next frame to be mixed; what waits begins here.
    position: u64,
    frames: Vec<[f32; 2]>,
    start: usize,
    /// Frames behind what waits that are known to be silent.
    silence: u64,
    /// Where the last sound has left the mixer, with its delay.
    sound_end: u64,
    /// Something has come since the last jump.
    running: bool,
}

impl Timeline {
    /// Frames of sound that wait.
    pub(super) fn waiting(&self) -> usize {
        self.frames.len() - self.start
    }

    fn end(&self) -> u64 {
        self.position + self.waiting() as u64
    }

    /// All sound was mixed, and has come out of the limiter as well.
    pub(super) fn is_drained(&self) -> bool {
        self.position >= self.sound_end
    }

    /// Mixing stands here: what lies before is too late. The frames lost.
    pub(super) fn start_at(&mut self, position: u64) -> u64 {
        let lost = position
            .saturating_sub(self.position)
            .min(self.waiting() as u64);
        self.start += lost as usize;
        self.position = position;
        lost
    }

    /// Forgets what waits; the next sound is placed by its timestamp.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.start = 0;
        self.silence = 0;
        self.running = false;
    }

    /// Where sound with a timestamp belongs.
    pub(super) fn place(&self, stamped: Option<u64>) -> u64 {
        let next = self.end() + self.silence;
        match stamped {
            Some(at) if !self.running || at.abs_diff(next) >= TOLERANCE => at,
            _ => next,
        }
    }

    /// All before this place is known now.
    pub(super) fn know_until(&mut self, place: u64) {
        self.silence = self.silence.max(place.saturating_sub(self.end()));
    }

    /// Whether sound for this place can come in already.
    pub(super) fn has_room(&self, place: u64, frames: usize) -> bool {
        let before = self.waiting() as u64 + place.saturating_sub(self.end());
        before < BLOCK_FRAMES as u64 || before + frames as u64 <= CAPACITY as u64
    }

    /// Whether the next block is known.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting() as u64 + self.silence >= BLOCK_FRAMES as u64
    }

    /// So little waits that more may come: asked for in bursts, or each block would cost a wake-up.
    pub(super) fn is_low(&self) -> bool {
        self.waiting() <= CAPACITY / 2
    }

    /// Puts sound at a place for which there is room. The frames that came too late.
    pub(super) fn put(&mut self, place: u64, frames: &[[f32; 2]]) -> u64 {
        let late = self.end().saturating_sub(place).min(frames.len() as u64);
        let frames = &frames[late as usize..];
        if frames.is_empty() {
            return late;
        }
        if self.start > 0 {
            self.frames.drain(..self.start);
            self.start = 0;
        }
        let gap = place.saturating_sub(self.end()) as usize;
        self.frames.extend(std::iter::repeat_n([0.0; 2], gap));
        self.frames.extend_from_slice(frames);
        self.silence = 0;
        self.sound_end = self.end() + LATENCY_FRAMES as u64;
        self.running = true;
        late
    }

    /// The next block; whether all of it was sound.
    pub(super) fn take(&mut self, block: &mut Block) -> bool {
        let frames = block.as_chunks_mut::<2>().0;
        let sound = self.waiting().min(frames.len());
        let (heard, rest) = frames.split_at_mut(sound);
        heard.copy_from_slice(&self.frames[self.start..self.start + sound]);
        rest.fill([0.0; 2]);
        self.start += sound;
        self.silence = self.silence.saturating_sub(rest.len() as u64);
        self.position += BLOCK_FRAMES as u64;
        rest.is_empty()
    }
}
