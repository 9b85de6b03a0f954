//! A small machine-readable mark in a picture: frame number, capture time, source, and a check code.
//!
//! ```text
//!         18 cells
//!   ┌──────────────────┐  black margin
//!   │ ███░█░░█░██░█░█░ │  sync: where it is and how wide its cells are (drawn white here: █)
//!   │ 16 x 6 cells     │  24 bits number, 32 bits time, 8 bits source, 32 bits CRC
//!   │ …                │
//!   │ ░█░█░██░█░░█░███ │  sync, mirrored: how high its cells are
//!   └──────────────────┘  black margin                                            10 cells
//! ```
//!
//! Made to be read after a guest's encoder, a scaler, and the programme's encoder: cells are big and have full contrast, colour is
//! neutral, and only luma is read. Both sync rows are known beforehand and stand still, so the encoder spends nothing on them.
//!
//! **False reads.** What is reported has at least 29 of 32 sync cells right and a CRC-32 that fits after at most four doubtful
//! cells were tried both ways at five positions: at most 80 trials of 2^-32, so a torn or half-hidden mark is misread with a
//! probability below 2e-8 a frame. A random picture would also have to show the sync (1.3e-6 a place that was looked at): below 1e-13.
//! The code's Hamming distance is 8: up to three confidently wrong cells besides the doubtful four can't be misread at all.

mod code;
mod find;
mod paint;
mod read;
mod tally;

pub use code::{Mark, TICKS_PER_SECOND};
pub use paint::{Place, neutral_chroma, paint};
pub use read::{Reader, Sighting};
pub use tally::{Step, Tally};

/// Cells of data in a row, and rows of data.
const DATA_COLUMNS: usize = 16;
const DATA_ROWS: usize = 6;
/// With a margin left and right; with margins and sync rows.
pub const COLUMNS: usize = DATA_COLUMNS + 2;
pub const ROWS: usize = DATA_ROWS + 4;
/// White cells of the upper sync row, from the left; the lower one is its mirror image. Runs of 3 1 1 2 1 1 2 1 1 1 2.
const SYNC: [bool; DATA_COLUMNS] = {
    let (w, b) = (true, false);
    [w, w, w, b, w, b, b, w, b, w, w, b, w, b, w, w]
};

/// The luma of a picture, to read.
#[derive(Clone, Copy)]
pub struct Luma<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Luma<'a> {
    /// `None` if the bytes don't hold a picture of this size.
    pub fn new(data: &'a [u8], stride: usize, width: usize, height: usize) -> Option<Luma<'a>> {
        let need = stride
            .checked_mul(height.checked_sub(1)?)?
            .checked_add(width)?;
        (width > 0 && stride >= width && data.len() >= need).then_some(Luma {
            data,
            stride,
            width,
            height,
        })
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// # Panics
    /// If there is no such row.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }
}

#[cfg(test)]
mod tests;
