//! The AVX2 rung.
//!
//! Its multiplication of bytes (`maddubs`) takes one factor unsigned and one signed, and its sums have 16 bits. The
//! weights, up to 255, are the unsigned factor, so the samples are made signed by taking 128 away (flipping the highest
//! bit). As the weights add up to 256, no partial sum leaves -32768..=32512, and the final one is 32768 too small.
#![allow(
    unsafe_code,
    reason = "vector loads at table-driven offsets have no safe form"
)]

use std::arch::x86_64::*;
use std::iter::zip;

use super::axis::{Axis, MOST_TAPS, ahead};
use super::portable;
use crate::frame::Plane;

/// Gives back the 32768, and half of a unit for rounding: halves up in the first pass, down in the second.
const ROWS: i16 = i16::MIN + 128;
const COLUMNS: i16 = i16::MIN + 127;

/// First pass.
pub(super) fn rows(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    if line.len() < 32 {
        return portable::rows(axis, y, src, line);
    }
    // SAFETY: this rung is chosen only after AVX2 was detected (`Rung::all`).
    unsafe { rows_avx2(axis, y, src, line) }
}

#[target_feature(enable = "avx2")]
fn rows_avx2(axis: &Axis, y: usize, src: Plane<'_>, line: &mut [u8]) {
    let (start, weights) = axis.tap(y);
    let last = src.height() - 1;
    let row = |tap: usize| &src.row((start + tap).min(last))[..line.len()];
    match *weights {
        [256, _] => line.copy_from_slice(row(0)),
        [_, 256] => line.copy_from_slice(row(1)),
        [128, 128] => {
            let ahead = ahead(axis, y, src);
            let (a, b) = (row(0).as_ptr(), row(1).as_ptr());
            each_32(line, |x| {
                // SAFETY: both rows are as long as the line, and `each_32` stays 32 short of its end.
                let (a, b) = unsafe { (load(a.add(x), ahead), load(b.add(x), ahead)) };
                _mm256_avg_epu8(a, b)
            });
        }
        [first, second] => {
            let ahead = ahead(axis, y, src);
            let (a, b) = (row(0).as_ptr(), row(1).as_ptr());
            let weight = _mm256_set1_epi16(i16::from_le_bytes([first as u8, second as u8]));
            each_32(line, |x| {
                // SAFETY: as above.
                let (a, b) = unsafe { (load(a.add(x), ahead), load(b.add(x), ahead)) };
                let sums = pair(a, b, weight);
                bytes(round::<ROWS>(sums.0), round::<ROWS>(sums.1))
            });
        }
        _ => {
            let ahead = ahead(axis, y, src);
            let mut tops = [row(0).as_ptr(); MOST_TAPS];
            let tops = &mut tops[..weights.len()];
            for (tap, top) in tops.iter_mut().enumerate() {
                *top = row(tap).as_ptr();
            }
            each_32(line, |x| {
                let mut sums = (_mm256_setzero_si256(), _mm256_setzero_si256());
                for ([a, b], two) in zip(tops.as_chunks::<2>().0, weights.as_chunks::<2>().0) {
                    // SAFETY: as above; every row is as long as the line.
                    let (a, b) = unsafe { (load(a.add(x), ahead), load(b.add(x), ahead)) };
                    let weight = _mm256_set1_epi16(i16::from_le_bytes(two.map(|w| w as u8)));
                    let more = pair(a, b, weight);
                    sums.0 = _mm256_add_epi16(sums.0, more.0);
                    sums.1 = _mm256_add_epi16(sums.1, more.1);
                }
                bytes(round::<ROWS>(sums.0), round::<ROWS>(sums.1))
            });
        }
    }
}

/// Fills `line`, which has at least 32 bytes, from what `made` gives for each offset. The last 32 may overlap those before.
#[inline]
#[target_feature(enable = "avx2")]
fn each_32(line: &mut [u8], made: impl Fn(usize) -> __m256i) {
    let end = line.len() - 32;
    for x in (0..end).step_by(32).chain([end]) {
        let made = made(x);
        // SAFETY: x + 32 is at most the line's length.
        unsafe { _mm256_storeu_si256(line.as_mut_ptr().add(x).cast(), made) }
    }
}

