#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guard;

use super::*;
use crate::frame::I420;
use guard::Guarded;

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

const SIZES: [((usize, usize), (usize, usize)); 14] = [
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
    ((400, 300), (27, 20)),
    ((200, 300), (90, 290)),
];

#[test]
fn follows_the_definition_to_within_two_levels() {
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
                        (g - w).abs() <= 2.0,
                        "{src:?} to {dst:?}, plane {p} ({x},{y}): {g} for {w}"
                    );
                }
            }
        }
    }
}

/// All planes of `src`, at strides of their own, scaled by `rung` into a picture with a stride of its own.
fn scaled(
    rung: Rung,
    src: &I420Ref<'_>,
    crop: Option<Crop>,
    dst: (usize, usize),
    pad: usize,
) -> I420 {
    let strides = [
        dst.0 + pad,
        dst.0.div_ceil(2) + pad,
        dst.0.div_ceil(2) + 2 * pad,
    ];
    let rows = [dst.1, dst.1.div_ceil(2), dst.1.div_ceil(2)];
    let pads = [pad, pad, 2 * pad];
    let ends: [usize; 3] = std::array::from_fn(|p| strides[p] * rows[p] - pads[p]);
    let mut planes = ends.map(|end| Guarded::new(end, 0xa5));
    let mut out = I420Mut::new(dst.0, dst.1, planes.each_mut().map(|p| &mut **p), strides).unwrap();
    let mut scaler = Scaler::with_rung(rung, (src.width(), src.height()), crop, dst);
    scaler.scale(src, &mut out);
    let picture = out.as_ref().to_owned();
    for p in 0..3 {
        let width = picture.as_ref().plane(p).width();
        for row in planes[p].chunks(strides[p]) {
            assert!(
                row[width..].iter().all(|b| *b == 0xa5),
                "{rung:?} wrote beside its rows"
            );
        }
    }
    picture
}

fn every_rung_agrees(
    src: (usize, usize),
    crop: Option<Crop>,
    dst: (usize, usize),
    pad: usize,
    seed: u32,
) {
    let wide = noise(src.0 + 2 * pad, src.1, seed);
    let wide = wide.as_ref();
    let planes = [0, 1, 2].map(|p| {
        let plane = wide.plane(p);
        (0..plane.height())
            .flat_map(|y| plane.row(y).to_vec())
            .collect::<Vec<u8>>()
    });
    // The last row ends with its last byte, and that is the last of its page.
    let strides = [0, 1, 2].map(|p| wide.plane(p).width());
    let ends = [0, 1, 2].map(|p| planes[p].len() - if p == 0 { 2 * pad } else { pad });
    let views = [0, 1, 2].map(|p| {
        let mut view = Guarded::new(ends[p], 0);
        view.copy_from_slice(&planes[p][..ends[p]]);
        view
    });
    let source = I420Ref::new(src.0, src.1, views.each_ref().map(|v| &**v), strides).unwrap();
    let portable = scaled(Rung::Portable, &source, crop, dst, 0);
    for rung in Rung::all() {
        let got = scaled(rung, &source, crop, dst, pad);
        assert!(got == portable, "{rung:?}: {src:?} {crop:?} to {dst:?}");
    }
    // Straight onto a canvas: the same picture at its place, and nothing else touched.
    let colour = crate::blend::Yuv { y: 1, u: 2, v: 3 };
    let mut canvas = I420::of_colour(dst.0 + 9, dst.1 + 7, colour);
    let mut want = canvas.clone();
    Scaler::new(src, crop, dst).scale_at(&source, &mut canvas.as_mut(), (4, 2));
    for p in 0..3 {
        let (left, top) = if p == 0 { (4, 2) } else { (2, 1) };
        let from = portable.as_ref().plane(p);
        for y in 0..from.height() {
            want.as_mut().plane_mut(p).row_mut(top + y)[left..][..from.width()]
                .copy_from_slice(from.row(y));
        }
    }
    assert!(canvas == want, "canvas: {src:?} {crop:?} to {dst:?}");
    // Row by row is the same picture, from whichever even row on.
    let mut rows = I420::blank(dst.0, dst.1);
    let mut scaler = Scaler::new(src, crop, dst);
    let middle = (dst.1 / 2) & !1;
    for part in [middle..dst.1 + 3, 0..middle] {
        scaler.scale_rows(&source, part, |plane, y, row| {
            rows.as_mut()
                .plane_mut(plane)
                .row_mut(y)
                .copy_from_slice(row);
        });
    }
    assert!(rows == portable, "rows: {src:?} {crop:?} to {dst:?}");
}

#[test]
fn every_rung_gives_the_same_bytes() {
    println!("rungs of the scaler compared here: {:?}", Rung::all());
    for (n, (src, dst)) in SIZES.into_iter().enumerate() {
        every_rung_agrees(src, None, dst, n % 3, n as u32);
    }
    // What the box does all day; and all the ways to cross a register's end.
    for (src, dst) in [
        ((1280, 720), (480, 360)),
        ((960, 720), (480, 360)),
        ((1280, 720), (160, 90)),
    ] {
        every_rung_agrees(src, None, dst, 5, 9);
    }
    for w in 1..140 {
        every_rung_agrees((150, 4), None, (w, 3), 0, w as u32);
        every_rung_agrees((w, 5), None, (70, 2), 0, w as u32);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn every_rung_gives_the_same_bytes_for_any_size_crop_and_stride(
        src in (1usize..400, 1usize..60),
        dst in (1usize..300, 1usize..50),
        pad in 0usize..40,
        seed: u32,
        crop in proptest::option::of((0usize..300, 0usize..40, 0usize..300, 0usize..40)),
    ) {
        let crop = crop.map(|(x, y, w, h)| Crop { x, y, w, h });
        every_rung_agrees(src, crop, dst, pad, seed);
    }
}

/// Peak signal to noise of the luma against the definition in floating point.
fn psnr(picture: &I420, dst: (usize, usize)) -> f64 {
    let mut out = I420::blank(dst.0, dst.1);
    Scaler::new((picture.width(), picture.height()), None, dst)
        .scale(&picture.as_ref(), &mut out.as_mut());
    let want = expected(picture.as_ref().plane(0), dst.0, dst.1);
    let got = out.as_ref();
    let got = (0..dst.1).flat_map(|y| got.plane(0).row(y));
    let squares: f64 = got
        .zip(&want)
        .map(|(g, w)| (f64::from(*g) - w).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 * want.len() as f64 / squares).log10()
}

/// Noise of full range is the worst case: in real pictures neighbours, and so rounded weights, differ less.
#[test]
fn noise_stays_above_55_db_of_the_definition() {
    let picture = noise(1280, 360, 5);
    for dst in [
        (480, 180),
        (640, 180),
        (853, 270),
        (1900, 300),
        (160, 45),
        (71, 20),
    ] {
        let db = psnr(&picture, dst);
        println!("{dst:?} {db:.1} dB");
        assert!(db > 55.0, "{dst:?}: {db:.1} dB");
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
