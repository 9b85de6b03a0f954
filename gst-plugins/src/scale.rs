//! Scaling of I420, separable and in fixed point.
//!
//! Rows first, then columns: the first pass reads every source byte once and is plain multiply-and-add over whole
//! rows; the second works on one row per output row. Up to a reduction of 1:2 two taps a direction (bilinear) are
//! enough to meet every source pixel; beyond it pixels would fall between the taps and small tiles shimmer, so each
//! output pixel is then the mean of exactly the area that it covers.
//!
//! All tables depend only on sizes, so they are made once and a [`Scaler`] is kept as long as the sizes stay.
//! There are two rungs, AVX2 and portable; they give the same bytes.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use crate::frame::{I420Mut, I420Ref, Plane, PlaneMut};

/// Sum of the row weights: with bytes the sums just fit in 16 bits.
const ROW_ONE: i32 = 256;
/// Sum of the column weights: 15-bit rows times this just fit in 31 bits.
const COLUMN_ONE: i32 = 1 << 14;
/// Fraction bits of a row after the first pass (8 from the weights, less one to leave room for a sign).
const ROW_BITS: u32 = 7;
/// Fraction bits at the end.
const TOTAL_BITS: u32 = ROW_BITS + 14;

/// What of a source picture is scaled, in its pixels. `x` and `y` are even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    pub x: usize,
    pub y: usize,
    pub w: usize,
    pub h: usize,
}

/// Which source samples make output sample i: `start[i]` and `taps` weights from there.
struct Axis {
    taps: usize,
    start: Vec<u32>,
    weights: Vec<i16>,
    /// Every output is its own source sample.
    identity: bool,
}

impl Axis {
    fn new(src: usize, dst: usize, one: i32) -> Self {
        let ratio = src as f64 / dst as f64;
        if ratio <= 2.0 {
            Self::two_taps(src, dst, ratio, one)
        } else {
            Self::area(src, dst, ratio, one)
        }
    }

    fn two_taps(src: usize, dst: usize, ratio: f64, one: i32) -> Self {
        let mut axis = Self {
            taps: 2,
            start: Vec::with_capacity(dst),
            weights: Vec::with_capacity(2 * dst),
            identity: src == dst,
        };
        for i in 0..dst {
            // Centres of pixels meet centres of pixels; past the edge the edge is repeated.
            let centre = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (src - 1) as f64);
            let start = (centre as usize).min(src.saturating_sub(2));
            let second = ((centre - start as f64) * f64::from(one)).round() as i32;
            axis.start.push(start as u32);
            axis.weights.push((one - second) as i16);
            axis.weights.push(second as i16);
        }
        axis
    }

    fn area(src: usize, dst: usize, ratio: f64, one: i32) -> Self {
        // An area of `ratio` pixels that starts inside a pixel touches at most one more. Fours fill a vector.
        let taps = (ratio.ceil() as usize + 1).next_multiple_of(4);
        let mut axis = Self {
            taps,
            start: Vec::with_capacity(dst),
            weights: Vec::with_capacity(taps * dst),
            identity: false,
        };
        for i in 0..dst {
            let (from, to) = (i as f64 * ratio, (i + 1) as f64 * ratio);
            let start = (from as usize).min(src - 1);
            axis.start.push(start as u32);
            // Rounding the running sum instead of each weight makes the weights add up to `one` exactly.
            let mut sum = 0;
            for tap in 0..taps {
                let end = ((start + tap + 1) as f64).min(to).min(src as f64);
                let covered = ((end - from) / (to - from)).clamp(0.0, 1.0);
                let upto = if tap + 1 == taps {
                    one
                } else {
                    (covered * f64::from(one)).round() as i32
                };
                axis.weights.push((upto - sum) as i16);
                sum = upto;
            }
        }
        axis
    }

    fn tap(&self, i: usize) -> (usize, &[i16]) {
        (
            self.start[i] as usize,
            &self.weights[i * self.taps..][..self.taps],
        )
    }
}

/// Which implementation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Rung {
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self::Avx2;
        }
        Self::Portable
    }
}

