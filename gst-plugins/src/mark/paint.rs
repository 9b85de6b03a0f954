//! The mark onto a picture.

use std::ops::Range;

use super::code::{BITS, Mark};
use super::{COLUMNS, DATA_COLUMNS, DATA_ROWS, ROWS, SYNC};

/// Limited range, as every decoder expects it.
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const NEUTRAL: u8 = 128;
/// Smaller cells would not even survive a lossless scaler.
const SMALLEST_CELL: usize = 2;

/// Where a mark lies in a picture, its margins included, in luma pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Place {
    /// In the middle of the upper half: neither a tile's crop nor its name tag reaches it. A cell is a 40th of the width (8 pixels
    /// in a 320x180 tile, and on the encoder's grid there). `None` if the picture is too small for any mark.
    pub fn usual(width: usize, height: usize) -> Option<Place> {
        let cell = (width / 40).min(height / 22);
        let cell = if cell >= SMALLEST_CELL {
            cell
        } else {
            (width / COLUMNS).min(height / ROWS)
        };
        let place = Place {
            x: width.saturating_sub(COLUMNS * cell) / 2,
            y: (4 * cell).min(height.saturating_sub(ROWS * cell) / 2),
            width: COLUMNS * cell,
            height: ROWS * cell,
        };
        place.fits(width, height).then_some(place)
    }

    /// Whether a mark of this size can be drawn, and lies inside such a picture.
    pub fn fits(&self, width: usize, height: usize) -> bool {
        let inside = |at: usize, size: usize, side| at.checked_add(size).is_some_and(|e| e <= side);
        self.width >= COLUMNS * SMALLEST_CELL
            && self.height >= ROWS * SMALLEST_CELL
            && inside(self.x, self.width, width)
            && inside(self.y, self.height, height)
    }

    fn columns(&self, from: usize, to: usize) -> Range<usize> {
        self.x + from * self.width / COLUMNS..self.x + to * self.width / COLUMNS
    }

    fn rows(&self, from: usize, to: usize) -> Range<usize> {
        self.y + from * self.height / ROWS..self.y + to * self.height / ROWS
    }
}

/// What lies outside the bytes is not painted.
fn fill(plane: &mut [u8], stride: usize, columns: Range<usize>, rows: Range<usize>, value: u8) {
    for y in rows {
        let start = y.saturating_mul(stride);
        let (from, to) = (start + columns.start, start + columns.end.min(stride));
        if let Some(row) = plane.get_mut(from..to) {
            row.fill(value);
        }
    }
}

/// Paints the luma. The place must fit the picture, else a part of it is missing.
pub fn paint(luma: &mut [u8], stride: usize, place: Place, mark: Mark) {
    fill(
        luma,
        stride,
        place.columns(0, COLUMNS),
        place.rows(0, ROWS),
        BLACK,
    );
    let mut white = |column: usize, row: usize| {
        let (columns, rows) = (
            place.columns(column + 1, column + 2),
            place.rows(row, row + 1),
        );
        fill(luma, stride, columns, rows, WHITE);
    };
    let bits = mark.bits();
    for (column, sync) in SYNC.iter().enumerate() {
        if *sync {
            white(column, 1);
            white(DATA_COLUMNS - 1 - column, ROWS - 2);
        }
        for row in 0..DATA_ROWS {
            if (bits >> (BITS - 1 - (row * DATA_COLUMNS + column))) & 1 == 1 {
                white(column, row + 2);
            }
        }
    }
}

/// Takes the colour out of the mark: a 4:2:0 plane of `samples` bytes a chroma pixel (1 in I420, 2 in NV12).
pub fn neutral_chroma(chroma: &mut [u8], stride: usize, samples: usize, place: Place) {
    let columns = place.x / 2 * samples..(place.x + place.width).div_ceil(2) * samples;
    let rows = place.y / 2..(place.y + place.height).div_ceil(2);
    fill(chroma, stride, columns, rows, NEUTRAL);
}
