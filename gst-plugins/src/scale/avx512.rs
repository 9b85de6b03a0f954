//! The AVX-512 rung, for processors with VBMI (Ice Lake, Zen 4 and later), whose shuffle reaches across two registers: 32
//! outputs at a time down to 1:4. Below that the AVX2 rung makes the second pass. The arithmetic is the AVX2 rung's.
#![allow(
    unsafe_code,
    reason = "vector loads at table-driven offsets have no safe form"
)]

use std::arch::x86_64::*;
use std::iter::zip;

use super::axis::{Axis, MOST_TAPS, ahead};
use crate::frame::Plane;

/// Gives back the 32768 that signed samples take away, and half of a unit for rounding: halves up in the first pass, down in
/// the second.
const ROWS: i16 = i16::MIN + 128;
const COLUMNS: i16 = i16::MIN + 127;

/// First pass.
pub(super) fn rows(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    // SAFETY: this rung is chosen only after its features were detected (`Rung::all`).
    unsafe { rows_avx512(axis, y, src, line) }
}

#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
fn rows_avx512(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    let (start, weights) = axis.tap(y);
    let last = src.height() - 1;
    let row = |tap: usize| &src.row((start + tap).min(last))[..line.len()];
    match *weights {
        [256, _] => line.copy_from_slice(row(0)),
        [_, 256] => line.copy_from_slice(row(1)),
        [128, 128] => {
            let ahead = ahead(axis, y, src);
            let (a, b) = (row(0).as_ptr(), row(1).as_ptr());
            each_64(line, |x, mask| {
                // SAFETY: both rows are as long as the line, and the mask ends where it does.
                let (a, b) = unsafe { (load(mask, a.add(x), ahead), load(mask, b.add(x), ahead)) };
                _mm512_avg_epu8(a, b)
            });
        }
        [first, second] => {
            let ahead = ahead(axis, y, src);
            let (a, b) = (row(0).as_ptr(), row(1).as_ptr());
            let weight = _mm512_set1_epi16(i16::from_le_bytes([first as u8, second as u8]));
            each_64(line, |x, mask| {
                // SAFETY: as above.
                let (a, b) = unsafe { (load(mask, a.add(x), ahead), load(mask, b.add(x), ahead)) };
                let sums = pair(a, b, weight);
                _mm512_packus_epi16(round(sums.0), round(sums.1))
            });
        }
        _ => {
            let ahead = ahead(axis, y, src);
            let mut tops = [row(0).as_ptr(); MOST_TAPS];
            let tops = &mut tops[..weights.len()];
            for (tap, top) in tops.iter_mut().enumerate() {
                *top = row(tap).as_ptr();
            }
            each_64(line, |x, mask| {
                let mut sums = (_mm512_setzero_si512(), _mm512_setzero_si512());
                for ([a, b], two) in zip(tops.as_chunks::<2>().0, weights.as_chunks::<2>().0) {
                    // SAFETY: as above; every row is as long as the line.
                    let (a, b) =
                        unsafe { (load(mask, a.add(x), ahead), load(mask, b.add(x), ahead)) };
                    let weight = _mm512_set1_epi16(i16::from_le_bytes(two.map(|w| w as u8)));
                    let more = pair(a, b, weight);
                    sums.0 = _mm512_add_epi16(sums.0, more.0);
                    sums.1 = _mm512_add_epi16(sums.1, more.1);
                }
                _mm512_packus_epi16(round(sums.0), round(sums.1))
            });
        }
    }
}

/// Fills `line` from what `made` gives for each offset, with a mask of the bytes that are still in the line.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
fn each_64(line: &mut [u8], made: impl Fn(usize, u64) -> __m512i) {
    let (whole, rest) = line.as_chunks_mut::<64>();
    for (n, part) in whole.iter_mut().enumerate() {
        // SAFETY: an array of 64 bytes.
        unsafe { _mm512_storeu_si512(part.as_mut_ptr().cast(), made(64 * n, u64::MAX)) }
    }
    if !rest.is_empty() {
        let mask = u64::MAX >> (64 - rest.len());
        let made = made(64 * whole.len(), mask);
        // SAFETY: the mask has as many bits as `rest` has bytes.
        unsafe { _mm512_mask_storeu_epi8(rest.as_mut_ptr().cast(), mask, made) }
    }
}

/// # Safety
/// The bytes of `mask` can be read at `at`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
unsafe fn load(mask: u64, at: *const u8, ahead: usize) -> __m512i {
    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast());
    // SAFETY: the caller's; masked bytes are not touched.
    unsafe { _mm512_maskz_loadu_epi8(mask, at.cast()) }
}

