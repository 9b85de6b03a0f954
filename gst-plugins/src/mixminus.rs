//! Everybody's sound for the programme, and for each input everybody but itself.
//!
//! One sum is made, and each return is that sum less its own input: N subtractions instead of N sums. The own signal
//! is gone to the rounding of 32-bit floats (more than 120 dB down), because what is subtracted is the very same
//! samples that were added. Each output has a limiter of its own, behind the subtraction: a loud guest is turned down
//! in what others hear, and leaves no trace in the own return.

mod ducking;
mod input;
mod levelling;
mod talkback;

use crate::limiter::{CEILING, DELAY, Limiter};
use crate::loudness::Loudness;
use crate::meter::Meter;
use crate::{BLOCK_SAMPLES, Block, RATE};
pub use ducking::Ducking;
use input::Input;
pub use levelling::DEFAULT_TARGET_LUFS;
pub use talkback::TALKBACK_DUCK_DB;
use talkback::Talkback;

/// Ten seats and room for media players.
pub const MAX_INPUTS: usize = 16;
/// Gain, mute and pan move in straight lines for 20 ms: faster clicks, slower swallows the first syllable.
const RAMP_FRAMES: u32 = RATE / 50;
/// 12 dB above full scale. A float can hold anything; beyond this it is not sound but a broken decoder.
const LOUDEST_INPUT: f32 = 4.0;
/// What outputs never exceed, neither their samples nor, up to 20 kHz, the wave between them.
pub const OUTPUT_CEILING: f32 = CEILING;
/// Outputs come this many frames after inputs (1 ms, the limiter's look-ahead).
pub const LATENCY_FRAMES: usize = DELAY;

