//! One input: from what came in to what it adds to the sum.

use super::ducking::Ducking;
use super::levelling::Levelling;
use super::{RAMP_FRAMES, bounded, factor};
use crate::meter::Meter;
use crate::{BLOCK_FRAMES, BLOCK_SAMPLES, Block};

pub(super) struct Input {
    gain_db: f32,
    muted: bool,
    pan: f32,
    /// Factors of left and right now, where they go, and in how many frames.
    fader: [f32; 2],
    target: [f32; 2],
    remaining: u32,
    /// What ducking and levelling do on top, at the end of the last block.
    trim: f32,
    ducking: Option<Ducking>,
    ducked_db: f32,
    pub(super) ducks_others: bool,
    levelling: Option<Box<Levelling>>,
    pub(super) meter: Meter,
    pub(super) block: Block,
    /// The block isn't all zeros.
    pub(super) sounding: bool,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            gain_db: 0.0,
            muted: false,
            pan: 0.0,
            fader: [1.0; 2],
            target: [1.0; 2],
            remaining: 0,
            trim: 1.0,
            ducking: None,
            ducked_db: 0.0,
            ducks_others: false,
            levelling: None,
            meter: Meter::default(),
            block: [0.0; BLOCK_SAMPLES],
            sounding: false,
        }
    }

    pub(super) fn set_gain_db(&mut self, gain_db: f32) {
        self.gain_db = if gain_db.is_nan() {
            0.0
        } else {
            gain_db.clamp(-60.0, 12.0)
        };
        self.retarget();
    }

    pub(super) fn set_mute(&mut self, muted: bool) {
        self.muted = muted;
        self.retarget();
    }

    pub(super) fn set_pan(&mut self, pan: f32) {
        self.pan = if pan.is_nan() {
            0.0
        } else {
            pan.clamp(-1.0, 1.0)
        };
        self.retarget();
    }

    fn retarget(&mut self) {
        let target = if self.muted {
            [0.0; 2]
        } else {
            let gain = factor(self.gain_db);
            pan_law(self.pan).map(|p| p * gain)
        };
        if target != self.target {
            self.target = target;
            self.remaining = RAMP_FRAMES;
        }
    }

    pub(super) fn settle(&mut self) {
        self.fader = self.target;
        self.remaining = 0;
    }

    pub(super) fn set_ducking(&mut self, ducking: Option<Ducking>) {
        self.ducking = ducking.map(Ducking::bounded);
    }

    pub(super) fn set_levelling(&mut self, target_lufs: Option<f32>) {
        match (target_lufs, &mut self.levelling) {
            (Some(target), Some(levelling)) => levelling.set_target_lufs(target),
            (Some(target), none) => *none = Some(Box::new(Levelling::new(target))),
            (None, levelling) => *levelling = None,
        }
    }

    pub(super) fn levelling(&self) -> Option<&Levelling> {
        self.levelling.as_deref()
    }

    pub(super) fn ducked_db(&self) -> f32 {
        self.ducked_db
    }

    pub(super) fn take(&mut self, block: Option<&Block>, others_speak: bool) {
        let silent = self.fader == [0.0; 2] && self.remaining == 0;
        let sound = block.filter(|_| !silent);
        if let Some(block) = sound {
            for (own, x) in self.block.iter_mut().zip(block) {
                *own = bounded(*x);
            }
            self.sounding = true;
        } else if self.sounding {
            self.block.fill(0.0);
            self.sounding = false;
        }
        let trim = self.next_trim(others_speak);
        if sound.is_some() {
            self.apply_gain(trim);
        } else {
            // Nothing to hear: the ramps are over at once.
            self.settle();
        }
        self.trim = trim;
        self.meter.feed(&self.block);
    }

    fn next_trim(&mut self, others_speak: bool) -> f32 {
        if self.ducking.is_none() && self.levelling.is_none() && self.trim == 1.0 {
            return 1.0;
        }
        self.ducked_db = match &self.ducking {
            Some(ducking) => ducking.advance(self.ducked_db, others_speak),
            None => Ducking::default().advance(self.ducked_db, false),
        };
        let levelled = match &mut self.levelling {
            Some(levelling) if self.sounding => levelling.feed(&self.block),
            Some(levelling) => levelling.gain_db(),
            None => 0.0,
        };
        let wanted = factor(self.ducked_db + levelled);
        // Switching levelling off is a step of the factor, too: at most 1 dB a block.
        let most = 1.122;
        let next = wanted.clamp(self.trim / most, self.trim * most);
        if (next - wanted).abs() < 1e-6 {
            wanted
        } else {
            next
        }
    }

    /// From the last block's trim to this one's in a straight line.
    fn apply_gain(&mut self, trim: f32) {
        let mut frames = self.block.as_chunks_mut::<2>().0;
        if self.remaining == 0 && trim == self.trim {
            let [l, r] = self.fader.map(|f| f * trim);
            if [l, r] != [1.0; 2] {
                for frame in frames {
                    frame[0] *= l;
                    frame[1] *= r;
                }
            }
            return;
        }
        let (mut now, step) = (self.trim, (trim - self.trim) / BLOCK_FRAMES as f32);
        while self.remaining > 0 {
            let Some((frame, rest)) = frames.split_first_mut() else {
                return;
            };
            now += step;
            let left = self.remaining as f32;
            for ((fader, target), x) in self.fader.iter_mut().zip(self.target).zip(frame) {
                *fader += (target - *fader) / left;
                *x *= *fader * now;
            }
            self.remaining -= 1;
            frames = rest;
        }
        self.fader = self.target;
        for frame in frames {
            now += step;
            frame[0] *= self.fader[0] * now;
            frame[1] *= self.fader[1] * now;
        }
    }
}

/// Constant power, and nothing changed in the middle: 1 and 1 there, 1.41 and 0 at an end.
fn pan_law(pan: f32) -> [f32; 2] {
    if pan == 0.0 {
        return [1.0; 2];
    }
    let angle = (pan + 1.0) * std::f32::consts::FRAC_PI_4;
    let (right, left) = angle.sin_cos();
    // The cosine of a rounded right angle isn't zero.
    [left, right].map(|x| {
        if x < 1e-6 {
            0.0
        } else {
            x * std::f32::consts::SQRT_2
        }
    })
}
