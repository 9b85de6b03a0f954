//! Integrated loudness by ITU-R BS.1770 (EBU R128), for one or two channels at 48 kHz.

/// Block of 400 ms, a new one every 100 ms: sums of four steps.
const STEP: usize = 4_800;
const ABSOLUTE_GATE: f64 = -70.0;
const RELATIVE_GATE: f64 = -10.0;
/// The two filters of the recommendation at 48 kHz: b0 b1 b2 a1 a2.
const SHELF: [f64; 5] = [
    1.535_124_859_586_97,
    -2.691_696_189_406_38,
    1.198_392_810_852_85,
    -1.690_659_293_182_41,
    0.732_480_774_215_85,
];
const HIGH_PASS: [f64; 5] = [1.0, -2.0, 1.0, -1.990_047_454_833_98, 0.990_072_250_366_21];

#[derive(Clone, Copy, Default)]
struct Biquad([f64; 2]);

impl Biquad {
    fn run(&mut self, [b0, b1, b2, a1, a2]: [f64; 5], x: f64) -> f64 {
        let y = b0 * x + self.0[0];
        self.0 = [b1 * x - a1 * y + self.0[1], b2 * x - a2 * y];
        y
    }
}

#[derive(Default)]
pub struct Loudness {
    filters: [[Biquad; 2]; 2],
    energy: f64,
    samples: usize,
    /// Mean square of each 100 ms, channels added.
    steps: Vec<f64>,
}

fn lufs(power: f64) -> f64 {
    -0.691 + 10.0 * power.log10()
}

impl Loudness {
    /// One frame: a mono sound's only channel, or left and right.
    pub fn push(&mut self, frame: &[f32]) {
        for (sample, [shelf, high_pass]) in frame.iter().zip(&mut self.filters) {
            let y = high_pass.run(HIGH_PASS, shelf.run(SHELF, f64::from(*sample)));
            self.energy += y * y;
        }
        self.samples += 1;
        if self.samples == STEP {
            self.steps.push(self.energy / STEP as f64);
            self.energy = 0.0;
            self.samples = 0;
        }
    }

    /// LUFS; `None` if nothing was above the gate of -70.
    pub fn integrated(&self) -> Option<f64> {
        let blocks: Vec<f64> = self
            .steps
            .windows(4)
            .map(|four| four.iter().sum::<f64>() / 4.0)
            .filter(|power| lufs(*power) > ABSOLUTE_GATE)
            .collect();
        let mean = |blocks: &[f64]| blocks.iter().sum::<f64>() / blocks.len().max(1) as f64;
        let gate = lufs(mean(&blocks)) + RELATIVE_GATE;
        let loud: Vec<f64> = blocks.into_iter().filter(|p| lufs(*p) > gate).collect();
        (!loud.is_empty()).then(|| lufs(mean(&loud)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The first two cases of EBU Tech 3341.
    #[test]
    fn the_reference_tones_have_their_loudness() {
        for level in [-23.0f64, -33.0] {
            let amplitude = 10f64.powf(level / 20.0);
            let mut loudness = Loudness::default();
            for i in 0..48_000 * 20 {
                let x = (amplitude
                    * (f64::from(i) * 1000.0 / 48_000.0 * std::f64::consts::TAU).sin())
                    as f32;
                loudness.push(&[x, x]);
            }
            let got = loudness.integrated().unwrap();
            assert!((got - level).abs() < 0.1, "{got}");
        }
        let mut silence = Loudness::default();
        (0..48_000).for_each(|_| silence.push(&[0.0]));
        assert_eq!(silence.integrated(), None);
    }
}
