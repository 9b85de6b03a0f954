#![allow(clippy::unwrap_used)]
use super::*;
use crate::blend::Yuv;
use crate::frame::I420;

const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];

/// Y, U, V of a colour (0 to 1 each), by the definition of the matrix, not rounded.
fn encoded(colours: Colours, [r, g, b]: [f64; 3]) -> [f64; 3] {
    let (red, blue) = colours.matrix.red_and_blue();
    let y = red * r + (1.0 - red - blue) * g + blue * b;
    let (pb, pr) = (
        (b - y) / (2.0 * (1.0 - blue)),
        (r - y) / (2.0 * (1.0 - red)),
    );
    if colours.full_range {
        [255.0 * y, 128.0 + 255.0 * pb, 128.0 + 255.0 * pr]
    } else {
        [16.0 + 219.0 * y, 128.0 + 224.0 * pb, 128.0 + 224.0 * pr]
    }
}

fn byte(x: f64) -> u8 {
    x.round().clamp(0.0, 255.0) as u8
}

#[test]
fn every_colour_is_the_same_colour_afterwards() {
    let steps = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    for matrix in MATRICES {
        for full_range in [false, true] {
            let colours = Colours { matrix, full_range };
            let conversion = Conversion::new(colours);
            for r in steps {
                for g in steps {
                    for b in steps {
                        let [y, u, v] = encoded(colours, [r, g, b]).map(byte);
                        let mut picture = I420::of_colour(3, 3, Yuv { y, u, v });
                        conversion.run(&mut picture.as_mut());
                        let wanted = encoded(Colours::BT709, [r, g, b]);
                        let got = [picture.data()[8], picture.data()[9], picture.data()[13]];
                        for (wanted, got) in wanted.iter().zip(got) {
                            // Rounded twice, by bytes before and after.
                            assert!(
                                (wanted - f64::from(got)).abs() < 1.7,
                                "{colours:?} {r} {g} {b}: {got} for {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_right_already_stays_as_it_is() {
    let data: Vec<u8> = (0..64 * 48 * 3 / 2).map(|n| (n * 37 % 256) as u8).collect();
    let mut picture = I420::blank(64, 48);
    picture.as_mut().copy_from(
        &crate::frame::I420Ref::new(64, 48, [&data, &data[7..], &data[99..]], [64, 32, 32])
            .unwrap(),
    );
    let before = picture.clone();
    Conversion::new(Colours::BT709).run(&mut picture.as_mut());
    assert_eq!(picture, before);
}

/// The whole of an 8-bit input, also what no camera gives: nothing overflows (which a debug build would tell) or wraps.
#[test]
fn extremes_end_at_the_edges() {
    for matrix in MATRICES {
        for full_range in [false, true] {
            let conversion = Conversion::new(Colours { matrix, full_range });
            for u in [0, 1, 127, 128, 254, 255] {
                for v in [0, 1, 127, 128, 254, 255] {
                    let mut last = 0;
                    for y in 0..=255 {
                        let mut picture = I420::of_colour(2, 2, Yuv { y, u, v });
                        conversion.run(&mut picture.as_mut());
                        assert!(picture.data()[0] >= last, "{matrix:?} {y} {u} {v}");
                        last = picture.data()[0];
                    }
                }
            }
        }
    }
}

proptest::proptest! {
    /// Each pixel is converted, with the chroma of its own place, whatever the size.
    #[test]
    fn no_pixel_is_forgotten(width in 1usize..700, height in 1usize..9, at in 0usize..6000) {
        let conversion = Conversion::new(Colours { matrix: Matrix::Bt601, full_range: true });
        let grey = Yuv { y: 100, u: 128, v: 128 };
        let mut picture = I420::of_colour(width, height, grey);
        let (x, y) = (at % width, at / width % height);
        picture.as_mut().plane_mut(2).row_mut(y / 2)[x / 2] = 200;
        conversion.run(&mut picture.as_mut());
        let picture = picture.as_ref();
        for row in 0..height {
            for column in 0..width {
                let reddish = (row / 2, column / 2) == (y / 2, x / 2);
                let got = picture.plane(0).row(row)[column];
                // 16 + 100 × 219/255 is 102; red of BT.601 has less luma by BT.709.
                proptest::prop_assert_eq!(got == 102, !reddish, "{} at {}, {}", got, column, row);
            }
        }
    }
}
