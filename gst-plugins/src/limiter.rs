//! A peak limiter with 1 ms of look-ahead, so that a sum of people never clips.
//!
//! The gain that each instant needs is held over a window and then averaged over the same window: the mean reaches the
//! needed gain exactly when the peak comes out, and moves in straight lines before it, so nothing clicks. Peaks between
//! the samples are estimated by fourfold oversampling (as ITU-R BS.1770 does), only in blocks that come near the
//! ceiling. Both channels get one gain, or the picture of the room would swing.

use std::sync::LazyLock;

use crate::{BLOCK_FRAMES, BLOCK_SAMPLES, Block, RATE, sinc};

/// -1 dBFS: lossy codecs overshoot a little.
pub(crate) const CEILING: f32 = 0.891_250_9;
/// How late the output is: 1 ms.
pub(crate) const DELAY: usize = 48;
/// Half of the interpolator: how many frames after an instant its true peak is known.
const REACH: usize = 6;
/// Look-ahead proper, so that DELAY = REACH + WINDOW - 1.
const WINDOW: usize = DELAY - REACH + 1;
/// The gain stays down for 20 ms after a peak. Peaks that repeat (a beat of two voices, a low tone) then don't pump it;
/// pumping would put sidebands of the others on a guest's own tone in their return.
const HOLD: usize = 960;
/// Then it recovers with this time constant: shorter distorts low voices, longer leaves a hole after a clap.
const RELEASE_S: f32 = 0.08;
/// Below this no true peak can reach the ceiling: interpolation overshoots by 3 dB for real signals; 6 dB are allowed.
const NEAR: f32 = CEILING / 2.0;

static BETWEEN: LazyLock<[[f32; 2 * REACH]; 3]> =
    LazyLock::new(|| [0.25, 0.5, 0.75].map(|at| sinc::weights(at, 5.0)));

pub(crate) struct Limiter {
    /// The last DELAY frames, then the new block.
    line: [f32; 2 * DELAY + BLOCK_SAMPLES],
    /// Gain needed at each instant: what is still waiting, then the new ones.
    need: [f32; WINDOW - 1 + BLOCK_FRAMES],
    /// Gain after hold and release, before averaging.
    held: [f32; WINDOW - 1 + BLOCK_FRAMES],
    /// Peak after the last examined frame, due to the next one as well.
    carried: f32,
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
            hold: 0,
            release: 1.0 - (-1.0 / (RELEASE_S * RATE as f32)).exp(),
            quiet: true,
        }
    }

    /// Limits a block in place; it comes out `DELAY` frames late.
    pub(crate) fn process(&mut self, block: &mut Block) {
        self.line.copy_within(BLOCK_SAMPLES.., 0);
        self.line[2 * DELAY..].copy_from_slice(block);
        let loudest = loudest(&self.line);
        if loudest <= NEAR && self.quiet {
            self.carried = 0.0;
            block.copy_from_slice(&self.line[..BLOCK_SAMPLES]);
            return;
        }
        self.find_needed_gain(loudest);
        self.hold_and_release();
        self.apply(block);
    }

    fn find_needed_gain(&mut self, loudest: f32) {
        self.need.copy_within(BLOCK_FRAMES.., 0);
        let needs = &mut self.need[WINDOW - 1..];
        if loudest <= NEAR {
            self.carried = 0.0;
            needs.fill(1.0);
            return;
        }
        // Instants whose surroundings are complete: BLOCK_FRAMES of them, ending REACH before the newest.
        let first = 2 * (DELAY - REACH);
        let mut between = [0.0_f32; BLOCK_SAMPLES];
        let mut sum = [0.0_f32; BLOCK_SAMPLES];
        for weights in BETWEEN.iter() {
            sum.fill(0.0);
            for (k, w) in weights.iter().enumerate() {
                let from = first + 2 * k - 2 * (REACH - 1);
                for (s, x) in sum.iter_mut().zip(&self.line[from..]) {
                    *s += w * x;
                }
            }
            for (b, s) in between.iter_mut().zip(&sum) {
                *b = b.max(s.abs());
            }
        }
        let at = self.line[first..].as_chunks::<2>().0;
        let after = between.as_chunks::<2>().0;
        for ((need, [l, r]), [bl, br]) in needs.iter_mut().zip(at).zip(after) {
            let next = bl.max(*br);
            let peak = l.abs().max(r.abs()).max(next).max(self.carried);
            self.carried = next;
            *need = (CEILING / peak.max(CEILING)).min(1.0);
        }
    }

    fn hold_and_release(&mut self) {
        self.held.copy_within(BLOCK_FRAMES.., 0);
        let mut gain = self.held[WINDOW - 2];
        for n in 0..BLOCK_FRAMES {
            let needed = self.need[n..n + WINDOW]
                .iter()
                .fold(1.0_f32, |m, x| m.min(*x));
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
            self.held[WINDOW - 1 + n] = gain;
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
            let gain = (sum / WINDOW as f64) as f32;
            sum -= f64::from(self.held[n]);
            // The clamp is for the last bit of rounding only.
            *out = [l * gain, r * gain].map(|x| x.clamp(-CEILING, CEILING));
        }
    }
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
