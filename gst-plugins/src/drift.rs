//! A short queue in front of one input of the mixer, which makes two clocks one.
//!
//! A camera's, a phone's and the box's clock differ by up to some hundred ppm. Left alone a queue between them runs
//! dry or over every few minutes, each time with a click. Here a PI controller watches the queue's level and plays a
//! little faster or slower (at most 1000 ppm, a sixtieth of a semitone) so that the level stays at its target. The
//! resampler is a 32-tap windowed sinc: clean up to 20 kHz at -60 dB, where a cubic gives up at a few kHz.
//!
//! When it runs dry nevertheless, the last sound is repeated and faded out, and playing waits until the target is
//! reached again: without that wait a bursty network makes a hole with each packet. What comes through a network has a target
//! that follows it, and what it breaks off is concealed for longer ([`DriftQueue::through_network`]).

mod conceal;
mod network;

use std::sync::LazyLock;

use crate::{BLOCK_FRAMES, Block, RATE, sinc};
use conceal::{Concealment, HISTORY};
use network::Network;

const PER_MS: usize = RATE as usize / 1000;
/// One and a half packets of 20 ms.
pub const DEFAULT_TARGET_MS: u32 = 30;
/// More than this is never kept: it would be heard as delay.
pub const MAX_MS: u32 = 200;
const MAX_FRAMES: usize = MAX_MS as usize * PER_MS;
/// What a queue behind a network waits for at most: sound this late is still taken for lips that move (ITU-R BT.1359 has 125 ms).
pub const NETWORK_MAX_MS: u32 = 120;
/// Room for what arrives between two pulls, too.
const CAPACITY: usize = 2 * MAX_FRAMES;

const TAPS: usize = 32;
const PHASES: usize = 256;
/// Kaiser beta for images 70 dB down.
const BETA: f64 = 6.8;

/// Fades in, out and across: 5 ms.
const FADE: usize = 5 * PER_MS;
/// Behind a network sound that is late goes on by what was heard last, as loud for two blocks, and softer for six: most of what is late comes
/// within that.
const CONCEALED: (usize, usize) = (2 * BLOCK_FRAMES, 6 * BLOCK_FRAMES);

/// The controller, in ppm per ms of error and per ms·s: critically damped with a time constant of 13 s for a queue
/// whose level moves by 0.001 ms/s for each ppm. A step of 500 ppm moves the level by 2.5 ms; with 20 s it were 3.7, and
/// an input 500 ppm too slow that sends packets of 20 ms, late by up to 10, ran dry at its start in 28 of 59 trials.
const KP: f64 = 150.0;
const KI: f64 = KP * KP * 1e-3 / 4.0;
const MAX_PPM: f64 = 1000.0;
/// Smoothing of the level over about a second, twice: once would leave a step of the ratio with each late packet,
/// which is heard as a rough tone.
const SMOOTH: f64 = 0.01;

/// A level that stayed this far above the target …
const EXCESS_MS: usize = 20;
/// … for so many blocks (2 s, a look) is a leftover of a burst. The controller would take long (from 40 ms a minute and a half, with a
/// clock 600 ppm off), and lips would be late by it: it is skipped.
const EXCESS_BLOCKS: u32 = 200;

/// Each weight twice, for left and right: multiplied with interleaved samples without a shuffle.
static TABLE: LazyLock<Vec<[f32; 2 * TAPS]>> = LazyLock::new(|| {
    (0..=PHASES)
        .map(|p| {
            let weights = sinc::weights::<TAPS>(p as f64 / PHASES as f64, BETA);
            std::array::from_fn(|n| weights[n / 2])
        })
        .collect()
});

/// What a pull gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// The input's sound.
    Ok,
    /// Silence or what conceals it, all or in part: the queue is empty or fills up to its target.
    Underrun,
}

/// Counters since the start, and the state now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DriftStats {
    /// How often sound broke off (not for how long).
    pub underruns: u64,
    /// Frames thrown away because the queue was too full.
    pub dropped_frames: u64,
    /// Waiting sound, smoothed over a second.
    pub level_ms: f64,
    /// Where that is kept.
    pub target_ms: f64,
    /// How much faster (or slower) than nominal the input is played now.
    pub ppm: f64,
}

