//! The rung that runs everywhere. The row pass is written so that it vectorises with whatever the target has; the
//! AVX2 rung compiles the very same code again with wider vectors.

use super::{Axis, PlaneScaler, ROW_BITS, TOTAL_BITS};
use crate::frame::{Plane, PlaneMut};

pub(super) fn plane(scaler: &mut PlaneScaler, src: Plane<'_>, dst: &mut PlaneMut<'_>) {
    for y in 0..dst.height() {
        rows(&scaler.rows, y, src, &mut scaler.line);
        columns(&scaler.columns, &scaler.line, dst.row_mut(y), 0);
    }
}

/// First pass: the source rows of output row `y`, weighted and summed.
#[inline(always)]
pub(super) fn rows(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u16]) {
    let (start, weights) = axis.tap(y);
    let last = src.height() - 1;
    let line = &mut line[..src.width()];
    let (pairs, _) = weights.as_chunks::<2>();
    for (i, pair) in pairs.iter().enumerate() {
        // Past the lower edge the weights are zero: any row will do.
        let a = src.row((start + 2 * i).min(last));
        let b = src.row((start + 2 * i + 1).min(last));
        let [wa, wb] = pair.map(|w| w as u16);
        match (i == 0, i + 1 == pairs.len()) {
            (true, true) => pair_of_rows::<true, true>(line, a, wa, b, wb),
            (true, false) => pair_of_rows::<true, false>(line, a, wa, b, wb),
            (false, false) => pair_of_rows::<false, false>(line, a, wa, b, wb),
            (false, true) => pair_of_rows::<false, true>(line, a, wa, b, wb),
        }
    }
}

/// Weights sum to 256, so the sums stay under 65,281 and wrapping arithmetic never wraps; it only spares the checks.
#[inline(always)]
fn pair_of_rows<const FIRST: bool, const LAST: bool>(
    line: &mut [u16],
    a: &[u8],
    wa: u16,
    b: &[u8],
    wb: u16,
) {
    for ((sum, a), b) in line.iter_mut().zip(a).zip(b) {
        let before = if FIRST { 0 } else { *sum };
        let now = before
            .wrapping_add(u16::from(*a).wrapping_mul(wa))
            .wrapping_add(u16::from(*b).wrapping_mul(wb));
        *sum = if LAST { now >> (8 - ROW_BITS) } else { now };
    }
}

/// Second pass, from output column `from` on.
#[inline(always)]
pub(super) fn columns(axis: &Axis, line: &[u16], dst: &mut [u8], from: usize) {
    if axis.identity {
        for (d, v) in dst.iter_mut().zip(line).skip(from) {
            // At most 255 * 128 + 64.
            *d = (v.wrapping_add(1 << (ROW_BITS - 1)) >> ROW_BITS) as u8;
        }
        return;
    }
    for (i, d) in dst.iter_mut().enumerate().skip(from) {
        let (start, weights) = axis.tap(i);
        let sum: i32 = line[start..start + weights.len()]
            .iter()
            .zip(weights)
            .map(|(v, w)| i32::from(*v) * i32::from(*w))
            .sum();
        *d = ((sum + (1 << (TOTAL_BITS - 1))) >> TOTAL_BITS) as u8;
    }
}