/// Scales one kind of plane.
struct PlaneScaler {
    rows: Axis,
    columns: Axis,
    /// One row after the first pass. Longer than the source, because the last taps of a row may reach past its end
    /// (with weight zero).
    line: Vec<u16>,
}

impl PlaneScaler {
    fn new(src: (usize, usize), dst: (usize, usize)) -> Self {
        let columns = Axis::new(src.0, dst.0, COLUMN_ONE);
        Self {
            line: vec![0; src.0 + columns.taps],
            rows: Axis::new(src.1, dst.1, ROW_ONE),
            columns,
        }
    }

    fn run(&mut self, rung: Rung, src: Plane<'_>, dst: &mut PlaneMut<'_>) {
        if self.rows.identity && self.columns.identity {
            for y in 0..src.height() {
                dst.row_mut(y).copy_from_slice(src.row(y));
            }
            return;
        }
        match rung {
            Rung::Portable => portable::plane(self, src, dst),
            #[cfg(target_arch = "x86_64")]
            Rung::Avx2 => avx2::plane(self, src, dst),
        }
    }
}

/// Scales pictures of one size, or one part of them, to another size.
///
/// ```
/// use gstdais::{frame::I420, scale::Scaler};
/// let camera = I420::blank(1280, 720);
/// let mut tile = I420::blank(480, 270);
/// let mut scaler = Scaler::new((1280, 720), None, (480, 270));
/// scaler.scale(&camera.as_ref(), &mut tile.as_mut());
/// ```
pub struct Scaler {
    src: (usize, usize),
    crop: Crop,
    dst: (usize, usize),
    luma: PlaneScaler,
    chroma: PlaneScaler,
    rung: Rung,
}

impl Scaler {
    /// `crop` is cut to the source and to even corners; `None` is all of it. Sides of zero count as one.
    pub fn new(src: (usize, usize), crop: Option<Crop>, dst: (usize, usize)) -> Self {
        let src = (src.0.max(1), src.1.max(1));
        let dst = (dst.0.max(1), dst.1.max(1));
        let whole = Crop {
            x: 0,
            y: 0,
            w: src.0,
            h: src.1,
        };
        let crop = crop.map_or(whole, |c| {
            let (x, y) = (c.x.min(src.0 - 1) & !1, c.y.min(src.1 - 1) & !1);
            Crop {
                x,
                y,
                w: c.w.clamp(1, src.0 - x),
                h: c.h.clamp(1, src.1 - y),
            }
        });
        let half = |(w, h): (usize, usize)| (w.div_ceil(2), h.div_ceil(2));
        Self {
            src,
            crop,
            dst,
            luma: PlaneScaler::new((crop.w, crop.h), dst),
            chroma: PlaneScaler::new(half((crop.w, crop.h)), half(dst)),
            rung: Rung::best(),
        }
    }

    pub fn src(&self) -> (usize, usize) {
        self.src
    }

    pub fn crop(&self) -> Crop {
        self.crop
    }

    pub fn dst(&self) -> (usize, usize) {
        self.dst
    }

    /// # Panics
    /// If the pictures aren't of the sizes that this scaler was made for: that is the caller's bug.
    pub fn scale(&mut self, src: &I420Ref<'_>, dst: &mut I420Mut<'_>) {
        assert_eq!((src.width(), src.height()), self.src, "source size");
        assert_eq!((dst.width(), dst.height()), self.dst, "destination size");
        let c = self.crop;
        for p in 0..3 {
            let (scaler, part) = if p == 0 {
                (&mut self.luma, src.plane(p).crop(c.x, c.y, c.w, c.h))
            } else {
                let (w, h) = (c.w.div_ceil(2), c.h.div_ceil(2));
                (&mut self.chroma, src.plane(p).crop(c.x / 2, c.y / 2, w, h))
            };
            scaler.run(self.rung, part, &mut dst.plane_mut(p));
        }
    }
}

#[cfg(test)]
#[path = "scale/tests.rs"]
mod tests;
