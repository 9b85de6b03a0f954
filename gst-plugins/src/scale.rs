//! Scaling of I420, separable and in fixed point.
//!
//! Each output row is made by itself: the source rows that it needs are weighted and summed into one line of bytes, which
//! stays in the first-level cache, and the line's samples then into the output. So each source byte is fetched once, rows
//! outside the crop never, and a caller can take row after row while it is hot ([`Scaler::scale_rows`]). Up to a reduction
//! of 1:2 two taps a direction (bilinear) are enough to meet every source pixel; beyond it pixels would fall between the
//! taps and small tiles shimmer, so each output pixel is then the mean of exactly the area that it covers.
//!
//! All tables depend only on sizes, so they are made once and a [`Scaler`] is kept as long as the sizes stay.
//! There are rungs for AVX-512 (with VBMI), AVX2 and NEON, and a portable one; they give the same bytes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod axis;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::ops::Range;

use crate::frame::{I420Mut, I420Ref, Plane};
use axis::Axis;

/// So many rows before it is written, a row's memory is fetched; less far gains less.
#[cfg(target_arch = "x86_64")]
const WRITTEN_AHEAD: usize = 8;

/// What of a source picture is scaled, in its pixels. `x` and `y` are even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    pub x: usize,
    pub y: usize,
    pub w: usize,
    pub h: usize,
}

/// Which implementation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Rung {
    /// All that this machine can run, the slowest first.
    fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "some targets have only the portable rung")]
        let mut rungs = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            rungs.push(Self::Avx2);
            // Without VBMI there is no shuffle of single bytes across a register, and AVX2 does as well.
            if std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512vbmi")
            {
                rungs.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            rungs.push(Self::Neon);
        }
        rungs
    }

    fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Portable)
    }
}

/// How a line becomes an output row, with the tables that its rung wants.
#[derive(Clone)]
enum Columns {
    Identity,
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Columns),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Columns),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Columns),
}

