//! A true-peak limiter with 1 ms of look-ahead, so that a sum of people never clips, not even between the samples.
//!
//! The gain that each instant needs is held over a window and then averaged over the same window: the mean reaches the
//! needed gain exactly when the peak comes out, and moves in straight lines before it, so nothing clicks. Peaks between
//! the samples are found by fourfold oversampling (as ITU-R BS.1770-4 does) and a parabola through the highest three
//! points, which takes the error of the fourfold grid at 20 kHz from 0.5 dB to 0.04. Both channels get one gain, or the
//! picture of the room would swing.
//!
//! Most of the time nothing is near the ceiling. That is known from the peaks of what was summed, without a look at
//! the block; and where a block is near it, only the surroundings of its loud samples are oversampled.

use std::sync::LazyLock;

use crate::{BLOCK_FRAMES, BLOCK_SAMPLES, Block, RATE, sinc};

/// -1 dBTP: lossy codecs overshoot a little.
pub(crate) const CEILING: f32 = 0.891_250_9;
/// What is aimed at: 0.15 dB less, for what a short interpolator doesn't see. With 0.1, bursts of 20 kHz came to -0.97 dBTP.
const AIM: f32 = 0.876;
/// How late the output is: 1 ms.
pub(crate) const DELAY: usize = 48;
/// Half of the interpolator: how many frames after an instant its true peak is known.
const REACH: usize = 16;
const TAPS: usize = 2 * REACH;
/// Look-ahead proper, so that DELAY = REACH + WINDOW - 1.
const WINDOW: usize = DELAY - REACH + 1;
/// The gain stays down for 20 ms after a peak. Peaks that repeat (a beat of two voices, a low tone) then don't pump it;
/// pumping would put sidebands of the others on a guest's own tone in their return.
const HOLD: usize = 960;
/// Then it recovers with this time constant: shorter distorts low voices, longer leaves a hole after a clap.
const RELEASE_S: f32 = 0.08;
/// Frames that are oversampled together or not at all.
const CHUNK: usize = 32;
/// Samples of a chunk and of all that its interpolation reaches.
const SAMPLES: usize = 2 * CHUNK;
const AROUND: usize = SAMPLES + 4 * REACH;
/// Samples that are interpolated together, in registers.
const LANES: usize = 16;

struct Between {
    /// What lies 1/4, 2/4 and 3/4 after a sample.
    weights: [[f32; TAPS]; 3],
    /// No wave whose samples stay below this can reach the ceiling between them, however they are arranged.
    near: f32,
}

static BETWEEN: LazyLock<Between> = LazyLock::new(|| {
    let weights = [0.25, 0.5, 0.75].map(|at| sinc::weights(at, 4.3));
    let size = |w: &[f32; TAPS]| w.iter().map(|x| x.abs()).sum::<f32>();
    // The parabola adds at most an eighth of the difference to its neighbours, which are no larger.
    let most = weights.iter().map(size).fold(1.0, f32::max) * 1.25;
    Between {
        weights,
        near: AIM / most,
    }
});

