#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::frame::I420;

/// A picture in which every byte differs from its neighbours.
fn noise(width: usize, height: usize, mut seed: u32) -> I420 {
    let mut picture = I420::blank(width, height);
    let mut view = picture.as_mut();
    for p in 0..3 {
        let mut plane = view.plane_mut(p);
        for y in 0..plane.height() {
            for byte in plane.row_mut(y) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (seed >> 24) as u8;
            }
        }
    }
    picture
}

/// The definition, in floating point, without tables.
fn expected(src: Plane<'_>, w: usize, h: usize) -> Vec<f64> {
    let axis = |src: usize, dst: usize, i: usize| -> Vec<(usize, f64)> {
        let ratio = src as f64 / dst as f64;
        if ratio <= 2.0 {
            let centre = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (src - 1) as f64);
            let f = centre.floor();
            let next = (f as usize + 1).min(src - 1);
            vec![(f as usize, 1.0 - (centre - f)), (next, centre - f)]
        } else {
            let (from, to) = (i as f64 * ratio, (i + 1) as f64 * ratio);
            (0..src)
                .map(|k| {
                    (
                        k,
                        (to.min(k as f64 + 1.0) - from.max(k as f64)).max(0.0) / ratio,
                    )
                })
                .filter(|(_, w)| *w > 0.0)
                .collect()
        }
    };
    let mut out = Vec::new();
    for y in 0..h {
        let rows = axis(src.height(), h, y);
        for x in 0..w {
            let columns = axis(src.width(), w, x);
            let mut sum = 0.0;
            for (r, wr) in &rows {
                for (c, wc) in &columns {
                    sum += f64::from(src.row(*r)[*c]) * wr * wc;
                }
            }
            out.push(sum);
        }
    }
    out
}

const SIZES: [((usize, usize), (usize, usize)); 12] = [
    ((64, 36), (64, 36)),
    ((64, 36), (32, 18)),
    ((64, 36), (24, 18)),
    ((63, 37), (31, 19)),
    ((33, 35), (47, 51)),
    ((200, 100), (17, 9)),
    ((1, 1), (7, 5)),
    ((2, 3), (1, 1)),
    ((301, 3), (11, 20)),
    ((64, 36), (64, 20)),
    ((64, 36), (40, 36)),
    ((400, 300), (1, 1)),
];

#[test]
fn follows_the_definition_to_within_one_level() {
    for (n, (src, dst)) in SIZES.into_iter().enumerate() {
        let picture = noise(src.0, src.1, n as u32);
        let mut out = I420::blank(dst.0, dst.1);
        Scaler::new(src, None, dst).scale(&picture.as_ref(), &mut out.as_mut());
        for p in 0..3 {
            let got = out.as_ref().plane(p);
            let want = expected(picture.as_ref().plane(p), got.width(), got.height());
            for y in 0..got.height() {
                for x in 0..got.width() {
                    let (g, w) = (f64::from(got.row(y)[x]), want[y * got.width() + x]);
                    assert!(
                        (g - w).abs() <= 1.5,
                        "{src:?} to {dst:?}, plane {p} ({x},{y}): {g} for {w}"
                    );
                }
            }
        }
    }
}

#[test]
fn both_rungs_give_the_same_bytes() {
    for (n, (src, dst)) in SIZES.into_iter().enumerate() {
        let picture = noise(src.0, src.1, n as u32);
        let mut scaler = Scaler::new(src, None, dst);
        let (mut fast, mut portable) = (I420::blank(dst.0, dst.1), I420::blank(dst.0, dst.1));
        scaler.scale(&picture.as_ref(), &mut fast.as_mut());
        scaler.rung = Rung::Portable;
        scaler.scale(&picture.as_ref(), &mut portable.as_mut());
        assert_eq!(fast, portable, "{src:?} to {dst:?}");
    }
}

#[test]
fn a_flat_colour_stays_exactly_itself() {
    for level in [0, 1, 16, 128, 235, 255] {
        for (src, dst) in SIZES {
            let colour = crate::blend::Yuv {
                y: level,
                u: level,
                v: 255 - level,
            };
            let picture = I420::of_colour(src.0, src.1, colour);
            let mut out = I420::blank(dst.0, dst.1);
            Scaler::new(src, None, dst).scale(&picture.as_ref(), &mut out.as_mut());
            assert_eq!(
                out,
                I420::of_colour(dst.0, dst.1, colour),
                "{src:?} to {dst:?}"
            );
        }
    }
}

#[test]
fn a_crop_shows_only_what_is_inside_it() {
    let mut picture = I420::blank(100, 60);
    let inside = crate::blend::Yuv {
        y: 200,
        u: 90,
        v: 60,
    };
    crate::blend::fill(
        &mut picture.as_mut(),
        crate::blend::Rect::new(20, 10, 40, 30),
        inside,
    );
    let crop = Crop {
        x: 20,
        y: 10,
        w: 40,
        h: 30,
    };
    for dst in [(40, 30), (80, 60), (13, 11), (6, 4)] {
        let mut out = I420::blank(dst.0, dst.1);
        Scaler::new((100, 60), Some(crop), dst).scale(&picture.as_ref(), &mut out.as_mut());
        assert_eq!(out, I420::of_colour(dst.0, dst.1, inside), "{dst:?}");
    }
}

/// Stripes one pixel wide, moved by one pixel a frame: with two taps a small tile would blink.
#[test]
fn small_tiles_of_moving_stripes_do_not_shimmer() {
    let mut means = Vec::new();
    let mut scaler = Scaler::new((640, 360), None, (100, 56));
    for shift in 0..6 {
        let mut picture = I420::blank(640, 360);
        let mut view = picture.as_mut();
        let mut luma = view.plane_mut(0);
        for y in 0..360 {
            for (x, byte) in luma.row_mut(y).iter_mut().enumerate() {
                *byte = if (x + shift) % 2 == 0 { 20 } else { 220 };
            }
        }
        let mut out = I420::blank(100, 56);
        scaler.scale(&picture.as_ref(), &mut out.as_mut());
        means.push(out.as_ref().plane(0).row(28)[10..90].to_vec());
    }
    for pair in means.windows(2) {
        for (a, b) in pair[0].iter().zip(&pair[1]) {
            assert!(a.abs_diff(*b) <= 32, "{a} then {b}");
        }
    }
}
