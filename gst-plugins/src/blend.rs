//! Flat colour and bitmaps onto I420, BT.709 limited range: what the programme is tagged as.

use crate::frame::{I420, I420Mut, PlaneMut, Rgba};

/// A rectangle in pixels; it may lie partly or wholly outside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: u32,
    pub h: u32,
}

impl Rect {
    pub const fn new(x: i32, y: i32, w: u32, h: u32) -> Self {
        Self { x, y, w, h }
    }

    /// The part inside `other`, or `None`.
    pub fn intersect(&self, other: &Rect) -> Option<Rect> {
        let right = |r: &Rect| i64::from(r.x) + i64::from(r.w);
        let bottom = |r: &Rect| i64::from(r.y) + i64::from(r.h);
        let (x0, y0) = (self.x.max(other.x), self.y.max(other.y));
        let w = right(self).min(right(other)) - i64::from(x0);
        let h = bottom(self).min(bottom(other)) - i64::from(y0);
        Some(Rect {
            x: x0,
            y: y0,
            w: u32::try_from(w).ok().filter(|w| *w > 0)?,
            h: u32::try_from(h).ok().filter(|h| *h > 0)?,
        })
    }

    /// Moved up and left to the chroma grid.
    pub fn snapped(&self) -> Rect {
        Rect {
            x: self.x & !1,
            y: self.y & !1,
            ..*self
        }
    }
}

/// A colour as the picture holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yuv {
    pub y: u8,
    pub u: u8,
    pub v: u8,
}

// BT.709 to limited range, times 65536: luma 219/255, chroma 224/255 of full swing.
const Y_R: i32 = 11_966;
const Y_G: i32 = 40_254;
const Y_B: i32 = 4_064;
const U_R: i32 = -6_596;
const U_G: i32 = -22_189;
const U_B: i32 = 28_785;
const V_R: i32 = 28_785;
const V_G: i32 = -26_145;
const V_B: i32 = -2_640;

impl Yuv {
    pub const BLACK: Yuv = Yuv {
        y: 16,
        u: 128,
        v: 128,
    };

    pub const fn from_rgb(r: u8, g: u8, b: u8) -> Yuv {
        let (r, g, b) = (r as i32, g as i32, b as i32);
        Yuv {
            y: luma(r, g, b, 255) as u8,
            u: chroma(U_R * r + U_G * g + U_B * b, 255) as u8,
            v: chroma(V_R * r + V_G * g + V_B * b, 255) as u8,
        }
    }
}

/// Luma of a premultiplied pixel, itself premultiplied: the offset of 16 is weighted by alpha too.
const fn luma(r: i32, g: i32, b: i32, a: i32) -> i32 {
    (Y_R * r + Y_G * g + Y_B * b + div255(16 * a * 256) * 256 + 32_768) >> 16
}

/// Chroma of a premultiplied pixel, itself premultiplied.
const fn chroma(weighted: i32, a: i32) -> i32 {
    (weighted + div255(128 * a * 256) * 256 + 32_768) >> 16
}

/// x / 255, rounded.
const fn div255(x: i32) -> i32 {
    (x + 127) / 255
}

/// What of `rect` is inside the picture, on the chroma grid.
fn clip(out_w: usize, out_h: usize, rect: Rect) -> Option<Rect> {
    rect.snapped().intersect(&Rect::new(
        0,
        0,
        u32::try_from(out_w).unwrap_or(u32::MAX),
        u32::try_from(out_h).unwrap_or(u32::MAX),
    ))
}

/// Columns (or rows) `from..to` of a plane for luma columns `at..at + len`. The end is rounded up, so a chroma sample
/// that is shared with a neighbour goes to whoever writes last.
pub(crate) fn span(plane: usize, at: i32, len: u32) -> std::ops::Range<usize> {
    let (from, to) = (at.max(0) as usize, (at.max(0) as usize) + len as usize);
    if plane == 0 {
        from..to
    } else {
        from / 2..to.div_ceil(2)
    }
}

/// Paints a rectangle in one colour.
pub fn fill(out: &mut I420Mut<'_>, rect: Rect, colour: Yuv) {
    let Some(rect) = clip(out.width(), out.height(), rect) else {
        return;
    };
    for (p, value) in [colour.y, colour.u, colour.v].into_iter().enumerate() {
        let (columns, rows) = (span(p, rect.x, rect.w), span(p, rect.y, rect.h));
        let mut plane = out.plane_mut(p);
        for y in rows {
            plane.row_mut(y)[columns.clone()].fill(value);
        }
    }
}