pub(crate) struct Limiter {
    /// The last DELAY frames, then the new block.
    line: [f32; 2 * DELAY + BLOCK_SAMPLES],
    /// Gain needed at each instant: what is still waiting, then the new ones.
    need: [f32; WINDOW - 1 + BLOCK_FRAMES],
    /// Gain after hold and release, before averaging.
    held: [f32; WINDOW - 1 + BLOCK_FRAMES],
    /// Peak after the last examined frame, due to the next one as well.
    carried: f32,
    /// What the last block can't have exceeded.
    last_bound: f32,
    /// Frames until the gain may rise.
    hold: usize,
    release: f32,
    quiet: bool,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            line: [0.0; 2 * DELAY + BLOCK_SAMPLES],
            need: [1.0; WINDOW - 1 + BLOCK_FRAMES],
            held: [1.0; WINDOW - 1 + BLOCK_FRAMES],
            carried: 0.0,
            last_bound: 0.0,
            hold: 0,
            release: 1.0 - (-1.0 / (RELEASE_S * RATE as f32)).exp(),
            quiet: true,
        }
    }

    /// Limits a block in place; it comes out `DELAY` frames late. No sample of the block exceeds `bound`: the sum of the
    /// peaks of what was added.
    pub(crate) fn process(&mut self, block: &mut Block, bound: f32) {
        self.line.copy_within(BLOCK_SAMPLES.., 0);
        self.line[2 * DELAY..].copy_from_slice(block);
        let near = BETWEEN.near;
        let bounded = bound.max(std::mem::replace(&mut self.last_bound, bound)) <= near;
        if self.quiet && (bounded || loudest(&self.line) <= near) {
            self.carried = 0.0;
            block.copy_from_slice(&self.line[..BLOCK_SAMPLES]);
            return;
        }
        let needed = self.find_needed_gain();
        if self.quiet && !needed {
            block.copy_from_slice(&self.line[..BLOCK_SAMPLES]);
            return;
        }
        self.hold_and_release();
        self.apply(block);
    }

    /// Whether any instant needs less than 1.
    fn find_needed_gain(&mut self) -> bool {
        self.need.copy_within(BLOCK_FRAMES.., 0);
        // Instants whose surroundings are complete: BLOCK_FRAMES of them, ending REACH before the newest.
        let first = DELAY - REACH;
        let mut needed = false;
        for (chunk, needs) in self.need[WINDOW - 1..].chunks_exact_mut(CHUNK).enumerate() {
            let from = 2 * (first - REACH) + chunk * SAMPLES;
            let around = &self.line[from..from + AROUND];
            if loudest(around) <= BETWEEN.near {
                self.carried = 0.0;
                needs.fill(1.0);
                continue;
            }
            let mut peaks = [0.0; CHUNK];
            true_peaks(around, &mut peaks);
            for (need, next) in needs.iter_mut().zip(peaks) {
                let peak = next.max(self.carried);
                self.carried = next;
                *need = AIM / peak.max(AIM);
                needed |= *need < 1.0;
            }
        }
        needed
    }

    fn hold_and_release(&mut self) {
        self.held.copy_within(BLOCK_FRAMES.., 0);
        let mut gain = self.held[WINDOW - 2];
        let lowest = lowest_in_window(&self.need);
        for (held, needed) in self.held[WINDOW - 1..].iter_mut().zip(lowest) {
            if needed < 1.0 && needed <= gain {
                gain = needed;
                self.hold = HOLD;
            } else if self.hold > 0 {
                self.hold -= 1;
            } else {
                gain = needed.min(gain + (1.0 - gain) * self.release);
            }
            // The end of an exponential is never reached; 0.0009 dB is near enough.
            if gain > 0.9999 && needed >= 1.0 {
                gain = 1.0;
            }
            *held = gain;
        }
        let pending = |gains: &[f32]| gains[BLOCK_FRAMES..].iter().any(|g| *g < 1.0);
        self.quiet = !pending(&self.need) && !pending(&self.held);
    }

    fn apply(&mut self, block: &mut Block) {
        let mut sum: f64 = self.held[..WINDOW - 1].iter().map(|g| f64::from(*g)).sum();
        let frames = block.as_chunks_mut::<2>().0;
        for (n, (out, [l, r])) in frames
            .iter_mut()
            .zip(self.line.as_chunks::<2>().0)
            .enumerate()
        {
            sum += f64::from(self.held[n + WINDOW - 1]);
            let gain = (sum * (1.0 / WINDOW as f64)) as f32;
            sum -= f64::from(self.held[n]);
            // The clamp is for the last bit of rounding only.
            *out = [l * gain, r * gain].map(|x| x.clamp(-CEILING, CEILING));
        }
    }
}

/// The peak of the wave, of both channels, from each frame of a chunk to the next. `around` begins REACH frames earlier
/// and ends as many later.
fn true_peaks(around: &[f32], peaks: &mut [f32; CHUNK]) {
    #[cfg(target_arch = "x86_64")]
    if sinc::has_fma() {
        return fma::true_peaks(around, peaks);
    }
    true_peaks_by(around, peaks, |a, b, c| a * b + c);
}