/// # Safety
/// 32 bytes can be read at `at`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(at: *const u8, ahead: usize) -> __m256i {
    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast());
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(at.cast()) }
}

/// Two rows, weighted and summed: 8 low columns of each lane, 8 high columns of each lane.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(a: __m256i, b: __m256i, weight: __m256i) -> (__m256i, __m256i) {
    let flip = _mm256_set1_epi8(i8::MIN);
    let (a, b) = (_mm256_xor_si256(a, flip), _mm256_xor_si256(b, flip));
    (
        _mm256_maddubs_epi16(weight, _mm256_unpacklo_epi8(a, b)),
        _mm256_maddubs_epi16(weight, _mm256_unpackhi_epi8(a, b)),
    )
}

/// Final sums to samples, still in 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn round<const HALF: i16>(sums: __m256i) -> __m256i {
    _mm256_srli_epi16::<8>(_mm256_add_epi16(sums, _mm256_set1_epi16(HALF)))
}

/// Packs lane by lane: bytes 0 to 7 of each lane from `low`, 8 to 15 from `high`.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(low: __m256i, high: __m256i) -> __m256i {
    _mm256_packus_epi16(low, high)
}

/// Fetches a row that will soon be written: the cost of a store to memory that is in no cache is the wait for its line.
pub(super) fn expect_write(row: &mut [u8]) {
    for at in (0..row.len()).step_by(64) {
        // SAFETY: a hint, which touches nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(row.as_ptr().wrapping_add(at).cast()) }
    }
}

/// The second pass: 16 bytes of the line, shuffled so that the samples of an output lie side by side.
#[derive(Clone)]
pub(super) enum Columns {
    /// The taps of 8 outputs lie within 16 bytes: down to 1:2.
    Eights(Windows<2>),
    /// The taps of 4 outputs do: down to about 1:4.6.
    Fours(Windows<4>),
    /// One output, 16 of its taps at a time.
    Sums(Sums),
}

/// Two 16-byte windows of the line, one for each lane of a register.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Load {
    shuffle: [u8; 32],
    bases: [u32; 2],
}

/// Aligned, so that loading it touches one cache line.
#[derive(Clone)]
#[repr(C, align(32))]
struct Weights([[u8; 32]; 2]);

/// A block is 32 outputs in two registers: outputs 0-7 and 16-23, 8-15 and 24-31, the order in which `bytes` packs.
/// A register is filled by N / 2 loads.
#[derive(Clone)]
pub(super) struct Windows<const N: usize> {
    blocks: Vec<[Load; N]>,
    /// For each block, for each pair of taps, two registers.
    weights: Vec<Weights>,
    pairs: usize,
    /// A window holds all taps of its outputs, and not only a pair of each.
    whole: bool,
    reach: usize,
}

#[derive(Clone)]
pub(super) struct Sums {
    starts: Vec<[u32; 16]>,
    /// For each block of 16 outputs, for each 16 taps, for each output.
    weights: Vec<[[u8; 16]; 16]>,
    sixteens: usize,
    reach: usize,
}

/// Lane `lane` of register `register` of block `block` holds the 8 outputs from here on.
fn eight(block: usize, register: usize, lane: usize) -> usize {
    32 * block + 8 * register + 16 * lane
}

