//! Hears markers in a mix.
//!
//! Each band is moved to 0 Hz and taken down to 1000 complex samples a second; there the chirp is a matched filter of 96 samples, and
//! the tones are four correlations a symbol.

use std::f64::consts::TAU;

use super::*;

/// Of the band filter: passes ±165 Hz, stops what would fold into it at 1 kHz.
const TAPS: usize = 480;
const CUTOFF_HZ: f64 = 300.0;
/// Silence before the first sample, so that the filter is in its middle there.
const LEAD: usize = TAPS;
/// The part of the band's energy that must be the chirp.
const LEAST_LIKENESS: f32 = 0.3;
/// Energy of the band over the chirp, about -90 dBFS: digital silence resembles everything.
const LEAST_ENERGY: f32 = 1e-9 * CHIRP_MS as f32;
/// Two chirps closer than this are one.
const APART_MS: u64 = 20;
const MOST_CANDIDATES: usize = 8;
/// Baseband samples kept: a burst, and room so that moving them down is rare.
const KEEP: usize = BURST_MS + 8;
const ROOM: usize = 4096;

/// A marker that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    pub source: u8,
    /// Of the stamped time, modulo [`SECONDS`].
    pub second: u32,
    /// Where this second began, in samples from the first that was pushed.
    pub sample: f64,
    /// How much of the sound in its band was the chirp, 0 to 1.
    pub likeness: f32,
}

type Complex = [f32; 2];

struct Candidate {
    /// Baseband index of the chirp's first sample.
    at: u64,
    /// Of the correlation before, at, and after it.
    power: [f32; 3],
    likeness: f32,
}

struct Band {
    number: usize,
    taps: [Vec<f32>; 2],
    baseband: Vec<Complex>,
    /// Baseband index of `baseband[0]`.
    base: u64,
    last_power: f32,
    candidates: Vec<Candidate>,
}

/// Listens to mono sound at 48 kHz for the markers of all bands.
pub struct Ear {
    bands: Vec<Band>,
    chirp: Vec<Complex>,
    symbols: [Vec<Complex>; 4],
    samples: Vec<f32>,
    /// Baseband samples made, each of [`TAPS`] samples from 48 times its index on, counted from the lead.
    made: u64,
    heard: Vec<Heard>,
}

fn complex(turns: f64) -> Complex {
    let angle = turns.fract() * TAU;
    [angle.cos() as f32, angle.sin() as f32]
}

/// `a` times the conjugate of `b`, added up.
fn correlate(a: &[Complex], b: &[Complex]) -> Complex {
    a.iter().zip(b).fold([0.0; 2], |sum, (a, b)| {
        [
            sum[0] + a[0] * b[0] + a[1] * b[1],
            sum[1] + a[1] * b[0] - a[0] * b[1],
        ]
    })
}

fn power(c: Complex) -> f32 {
    c[0] * c[0] + c[1] * c[1]
}

/// In eight lanes, which the compiler keeps in vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

fn band_taps(middle: f64) -> [Vec<f32>; 2] {
    let rate = f64::from(crate::RATE);
    let tap = |k: usize| {
        let t = k as f64 - (TAPS - 1) as f64 / 2.0;
        let sinc = (TAU * CUTOFF_HZ * t / rate).sin() / (std::f64::consts::PI * t);
        let hann = 0.5 - 0.5 * (TAU * (k as f64 + 0.5) / TAPS as f64).cos();
        // Twice: half of a real tone's amplitude lies at its negative frequency.
        let [re, im] = complex(-middle * k as f64 / rate);
        (2.0 * sinc * hann, re, im)
    };
    let real = (0..TAPS).map(tap).map(|(h, re, _)| h as f32 * re).collect();
    let imaginary = (0..TAPS).map(tap).map(|(h, _, im)| h as f32 * im).collect();
    [real, imaginary]
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}

impl Ear {
    pub fn new() -> Ear {
        let chirp = (0..CHIRP_MS)
            .map(|ms| {
                // The phase of a frequency that rises from -CHIRP_HZ to CHIRP_HZ.
                let (t, length) = (ms as f64 / 1000.0, CHIRP_MS as f64 / 1000.0);
                complex(CHIRP_HZ * t * (t / length - 1.0) + 100.0)
            })
            .collect();
        let symbols = [0, 1, 2, 3].map(|value| {
            (0..SYMBOL_MS)
                .map(|ms| complex(symbol_hz(value) * ms as f64 / 1000.0))
                .collect()
        });
        let bands = (0..BANDS).map(|number| Band {
            number,
            taps: band_taps(band_hz(number)),
            baseband: Vec::with_capacity(ROOM),
            base: 0,
            last_power: 0.0,
            candidates: Vec::with_capacity(MOST_CANDIDATES),
        });
        Ear {
            bands: bands.collect(),
            chirp,
            symbols,
            samples: vec![0.0; LEAD],
            made: 0,
            heard: Vec::new(),
        }
    }

