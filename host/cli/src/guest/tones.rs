//! Which test tones are in the return, and how loud: what a mix-minus is judged by.

use std::f64::consts::PI;

/// Sums of 8 samples are looked at: the tones lie below 3 kHz, and it is an eighth of the work.
const DECIMATION: usize = 8;
const RATE: f64 = 48_000.0 / DECIMATION as f64;
/// One second: bins of 1 Hz, so that tones 50 Hz apart don't touch.
const WINDOW: usize = 6000;
/// Below everything that 16-bit sound can hold.
const FLOOR_DB: f32 = -120.0;

/// The last whole second of the return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Of everything, dBFS RMS.
    pub level_db: f32,
    /// Of the own tone, dBFS; -120 is nothing.
    pub own_db: f32,
    pub loudest_other_hz: u32,
    pub loudest_other_db: f32,
}

pub struct Tones {
    own_hz: u32,
    others: Vec<u32>,
    sum: f64,
    summed: usize,
    window: Vec<f64>,
    energy: f64,
    samples: u64,
    pub last: Option<Heard>,
}

impl Tones {
    /// Others: every other guest's tone, and what a box's host may play.
    pub fn new(own_hz: u32) -> Tones {
        let others = (200..=2000)
            .step_by(100)
            .chain([440])
            .filter(|hz| *hz != own_hz)
            .collect();
        Tones {
            own_hz,
            others,
            sum: 0.0,
            summed: 0,
            window: Vec::with_capacity(WINDOW),
            energy: 0.0,
            samples: 0,
            last: None,
        }
    }

    /// Mono samples at 48 kHz.
    pub fn push(&mut self, sample: f32) {
        let sample = f64::from(sample);
        self.energy += sample * sample;
        self.samples += 1;
        self.sum += sample;
        self.summed += 1;
        if self.summed == DECIMATION {
            self.window.push(self.sum / DECIMATION as f64);
            self.summed = 0;
            self.sum = 0.0;
            if self.window.len() == WINDOW {
                self.judge();
            }
        }
    }

    fn judge(&mut self) {
        let n = WINDOW as f64;
        // Hann: what is 50 Hz away leaks less than -120 dB.
        for (i, sample) in self.window.iter_mut().enumerate() {
            *sample *= 1.0 - (2.0 * PI * i as f64 / n).cos();
        }
        let own_db = level(&self.window, self.own_hz);
        let loudest = self
            .others
            .iter()
            .map(|hz| (*hz, level(&self.window, *hz)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let (loudest_other_hz, loudest_other_db) = loudest.unwrap_or((0, FLOOR_DB));
        let level_db = (10.0 * (self.energy / self.samples as f64).log10()) as f32;
        self.last = Some(Heard {
            level_db: level_db.max(FLOOR_DB),
            own_db,
            loudest_other_hz,
            loudest_other_db,
        });
        self.window.clear();
        self.energy = 0.0;
        self.samples = 0;
    }
}

/// The level of a sine of `hz` in a windowed second, dBFS (a full-scale sine is 0), by Goertzel's recursion.
fn level(window: &[f64], hz: u32) -> f32 {
    let turn = 2.0 * PI * f64::from(hz) / RATE;
    let coefficient = 2.0 * turn.cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for sample in window {
        let s = sample + coefficient * s1 - s2;
        s2 = s1;
        s1 = s;
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    // The sum of 8 samples is softer the higher the tone.
    let per_sample = PI * f64::from(hz) / 48_000.0;
    let droop = (DECIMATION as f64 * per_sample).sin() / (DECIMATION as f64 * per_sample.sin());
    let amplitude = 2.0 * power.max(0.0).sqrt() / window.len() as f64 / droop;
    (20.0 * amplitude.log10()).max(f64::from(FLOOR_DB)) as f32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hear(own: u32, tones: &[(f64, f64)]) -> Heard {
        let mut heard = Tones::new(own);
        for i in 0..48_000 {
            let at = f64::from(i) / 48_000.0;
            let sample: f64 = tones
                .iter()
                .map(|(hz, a)| a * (2.0 * PI * hz * at).sin())
                .sum();
            heard.push(sample as f32);
        }
        heard.last.unwrap()
    }

    #[test]
    fn a_tone_far_below_the_others_is_measured() {
        let heard = hear(500, &[(500.0, 0.000_25), (400.0, 0.25), (900.0, 0.1)]);
        assert!((heard.own_db + 72.0).abs() < 0.2, "{heard:?}");
        assert_eq!(heard.loudest_other_hz, 400);
        assert!((heard.loudest_other_db + 12.04).abs() < 0.1, "{heard:?}");
    }

    #[test]
    fn silence_of_the_own_tone_is_below_minus_100_db_beside_eight_others() {
        let others: Vec<_> = (5..=12).map(|n| (f64::from(n) * 100.0, 0.1)).collect();
        assert!(hear(400, &others).own_db < -100.0);
    }
}
