//! A marker in sound that belongs to the mark in the picture ([`crate::mark`]): each whole second of the stamped time begins with a
//! burst that says which second it is and whose.
//!
//! ```text
//!  0        96 ms                                                    608 ms            1 s
//!  ├─ chirp ─┼─ 16 tones of 32 ms, one of four each: 32 bits ──────────┼─── nothing ─────┤
//! ```
//!
//! Every source has a band of its own, 500 Hz apart from 3.25 to 10.75 kHz (source modulo 16), so that markers of a whole room can be
//! told apart in its mix although all sound at once; speech has little there, and Opus keeps it. So does AAC below 8 kHz, sources 0 to 9;
//! above, a poor encoder at 128 kbit/s loses one marker in twenty or so. The chirp says when, to a
//! fraction of a millisecond; the tones say 8 bits source, 12 bits second (of 68 minutes) and a 12-bit check code.
//!
//! **False reads.** Noise passes for a chirp less than once in a thousand seconds, and then its 32 bits fit the check code and their band
//! with a probability of 2^-15 (two trials of 2^-16): below 1e-7 a second of noise.

mod hear;
mod voice;

pub use hear::{Ear, Heard};
pub use voice::Voice;

/// Of the markers' frequency bands.
pub const BANDS: usize = 16;
/// [`Heard::second`] counts from 0 to this, excluded.
pub const SECONDS: u32 = 1 << 12;

const LOWEST_HZ: f64 = 3250.0;
const SPACING_HZ: f64 = 500.0;
/// The chirp goes from so much below the band's middle to as much above.
const CHIRP_HZ: f64 = 160.0;
const CHIRP_MS: usize = 96;
/// Between the four tones: three periods more in a symbol, so that they don't see each other.
const TONE_STEP_HZ: f64 = 93.75;
const SYMBOL_MS: usize = 32;
const SYMBOLS: usize = 16;
const BURST_MS: usize = CHIRP_MS + SYMBOLS * SYMBOL_MS;
const SAMPLES_PER_MS: usize = crate::RATE as usize / 1000;

fn band_hz(band: usize) -> f64 {
    LOWEST_HZ + SPACING_HZ * band as f64
}

/// How far symbol `value` lies from the band's middle.
fn symbol_hz(value: u32) -> f64 {
    TONE_STEP_HZ * (f64::from(value) - 1.5)
}

fn encode(source: u8, second: u32) -> u32 {
    let payload = (u32::from(source) << 12) | (second % SECONDS);
    (payload << 12) | check(payload)
}

fn decode(bits: u32) -> Option<(u8, u32)> {
    let payload = bits >> 12;
    (check(payload) == bits & 0xfff).then_some(((payload >> 12) as u8, payload % SECONDS))
}

/// CRC-12 (x^12 + x^11 + x^3 + x^2 + x + 1) over 20 bits.
fn check(payload: u32) -> u32 {
    let mut crc = 0xfff;
    for bit in (0..20).rev() {
        let feed = ((crc >> 11) ^ (payload >> bit)) & 1;
        crc = ((crc << 1) & 0xfff) ^ (feed * 0x80f);
    }
    crc
}

#[cfg(test)]
mod tests;