/// The queue of one input. Stereo, interleaved, 48 kHz.
pub struct DriftQueue {
    /// Frames from `start` on wait; those before are played, and the last of them kept.
    frames: Vec<[f32; 2]>,
    start: usize,
    /// How far between `start` and the next frame playing is.
    phase: f64,
    /// What was set; behind a network that has its own, see [`DriftQueue::target`].
    set_target: usize,
    network: Option<Network>,
    playing: bool,
    /// Frames to be left out at the next pull.
    skip: usize,
    fade_in: usize,
    /// What was played last.
    last: [f32; 2],
    concealment: Concealment,
    /// Waiting milliseconds, smoothed once and twice.
    coarse: f64,
    level: f64,
    integral: f64,
    ppm: f64,
    /// Of the blocks since the last look: the least and all of what waited, and their number.
    lowest: usize,
    total: usize,
    watched: u32,
    underruns: u64,
    dropped: u64,
}

impl Default for DriftQueue {
    fn default() -> Self {
        Self::new(DEFAULT_TARGET_MS)
    }
}

impl DriftQueue {
    /// `target_ms` is brought into 10 to 150.
    pub fn new(target_ms: u32) -> Self {
        LazyLock::force(&TABLE);
        Self {
            frames: Vec::with_capacity(CAPACITY + HISTORY),
            start: 0,
            phase: 0.0,
            set_target: target_ms.clamp(10, 150) as usize * PER_MS,
            network: None,
            playing: false,
            skip: 0,
            fade_in: 0,
            last: [0.0; 2],
            concealment: Concealment::new(0, FADE),
            coarse: 0.0,
            level: 0.0,
            integral: 0.0,
            ppm: 0.0,
            lowest: usize::MAX,
            total: 0,
            watched: 0,
            underruns: 0,
            dropped: 0,
        }
    }

    /// For what comes through a network: the target is at first the default, and then what this network needs, up to [`NETWORK_MAX_MS`].
    /// It grows when sound broke off, or nearly did, and shrinks by half a millisecond a second.
    pub fn through_network() -> Self {
        let mut queue = Self::default();
        queue.network = Some(Network::new(
            queue.set_target,
            NETWORK_MAX_MS as usize * PER_MS,
        ));
        queue.concealment = Concealment::new(CONCEALED.0, CONCEALED.1);
        queue
    }

    /// Another target from now on; the controller goes there without a step.
    pub fn set_target_ms(&mut self, target_ms: u32) {
        self.set_target = target_ms.clamp(10, 150) as usize * PER_MS;
    }

    pub fn stats(&self) -> DriftStats {
        DriftStats {
            underruns: self.underruns,
            dropped_frames: self.dropped,
            level_ms: self.level,
            target_ms: self.target() as f64 / PER_MS as f64,
            ppm: self.ppm,
        }
    }

    /// Forgets waiting sound and the learnt drift: another device or guest comes. Counters stay.
    pub fn reset(&mut self) {
        self.frames.clear();
        self.start = 0;
        self.phase = 0.0;
        self.playing = false;
        self.skip = 0;
        self.integral = 0.0;
        self.ppm = 0.0;
        (self.coarse, self.level) = (0.0, 0.0);
        self.concealment.end();
        if let Some(network) = &mut self.network {
            network.forget();
        }
    }

    /// Adds interleaved stereo of any length; half a frame at the end is ignored.
    pub fn push(&mut self, samples: &[f32]) {
        let mut new = samples.as_chunks::<2>().0;
        if new.len() > MAX_FRAMES {
            let (old, kept) = new.split_at(new.len() - MAX_FRAMES);
            self.dropped += old.len() as u64;
            new = kept;
        }
        let excess_over_capacity = (self.waiting() + new.len()).saturating_sub(CAPACITY);
        if excess_over_capacity > 0 {
            // Nobody pulls: what falls out here was mostly marked to be skipped already.
            let unmarked = excess_over_capacity.saturating_sub(self.skip);
            self.dropped += unmarked as u64;
            self.skip = self.skip.saturating_sub(excess_over_capacity);
            self.start += excess_over_capacity;
        }
        if self.frames.len() + new.len() > self.frames.capacity() {
            let old = self.start.saturating_sub(HISTORY);
            self.frames.drain(..old);
            self.start -= old;
        }
        self.frames.extend_from_slice(new);
        let excess = (self.waiting() - self.skip).saturating_sub(MAX_FRAMES);
        self.skip += excess;
        self.dropped += excess as u64;
    }

