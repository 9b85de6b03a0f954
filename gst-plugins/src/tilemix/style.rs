//! How a tile meets what lies below it: see-through, with round corners, with a border.
//!
//! Near its edges a tile has two coverages a pixel: of its outline, and of what is inside its border. They are the same in
//! all four corners and along each side, so a table of the edge zones and one middle row and column holds them all.

use crate::blend::{Rect, Yuv, span};
use crate::frame::{I420Mut, I420Ref};

/// A line along the inside of a tile's outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Border {
    /// In pixels; 0 is none.
    pub width: u32,
    pub colour: Yuv,
}

/// What a tile looks like besides its picture. The default is opaque, with square corners and no border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// 0 is invisible, 1 is opaque. Overlays fade with the tile.
    pub alpha: f32,
    /// Of the outline's corners, in pixels, at most half a side.
    pub radius: u32,
    pub border: Border,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            radius: 0,
            border: Border {
                width: 0,
                colour: Yuv::BLACK,
            },
        }
    }
}

impl Style {
    /// 0..=256; what is not a number is invisible.
    fn weight(&self) -> u16 {
        (self.alpha.clamp(0.0, 1.0) * 256.0).round() as u16
    }

    pub(super) fn is_invisible(&self) -> bool {
        self.weight() == 0
    }

    /// Nothing below can be seen.
    pub(super) fn is_opaque(&self) -> bool {
        self.weight() == 256 && self.radius == 0
    }

    /// A copy is enough.
    pub(super) fn is_plain(&self) -> bool {
        self.is_opaque() && self.border.width == 0
    }
}

/// Coverage of one pixel, 0..=255.
#[derive(Clone, Copy, Default)]
struct Cell {
    outer: u8,
    /// Never more than `outer`.
    inner: u8,
}

/// Coverages of one kind of plane.
#[derive(Default)]
struct Zones {
    w: usize,
    h: usize,
    /// Columns (and rows) from each side that are in the table one by one.
    edge: usize,
    cells: Vec<Cell>,
}

impl Zones {
    /// Table columns (rows) for a side of this length.
    fn len(side: usize, edge: usize) -> usize {
        side.min(2 * edge + 1)
    }

    /// Where a column (row) is in the table.
    fn index(at: usize, side: usize, edge: usize) -> usize {
        if side <= 2 * edge + 1 || at < edge {
            at
        } else if at >= side - edge {
            2 * edge + 1 - (side - at)
        } else {
            edge
        }
    }

    /// A column (row) that has this place in the table.
    fn place(index: usize, side: usize, edge: usize) -> usize {
        if side <= 2 * edge + 1 || index <= edge {
            index
        } else {
            side - (2 * edge + 1 - index)
        }
    }

    fn fill(&mut self, w: usize, h: usize, edge: usize, cell: impl Fn(usize, usize) -> Cell) {
        (self.w, self.h, self.edge) = (w, h, edge);
        self.cells.clear();
        for row in 0..Self::len(h, edge) {
            let y = Self::place(row, h, edge);
            for column in 0..Self::len(w, edge) {
                self.cells.push(cell(Self::place(column, w, edge), y));
            }
        }
    }

    fn row(&self, y: usize) -> &[Cell] {
        let columns = Self::len(self.w, self.edge);
        &self.cells[Self::index(y, self.h, self.edge) * columns..][..columns]
    }
}

/// Coverage of a quarter of a disc of this radius, the corner's own pixel first.
#[derive(Default)]
struct Corner {
    radius: usize,
    cells: Vec<u8>,
}

impl Corner {
    /// Lines a pixel over which the edge's place is averaged: the error is below one level in 255.
    const LINES: usize = 16;

    fn set(&mut self, radius: usize) {
        if radius == self.radius {
            return;
        }
        self.radius = radius;
        self.cells.clear();
        let r = radius as f32;
        for y in 0..radius {
            let edges: [f32; Self::LINES] = std::array::from_fn(|line| {
                let up = r - (y as f32 + (line as f32 + 0.5) / Self::LINES as f32);
                r - (r * r - up * up).max(0.0).sqrt()
            });
            for x in 0..radius {
                let covered = edges.map(|edge| ((x + 1) as f32 - edge).clamp(0.0, 1.0));
                let mean = covered.iter().sum::<f32>() / Self::LINES as f32;
                self.cells.push((mean * 255.0).round() as u8);
            }
        }
    }

    /// Coverage of pixel (`x`, `y`) of a rectangle with such corners.
    fn coverage(&self, x: usize, y: usize, w: usize, h: usize) -> u8 {
        if x >= w || y >= h {
            return 0;
        }
        let (dx, dy) = (x.min(w - 1 - x), y.min(h - 1 - y));
        if dx < self.radius && dy < self.radius {
            self.cells[dy * self.radius + dx]
        } else {
            255
        }
    }
}

/// The coverages of one tile, made again only when its shape changes.
#[derive(Default)]
pub(super) struct Mask {
    /// Width, height, radius and border; of large sizes only whether they are odd counts.
    shape: Option<[usize; 4]>,
    outer: Corner,
    inner: Corner,
    luma: Zones,
    chroma: Zones,
}

