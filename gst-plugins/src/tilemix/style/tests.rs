//! Compared with the definition: the outline as the area of each pixel that lies inside it, blended in floating point.

use super::super::{Fit, Tile, TileMixer};
use super::*;
use crate::frame::I420;

const BELOW: Yuv = Yuv {
    y: 200,
    u: 60,
    v: 190,
};
const PICTURE: Yuv = Yuv {
    y: 40,
    u: 180,
    v: 90,
};
const LINE: Yuv = Yuv {
    y: 120,
    u: 20,
    v: 240,
};

/// Is a point inside the rectangle with round corners?
fn inside(x: f64, y: f64, inset: f64, (w, h): (f64, f64), radius: f64) -> bool {
    let (x, y, w, h) = (x - inset, y - inset, w - 2.0 * inset, h - 2.0 * inset);
    if x < 0.0 || y < 0.0 || x > w || y > h {
        return false;
    }
    let dx = (radius - x).max(x - (w - radius)).max(0.0);
    let dy = (radius - y).max(y - (h - radius)).max(0.0);
    dx * dx + dy * dy <= radius * radius
}

/// Share of luma pixel (`x`, `y`) of the tile that is inside.
fn area(x: i32, y: i32, inset: f64, size: (f64, f64), radius: f64) -> f64 {
    const N: i32 = 12;
    let step = |i: i32| (f64::from(i) + 0.5) / f64::from(N);
    let hits = (0..N * N)
        .filter(|i| {
            let (px, py) = (f64::from(x) + step(i % N), f64::from(y) + step(i / N));
            inside(px, py, inset, size, radius)
        })
        .count();
    hits as f64 / f64::from(N * N)
}

fn reference(canvas: (usize, usize), rect: Rect, style: &Style) -> Vec<Vec<f64>> {
    let size = (f64::from(rect.w), f64::from(rect.h));
    let radius = f64::from(style.radius.min(rect.w.min(rect.h) / 2));
    let border = f64::from(style.border.width);
    let shares = |x: usize, y: usize| {
        let (tx, ty) = (x as i32 - rect.x, y as i32 - rect.y);
        let whole = area(tx, ty, 0.0, size, radius);
        let inner = area(tx, ty, border, size, (radius - border).max(0.0));
        (
            whole * f64::from(style.alpha),
            inner * f64::from(style.alpha),
        )
    };
    let blend = |p: usize, (whole, inner): (f64, f64)| {
        let of = |c: Yuv| f64::from([c.y, c.u, c.v][p]);
        of(BELOW) * (1.0 - whole) + of(PICTURE) * inner + of(LINE) * (whole - inner)
    };
    (0..3)
        .map(|p| {
            let side = |n: usize| if p == 0 { n } else { n.div_ceil(2) };
            let mut plane = Vec::new();
            for y in 0..side(canvas.1) {
                for x in 0..side(canvas.0) {
                    if p == 0 {
                        plane.push(blend(p, shares(x, y)));
                        continue;
                    }
                    // The mean of its pixels that the tile has; a chroma sample half outside belongs to the tile.
                    let (mut sum, mut n) = ((0.0, 0.0), 0.0);
                    for (px, py) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                        let (px, py) = (2 * x + px, 2 * y + py);
                        let (tx, ty) =
                            (px as i64 - i64::from(rect.x), py as i64 - i64::from(rect.y));
                        let (w, h) = (i64::from(rect.w), i64::from(rect.h));
                        if (0..w).contains(&tx) && (0..h).contains(&ty) {
                            let (whole, inner) = shares(px, py);
                            sum = (sum.0 + whole, sum.1 + inner);
                            n += 1.0;
                        }
                    }
                    plane.push(if n == 0.0 {
                        blend(p, (0.0, 0.0))
                    } else {
                        blend(p, (sum.0 / n, sum.1 / n))
                    });
                }
            }
            plane
        })
        .collect()
}

fn check(mixer: &mut TileMixer, canvas: (usize, usize), picture: &I420, rect: Rect, style: Style) {
    let tile = Tile {
        id: 1,
        frame: picture.as_ref(),
        serial: 1,
        rect,
        z: 0,
        fit: Fit::Fill,
        dim: false,
        overlays: &[],
        style,
    };
    let mut out = I420::blank(canvas.0, canvas.1);
    mixer.set_background(BELOW);
    mixer.mix(&mut out.as_mut(), &[tile]);
    let wanted = reference(canvas, rect.snapped(), &style);
    for (p, wanted) in wanted.iter().enumerate() {
        let (view, columns) = (out.as_ref(), out.as_ref().plane(p).width());
        for (i, want) in wanted.iter().enumerate() {
            let got = f64::from(view.plane(p).row(i / columns)[i % columns]);
            assert!(
                (got - want).abs() <= 3.0,
                "{style:?} {rect:?} plane {p} ({},{}): {got} for {want}",
                i % columns,
                i / columns
            );
        }
    }
}