    /// The next 10 ms.
    pub fn pull(&mut self, out: &mut Block) -> Pulled {
        let mut out = out.as_chunks_mut::<2>().0;
        if !self.playing {
            let (waiting, level) = (self.waiting(), self.level_frames());
            if let Some(network) = &mut self.network {
                network.waits(waiting, level);
            }
            if self.waiting() - self.skip < self.target() {
                self.concealment.fill(out);
                return Pulled::Underrun;
            }
            self.playing = true;
            self.fade_in = FADE;
            self.start += std::mem::take(&mut self.skip);
            self.coarse = self.waiting() as f64 / PER_MS as f64;
            self.level = self.coarse;
            (self.lowest, self.total, self.watched) = (usize::MAX, 0, 0);
            let coming = &self.frames[self.start + TAPS / 2..];
            let lead = coming
                .first_chunk()
                .map_or(0, |new| self.concealment.lead(new));
            let conceals;
            (conceals, out) = out.split_at_mut(lead);
            self.concealment.fill(conceals);
        }
        let waiting = self.waiting() - self.skip;
        self.control(waiting);
        let step = 1.0 + self.ppm * 1e-6;
        let frames = &self.frames[self.start..];
        let possible = frames_possible(frames.len() - self.skip, self.phase, step).min(out.len());
        let played = &mut out[..possible];
        let end = if self.skip > 0 {
            play_across(
                frames,
                self.phase,
                step,
                std::mem::take(&mut self.skip),
                played,
            )
        } else {
            play(frames, self.phase, step, played)
        };
        self.start += end.0;
        self.phase = end.1;
        for frame in played.iter_mut() {
            if self.fade_in == 0 {
                break;
            }
            let old = self.concealment.next();
            let part = self.fade_in as f32 / FADE as f32;
            *frame = between(*frame, old, part);
            self.fade_in -= 1;
        }
        self.last = played.last().copied().unwrap_or(self.last);
        if possible < out.len() {
            self.break_off(out, possible);
            return Pulled::Underrun;
        }
        self.look(waiting);
        Pulled::Ok
    }

    fn waiting(&self) -> usize {
        self.frames.len() - self.start
    }

    fn target(&self) -> usize {
        self.network
            .as_ref()
            .map_or(self.set_target, Network::target)
    }

    fn level_frames(&self) -> usize {
        (self.level * PER_MS as f64) as usize
    }

    fn control(&mut self, waiting: usize) {
        self.coarse += (waiting as f64 / PER_MS as f64 - self.coarse) * SMOOTH;
        self.level += (self.coarse - self.level) * SMOOTH;
        let error = self.level - self.target() as f64 / PER_MS as f64;
        let wanted = KP * error + self.integral;
        // The integral stands still while the output is at its limit, or it would overshoot for minutes.
        if wanted.abs() < MAX_PPM {
            self.integral = (self.integral + KI * error * 0.01).clamp(-MAX_PPM, MAX_PPM);
        }
        self.ppm = wanted.clamp(-MAX_PPM, MAX_PPM);
    }

    /// A block was played, before which so much waited.
    fn look(&mut self, waiting: usize) {
        self.lowest = self.lowest.min(waiting);
        self.total += waiting;
        self.watched += 1;
        if self.watched == EXCESS_BLOCKS {
            let mean = self.total / EXCESS_BLOCKS as usize;
            // What a network needs is known, and that the level never was below the target says nothing of it.
            let level = match &mut self.network {
                Some(network) => {
                    network.saw(mean, self.lowest);
                    mean
                }
                None => self.lowest,
            };
            if level > self.target() + EXCESS_MS * PER_MS {
                // Not in a dip: what is to be played next stays.
                let spare = (self.waiting() - self.skip).saturating_sub(2 * BLOCK_FRAMES);
                let excess = (level - self.target()).min(spare);
                self.skip += excess;
                self.dropped += excess as u64;
                self.coarse -= excess as f64 / PER_MS as f64;
                self.level = self.coarse;
            }
            (self.lowest, self.total, self.watched) = (usize::MAX, 0, 0);
        }
    }