impl Mask {
    pub(super) fn set(&mut self, w: usize, h: usize, style: &Style) {
        let half = w.min(h) / 2;
        let radius = (style.radius as usize).min(half);
        let border = (style.border.width as usize).min(w.min(h).div_ceil(2));
        let edge = radius.max(border).next_multiple_of(2);
        // One more chroma column than the edge has: on an odd side the grid lies differently at its end.
        let chroma_edge = edge / 2 + 1;
        let enough = 2 * edge + 8;
        let same = |side: usize| {
            if side > enough {
                enough + 1 + (side & 1)
            } else {
                side
            }
        };
        let shape = [same(w), same(h), radius, border];
        let chroma = (w.div_ceil(2), h.div_ceil(2));
        if self.shape == Some(shape) {
            (self.luma.w, self.luma.h) = (w, h);
            (self.chroma.w, self.chroma.h) = chroma;
            return;
        }
        self.shape = Some(shape);
        self.outer.set(radius);
        self.inner.set(radius.saturating_sub(border));
        let (outer, inner) = (&self.outer, &self.inner);
        let cell = |x: usize, y: usize| {
            let (iw, ih) = (w.saturating_sub(2 * border), h.saturating_sub(2 * border));
            let inside = x >= border && y >= border;
            Cell {
                outer: outer.coverage(x, y, w, h),
                inner: if inside {
                    inner.coverage(x - border, y - border, iw, ih)
                } else {
                    0
                },
            }
        };
        self.luma.fill(w, h, edge, cell);
        self.chroma.fill(chroma.0, chroma.1, chroma_edge, |x, y| {
            let (right, below) = ((2 * x + 1).min(w - 1), (2 * y + 1).min(h - 1));
            let four = [
                cell(2 * x, 2 * y),
                cell(right, 2 * y),
                cell(2 * x, below),
                cell(right, below),
            ];
            let mean =
                |of: fn(&Cell) -> u8| (four.iter().map(|c| u16::from(of(c))).sum::<u16>() + 2) / 4;
            Cell {
                outer: mean(|c| c.outer) as u8,
                inner: mean(|c| c.inner) as u8,
            }
        });
    }
}

/// Shares of 256 for the tile as a whole and for its picture.
fn shares(cell: Cell, weight: u16) -> (u16, u16) {
    let of = |coverage: u8| ((u32::from(coverage) * u32::from(weight) + 127) / 255) as u16;
    (of(cell.outer), of(cell.inner).min(of(cell.outer)))
}

fn over(below: u8, picture: u8, line: u8, (whole, inner): (u16, u16)) -> u8 {
    let (b, p, l) = (u16::from(below), u16::from(picture), u16::from(line));
    ((b * (256 - whole) + p * inner + l * (whole - inner) + 128) >> 8) as u8
}

/// Lays the picture of a tile over `out`: `source` from `origin` on is what fills `rect`, of which `visible` is on the canvas.
pub(super) fn lay(
    out: &mut I420Mut<'_>,
    source: &I420Ref<'_>,
    origin: (usize, usize),
    rect: Rect,
    visible: Rect,
    mask: &Mask,
    style: &Style,
) {
    let line = style.border.colour;
    let weight = style.weight();
    let skip = ((visible.x - rect.x) as usize, (visible.y - rect.y) as usize);
    for (p, line) in [line.y, line.u, line.v].into_iter().enumerate() {
        let (columns, rows) = (span(p, visible.x, visible.w), span(p, visible.y, visible.h));
        let shift = usize::from(p > 0);
        let zones = if p == 0 { &mask.luma } else { &mask.chroma };
        // Tile columns first..last are on the canvas; of them those from `left` to `right` are all alike.
        let first = skip.0 >> shift;
        let last = first + columns.len();
        let (left, right) = if zones.w <= 2 * zones.edge + 1 {
            (last, last)
        } else {
            let left = zones.edge.clamp(first, last);
            (left, (zones.w - zones.edge).clamp(left, last))
        };
        let from = source.plane(p);
        let mut to = out.plane_mut(p);
        for (n, y) in rows.enumerate() {
            let ty = (skip.1 >> shift) + n;
            let cells = zones.row(ty);
            let picture = &from.row((origin.1 >> shift) + ty)[origin.0 >> shift..];
            let below = &mut to.row_mut(y)[columns.clone()];
            for x in (first..left).chain(right..last) {
                let cell = cells[Zones::index(x, zones.w, zones.edge)];
                let d = &mut below[x - first];
                *d = over(*d, picture[x], line, shares(cell, weight));
            }
            if left < right {
                let cell = cells[zones.edge];
                let below = &mut below[left - first..right - first];
                run(below, &picture[left..right], line, shares(cell, weight));
            }
        }
    }
}

/// A run of pixels with the same coverage.
fn run(below: &mut [u8], picture: &[u8], line: u8, shares: (u16, u16)) {
    match shares {
        (256, 256) => below.copy_from_slice(picture),
        (256, 0) => below.fill(line),
        (0, _) => {}
        _ => {
            for (d, p) in below.iter_mut().zip(picture) {
                *d = over(*d, *p, line, shares);
            }
        }
    }
}

#[cfg(test)]
#[path = "style/tests.rs"]
mod tests;
