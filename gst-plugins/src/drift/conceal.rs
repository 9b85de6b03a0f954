//! What is played while sound is missing: its last period again and again, and then ever softer. A voice is nearly the same for 20 ms, so that
//! a packet that comes late is not heard as a hole; ITU-R's G.711 (Appendix I) and browsers conceal lost packets by the same means.

use super::{FADE, PER_MS, between};
use crate::BLOCK_FRAMES;

/// A voice's periods lie between these (80 to 400 Hz); of a higher tone several are repeated.
const SHORTEST: usize = 120;
const LONGEST: usize = 600;
/// So much of the sound's end is looked for before it.
const TEMPLATE: usize = 10 * PER_MS;
/// What has to be kept of the sound that was played.
pub(super) const HISTORY: usize = 2 * LONGEST;
/// What is alike is looked for in every fourth frame, at first or at all: a 13th of the work.
const COARSE: usize = 4;
/// How long the step to the first repeated frame is evened out.
const JOIN: usize = PER_MS;

pub(super) struct Concealment {
    /// In frames: how long it is as loud as the sound was, and how long it fades then.
    holds: usize,
    fades: usize,
    cycle: Vec<[f32; 2]>,
    step: [f32; 2],
    given: usize,
}

impl Concealment {
    pub fn new(holds: usize, fades: usize) -> Self {
        Self {
            holds,
            fades,
            cycle: Vec::with_capacity(LONGEST),
            step: [0.0; 2],
            given: usize::MAX,
        }
    }

    /// Sound broke off: `heard` is what was played, up to now, and `last` the frame that stands in the output.
    pub fn begin(&mut self, heard: &[[f32; 2]], last: [f32; 2]) {
        self.given = 0;
        self.cycle.clear();
        self.step = last;
        let heard = &heard[heard.len().saturating_sub(HISTORY)..];
        let end = heard.len();
        if end < HISTORY {
            return; // It had hardly begun: the last frame alone fades.
        }
        let period = period(heard);
        let before = heard[end - period - 1];
        self.step = [0, 1].map(|c| last[c] - before[c]);
        self.cycle.extend_from_slice(&heard[end - period..]);
        // Its end goes over into its beginning, in which it was preceded by the period before.
        let overlap = period / 4;
        let earlier = &heard[end - period - overlap..end - period];
        let seam = self.cycle[period - overlap..].iter_mut().zip(earlier);
        for (n, (frame, earlier)) in seam.enumerate() {
            let part = (n + 1) as f32 / overlap as f32;
            *frame = between(*frame, *earlier, part);
        }
    }

    /// Silence from now on.
    pub fn end(&mut self) {
        self.given = usize::MAX;
    }

    pub fn fill(&mut self, out: &mut [[f32; 2]]) {
        out.fill_with(|| self.next());
    }

    pub fn next(&mut self) -> [f32; 2] {
        let frame = self.ahead(0);
        self.given = self.given.saturating_add(1);
        frame
    }

    /// The frame that comes so many after the next one.
    fn ahead(&self, frames: usize) -> [f32; 2] {
        let n = self.given.saturating_add(frames);
        let left = (self.holds + self.fades).saturating_sub(n);
        if left == 0 {
            return [0.0; 2];
        }
        let gain = (left as f32 / self.fades as f32).min(1.0);
        let even = 1.0 - n.min(JOIN) as f32 / JOIN as f32;
        let of_cycle = match self.cycle.len() {
            0 => [0.0; 2],
            period => self.cycle[n % period],
        };
        [0, 1].map(|c| (of_cycle[c] + self.step[c] * even) * gain)
    }

    /// How many frames are still to be given, up to a block, before `sound` comes in: then it swings as they do, and in the fade from one to
    /// the other they don't cancel out.
    pub fn lead(&self, sound: &[[f32; 2]; FADE]) -> usize {
        let new: [f32; FADE / COARSE] = std::array::from_fn(|n| sound[n * COARSE].iter().sum());
        let own: [f32; (BLOCK_FRAMES + FADE) / COARSE] =
            std::array::from_fn(|n| self.ahead(n * COARSE).iter().sum());
        let mut best = (0.0, 0);
        for (lead, own) in own.windows(new.len()).enumerate() {
            let likeness: f32 = own.iter().zip(&new).map(|(a, b)| a * b).sum();
            if likeness > best.0 {
                best = (likeness, lead * COARSE);
            }
        }
        best.1
    }
}

/// After how many frames the end of `heard` is most like itself.
fn period(heard: &[[f32; 2]]) -> usize {
    let coarse: [f32; HISTORY / COARSE] = std::array::from_fn(|n| {
        let frames = &heard[n * COARSE..][..COARSE];
        frames.as_flattened().iter().sum()
    });
    let about = COARSE
        * likest(
            &coarse,
            TEMPLATE / COARSE,
            SHORTEST / COARSE,
            LONGEST / COARSE,
        );
    let mono: [f32; HISTORY] = std::array::from_fn(|n| heard[n][0] + heard[n][1]);
    let least = SHORTEST.max(about - COARSE);
    likest(&mono, TEMPLATE, least, LONGEST.min(about + COARSE))
}