/// Two rows, weighted and summed: 8 low columns of each lane, 8 high columns of each lane.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
fn pair(a: __m512i, b: __m512i, weight: __m512i) -> (__m512i, __m512i) {
    let flip = _mm512_set1_epi8(i8::MIN);
    let (a, b) = (_mm512_xor_si512(a, flip), _mm512_xor_si512(b, flip));
    (
        _mm512_maddubs_epi16(weight, _mm512_unpacklo_epi8(a, b)),
        _mm512_maddubs_epi16(weight, _mm512_unpackhi_epi8(a, b)),
    )
}

/// Final sums to samples, still in 16 bits.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
fn round(sums: __m512i) -> __m512i {
    _mm512_srli_epi16::<8>(_mm512_add_epi16(sums, _mm512_set1_epi16(ROWS)))
}

/// The second pass: from a window of the line, the taps of 32 outputs, side by side.
#[derive(Clone)]
pub(super) struct Columns {
    bases: Vec<u32>,
    /// For each base.
    shuffles: Vec<Register>,
    /// For each base, for each pair of taps.
    weights: Vec<Register>,
    pairs: usize,
    /// Windows have 128 bytes, not 64.
    double: bool,
    reach: usize,
}

/// Aligned, so that loading it touches one cache line.
#[derive(Clone)]
#[repr(C, align(64))]
struct Register([u8; 64]);

impl Columns {
    /// `None` for weights of 16 bits, and where the taps of 32 outputs don't fit in 128 bytes.
    pub(super) fn new(axis: &Axis) -> Option<Self> {
        if axis.wide() {
            return None;
        }
        Self::with_window(axis, 64).or_else(|| Self::with_window(axis, 128))
    }

    fn with_window(axis: &Axis, size: usize) -> Option<Self> {
        let (pairs, count) = (axis.taps() / 2, axis.outputs().div_ceil(32));
        let mut columns = Self {
            bases: Vec::with_capacity(count),
            shuffles: Vec::with_capacity(count),
            weights: Vec::with_capacity(count * pairs),
            pairs,
            double: size == 128,
            reach: axis.reach(),
        };
        for first in (0..count).map(|n| 32 * n) {
            // Later pairs are taken from the same window.
            let (base, at) = axis.window(first..first + 32, size - 2 * (pairs - 1))?;
            let mut shuffle = [0; 64];
            shuffle.copy_from_slice(&at);
            columns.bases.push(base);
            columns.shuffles.push(Register(shuffle));
            columns.weights.extend((0..pairs).map(|pair| {
                Register(std::array::from_fn(|n| {
                    axis.byte_weights(first + n / 2, pair)[n % 2]
                }))
            }));
            columns.reach = columns.reach.max(base as usize + size);
        }
        Some(columns)
    }

    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    pub(super) fn run(&self, line: &[u8], dst: &mut [u8]) {
        // SAFETY: this rung is chosen only after its features were detected (`Rung::all`).
        unsafe {
            match (self.double, self.pairs) {
                (false, 1) => self.run_avx512::<false>(line, dst, 1),
                (true, 2) => self.run_avx512::<true>(line, dst, 2),
                (false, pairs) => self.run_avx512::<false>(line, dst, pairs),
                (true, pairs) => self.run_avx512::<true>(line, dst, pairs),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
    fn run_avx512<const DOUBLE: bool>(&self, line: &[u8], dst: &mut [u8], pairs: usize) {
        assert!(line.len() >= self.reach && DOUBLE == self.double);
        let flip = _mm512_set1_epi8(i8::MIN);
        let weights = self.weights.chunks_exact(pairs);
        let windows = zip(zip(&self.bases, &self.shuffles), weights);
        for (out, ((base, shuffle), weights)) in zip(dst.chunks_mut(32), windows) {
            let from = line.as_ptr().wrapping_add(*base as usize);
            // SAFETY: 64 or 128 bytes from the base end before `reach` (see `with_window`), and so, as checked above,
            // inside the line.
            let (low, high) = unsafe {
                let low = _mm512_loadu_si512(from.cast());
                let high = if DOUBLE {
                    _mm512_loadu_si512(from.wrapping_add(64).cast())
                } else {
                    low
                };
                (_mm512_xor_si512(low, flip), _mm512_xor_si512(high, flip))
            };
            let mut shuffle = get(shuffle);
            let mut sums = _mm512_set1_epi16(COLUMNS);
            for weights in weights {
                let taps = if DOUBLE {
                    _mm512_permutex2var_epi8(low, shuffle, high)
                } else {
                    _mm512_permutexvar_epi8(shuffle, low)
                };
                sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(get(weights), taps));
                shuffle = _mm512_add_epi8(shuffle, _mm512_set1_epi8(2));
            }
            let made = _mm512_cvtepi16_epi8(_mm512_srli_epi16::<8>(sums));
            let mask = u32::MAX >> (32 - out.len());
            // SAFETY: the mask has as many bits as `out` has bytes.
            unsafe { _mm256_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, made) }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi")]
fn get(from: &Register) -> __m512i {
    // SAFETY: an array of 64 bytes, aligned as one.
    unsafe { _mm512_load_si512(from.0.as_ptr().cast()) }
}
