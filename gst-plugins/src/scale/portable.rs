//! The rung that runs everywhere, and the definition of what the others compute. The row pass is written so that it
//! vectorises with whatever the target has.

use super::Axis;
use crate::frame::Plane;

/// First pass: the source rows of output row `y`, weighted and summed. `line` is as long as a row.
pub(super) fn rows(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    let (start, weights) = axis.tap(y);
    // Past the lower edge the weights are zero: any row will do.
    let row = |tap: usize| src.row((start + tap).min(src.height() - 1));
    if let [first, second] = *weights {
        // At most 255 * 256 + 128: 16 bits are enough.
        for ((out, a), b) in line.iter_mut().zip(row(0)).zip(row(1)) {
            let sum = u16::from(*a)
                .wrapping_mul(first)
                .wrapping_add(u16::from(*b).wrapping_mul(second));
            *out = (sum.wrapping_add(128) >> 8) as u8;
        }
        return;
    }
    const PART: usize = 64;
    for (n, part) in line.chunks_mut(PART).enumerate() {
        let mut sums = [1 << (axis.bits() - 1); PART];
        for (tap, weight) in weights.iter().enumerate() {
            for (sum, v) in sums.iter_mut().zip(&row(tap)[n * PART..][..part.len()]) {
                *sum += u32::from(*v) * u32::from(*weight);
            }
        }
        for (out, sum) in part.iter_mut().zip(sums) {
            *out = (sum >> axis.bits()) as u8;
        }
    }
}

/// Second pass.
pub(super) fn columns(axis: &Axis, line: &[u8], dst: &mut [u8]) {
    match axis.taps() {
        2 => columns_of::<2>(axis, line, dst),
        4 => columns_of::<4>(axis, line, dst),
        _ => {
            for (i, out) in dst.iter_mut().enumerate() {
                let (start, weights) = axis.tap(i);
                *out = sample(axis, &line[start..][..weights.len()], weights);
            }
        }
    }
}

fn columns_of<const N: usize>(axis: &Axis, line: &[u8], dst: &mut [u8]) {
    for (out, (start, weights)) in dst.iter_mut().zip(axis.all::<N>()) {
        *out = sample(axis, &line[start..start + N], weights);
    }
}

#[inline(always)]
fn sample(axis: &Axis, samples: &[u8], weights: &[u16]) -> u8 {
    let products = samples.iter().zip(weights);
    let sum: u32 = products.map(|(v, w)| u32::from(*v) * u32::from(*w)).sum();
    // Rows rounded their halves up; with these down, the two make the picture neither brighter nor darker.
    ((sum + (1 << (axis.bits() - 1)) - 1) >> axis.bits()) as u8
}