    /// What became clear with these samples; a marker does so when its burst is over.
    pub fn push(&mut self, samples: &[f32]) -> &[Heard] {
        self.heard.clear();
        self.samples
            .extend(samples.iter().map(|s| if s.is_finite() { *s } else { 0.0 }));
        let mut used = 0;
        while let Some(window) = self.samples.get(used..used + TAPS) {
            for band in &mut self.bands {
                band.push(self.made, window);
                band.look(&self.chirp);
                band.finish(&self.symbols, &mut self.heard);
            }
            self.made += 1;
            used += SAMPLES_PER_MS;
        }
        self.samples.drain(..used);
        &self.heard
    }
}

impl Band {
    fn push(&mut self, index: u64, window: &[f32]) {
        if self.baseband.len() == ROOM {
            self.baseband.drain(..ROOM - KEEP);
            self.base += (ROOM - KEEP) as u64;
        }
        let [re, im] = [dot(window, &self.taps[0]), dot(window, &self.taps[1])];
        // The taps start at phase 0 at every window; the band's middle turned by a quarter, or three, a millisecond.
        let quarters = (band_hz(self.number) / 250.0) as u64 * index % 4;
        self.baseband.push(match quarters {
            0 => [re, im],
            1 => [im, -re],
            2 => [-re, -im],
            _ => [-im, re],
        });
    }

    /// Whether the newest sample completes a chirp.
    fn look(&mut self, chirp: &[Complex]) {
        let Some(start) = self.baseband.len().checked_sub(CHIRP_MS) else {
            return;
        };
        let (window, at) = (&self.baseband[start..], self.base + start as u64);
        let now = power(correlate(window, chirp));
        let before = std::mem::replace(&mut self.last_power, now);
        if let Some(last) = self.candidates.last_mut()
            && last.at + 1 == at
        {
            last.power[2] = now;
        }
        let energy: f32 = window.iter().map(|c| power(*c)).sum();
        let likeness = now / (CHIRP_MS as f32 * energy.max(f32::MIN_POSITIVE));
        if energy < LEAST_ENERGY || likeness < LEAST_LIKENESS {
            return;
        }
        let candidate = Candidate {
            at,
            power: [before, now, 0.0],
            likeness,
        };
        if let Some(last) = self.candidates.last_mut()
            && at - last.at < APART_MS
        {
            if now > last.power[1] {
                *last = candidate;
            }
        } else if self.candidates.len() < MOST_CANDIDATES {
            self.candidates.push(candidate);
        }
    }

    fn finish(&mut self, symbols: &[Vec<Complex>; 4], heard: &mut Vec<Heard>) {
        let end = self.base + self.baseband.len() as u64;
        while let Some(first) = self.candidates.first()
            && first.at + BURST_MS as u64 <= end
        {
            let candidate = self.candidates.remove(0);
            let start = candidate.at.checked_sub(self.base).map(|s| s as usize);
            let Some(burst) = start.and_then(|s| self.baseband.get(s + CHIRP_MS..s + BURST_MS))
            else {
                continue;
            };
            let message = read_symbols(burst, symbols);
            if let Some((source, second)) =
                message.filter(|m| usize::from(m.0) % BANDS == self.number)
            {
                let at = candidate.at as f64 + f64::from(vertex(candidate.power));
                heard.push(Heard {
                    source,
                    second,
                    // A baseband sample is of the middle of its window.
                    sample: at * SAMPLES_PER_MS as f64 + (TAPS - 1) as f64 / 2.0 - LEAD as f64,
                    likeness: candidate.likeness,
                });
            }
        }
    }
}

fn read_symbols(burst: &[Complex], symbols: &[Vec<Complex>; 4]) -> Option<(u8, u32)> {
    let mut bits = 0u32;
    // The symbol that is decided most narrowly, and what changes if it was the second best.
    let mut narrowest = (f32::INFINITY, 0u32);
    for (i, window) in burst.chunks_exact(SYMBOL_MS).enumerate() {
        let mut levels =
            [0u32, 1, 2, 3].map(|v| (power(correlate(window, &symbols[v as usize])), v));
        levels.sort_by(|a, b| b.0.total_cmp(&a.0));
        let [(best, value), (second, other), ..] = levels;
        let shift = 30 - 2 * i;
        bits |= value << shift;
        let lead = best / second.max(f32::MIN_POSITIVE);
        if lead < narrowest.0 {
            narrowest = (lead, (value ^ other) << shift);
        }
    }
    decode(bits).or_else(|| decode(bits ^ narrowest.1))
}

/// Where a parabola through the logarithms of three neighbours has its top; a chirp's correlation is close to one there.
fn vertex(power: [f32; 3]) -> f32 {
    let [a, b, c] = power.map(|p| p.max(f32::MIN_POSITIVE).ln());
    let bend = a - 2.0 * b + c;
    if bend >= 0.0 {
        return 0.0;
    }
    (0.5 * (a - c) / bend).clamp(-0.5, 0.5)
}
