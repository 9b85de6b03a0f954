//! The AVX2 rung: eight output columns at a time.
#![allow(
    unsafe_code,
    reason = "vector loads at table-driven offsets have no safe form"
)]

use std::arch::x86_64::*;

use super::{Axis, PlaneScaler, TOTAL_BITS, portable};
use crate::frame::{Plane, PlaneMut};

pub(super) fn plane(scaler: &mut PlaneScaler, src: Plane<'_>, dst: &mut PlaneMut<'_>) {
    // SAFETY: this rung is chosen only after AVX2 was detected (`Rung::best`).
    unsafe { plane_avx2(scaler, src, dst) }
}

#[target_feature(enable = "avx2")]
fn plane_avx2(scaler: &mut PlaneScaler, src: Plane<'_>, dst: &mut PlaneMut<'_>) {
    for y in 0..dst.height() {
        portable::rows(&scaler.rows, y, src, &mut scaler.line);
        let row = dst.row_mut(y);
        let axis = &scaler.columns;
        let done = match axis.taps {
            _ if axis.identity => 0,
            2 => two_taps(axis, &scaler.line, row),
            _ => four_taps(axis, &scaler.line, row),
        };
        portable::columns(axis, &scaler.line, row, done);
    }
}

/// Checks, once a row, what the loads below rely on.
#[inline(always)]
fn check(axis: &Axis, line: &[u16], columns: usize) {
    assert!(axis.start.len() >= columns && axis.weights.len() >= columns * axis.taps);
    // Starts never fall, so the last is the furthest.
    let furthest = axis.start.last().map_or(0, |s| *s as usize);
    assert!(furthest + axis.taps <= line.len());
}

/// Bilinear: one gathered 32-bit word holds both samples of a column. Returns the columns done.
#[target_feature(enable = "avx2")]
fn two_taps(axis: &Axis, line: &[u16], dst: &mut [u8]) -> usize {
    check(axis, line, dst.len());
    let groups = dst.len() / 8;
    for (g, eight) in dst.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // SAFETY: `check` holds: 8 starts and 16 weights from column 8g on exist, and each start is followed by
        // `taps` = 2 samples (4 bytes) of the line; the gather scales its index by 2 bytes.
        let (pixels, weights) = unsafe {
            let at = _mm256_loadu_si256(axis.start.as_ptr().add(8 * g).cast());
            (
                _mm256_i32gather_epi32::<2>(line.as_ptr().cast(), at),
                _mm256_loadu_si256(axis.weights.as_ptr().add(16 * g).cast()),
            )
        };
        *eight = round(_mm256_madd_epi16(pixels, weights));
    }
    groups * 8
}

/// Area means: four samples (64 bits) of four columns in a register, as often as there are fours of taps.
#[target_feature(enable = "avx2")]
fn four_taps(axis: &Axis, line: &[u16], dst: &mut [u8]) -> usize {
    check(axis, line, dst.len());
    let taps = axis.taps;
    assert!(taps.is_multiple_of(4));
    let groups = dst.len() / 8;
    let samples = line.as_ptr();
    for (g, eight) in dst.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let starts = &axis.start.as_chunks::<8>().0[g];
        let at = starts.map(|s| samples.wrapping_add(s as usize));
        let weights = axis.weights.as_ptr().wrapping_add(8 * g * taps);
        let mut low = _mm256_setzero_si256();
        let mut high = _mm256_setzero_si256();
        for four in (0..taps).step_by(4) {
            // SAFETY: `check` holds: each start is followed by `taps` samples of the line and four + 4 <= taps;
            // columns 8g to 8g + 7 have `taps` weights each.
            let (a, b, c, d) = unsafe {
                let pair = |first: usize| {
                    let sample = |c: usize| _mm_loadl_epi64(at[c].wrapping_add(four).cast());
                    let weight =
                        |c: usize| _mm_loadl_epi64(weights.wrapping_add(c * taps + four).cast());
                    _mm_madd_epi16(
                        _mm_unpacklo_epi64(sample(first), sample(first + 1)),
                        _mm_unpacklo_epi64(weight(first), weight(first + 1)),
                    )
                };
                (pair(0), pair(2), pair(4), pair(6))
            };
            // Columns 0 1 4 5 and 2 3 6 7: the pairwise sums below then come out in order.
            low = _mm256_add_epi32(low, _mm256_set_m128i(c, a));
            high = _mm256_add_epi32(high, _mm256_set_m128i(d, b));
        }
        *eight = round(_mm256_hadd_epi32(low, high));
    }
    groups * 8
}

/// Eight sums to eight bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn round(sums: __m256i) -> [u8; 8] {
    let half = _mm256_set1_epi32(1 << (TOTAL_BITS - 1));
    let whole = _mm256_srli_epi32::<{ TOTAL_BITS as i32 }>(_mm256_add_epi32(sums, half));
    let words = _mm_packs_epi32(
        _mm256_castsi256_si128(whole),
        _mm256_extracti128_si256::<1>(whole),
    );
    _mm_cvtsi128_si64(_mm_packus_epi16(words, words)).to_le_bytes()
}