impl Columns {
    fn new(rung: Rung, axis: &Axis) -> Self {
        if axis.identity() {
            return Self::Identity;
        }
        match rung {
            Rung::Portable => Self::Portable,
            #[cfg(target_arch = "x86_64")]
            Rung::Avx2 => avx2::Columns::new(axis).map_or(Self::Portable, Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Rung::Avx512 => {
                avx512::Columns::new(axis).map_or_else(|| Self::new(Rung::Avx2, axis), Self::Avx512)
            }
            #[cfg(target_arch = "aarch64")]
            Rung::Neon => neon::Columns::new(axis).map_or(Self::Portable, Self::Neon),
        }
    }

    /// How long a line must be: the loads of the last columns may reach past its end (what lies there gets weight zero).
    fn reach(&self, axis: &Axis) -> usize {
        match self {
            Self::Identity | Self::Portable => axis.reach(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(columns) => columns.reach(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(columns) => columns.reach(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(columns) => columns.reach(),
        }
    }
}

/// Scales one kind of plane.
#[derive(Clone)]
struct PlaneScaler {
    rung: Rung,
    rows: Axis,
    across: Axis,
    columns: Columns,
    /// One row after the first pass.
    line: Vec<u8>,
}

impl PlaneScaler {
    fn new(rung: Rung, src: (usize, usize), dst: (usize, usize)) -> Self {
        let across = Axis::new(src.0, dst.0);
        let columns = Columns::new(rung, &across);
        Self {
            rung,
            rows: Axis::new(src.1, dst.1),
            line: vec![0; src.0.max(columns.reach(&across))],
            columns,
            across,
        }
    }

    /// Output row `y`.
    fn row(&mut self, src: Plane<'_>, y: usize, dst: &mut [u8]) {
        if matches!(self.columns, Columns::Identity) {
            return self.down(src, y, dst);
        }
        let mut line = std::mem::take(&mut self.line);
        self.down(src, y, &mut line[..src.width()]);
        match &self.columns {
            Columns::Identity => {}
            Columns::Portable => portable::columns(&self.across, &line, dst),
            #[cfg(target_arch = "x86_64")]
            Columns::Avx2(columns) => columns.run(&line, dst),
            #[cfg(target_arch = "x86_64")]
            Columns::Avx512(columns) => columns.run(&line, dst),
            #[cfg(target_arch = "aarch64")]
            Columns::Neon(columns) => columns.run(&line, dst),
        }
        self.line = line;
    }

    /// First pass: the source rows of output row `y`, weighted and summed.
    fn down(&self, src: Plane<'_>, y: usize, line: &mut [u8]) {
        if self.rows.identity() {
            return line.copy_from_slice(src.row(y));
        }
        if self.rows.wide() {
            return portable::rows(&self.rows, y, src, line);
        }
        match self.rung {
            Rung::Portable => portable::rows(&self.rows, y, src, line),
            #[cfg(target_arch = "x86_64")]
            Rung::Avx2 => avx2::rows(&self.rows, y, src, line),
            #[cfg(target_arch = "x86_64")]
            Rung::Avx512 => avx512::rows(&self.rows, y, src, line),
            #[cfg(target_arch = "aarch64")]
            Rung::Neon => neon::rows(&self.rows, y, src, line),
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
#[derive(Clone)]
pub struct Scaler {
    src: (usize, usize),
    crop: Crop,
    dst: (usize, usize),
    luma: PlaneScaler,
    chroma: PlaneScaler,
    /// Where [`Scaler::scale_rows`] makes a row.
    row: Vec<u8>,
}

impl Scaler {
    /// `crop` is cut to the source and to even corners; `None` is all of it. Sides of zero count as one.
    pub fn new(src: (usize, usize), crop: Option<Crop>, dst: (usize, usize)) -> Self {
        Self::with_rung(Rung::best(), src, crop, dst)
    }

    /// One for each rung that this machine has, with its name, the slowest first: for benchmarks.
    #[doc(hidden)]
    pub fn on_every_rung(
        src: (usize, usize),
        crop: Option<Crop>,
        dst: (usize, usize),
    ) -> Vec<(String, Self)> {
        let named = |rung| (format!("{rung:?}"), Self::with_rung(rung, src, crop, dst));
        Rung::all().into_iter().map(named).collect()
    }

    fn with_rung(rung: Rung, src: (usize, usize), crop: Option<Crop>, dst: (usize, usize)) -> Self {
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
            luma: PlaneScaler::new(rung, (crop.w, crop.h), dst),
            chroma: PlaneScaler::new(rung, half((crop.w, crop.h)), half(dst)),
            row: vec![0; dst.0],
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
        assert_eq!((dst.width(), dst.height()), self.dst, "destination size");
        self.scale_at(src, dst, (0, 0));
    }

    /// Scales straight onto a larger picture, with the upper left corner at `corner`, which is even.
    ///
    /// # Panics
    /// If the source isn't of the size that this scaler was made for, or the result would leave `canvas`: that is the
    /// caller's bug. [`Scaler::scale_rows`] can draw a part.
    pub fn scale_at(
        &mut self,
        src: &I420Ref<'_>,
        canvas: &mut I420Mut<'_>,
        corner: (usize, usize),
    ) {
        for p in 0..3 {
            let shift = usize::from(p > 0);
            let (left, top) = (corner.0 >> shift, corner.1 >> shift);
            let (scaler, part) = self.plane(p, src);
            let (width, height) = (scaler.across.outputs(), scaler.rows.outputs());
            let mut plane = canvas.plane_mut(p);
            for y in 0..height {
                #[cfg(target_arch = "x86_64")]
                if y + WRITTEN_AHEAD < height {
                    let row = plane.row_mut(top + y + WRITTEN_AHEAD);
                    avx2::expect_write(&mut row[left..][..width]);
                }
                scaler.row(part, y, &mut plane.row_mut(top + y)[left..][..width]);
            }
        }
    }

    /// Scales the luma rows `rows` and the chroma rows that belong to them, and hands each to `sink` as (plane, row, bytes)
    /// while it is in the first-level cache: straight onto a canvas, into a kept copy, or both. `rows` starts at an even
    /// row; what lies past the picture's end is left out. For several threads, give each a clone and rows of its own.
    ///
    /// ```
    /// use gstdais::{frame::I420, scale::Scaler};
    /// let camera = I420::blank(1280, 720);
    /// let mut canvas = I420::blank(1920, 1080);
    /// let mut canvas = canvas.as_mut();
    /// let mut scaler = Scaler::new((1280, 720), None, (480, 270));
    /// // At (960, 540): chroma at half of it.
    /// scaler.scale_rows(&camera.as_ref(), 0..270, |plane, y, row| {
    ///     let (left, top) = if plane == 0 { (960, 540) } else { (480, 270) };
    ///     canvas.plane_mut(plane).row_mut(top + y)[left..][..row.len()].copy_from_slice(row);
    /// });
    /// ```
    ///
    /// # Panics
    /// If the source isn't of the size that this scaler was made for: that is the caller's bug.
    pub fn scale_rows(
        &mut self,
        src: &I420Ref<'_>,
        rows: Range<usize>,
        mut sink: impl FnMut(usize, usize, &[u8]),
    ) {
        let (w, h) = self.dst;
        let mut row = std::mem::take(&mut self.row);
        for p in 0..3 {
            let (rows, width) = if p == 0 {
                (rows.start..rows.end.min(h), w)
            } else {
                let end = rows.end.min(h).div_ceil(2);
                (rows.start / 2..end, w.div_ceil(2))
            };
            let (scaler, part) = self.plane(p, src);
            for y in rows {
                scaler.row(part, y, &mut row[..width]);
                sink(p, y, &row[..width]);
            }
        }
        self.row = row;
    }

    /// The scaler of a plane, and what of the plane it scales.
    fn plane<'a>(&mut self, p: usize, src: &I420Ref<'a>) -> (&mut PlaneScaler, Plane<'a>) {
        assert_eq!((src.width(), src.height()), self.src, "source size");
        let c = self.crop;
        if p == 0 {
            (&mut self.luma, src.plane(p).crop(c.x, c.y, c.w, c.h))
        } else {
            let (w, h) = (c.w.div_ceil(2), c.h.div_ceil(2));
            (&mut self.chroma, src.plane(p).crop(c.x / 2, c.y / 2, w, h))
        }
    }
}

#[cfg(test)]
#[path = "scale/tests.rs"]
mod tests;