/// The lag of `least` to `most` at which the last `length` samples correlate best, the energy there taken out.
fn likest(samples: &[f32], length: usize, least: usize, most: usize) -> usize {
    let at = samples.len() - length;
    let template = &samples[at..];
    let mut best = (f32::MIN, least);
    for lag in least..=most {
        let earlier = &samples[at - lag..][..length];
        let (mut product, mut energy) = (0.0, 1e-9);
        for (a, b) in template.iter().zip(earlier) {
            product += a * b;
            energy += b * b;
        }
        let likeness: f32 = product / f32::sqrt(energy);
        if likeness > best.0 {
            best = (likeness, lag);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use crate::BLOCK_SAMPLES;
    use crate::drift::DriftQueue;

    use super::*;

    /// A voice of that pitch: four harmonics.
    fn voice(hz: f64) -> impl Iterator<Item = f32> {
        (0..).map(move |n| {
            let turn = f64::from(n) * hz / 48_000.0 * std::f64::consts::TAU;
            let sum: f64 = (1..=4)
                .map(|k| (f64::from(k) * turn).sin() / f64::from(k))
                .sum();
            (0.2 * sum) as f32
        })
    }

    /// A second of it through `queue` in packets of 20 ms, the 25th of which is `late` blocks late and holds up the others: the left channel.
    fn through(mut queue: DriftQueue, hz: f64, late: usize) -> Vec<f32> {
        let mut sound = voice(hz);
        let mut out = [0.0; BLOCK_SAMPLES];
        let mut heard = Vec::new();
        let mut owed = 2;
        for block in 0..100 {
            owed += 1;
            if owed >= 2 && !(50..50 + late).contains(&block) {
                while owed >= 2 {
                    let packet = sound.by_ref().take(2 * BLOCK_FRAMES);
                    queue.push(&packet.flat_map(|x| [x; 2]).collect::<Vec<_>>());
                    owed -= 2;
                }
            }
            queue.pull(&mut out);
            heard.extend(out.iter().step_by(2));
        }
        heard
    }

    fn rms(block: &[f32]) -> f32 {
        (block.iter().map(|x| x * x).sum::<f32>() / block.len() as f32).sqrt()
    }

    #[test]
    fn a_voice_that_comes_late_goes_on_and_one_that_does_not_come_fades() {
        for hz in [85.0, 140.0, 233.0, 350.0, 700.0] {
            let whole = through(DriftQueue::through_network(), hz, 0);
            let steepest = |heard: &[f32]| {
                heard
                    .windows(2)
                    .map(|w| (w[1] - w[0]).abs())
                    .fold(0.0, f32::max)
            };
            for late in 3..=5 {
                let concealed = through(DriftQueue::through_network(), hz, late);
                let usual = rms(&whole[20 * BLOCK_FRAMES..40 * BLOCK_FRAMES]);
                for (n, block) in concealed[20 * BLOCK_FRAMES..]
                    .chunks(BLOCK_FRAMES)
                    .enumerate()
                {
                    let db = 20.0 * (rms(block) / usual).log10();
                    assert!(
                        (-4.5..1.5).contains(&db),
                        "{hz} Hz, {late} blocks late: block {n} has {db:.1} dB"
                    );
                }
                assert!(
                    steepest(&concealed[20 * BLOCK_FRAMES..])
                        < 1.3 * steepest(&whole[20 * BLOCK_FRAMES..])
                );
            }
            // What it is for.
            let torn = through(DriftQueue::default(), hz, 5);
            let mut blocks = torn[20 * BLOCK_FRAMES..].chunks(BLOCK_FRAMES);
            assert!(blocks.any(|block| rms(block) < 0.01));
            // The last packet came before block 50, and 30 ms wait as a rule.
            let gone = through(DriftQueue::through_network(), hz, 50);
            let end = gone.iter().rposition(|x| *x != 0.0).unwrap_or_default();
            assert!((59..=62).contains(&(end / BLOCK_FRAMES)), "{end}");
        }
    }

    #[test]
    fn noise_and_sound_that_has_hardly_begun_are_concealed_without_a_click() {
        let mut seed = 1_u32;
        let mut noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(seed) as f32 / u32::MAX as f32 - 0.5
        });
        for length in [0, 1, HISTORY - 1, HISTORY, 2 * HISTORY] {
            let heard: Vec<[f32; 2]> = noise.by_ref().take(length).map(|x| [x, -x]).collect();
            let mut concealment = Concealment::new(960, 2_880);
            let last = heard.last().copied().unwrap_or_default();
            concealment.begin(&heard, last);
            let given: Vec<[f32; 2]> = (0..4_000).map(|_| concealment.next()).collect();
            assert!(given.iter().flatten().all(|x| x.abs() <= 1.5));
            assert!(
                length == 0 || (given[0][0] - last[0]).abs() <= 1.0,
                "{length}"
            );
            assert!(given[3_840..].iter().all(|x| *x == [0.0; 2]));
        }
    }
}
