//! What one sound stream is like: levels, silence, and the markers in it.

use gstdais::loudness::{FLOOR_LUFS, Loudness};
use gstdais::tone::Ear;
use gstdais::{BLOCK_FRAMES, BLOCK_SAMPLES, Block};
use serde::Serialize;

use super::spans::{Spans, Watch};

pub const RATE: f64 = 48_000.0;
/// RMS of 10 ms below this is silence.
const SILENCE_DB: f64 = -60.0;
const LEAST_SILENCE_S: f64 = 0.5;
/// Timestamps that are off by more begin a new stretch for the marker's ear.
const JUMP_S: f64 = 0.01;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Levels {
    /// Of a sample, dBFS; nothing for digital silence.
    pub peak_db: Option<f64>,
    /// EBU R128, integrated.
    pub loudness_lufs: Option<f64>,
    /// Below -60 dBFS for half a second and more.
    pub silence: Spans,
    pub clipped_samples: u64,
}

/// A second of a source's time, heard at this time of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marker {
    pub source: u8,
    pub second: u32,
    pub at: f64,
}

pub struct Sound {
    channels: usize,
    ear: Ear,
    ear_from: f64,
    ear_samples: u64,
    mono: Vec<f32>,
    loudness: Loudness,
    /// The 10 ms that `loudness` is fed with next. A mono sound has one channel of energy, so its right side is silent.
    block: Box<Block>,
    peak: f32,
    clipped: u64,
    energy: f64,
    in_block: usize,
    silence: Watch,
    pub markers: Vec<Marker>,
    pub first: Option<f64>,
    pub end: f64,
}

impl Sound {
    pub fn new() -> Sound {
        Sound {
            channels: 1,
            ear: Ear::new(),
            ear_from: 0.0,
            ear_samples: 0,
            mono: Vec::new(),
            loudness: Loudness::default(),
            block: Box::new([0.0; BLOCK_SAMPLES]),
            peak: 0.0,
            clipped: 0,
            energy: 0.0,
            in_block: 0,
            silence: Watch::new(LEAST_SILENCE_S),
            markers: Vec::new(),
            first: None,
            end: 0.0,
        }
    }

    /// Interleaved samples of one or two channels whose first is heard `at` seconds, where that is known.
    pub fn push(&mut self, samples: &[f32], channels: usize, at: Option<f64>) {
        self.channels = channels.clamp(1, 2);
        let at = at.unwrap_or(self.end);
        self.first.get_or_insert(at);
        let expected = self.ear_from + self.ear_samples as f64 / RATE;
        if (at - expected).abs() > JUMP_S {
            self.ear = Ear::new();
            (self.ear_from, self.ear_samples) = (at, 0);
        }
        self.mono.clear();
        let mut frames = 0usize;
        for frame in samples.chunks_exact(self.channels) {
            self.block[2 * self.in_block..][..2].fill(0.0);
            self.block[2 * self.in_block..][..frame.len()].copy_from_slice(frame);
            let mut sum = 0.0;
            for sample in frame {
                self.peak = self.peak.max(sample.abs());
                self.clipped += u64::from(sample.abs() >= 0.99997);
                self.energy += f64::from(sample * sample);
                sum += sample;
            }
            self.mono.push(sum / self.channels as f32);
            frames += 1;
            self.in_block += 1;
            if self.in_block == BLOCK_FRAMES {
                self.loudness.feed(&self.block);
                let power = self.energy / (BLOCK_FRAMES * self.channels) as f64;
                let silent = 10.0 * power.max(1e-12).log10() < SILENCE_DB;
                let block_from = at + (frames as f64 - BLOCK_FRAMES as f64) / RATE;
                self.silence.see(block_from, silent);
                (self.energy, self.in_block) = (0.0, 0);
            }
        }
        for heard in self.ear.push(&self.mono) {
            self.markers.push(Marker {
                source: heard.source,
                second: heard.second,
                at: self.ear_from + heard.sample / RATE,
            });
        }
        self.ear_samples += frames as u64;
        self.end = at + frames as f64 / RATE;
    }

    pub fn levels(self) -> Levels {
        Levels {
            peak_db: (self.peak > 0.0).then(|| 20.0 * f64::from(self.peak).log10()),
            loudness_lufs: Some(self.loudness.integrated())
                .filter(|lufs| *lufs > FLOOR_LUFS)
                .map(f64::from),
            silence: self.silence.end(self.end),
            clipped_samples: self.clipped,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn loudness(samples: &[f32], channels: usize) -> Option<f64> {
        let mut sound = Sound::new();
        sound.push(samples, channels, Some(0.0));
        sound.levels().loudness_lufs
    }

    /// The first two cases of EBU Tech 3341.
    #[test]
    fn the_reference_tones_have_their_loudness() {
        for level in [-23.0f64, -33.0] {
            let amplitude = 10f64.powf(level / 20.0);
            let tone = |i: i32| {
                let turns = f64::from(i) * 1000.0 / RATE;
                (amplitude * (turns * std::f64::consts::TAU).sin()) as f32
            };
            let stereo: Vec<f32> = (0..48_000 * 20).flat_map(|i| [tone(i); 2]).collect();
            let got = loudness(&stereo, 2).unwrap();
            assert!((got - level).abs() < 0.1, "{got}");
            // One channel has half the energy.
            let mono: Vec<f32> = (0..48_000 * 20).map(tone).collect();
            let got = loudness(&mono, 1).unwrap();
            assert!((got - (level - 3.01)).abs() < 0.1, "{got}");
        }
        assert_eq!(loudness(&vec![0.0; 48_000], 1), None);
    }
}