impl<const N: usize> Windows<N> {
    fn new(axis: &Axis, whole: bool) -> Option<Self> {
        let (pairs, count) = (axis.taps() / 2, axis.outputs().div_ceil(32));
        let size = if whole {
            16 - 2 * (pairs - 1).min(7)
        } else {
            16
        };
        let each = 16 / N; // outputs of one window
        let mut reach = axis.reach();
        let mut blocks = Vec::with_capacity(count);
        let mut weights = Vec::with_capacity(count * pairs);
        for block in 0..count {
            let mut loads = [Load {
                bases: [0; 2],
                // The highest bit gives a zero.
                shuffle: [0x80; 32],
            }; N];
            for (n, load) in loads.iter_mut().enumerate() {
                let (register, part) = (n / (N / 2), n % (N / 2));
                for lane in 0..2 {
                    let first = eight(block, register, lane) + part * each;
                    let (base, at) = axis.window(first..first + each, size)?;
                    load.bases[lane] = base;
                    load.shuffle[16 * lane + 2 * each * part..][..2 * each].copy_from_slice(&at);
                    reach = reach.max(base as usize + 2 * (pairs - 1) + 16);
                }
            }
            blocks.push(loads);
            weights.extend((0..pairs).map(|pair| {
                Weights([0, 1].map(|register| {
                    std::array::from_fn(|byte| {
                        let output = eight(block, register, byte / 16) + byte % 16 / 2;
                        axis.byte_weights(output, pair)[byte % 2]
                    })
                }))
            }));
        }
        Some(Self {
            blocks,
            weights,
            pairs,
            whole,
            reach,
        })
    }

    #[target_feature(enable = "avx2")]
    fn run<const WHOLE: bool>(&self, line: &[u8], dst: &mut [u8]) {
        assert!(line.len() >= self.reach && 32 * self.blocks.len() >= dst.len());
        let window = |load: &Load, pair: usize| {
            let line = line.as_ptr().wrapping_add(2 * pair);
            let [low, high] = load.bases.map(|b| line.wrapping_add(b as usize));
            // SAFETY: 16 bytes from each base, for the last pair too, end before `reach` (see `new`), and so, as checked
            // above, inside the line.
            let bytes = unsafe { _mm256_loadu2_m128i(high.cast(), low.cast()) };
            _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN))
        };
        let weights = self.weights.chunks_exact(self.pairs);
        for ((out, loads), weights) in dst.chunks_mut(32).zip(&self.blocks).zip(weights) {
            let mut windows = [_mm256_setzero_si256(); N];
            let mut shuffles = windows;
            for n in 0..N {
                windows[n] = window(&loads[n], 0);
                shuffles[n] = get(&loads[n].shuffle);
            }
            let mut sums = [_mm256_setzero_si256(); 2];
            for (pair, weights) in weights.iter().enumerate() {
                for (register, sum) in sums.iter_mut().enumerate() {
                    let mut taps = _mm256_setzero_si256();
                    for n in register * (N / 2)..(register + 1) * (N / 2) {
                        if !WHOLE && pair > 0 {
                            windows[n] = window(&loads[n], pair);
                        }
                        taps = _mm256_or_si256(taps, _mm256_shuffle_epi8(windows[n], shuffles[n]));
                        if WHOLE {
                            // The next pair lies two further; what gave a zero does so still.
                            shuffles[n] = _mm256_add_epi8(shuffles[n], _mm256_set1_epi8(2));
                        }
                    }
                    let more = _mm256_maddubs_epi16(get(&weights.0[register]), taps);
                    *sum = _mm256_add_epi16(*sum, more);
                }
            }
            put(
                out,
                bytes(round::<COLUMNS>(sums[0]), round::<COLUMNS>(sums[1])),
            );
        }
    }
}

impl Sums {
    fn new(axis: &Axis) -> Self {
        let (sixteens, count) = (axis.taps().div_ceil(16), axis.outputs().div_ceil(16));
        let start = |i: usize| axis.tap(i.min(axis.outputs() - 1)).0;
        Self {
            starts: (0..count)
                .map(|block| std::array::from_fn(|n| start(16 * block + n) as u32))
                .collect(),
            weights: (0..count * sixteens)
                .map(|k| {
                    let (block, sixteen) = (k / sixteens, k % sixteens);
                    std::array::from_fn(|n| {
                        std::array::from_fn(|tap| {
                            let tap = 16 * sixteen + tap;
                            if tap < axis.taps() {
                                axis.byte_weights(16 * block + n, tap / 2)[tap % 2]
                            } else {
                                0
                            }
                        })
                    })
                })
                .collect(),
            sixteens,
            reach: start(axis.outputs()) + 16 * sixteens,
        }
    }