/// The same, compiled for processors that have AVX2 and fused multiply-add.
#[cfg(target_arch = "x86_64")]
mod fma {
    #![allow(
        unsafe_code,
        reason = "calling a function compiled for more than the target's least processor"
    )]

    use super::CHUNK;

    pub(super) fn true_peaks(around: &[f32], peaks: &mut [f32; CHUNK]) {
        assert!(crate::sinc::has_fma());
        // SAFETY: the line above.
        unsafe { true_peaks_fma(around, peaks) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn true_peaks_fma(around: &[f32], peaks: &mut [f32; CHUNK]) {
        super::true_peaks_by(around, peaks, f32::mul_add);
    }
}

/// `mul_add` is a·b + c.
#[inline(always)]
fn true_peaks_by(around: &[f32], peaks: &mut [f32; CHUNK], mul_add: impl Fn(f32, f32, f32) -> f32) {
    // Quarters of the frame before the chunk, of its own frames, and of the frame behind them.
    let mut quarters = [[0.0_f32; SAMPLES + 4]; 4];
    quarters[0].copy_from_slice(&around[2 * (REACH - 1)..][..SAMPLES + 4]);
    for (points, weights) in quarters[1..].iter_mut().zip(&BETWEEN.weights) {
        // Only for the frame before and the chunk; the last lanes overlap.
        let last = SAMPLES + 2 - LANES;
        for start in (0..last).step_by(LANES).chain([last]) {
            let mut sums = [0.0_f32; LANES];
            for (k, w) in weights.iter().enumerate() {
                let samples = &around[start + 2 * k..start + 2 * k + LANES];
                for (s, x) in sums.iter_mut().zip(samples) {
                    *s = mul_add(*w, *x, *s);
                }
            }
            points[start..start + LANES].copy_from_slice(&sums);
        }
    }
    let mut both = [0.0_f32; SAMPLES];
    for (n, peak) in both.iter_mut().enumerate() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|q| quarters[q][n + 2]);
        let (before, after) = (quarters[3][n], quarters[0][n + 4]);
        *peak = top(before, a, b)
            .max(top(a, b, c))
            .max(top(b, c, d))
            .max(top(c, d, after));
    }
    for (peak, [l, r]) in peaks.iter_mut().zip(both.as_chunks::<2>().0) {
        *peak = l.max(*r);
    }
}

/// How far the wave goes from zero near the middle one of three equidistant points.
#[inline(always)]
fn top(before: f32, at: f32, after: f32) -> f32 {
    let size = at.abs();
    let (before, after) = (before * at.signum(), after * at.signum());
    let bend = (size - before) + (size - after);
    let tilt = after - before;
    let more = tilt * tilt / (8.0 * bend.max(1e-9));
    // Only where it is the highest of the three does the parabola's summit lie near it.
    if before <= size && after <= size {
        size + more
    } else {
        size
    }
}

/// The least of each WINDOW gains in a row.
fn lowest_in_window(need: &[f32; WINDOW - 1 + BLOCK_FRAMES]) -> [f32; BLOCK_FRAMES] {
    // The least of 2, 4, 8, ... in a row, each from two of the former; the last two overlap.
    let mut least = *need;
    let mut width = 1;
    while 2 * width <= WINDOW {
        for n in 0..least.len() - width {
            least[n] = smaller(least[n], least[n + width]);
        }
        width *= 2;
    }
    std::array::from_fn(|n| smaller(least[n], least[n + WINDOW - width]))
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Eight maxima side by side, or each comparison would wait for the one before.
fn loudest(samples: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (eights, rest) = samples.as_chunks::<8>();
    for eight in eights {
        for (lane, x) in lanes.iter_mut().zip(eight) {
            *lane = if x.abs() > *lane { x.abs() } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(0.0, |m, x| m.max(x.abs()))
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn peaks_by_fused_multiply_add_are_those_of_the_portable_rung() {
        println!(
            "limiter with AVX2 and FMA compared here: {}",
            sinc::has_fma()
        );
        if !sinc::has_fma() {
            return;
        }
        let mut seed = 77_u32;
        for round in 0..500 {
            // Noise, and beside it what is nearly a tone: its peaks lie between the samples.
            let around: [f32; AROUND] = std::array::from_fn(|n| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
                let tone = ((n / 2) as f32 * 0.013 * round as f32).sin();
                if n % 2 == 0 {
                    noise
                } else {
                    tone + 0.01 * noise
                }
            });
            let (mut fused, mut plain) = ([0.0; CHUNK], [0.0; CHUNK]);
            fma::true_peaks(&around, &mut fused);
            true_peaks_by(&around, &mut plain, |a, b, c| a * b + c);
            for (a, b) in fused.iter().zip(plain) {
                assert!((a - b).abs() < 1e-5, "{round}: {a} {b}");
            }
        }
    }
}
