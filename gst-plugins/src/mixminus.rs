//! Everybody's sound for the programme, and for each input everybody but itself.
//!
//! One sum is made, and each return is that sum less its own input: N subtractions instead of N sums. The own signal
//! is gone to the rounding of 32-bit floats (more than 120 dB down), because what is subtracted is the very same
//! samples that were added. Each output has a limiter of its own, behind the subtraction: a loud guest is turned down
//! in what others hear, and leaves no trace in the own return.

use crate::limiter::{CEILING, DELAY, Limiter};
use crate::meter::Meter;
use crate::{BLOCK_SAMPLES, Block, RATE};

/// Ten seats and room for media players.
pub const MAX_INPUTS: usize = 16;
/// Gain and mute move in straight lines for 20 ms: faster clicks, slower swallows the first syllable.
const RAMP_FRAMES: u32 = RATE / 50;
/// 12 dB above full scale. A float can hold anything; beyond this it is not sound but a broken decoder.
const LOUDEST_INPUT: f32 = 4.0;
/// What outputs never exceed.
pub const OUTPUT_CEILING: f32 = CEILING;
/// Outputs come this many frames after inputs (1 ms, the limiter's look-ahead).
pub const LATENCY_FRAMES: usize = DELAY;

struct Input {
    gain_db: f32,
    muted: bool,
    /// Factor now, where it goes, and in how many frames.
    factor: f32,
    target: f32,
    remaining: u32,
    meter: Meter,
    block: Block,
    /// The block isn't all zeros.
    sounding: bool,
}

impl Input {
    fn new() -> Self {
        Self {
            gain_db: 0.0,
            muted: false,
            factor: 1.0,
            target: 1.0,
            remaining: 0,
            meter: Meter::default(),
            block: [0.0; BLOCK_SAMPLES],
            sounding: false,
        }
    }

    fn retarget(&mut self) {
        let target = if self.muted {
            0.0
        } else {
            10.0_f32.powf(self.gain_db / 20.0)
        };
        if target != self.target {
            self.target = target;
            self.remaining = RAMP_FRAMES;
        }
    }

    fn take(&mut self, block: Option<&Block>) {
        let silent = self.factor == 0.0 && self.remaining == 0;
        match block.filter(|_| !silent) {
            Some(block) => {
                for (own, x) in self.block.iter_mut().zip(block) {
                    let bounded = x.clamp(-LOUDEST_INPUT, LOUDEST_INPUT);
                    *own = if x.is_finite() { bounded } else { 0.0 };
                }
                self.sounding = true;
                self.apply_gain();
            }
            None => {
                if self.sounding {
                    self.block.fill(0.0);
                    self.sounding = false;
                }
                // Nothing to hear: the ramp is over at once.
                self.factor = self.target;
                self.remaining = 0;
            }
        }
        self.meter.feed(&self.block);
    }

    fn apply_gain(&mut self) {
        let mut frames = self.block.as_chunks_mut::<2>().0;
        while self.remaining > 0 {
            let Some((frame, rest)) = frames.split_first_mut() else {
                return;
            };
            self.factor += (self.target - self.factor) / self.remaining as f32;
            self.remaining -= 1;
            *frame = frame.map(|x| x * self.factor);
            frames = rest;
        }
        self.factor = self.target;
        if self.factor != 1.0 {
            for x in frames.as_flattened_mut() {
                *x *= self.factor;
            }
        }
    }
}

/// A mixer for a fixed number of inputs.
///
/// ```
/// use gstdais::{BLOCK_SAMPLES, mixminus::MixMinus};
/// let mut mixer = MixMinus::new(2);
/// let (host, guest) = ([0.2; BLOCK_SAMPLES], [0.1; BLOCK_SAMPLES]);
/// let mut programme = [0.0; BLOCK_SAMPLES];
/// let mut returns = [[0.0; BLOCK_SAMPLES]; 2];
/// mixer.process(&[Some(&host), Some(&guest)], &mut programme, &mut returns);
/// let at = 2 * gstdais::mixminus::LATENCY_FRAMES;
/// assert!((programme[at] - 0.3).abs() < 1e-6); // both
/// assert!((returns[1][at] - 0.2).abs() < 1e-6); // the guest hears only the host
/// ```
pub struct MixMinus {
    inputs: Vec<Input>,
    programme: Limiter,
    returns: Vec<Limiter>,
}

impl MixMinus {
    /// # Panics
    /// With no or more than [`MAX_INPUTS`] inputs: the number of seats is fixed where the programme is built.
    pub fn new(inputs: usize) -> Self {
        assert!((1..=MAX_INPUTS).contains(&inputs), "{inputs} inputs");
        Self {
            inputs: (0..inputs).map(|_| Input::new()).collect(),
            programme: Limiter::new(),
            returns: (0..inputs).map(|_| Limiter::new()).collect(),
        }
    }

    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// -60 to 12 dB; what lies outside is brought inside, not-a-number is 0 dB. Unknown inputs are ignored.
    pub fn set_gain_db(&mut self, input: usize, gain_db: f32) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.gain_db = if gain_db.is_nan() {
                0.0
            } else {
                gain_db.clamp(-60.0, 12.0)
            };
            input.retarget();
        }
    }

    pub fn set_mute(&mut self, input: usize, muted: bool) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.muted = muted;
            input.retarget();
        }
    }

    /// What an input contributes (after gain and mute). `None` for an unknown input.
    pub fn meter(&self, input: usize) -> Option<&Meter> {
        self.inputs.get(input).map(|i| &i.meter)
    }

    /// Mixes 10 ms. `None` is an input without sound.
    ///
    /// # Panics
    /// If `blocks` or `returns` aren't as many as the inputs: that is the caller's bug.
    pub fn process(
        &mut self,
        blocks: &[Option<&Block>],
        programme: &mut Block,
        returns: &mut [Block],
    ) {
        assert_eq!(blocks.len(), self.inputs.len(), "blocks");
        assert_eq!(returns.len(), self.inputs.len(), "returns");
        let mut sum = [0.0; BLOCK_SAMPLES];
        for (input, block) in self.inputs.iter_mut().zip(blocks) {
            input.take(*block);
            if input.sounding {
                for (s, x) in sum.iter_mut().zip(&input.block) {
                    *s += x;
                }
            }
        }
        for ((out, input), limiter) in returns.iter_mut().zip(&self.inputs).zip(&mut self.returns) {
            for ((o, s), x) in out.iter_mut().zip(&sum).zip(&input.block) {
                *o = s - x;
            }
            limiter.process(out);
        }
        *programme = sum;
        self.programme.process(programme);
    }
}

#[cfg(test)]
#[path = "mixminus/tests.rs"]
mod tests;