    #[target_feature(enable = "avx2")]
    fn run(&self, line: &[u8], dst: &mut [u8]) {
        assert!(line.len() >= self.reach && 16 * self.starts.len() >= dst.len());
        let flip = _mm256_set1_epi8(i8::MIN);
        let weights = self.weights.chunks_exact(self.sixteens);
        for ((out, starts), weights) in dst.chunks_mut(16).zip(&self.starts).zip(weights) {
            // Register n holds outputs n and n + 8, as sums that still have to be added up, 8 each.
            let mut sums = [_mm256_setzero_si256(); 8];
            for (sixteen, weights) in weights.iter().enumerate() {
                let line = line.as_ptr().wrapping_add(16 * sixteen);
                for (n, sum) in sums.iter_mut().enumerate() {
                    let [low, high] = [n, n + 8].map(|n| line.wrapping_add(starts[n] as usize));
                    let [low_weight, high_weight] = [n, n + 8].map(|n| weights[n].as_ptr());
                    // SAFETY: 16 bytes from each start, for the last taps too, end before `reach` (starts never fall,
                    // so the last is the furthest); weights are arrays of 16 bytes.
                    let (taps, weight) = unsafe {
                        (
                            _mm256_loadu2_m128i(high.cast(), low.cast()),
                            _mm256_loadu2_m128i(high_weight.cast(), low_weight.cast()),
                        )
                    };
                    let more = _mm256_maddubs_epi16(weight, _mm256_xor_si256(taps, flip));
                    *sum = _mm256_add_epi16(*sum, more);
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let fours =
                |a, b, c, d| _mm256_hadd_epi16(_mm256_hadd_epi16(a, b), _mm256_hadd_epi16(c, d));
            let samples = round::<COLUMNS>(_mm256_hadd_epi16(fours(a, b, c, d), fours(e, f, g, h)));
            let packed = _mm256_permute4x64_epi64::<0b1000>(bytes(samples, samples));
            put(out, packed);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn get(from: &[u8; 32]) -> __m256i {
    // SAFETY: an array of 32 bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// As many bytes as `out` has, at most 32.
#[inline]
#[target_feature(enable = "avx2")]
fn put(out: &mut [u8], made: __m256i) {
    if let Ok(whole) = <&mut [u8; 32]>::try_from(&mut *out) {
        // SAFETY: an array of 32 bytes.
        unsafe { _mm256_storeu_si256(whole.as_mut_ptr().cast(), made) }
    } else {
        let mut all = [0; 32];
        // SAFETY: an array of 32 bytes.
        unsafe { _mm256_storeu_si256(all.as_mut_ptr().cast(), made) }
        out.copy_from_slice(&all[..out.len()]);
    }
}

impl Columns {
    /// `None` for weights of 16 bits.
    pub(super) fn new(axis: &Axis) -> Option<Self> {
        if axis.wide() {
            return None;
        }
        let eights = |whole| Windows::new(axis, whole).map(Self::Eights);
        let fours = |whole| Windows::new(axis, whole).map(Self::Fours);
        eights(true)
            .or_else(|| fours(true))
            .or_else(|| fours(false))
            .or_else(|| Some(Self::Sums(Sums::new(axis))))
    }

    pub(super) fn reach(&self) -> usize {
        match self {
            Self::Eights(windows) => windows.reach,
            Self::Fours(windows) => windows.reach,
            Self::Sums(sums) => sums.reach,
        }
    }

    pub(super) fn run(&self, line: &[u8], dst: &mut [u8]) {
        // SAFETY: this rung is chosen only after AVX2 was detected (`Rung::all`).
        unsafe {
            match self {
                Self::Eights(windows) => windows.run::<true>(line, dst),
                Self::Fours(windows) if windows.whole => windows.run::<true>(line, dst),
                Self::Fours(windows) => windows.run::<false>(line, dst),
                Self::Sums(sums) => sums.run(line, dst),
            }
        }
    }
}