pub(crate) fn factor(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

/// What a broken decoder gives out is no reason to break the ears of the others.
pub(crate) fn bounded(x: f32) -> f32 {
    if x.is_finite() {
        x.clamp(-LOUDEST_INPUT, LOUDEST_INPUT)
    } else {
        0.0
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
    programme_meter: Meter,
    returns: Vec<Limiter>,
    talkbacks: Vec<Talkback>,
}

impl MixMinus {
    /// # Panics
    /// With no or more than [`MAX_INPUTS`] inputs: the number of seats is fixed where the programme is built.
    pub fn new(inputs: usize) -> Self {
        assert!((1..=MAX_INPUTS).contains(&inputs), "{inputs} inputs");
        Self {
            inputs: (0..inputs).map(|_| Input::new()).collect(),
            programme: Limiter::new(),
            programme_meter: Meter::default(),
            returns: (0..inputs).map(|_| Limiter::new()).collect(),
            talkbacks: (0..inputs).map(|_| Talkback::default()).collect(),
        }
    }

    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// One input more; its number.
    pub fn add_input(&mut self) -> usize {
        self.inputs.push(Input::new());
        self.returns.push(Limiter::new());
        self.talkbacks.push(Talkback::default());
        self.inputs.len() - 1
    }

    /// Somebody else takes this input: all settings, meters and limiters as new, at once.
    pub fn reset_input(&mut self, input: usize) {
        if let (Some(own), Some(limiter), Some(talkback)) = (
            self.inputs.get_mut(input),
            self.returns.get_mut(input),
            self.talkbacks.get_mut(input),
        ) {
            *own = Input::new();
            *limiter = Limiter::new();
            *talkback = Talkback::default();
        }
    }

    /// Ends this input's ramps: what was set holds from the first sample. Clicks, unless nothing was heard yet.
    pub fn settle_input(&mut self, input: usize) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.settle();
        }
    }

    /// -60 to 12 dB; what lies outside is brought inside, not-a-number is 0 dB. Unknown inputs are ignored.
    pub fn set_gain_db(&mut self, input: usize, gain_db: f32) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.set_gain_db(gain_db);
        }
    }

    pub fn set_mute(&mut self, input: usize, muted: bool) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.set_mute(muted);
        }
    }

    /// -1 (left) to 1, with constant power; 0, the middle, changes nothing. It balances what is stereo.
    pub fn set_pan(&mut self, input: usize, pan: f32) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.set_pan(pan);
        }
    }

    /// While somebody speaks on this input, those with [`Ducking`] give way.
    pub fn set_ducks_others(&mut self, input: usize, ducks_others: bool) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.ducks_others = ducks_others;
        }
    }

    /// Whether and how this input gives way while another that ducks speaks. `None` is off, as at the start.
    pub fn set_ducking(&mut self, input: usize, ducking: Option<Ducking>) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.set_ducking(ducking);
        }
    }

    /// What input `from` brings in, whether it is muted or not, goes to the return of input `to` on top of it, and that
    /// return is lowered meanwhile by [`TALKBACK_DUCK_DB`]; both by ramps of 20 ms. Nobody else hears more or less of
    /// `from` for it: who shall be heard there alone is muted besides. `None` ends it. Unknown inputs are ignored.
    pub fn set_talkback(&mut self, to: usize, from: Option<usize>) {
        if let Some(talkback) = self.talkbacks.get_mut(to) {
            talkback.set(from);
        }
    }

    /// Brings this input's voice slowly to a loudness (LUFS, see [`DEFAULT_TARGET_LUFS`]), before its gain. It moves by
    /// at most 12 dB and only while somebody speaks. `None` is off, as at the start. Switching it on allocates.
    pub fn set_levelling(&mut self, input: usize, target_lufs: Option<f32>) {
        if let Some(input) = self.inputs.get_mut(input) {
            let bounded = target_lufs.map(|t| {
                if t.is_nan() {
                    DEFAULT_TARGET_LUFS
                } else {
                    t.clamp(-36.0, -6.0)
                }
            });
            input.set_levelling(bounded);
        }
    }

    /// What an input contributes (after gain and mute). `None` for an unknown input.
    pub fn meter(&self, input: usize) -> Option<&Meter> {
        self.inputs.get(input).map(|i| &i.meter)
    }

    /// The programme's level, before its limiter.
    pub fn programme_meter(&self) -> &Meter {
        &self.programme_meter
    }

    /// How loud an input is before its gain; only while levelling is on.
    pub fn loudness(&self, input: usize) -> Option<&Loudness> {
        let levelling = self.inputs.get(input)?.levelling()?;
        Some(levelling.loudness())
    }

    /// What ducking and levelling do to an input at the moment, in dB. `None` for an unknown input.
    pub fn trim_db(&self, input: usize) -> Option<f32> {
        let input = self.inputs.get(input)?;
        Some(input.ducked_db() + input.levelling().map_or(0.0, |l| l.gain_db()))
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
        let speaks = |i: &Input| i.ducks_others && i.meter.speaking();
        let speakers = self.inputs.iter().filter(|i| speaks(i)).count();
        let mut sum = [0.0; BLOCK_SAMPLES];
        // What no sample of the sum can exceed.
        let mut bound = 0.0;
        for (input, block) in self.inputs.iter_mut().zip(blocks) {
            let others_speak = speakers > usize::from(speaks(input));
            input.take(*block, others_speak);
            if input.sounding {
                for (s, x) in sum.iter_mut().zip(&input.block) {
                    *s += x;
                }
                bound += input.meter.block_peak();
            }
        }
        let outputs = self.returns.iter_mut().zip(&mut self.talkbacks);
        for ((out, input), (limiter, talkback)) in returns.iter_mut().zip(&self.inputs).zip(outputs)
        {
            for ((o, s), x) in out.iter_mut().zip(&sum).zip(&input.block) {
                *o = s - x;
            }
            let voice = talkback.apply(out, blocks);
            // Not less the own peak: rounding leaves a last bit of it.
            limiter.process(out, bound + voice);
        }
        self.programme_meter.feed(&sum);
        *programme = sum;
        self.programme.process(programme, bound);
    }
}

#[cfg(test)]
mod tests;
