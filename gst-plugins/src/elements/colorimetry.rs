//! What caps say of a picture's colours.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoColorimetry};

use crate::colours::{Colours, Matrix};

/// What is not said is taken for the programme's own.
pub fn colours(of: &VideoColorimetry) -> Colours {
    Colours {
        matrix: match of.matrix() {
            // FCC's shares differ from BT.601's by a thousandth.
            VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => Matrix::Bt601,
            VideoColorMatrix::Bt2020 => Matrix::Bt2020,
            _ => Matrix::Bt709,
        },
        full_range: of.range() == VideoColorRange::Range0_255,
    }
}
