//! How loud something is to an ear: ITU-R BS.1770-4 with the windows and gates of EBU R128.
//!
//! Held against the synthetic cases of EBU Tech 3341 by the tests.

use crate::{BLOCK_FRAMES, Block};

/// What silence is shown as, in LUFS; JSON can't carry minus infinity.
pub const FLOOR_LUFS: f32 = -100.0;
/// Blocks of the momentary window, 400 ms, and of the short-term window, 3 s.
const MOMENTARY: usize = 40;
const SHORT_TERM: usize = 300;
/// A new momentary window counts for the integrated loudness each so many blocks: they overlap by 75 %.
const HOP: u32 = 10;
/// Windows quieter than this never count …
const ABSOLUTE_GATE: f32 = -70.0;
/// … nor those this far below the mean of the rest.
const RELATIVE_GATE: f32 = -10.0;
/// The integrated loudness sorts its windows into bins instead of keeping them: a show has no end.
const BINS_PER_LU: f32 = 20.0;
const BINS: usize = (80.0 * BINS_PER_LU) as usize;

/// Second-order section for left and right, direct form II transposed. In doubles: the high-pass's poles lie at 38 Hz.
#[derive(Clone)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
    state: [[f64; 2]; 2],
}

impl Section {
    fn new(b: [f64; 3], a: [f64; 2]) -> Self {
        Self {
            b,
            a,
            state: [[0.0; 2]; 2],
        }
    }

    #[inline(always)]
    fn step(&mut self, x: [f64; 2]) -> [f64; 2] {
        let [s0, s1] = &mut self.state;
        let mut y = [0.0; 2];
        for c in 0..2 {
            y[c] = self.b[0] * x[c] + s0[c];
            s0[c] = self.b[1] * x[c] - self.a[0] * y[c] + s1[c];
            s1[c] = self.b[2] * x[c] - self.a[1] * y[c];
        }
        y
    }
}

/// Windows' energies by loudness.
#[derive(Clone)]
struct Integrated {
    bins: Box<[(u64, f64)]>,
}

impl Integrated {
    fn add(&mut self, energy: f64) {
        let over = lufs(energy) - ABSOLUTE_GATE;
        if over > 0.0 {
            let bin = ((over * BINS_PER_LU) as usize).min(BINS - 1);
            self.bins[bin].0 += 1;
            self.bins[bin].1 += energy;
        }
    }

    /// Mean of the bins from one on.
    fn mean(&self, from: usize) -> Option<f64> {
        let of = |(n, sum): (u64, f64), bin: &(u64, f64)| (n + bin.0, sum + bin.1);
        let (n, sum) = self.bins[from.min(BINS)..].iter().fold((0, 0.0), of);
        (n > 0).then(|| sum / n as f64)
    }

    fn lufs(&self) -> f32 {
        let gated = self.mean(0).and_then(|mean| {
            let gate = lufs(mean) + RELATIVE_GATE - ABSOLUTE_GATE;
            self.mean((gate * BINS_PER_LU).max(0.0) as usize)
        });
        gated.map_or(FLOOR_LUFS, lufs)
    }
}

/// Fed with one block every 10 ms.
#[derive(Clone)]
pub struct Loudness {
    shelf: Section,
    high_pass: Section,
    /// K-weighted energy of the last 3 s, a block each, both channels added.
    energies: Box<[f64; SHORT_TERM]>,
    next: usize,
    momentary: f64,
    blocks: u32,
    integrated: Integrated,
}

impl Default for Loudness {
    fn default() -> Self {
        Self {
            // The coefficients that BS.1770 gives for 48 kHz.
            shelf: Section::new(
                [
                    1.535_124_859_586_97,
                    -2.691_696_189_406_38,
                    1.198_392_810_852_85,
                ],
                [-1.690_659_293_182_41, 0.732_480_774_215_85],
            ),
            high_pass: Section::new(
                [1.0, -2.0, 1.0],
                [-1.990_047_454_833_98, 0.990_072_250_366_21],
            ),
            energies: Box::new([0.0; SHORT_TERM]),
            next: 0,
            momentary: 0.0,
            blocks: 0,
            integrated: Integrated {
                bins: vec![(0, 0.0); BINS].into(),
            },
        }
    }
}

impl Loudness {
    pub fn feed(&mut self, block: &Block) {
        let mut sum = [0.0_f64; 2];
        for frame in block.as_chunks::<2>().0 {
            let y = self.high_pass.step(self.shelf.step(frame.map(f64::from)));
            for (s, y) in sum.iter_mut().zip(y) {
                *s += y * y;
            }
        }
        // Below the smallest normal number arithmetic is a hundred times slower; no ear hears -300 dB.
        for section in [&mut self.shelf, &mut self.high_pass] {
            for state in section.state.as_flattened_mut() {
                if state.abs() < 1e-15 {
                    *state = 0.0;
                }
            }
        }
        self.energies[self.next] = (sum[0] + sum[1]) / BLOCK_FRAMES as f64;
        self.next = (self.next + 1) % SHORT_TERM;
        self.momentary = self.mean(MOMENTARY);
        self.blocks = self.blocks.saturating_add(1);
        if self.blocks.is_multiple_of(HOP) && self.blocks >= MOMENTARY as u32 {
            self.integrated.add(self.momentary);
        }
    }

    fn mean(&self, blocks: usize) -> f64 {
        let newest = self.energies[..self.next].iter().rev();
        let all = newest.chain(self.energies[self.next..].iter().rev());
        all.take(blocks).sum::<f64>() / blocks as f64
    }

    /// Over the last 400 ms, LUFS.
    pub fn momentary(&self) -> f32 {
        lufs(self.momentary)
    }

    /// Over the last 3 s, LUFS.
    pub fn short_term(&self) -> f32 {
        lufs(self.mean(SHORT_TERM))
    }

    /// Since the start, gated: pauses don't count. LUFS.
    pub fn integrated(&self) -> f32 {
        self.integrated.lufs()
    }
}

/// LUFS of a K-weighted energy.
pub(crate) fn lufs(energy: f64) -> f32 {
    ((-0.691 + 10.0 * energy.log10()) as f32).max(FLOOR_LUFS)
}

#[cfg(test)]
#[path = "loudness/tests.rs"]
mod tests;
