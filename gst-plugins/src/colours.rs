//! What the numbers of a picture mean as colours, and turning them into those of the programme: BT.709, limited range.
//!
//! Cameras differ: a webcam's MJPEG is BT.601 over the full range, a phone's picture BT.601 in limited range, HDMI BT.709. Taken
//! as they are, the first would lose its shadows and lights, and all would show faces of slightly another colour side by side.

use crate::frame::I420Mut;

/// How red, green and blue make luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matrix {
    Bt601,
    #[default]
    Bt709,
    Bt2020,
}

/// How the bytes of a picture stand for colours. The default is what the programme has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Colours {
    pub matrix: Matrix,
    /// 0 to 255 instead of 16 to 235 (luma) and 16 to 240 (chroma).
    pub full_range: bool,
}

impl Colours {
    pub const BT709: Colours = Colours {
        matrix: Matrix::Bt709,
        full_range: false,
    };

    /// Whether they are the programme's.
    pub fn are_right(&self) -> bool {
        *self == Colours::BT709
    }
}

impl Matrix {
    /// The shares of red and blue in luma: ITU-R BT.601-7, BT.709-6 and BT.2020-2 (the non-constant one).
    const fn red_and_blue(self) -> (f64, f64) {
        match self {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Luma keeps six bits behind the point, so that eight of them fit a register of 128 bits.
const LUMA_BITS: u32 = 6;
const CHROMA_BITS: u32 = 14;
/// Chroma samples of a row that are converted at a time.
const CHUNK: usize = 128;

/// Steps from one meaning to the programme's. Y' is a share of Y and what chroma adds to it; chroma takes from chroma alone,
/// because grey stays grey.
#[derive(Debug, Clone, Copy)]
pub struct Conversion {
    luma: i16,
    luma_offset: i32,
    /// What U and V add to luma.
    added: [i32; 2],
    /// U', then V', each from U and V.
    chroma: [[i32; 2]; 2],
}

impl Conversion {
    pub fn new(from: Colours) -> Self {
        let (r, b) = from.matrix.red_and_blue();
        let (r9, b9) = Matrix::Bt709.red_and_blue();
        let (g, g9) = (1.0 - r - b, 1.0 - r9 - b9);
        // With Pb = (B - Y) / 2(1 - b) and Pr = (R - Y) / 2(1 - r): what a unit of each adds to the other matrix's luma.
        let luma_of_b = 2.0 * (1.0 - b) * (b9 - g9 * b / g);
        let luma_of_r = 2.0 * (1.0 - r) * (r9 - g9 * r / g);
        let chroma = [
            [2.0 * (1.0 - b) - luma_of_b, -luma_of_r].map(|x| x / (2.0 * (1.0 - b9))),
            [-luma_of_b, 2.0 * (1.0 - r) - luma_of_r].map(|x| x / (2.0 * (1.0 - r9))),
        ];
        let (low, luma_swing, chroma_swing) = if from.full_range {
            (0.0, 255.0, 255.0)
        } else {
            (16.0, 219.0, 224.0)
        };
        let fixed = |x: f64, bits: u32| (x * f64::from(1u32 << bits)).round() as i32;
        let luma = 219.0 / luma_swing;
        Self {
            luma: fixed(luma, LUMA_BITS) as i16,
            // Half a step more, to round.
            luma_offset: fixed(16.0 - low * luma + 0.5, LUMA_BITS),
            added: [luma_of_b, luma_of_r].map(|x| fixed(x * 219.0 / chroma_swing, CHROMA_BITS)),
            chroma: chroma.map(|row| row.map(|x| fixed(x * 224.0 / chroma_swing, CHROMA_BITS))),
        }
    }

    /// Converts in place.
    pub fn run(&self, picture: &mut I420Mut<'_>) {
        let [mut luma, mut u, mut v] = picture.planes_mut();
        for row in 0..u.height() {
            let (u, v) = (u.row_mut(row), v.row_mut(row));
            for (n, (u, v)) in u.chunks_mut(CHUNK).zip(v.chunks_mut(CHUNK)).enumerate() {
                let mut added = [0; 2 * CHUNK];
                self.chroma(u, v, &mut added);
                for y in [2 * row, 2 * row + 1] {
                    if y < luma.height() {
                        let line = &mut luma.row_mut(y)[2 * CHUNK * n..];
                        let end = line.len().min(2 * CHUNK);
                        self.luma(&mut line[..end], &added);
                    }
                }
            }
        }
    }

    fn chroma(&self, u: &mut [u8], v: &mut [u8], added: &mut [i16; 2 * CHUNK]) {
        const HALF: i32 = 1 << (CHROMA_BITS - 1);
        let pairs = added.as_chunks_mut::<2>().0;
        for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
            let (pb, pr) = (i32::from(*u) - 128, i32::from(*v) - 128);
            let of = |[b, r]: [i32; 2]| b * pb + r * pr;
            let bits = CHROMA_BITS - LUMA_BITS;
            let more = ((of(self.added) + (1 << (bits - 1))) >> bits) + self.luma_offset;
            *pair = [more as i16; 2];
            let byte = |x: i32| (((x + HALF) >> CHROMA_BITS) + 128).clamp(0, 255) as u8;
            (*u, *v) = (byte(of(self.chroma[0])), byte(of(self.chroma[1])));
        }
    }

    /// Luma of 8 bits, six more behind the point, and what chroma adds (at most 60 steps) fit into 16 bits. It wraps nowhere;
    /// that this is not looked at makes a debug build eight times as fast.
    fn luma(&self, line: &mut [u8], added: &[i16; 2 * CHUNK]) {
        for (y, added) in line.iter_mut().zip(added) {
            let sum = i16::from(*y).wrapping_mul(self.luma).wrapping_add(*added);
            *y = (sum >> LUMA_BITS).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
#[path = "colours/tests.rs"]
mod tests;
