//! The NEON rung: 8 outputs at a time, from windows of 16, 32 or 64 bytes: down to 1:8. Below that the portable rung makes
//! the second pass. Weights, up to 255, and samples are both unsigned; the sums fit in 16 bits.
#![allow(
    unsafe_code,
    reason = "vector loads at table-driven offsets have no safe form"
)]

use std::arch::aarch64::*;
use std::iter::zip;

use super::axis::{Axis, MOST_TAPS};
use super::portable;
use crate::frame::Plane;

/// First pass.
pub(super) fn rows(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    if line.len() < 16 {
        return portable::rows(axis, y, src, line);
    }
    // SAFETY: this rung is chosen only after NEON was detected (`Rung::all`).
    unsafe { rows_neon(axis, y, src, line) }
}

#[target_feature(enable = "neon")]
fn rows_neon(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    let (start, weights) = axis.tap(y);
    let last = src.height() - 1;
    let row = |tap: usize| &src.row((start + tap).min(last))[..line.len()];
    match *weights {
        [256, _] => line.copy_from_slice(row(0)),
        [_, 256] => line.copy_from_slice(row(1)),
        [128, 128] => {
            let (a, b) = (row(0).as_ptr(), row(1).as_ptr());
            each_16(line, |x| {
                // SAFETY: both rows are as long as the line, and `each_16` stays 16 short of its end.
                unsafe { vrhaddq_u8(vld1q_u8(a.add(x)), vld1q_u8(b.add(x))) }
            });
        }
        _ => {
            let mut tops = [row(0).as_ptr(); MOST_TAPS];
            let tops = &mut tops[..weights.len()];
            for (tap, top) in tops.iter_mut().enumerate() {
                *top = row(tap).as_ptr();
            }
            each_16(line, |x| {
                let (mut low, mut high) = (vdupq_n_u16(0), vdupq_n_u16(0));
                for (top, weight) in zip(&*tops, weights) {
                    // SAFETY: as above; every row is as long as the line.
                    let samples = unsafe { vld1q_u8(top.add(x)) };
                    let weight = vdup_n_u8(*weight as u8);
                    low = vmlal_u8(low, vget_low_u8(samples), weight);
                    high = vmlal_u8(high, vget_high_u8(samples), weight);
                }
                vcombine_u8(vrshrn_n_u16::<8>(low), vrshrn_n_u16::<8>(high))
            });
        }
    }
}

/// Fills `line`, which has at least 16 bytes, from what `made` gives for each offset. The last 16 may overlap those before.
#[inline]
#[target_feature(enable = "neon")]
fn each_16(line: &mut [u8], mut made: impl FnMut(usize) -> uint8x16_t) {
    let end = line.len() - 16;
    for x in (0..end).step_by(16).chain([end]) {
        let made = made(x);
        // SAFETY: x + 16 is at most the line's length.
        unsafe { vst1q_u8(line.as_mut_ptr().add(x), made) }
    }
}

/// The second pass: from a window of the line, first the first taps of 8 outputs, then the second ones.
#[derive(Clone)]
pub(super) struct Columns {
    windows: Vec<Window>,
    /// For each window, for each pair of taps.
    weights: Vec<[[u8; 8]; 2]>,
    pairs: usize,
    /// Bytes in a window: 16, 32 or 64.
    size: usize,
    reach: usize,
}

#[derive(Clone)]
struct Window {
    base: u32,
    shuffle: [[u8; 8]; 2],
}

impl Columns {
    /// `None` for weights of 16 bits, and where the taps of 8 outputs don't fit in 64 bytes.
    pub(super) fn new(axis: &Axis) -> Option<Self> {
        if axis.wide() {
            return None;
        }
        [16, 32, 64]
            .into_iter()
            .find_map(|size| Self::with_window(axis, size))
    }

    fn with_window(axis: &Axis, size: usize) -> Option<Self> {
        let (pairs, count) = (axis.taps() / 2, axis.outputs().div_ceil(8));
        let mut columns = Self {
            windows: Vec::with_capacity(count),
            weights: Vec::with_capacity(count * pairs),
            pairs,
            size,
            reach: axis.reach(),
        };
        for first in (0..count).map(|n| 8 * n) {
            let (base, at) = axis.window(first..first + 8, size)?;
            let shuffle = [0, 1].map(|tap| std::array::from_fn(|n| at[2 * n + tap]));
            columns.windows.push(Window { base, shuffle });
            columns.weights.extend((0..pairs).map(|pair| {
                [0, 1].map(|tap| std::array::from_fn(|n| axis.byte_weights(first + n, pair)[tap]))
            }));
            let end = base as usize + 2 * (pairs - 1) + size;
            columns.reach = columns.reach.max(end);
        }
        Some(columns)
    }

    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    pub(super) fn run(&self, line: &[u8], dst: &mut [u8]) {
        // SAFETY: this rung is chosen only after NEON was detected (`Rung::all`).
        unsafe {
            match self.size {
                16 => self.run_neon::<16>(line, dst),
                32 => self.run_neon::<32>(line, dst),
                _ => self.run_neon::<64>(line, dst),
            }
        }
    }

    #[target_feature(enable = "neon")]
    fn run_neon<const SIZE: usize>(&self, line: &[u8], dst: &mut [u8]) {
        assert!(line.len() >= self.reach && SIZE == self.size);
        let weights = self.weights.chunks_exact(self.pairs);
        for ((out, window), weights) in zip(zip(dst.chunks_mut(8), &self.windows), weights) {
            let [first, second] = [get(&window.shuffle[0]), get(&window.shuffle[1])];
            // Half of a unit, and halves down.
            let mut sums = vdupq_n_u16(127);
            for (pair, weights) in weights.iter().enumerate() {
                let from = line.as_ptr().wrapping_add(window.base as usize + 2 * pair);
                // SAFETY: `SIZE` bytes from the base, for the last pair too, end before `reach` (see
                // `with_window`), and so, as checked above, inside the line.
                let (a, b) = unsafe {
                    match SIZE {
                        16 => {
                            let bytes = vld1q_u8(from);
                            (vqtbl1_u8(bytes, first), vqtbl1_u8(bytes, second))
                        }
                        32 => {
                            let bytes = vld1q_u8_x2(from);
                            (vqtbl2_u8(bytes, first), vqtbl2_u8(bytes, second))
                        }
                        _ => {
                            let bytes = vld1q_u8_x4(from);
                            (vqtbl4_u8(bytes, first), vqtbl4_u8(bytes, second))
                        }
                    }
                };
                sums = vmlal_u8(sums, a, get(&weights[0]));
                sums = vmlal_u8(sums, b, get(&weights[1]));
            }
            let mut made = [0; 8];
            // SAFETY: an array of 8 bytes.
            unsafe { vst1_u8(made.as_mut_ptr(), vshrn_n_u16::<8>(sums)) }
            out.copy_from_slice(&made[..out.len()]);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn get(from: &[u8; 8]) -> uint8x8_t {
    // SAFETY: an array of 8 bytes.
    unsafe { vld1_u8(from.as_ptr()) }
}