#[test]
fn alpha_corners_and_border_are_those_of_the_reference() {
    let picture = I420::of_colour(64, 36, PICTURE);
    let canvas = (90, 62);
    // One mixer for all: what it keeps from one style must not show in the next.
    let mut mixer = TileMixer::new(canvas.0, canvas.1);
    for rect in [
        Rect::new(10, 8, 64, 36),
        Rect::new(10, 8, 63, 37),
        Rect::new(4, 2, 41, 50),
        Rect::new(-8, -6, 60, 40),
        Rect::new(40, 30, 64, 36),
        Rect::new(20, 20, 9, 7),
    ] {
        for (alpha, radius, width) in [
            (0.5, 0, 0),
            (1.0, 9, 0),
            (1.0, 0, 3),
            (1.0, 12, 4),
            (0.3, 5, 8),
            (0.75, 500, 1),
            (1.0, 6, 1),
        ] {
            let style = Style {
                alpha,
                radius,
                border: Border {
                    width: width.min(rect.w.min(rect.h) / 2),
                    colour: LINE,
                },
            };
            check(&mut mixer, canvas, &picture, rect, style);
        }
    }
}

#[test]
fn an_invisible_tile_leaves_no_trace_and_a_see_through_one_hides_nothing() {
    let picture = I420::of_colour(64, 36, PICTURE);
    let rect = Rect::new(0, 0, 64, 36);
    let mut mixer = TileMixer::new(64, 36);
    for alpha in [0.0, -1.0, f32::NAN, 0.25, 2.0] {
        let style = Style {
            alpha,
            ..Style::default()
        };
        let tile = |id, style| Tile {
            id,
            frame: picture.as_ref(),
            serial: 1,
            rect,
            z: 0,
            fit: Fit::Fill,
            dim: false,
            overlays: &[],
            style,
        };
        let mut out = I420::blank(64, 36);
        mixer.set_background(BELOW);
        mixer.mix(&mut out.as_mut(), &[tile(1, style)]);
        let share = f64::from(if alpha.is_nan() {
            0.0
        } else {
            alpha.clamp(0.0, 1.0)
        });
        let want = f64::from(BELOW.y) * (1.0 - share) + f64::from(PICTURE.y) * share;
        let got = f64::from(out.as_ref().plane(0).row(20)[20]);
        assert!((got - want).abs() <= 1.0, "{alpha}: {got} for {want}");
    }
}

#[test]
fn the_overlays_and_bars_of_a_tile_fade_with_it() {
    let picture = I420::of_colour(64, 64, PICTURE);
    let tag = crate::frame::Rgba::from_premultiplied(8, 8, vec![255; 256]);
    let tag = tag.as_ref().map(|bitmap| super::super::Overlay {
        bitmap,
        x: 30,
        y: 4,
    });
    let mut out = I420::of_colour(80, 40, BELOW);
    let below = out.clone();
    let mut mixer = TileMixer::new(80, 40);
    let tiles = [
        Tile {
            id: 1,
            frame: below.as_ref(),
            serial: 1,
            rect: Rect::new(0, 0, 80, 40),
            z: 0,
            fit: Fit::Fill,
            dim: false,
            overlays: &[],
            style: Style::default(),
        },
        Tile {
            id: 2,
            frame: picture.as_ref(),
            serial: 1,
            rect: Rect::new(10, 10, 64, 20),
            z: 1,
            fit: Fit::Contain,
            dim: false,
            overlays: tag.as_slice(),
            style: Style {
                alpha: 0.5,
                ..Style::default()
            },
        },
    ];
    mixer.mix(&mut out.as_mut(), &tiles);
    let luma = |x: usize, y: usize| out.as_ref().plane(0).row(y)[x];
    let half = |c: u8| (u16::from(BELOW.y) + u16::from(c)).div_ceil(2) as u8;
    assert_eq!(luma(12, 12), half(16), "a bar of background");
    assert_eq!(luma(42, 26), half(PICTURE.y));
    assert_eq!(luma(42, 16), half(235), "the tag");
    assert_eq!(luma(9, 12), BELOW.y);
}
