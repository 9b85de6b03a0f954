//! What one sound stream is like: levels, silence, and the markers in it.

use gstdais::tone::Ear;
use serde::Serialize;

use super::loudness::Loudness;
use super::spans::{Spans, Watch};

pub const RATE: f64 = 48_000.0;
const BLOCK: usize = 480;
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
            self.loudness.push(frame);
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
            if self.in_block == BLOCK {
                let power = self.energy / (BLOCK * self.channels) as f64;
                let silent = 10.0 * power.max(1e-12).log10() < SILENCE_DB;
                let block_from = at + (frames as f64 - BLOCK as f64) / RATE;
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
            loudness_lufs: self.loudness.integrated(),
            silence: self.silence.end(self.end),
            clipped_samples: self.clipped,
        }
    }
}