    /// The queue ran dry after `played` frames: what was heard last goes on.
    fn break_off(&mut self, out: &mut [[f32; 2]], played: usize) {
        self.underruns += 1;
        self.playing = false;
        self.ppm = self.integral;
        let left = self.waiting();
        if let Some(network) = &mut self.network {
            network.broke_off(out.len() - played, left);
        }
        // The last frame that was played stands in the middle of the resampler's taps.
        let heard = (self.start + TAPS / 2).min(self.frames.len());
        self.concealment.begin(&self.frames[..heard], self.last);
        self.concealment.fill(&mut out[played..]);
    }
}

/// How many frames can be played from `waiting` ones.
fn frames_possible(waiting: usize, phase: f64, step: f64) -> usize {
    if waiting < TAPS {
        return 0;
    }
    // The last one starts at floor(phase + (n - 1) * step) and needs TAPS frames from there; one less for rounding.
    let room = (waiting - TAPS) as f64;
    ((room - phase) / step).max(0.0) as usize
}

/// Plays `out.len()` frames from the beginning of `frames`. Gives how far it came: whole frames and the rest.
fn play(frames: &[[f32; 2]], phase: f64, step: f64, out: &mut [[f32; 2]]) -> (usize, f64) {
    #[cfg(target_arch = "x86_64")]
    if sinc::has_fma() {
        return fma::play(frames, phase, step, out);
    }
    play_by(frames, phase, step, out, |a, b, c| a * b + c)
}

/// `mul_add` is a·b + c.
#[inline(always)]
fn play_by(
    frames: &[[f32; 2]],
    phase: f64,
    step: f64,
    out: &mut [[f32; 2]],
    mul_add: impl Fn(f32, f32, f32) -> f32,
) -> (usize, f64) {
    let table = TABLE.as_slice();
    let (mut at, mut phase) = (0, phase);
    for frame in out {
        let fine = phase * PHASES as f64;
        let index = (fine as usize).min(PHASES - 1);
        let (lower, upper) = (&table[index], &table[index + 1]);
        let part = (fine - index as f64) as f32;
        let samples = frames[at..at + TAPS].as_flattened();
        // Sums side by side keep the additions from waiting for one another.
        let mut sums = [0.0_f32; 32];
        for half in 0..2 {
            for (n, sum) in sums.iter_mut().enumerate() {
                let tap = 32 * half + n;
                let weight = mul_add(upper[tap] - lower[tap], part, lower[tap]);
                *sum = mul_add(samples[tap], weight, *sum);
            }
        }
        let mut width = sums.len();
        while width > 2 {
            width /= 2;
            for n in 0..width {
                sums[n] += sums[n + width];
            }
        }
        *frame = [sums[0], sums[1]];
        phase += step;
        let whole = phase as usize;
        at += whole;
        phase -= whole as f64;
    }
    (at, phase)
}

/// The same, compiled for processors that have AVX2 and fused multiply-add: a quarter of the time.
#[cfg(target_arch = "x86_64")]
mod fma {
    #![allow(
        unsafe_code,
        reason = "calling a function compiled for more than the target's least processor"
    )]

    pub(super) fn play(
        frames: &[[f32; 2]],
        phase: f64,
        step: f64,
        out: &mut [[f32; 2]],
    ) -> (usize, f64) {
        assert!(crate::sinc::has_fma());
        // SAFETY: the line above.
        unsafe { play_fma(frames, phase, step, out) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn play_fma(frames: &[[f32; 2]], phase: f64, step: f64, out: &mut [[f32; 2]]) -> (usize, f64) {
        super::play_by(frames, phase, step, out, f32::mul_add)
    }
}

/// `part` of the way from one frame to another.
fn between(from: [f32; 2], to: [f32; 2], part: f32) -> [f32; 2] {
    [0, 1].map(|c| from[c] + (to[c] - from[c]) * part)
}

/// Plays on from `skip` frames later, fading over from where playing was.
fn play_across(
    frames: &[[f32; 2]],
    phase: f64,
    step: f64,
    skip: usize,
    out: &mut [[f32; 2]],
) -> (usize, f64) {
    let mut before = [[0.0; 2]; FADE];
    let overlap = out.len().min(FADE);
    play(frames, phase, step, &mut before[..overlap]);
    let (at, phase) = play(&frames[skip..], phase, step, out);
    for (n, (new, old)) in out.iter_mut().zip(&before[..overlap]).enumerate() {
        let part = (n + 1) as f32 / (overlap + 1) as f32;
        *new = between(*old, *new, part);
    }
    (at + skip, phase)
}

#[cfg(test)]
#[path = "drift/tests.rs"]
mod tests;