/// Lays `bitmap` over the picture with its top left corner at (`x`, `y`), snapped to the chroma grid. Only what lies
/// inside `within` and the picture is touched.
pub fn blend_rgba(out: &mut I420Mut<'_>, bitmap: &Rgba, x: i32, y: i32, within: Option<Rect>) {
    let (Ok(w), Ok(h)) = (
        u32::try_from(bitmap.width()),
        u32::try_from(bitmap.height()),
    ) else {
        return;
    };
    let at = Rect::new(x, y, w, h).snapped();
    let visible = match within {
        Some(within) => at.intersect(&within.snapped()),
        None => Some(at),
    };
    let Some(visible) = visible.and_then(|r| clip(out.width(), out.height(), r)) else {
        return;
    };
    // All three corners are on the chroma grid, so bitmap offsets are even too.
    let (bx, by) = ((visible.x - at.x) as usize, (visible.y - at.y) as usize);
    let (w, h) = (visible.w as usize, visible.h as usize);
    let (vx, vy) = (visible.x as usize, visible.y as usize);

    let mut plane = out.plane_mut(0);
    for row in 0..h {
        let src = &bitmap.row(by + row)[bx * 4..][..w * 4];
        blend_luma_row(&mut plane.row_mut(vy + row)[vx..][..w], src);
    }
    for p in 1..3 {
        blend_chroma(
            &mut out.plane_mut(p),
            p,
            bitmap,
            (bx, by),
            (vx / 2, vy / 2),
            (w, h),
        );
    }
}

fn blend_luma_row(dst: &mut [u8], src: &[u8]) {
    for (d, px) in dst.iter_mut().zip(src.as_chunks::<4>().0) {
        let [r, g, b, a] = px.map(i32::from);
        let over = luma(r, g, b, a) + div255(i32::from(*d) * (255 - a));
        *d = over.clamp(0, 255) as u8;
    }
}

fn blend_chroma(
    plane: &mut PlaneMut<'_>,
    p: usize,
    bitmap: &Rgba,
    (bx, by): (usize, usize),
    (cx, cy): (usize, usize),
    (w, h): (usize, usize),
) {
    let [kr, kg, kb] = if p == 1 {
        [U_R, U_G, U_B]
    } else {
        [V_R, V_G, V_B]
    };
    for cr in 0..h.div_ceil(2) {
        let top = bitmap.row(by + 2 * cr);
        let below = bitmap.row((by + 2 * cr + 1).min(bitmap.height() - 1));
        let dst = &mut plane.row_mut(cy + cr)[cx..][..w.div_ceil(2)];
        for (i, d) in dst.iter_mut().enumerate() {
            let left = (bx + 2 * i) * 4;
            let right = (bx + 2 * i + 1).min(bitmap.width() - 1) * 4;
            // A quarter each of the four pixels that this chroma sample stands for.
            let mean = |c: usize| {
                let sum = i32::from(top[left + c])
                    + i32::from(top[right + c])
                    + i32::from(below[left + c])
                    + i32::from(below[right + c]);
                (sum + 2) >> 2
            };
            let a = mean(3);
            if a == 0 {
                continue;
            }
            let weighted = kr * mean(0) + kg * mean(1) + kb * mean(2);
            let over = chroma(weighted, a) + div255(i32::from(*d) * (255 - a));
            *d = over.clamp(0, 255) as u8;
        }
    }
}

impl I420 {
    /// A picture of one colour.
    pub fn of_colour(width: usize, height: usize, colour: Yuv) -> I420 {
        let mut picture = I420::blank(width, height);
        let rect = Rect::new(0, 0, width as u32, height as u32);
        fill(&mut picture.as_mut(), rect, colour);
        picture
    }

    /// An opaque picture of a bitmap, laid over `behind`.
    pub fn from_rgba(bitmap: &Rgba, behind: Yuv) -> I420 {
        let mut picture = I420::of_colour(bitmap.width(), bitmap.height(), behind);
        blend_rgba(&mut picture.as_mut(), bitmap, 0, 0, None);
        picture
    }
}
