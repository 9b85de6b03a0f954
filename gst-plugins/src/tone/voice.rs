//! Sounds the marker.

use std::f64::consts::TAU;

use super::*;

const RATE: u64 = crate::RATE as u64;
const BURST: usize = BURST_MS * SAMPLES_PER_MS;
/// At both ends, so that it does not click.
const FADE: usize = 4 * SAMPLES_PER_MS;
/// Timestamps of a live source waver; within this the burst is not torn, and the place is put right in the pause.
const SLACK: u64 = RATE / 100;

/// One source's marker, sample by sample.
pub struct Voice {
    source: u8,
    /// Of the next sample, in samples of the stamped time.
    position: u64,
    burst: Vec<f32>,
    /// Whose burst is in `burst`.
    second: Option<u64>,
}

impl Voice {
    pub fn new(source: u8) -> Voice {
        Voice {
            source,
            position: 0,
            burst: vec![0.0; BURST],
            second: None,
        }
    }

    /// The next sample has this time, in nanoseconds.
    pub fn at(&mut self, time: u64) {
        let wanted = (u128::from(time) * u128::from(RATE) + 500_000_000) / 1_000_000_000;
        let wanted = wanted as u64;
        let sounding = self.position % RATE < BURST as u64;
        if !sounding || self.position.abs_diff(wanted) > SLACK {
            self.position = wanted;
        }
    }

    /// The next sample, between -1 and 1.
    pub fn next_sample(&mut self) -> f32 {
        let (second, at) = (self.position / RATE, (self.position % RATE) as usize);
        self.position += 1;
        if at >= BURST {
            return 0.0;
        }
        if self.second != Some(second) {
            self.fill(second);
        }
        self.burst[at]
    }

    fn fill(&mut self, second: u64) {
        let bits = encode(self.source, (second % u64::from(SECONDS)) as u32);
        let middle = band_hz(usize::from(self.source) % BANDS);
        let mut turns = 0.0f64;
        for (i, sample) in self.burst.iter_mut().enumerate() {
            let ms = i / SAMPLES_PER_MS;
            let off = if ms < CHIRP_MS {
                let part = (i as f64 + 0.5) / (CHIRP_MS * SAMPLES_PER_MS) as f64;
                CHIRP_HZ * (2.0 * part - 1.0)
            } else {
                let symbol = (ms - CHIRP_MS) / SYMBOL_MS;
                symbol_hz((bits >> (30 - 2 * symbol)) & 3)
            };
            let edge = i.min(BURST - 1 - i).min(FADE) as f64 / FADE as f64;
            let fade = 0.5 - 0.5 * (edge * TAU / 2.0).cos();
            *sample = ((turns * TAU).sin() * fade) as f32;
            turns = (turns + (middle + off) / RATE as f64).fract();
        }
        self.second = Some(second);
    }
}
