#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const RED: Yuv = Yuv::from_rgb(220, 30, 30);
const BLUE: Yuv = Yuv::from_rgb(30, 30, 220);
const BACK: Yuv = Yuv::from_rgb(20, 24, 30);

fn tile(id: u64, frame: &I420, rect: Rect) -> Tile<'_> {
    Tile {
        id,
        frame: frame.as_ref(),
        serial: 1,
        rect,
        z: 0,
        fit: Fit::Cover,
        dim: false,
        overlays: &[],
        style: Style::default(),
    }
}

fn at(picture: &I420, x: usize, y: usize) -> Yuv {
    let p = |n: usize, x: usize, y: usize| picture.as_ref().plane(n).row(y)[x];
    Yuv {
        y: p(0, x, y),
        u: p(1, x / 2, y / 2),
        v: p(2, x / 2, y / 2),
    }
}

fn mixed(mixer: &mut TileMixer, tiles: &[Tile<'_>]) -> I420 {
    // Not black: what the mixer leaves out would show.
    let mut out = I420::of_colour(mixer.width, mixer.height, Yuv { y: 1, u: 1, v: 1 });
    mixer.set_background(BACK);
    mixer.mix(&mut out.as_mut(), tiles);
    out
}

#[test]
fn tiles_fill_their_rectangles_and_nothing_else() {
    let (red, blue) = (I420::of_colour(64, 36, RED), I420::of_colour(7, 9, BLUE));
    let out = mixed(
        &mut TileMixer::new(101, 61),
        &[
            tile(1, &red, Rect::new(10, 4, 40, 20)),
            tile(2, &blue, Rect::new(60, 30, 41, 31)),
        ],
    );
    for y in 0..61 {
        for x in 0..101 {
            let expected = if (10..50).contains(&x) && (4..24).contains(&y) {
                RED
            } else if x >= 60 && y >= 30 {
                BLUE
            } else {
                BACK
            };
            assert_eq!(at(&out, x, y), expected, "({x},{y})");
        }
    }
}

#[test]
fn a_tile_may_leave_the_canvas_on_any_side_and_odd_corners_are_snapped() {
    let red = I420::of_colour(64, 36, RED);
    for (x, y) in [
        (-20, -10),
        (90, -10),
        (-20, 50),
        (90, 50),
        (-5, 3),
        (200, 200),
        (-300, 0),
        (33, 21),
    ] {
        let rect = Rect::new(x, y, 40, 30);
        let out = mixed(&mut TileMixer::new(100, 60), &[tile(1, &red, rect)]);
        let (x, y) = (x & !1, y & !1);
        for py in 0..60 {
            for px in 0..100 {
                let inside = (x..x + 40).contains(&px) && (y..y + 30).contains(&py);
                let expected = if inside { RED } else { BACK };
                assert_eq!(
                    at(&out, px as usize, py as usize),
                    expected,
                    "{rect:?} ({px},{py})"
                );
            }
        }
    }
}

#[test]
fn the_higher_z_lies_above_whatever_the_order_of_the_list() {
    let (red, blue) = (I420::of_colour(64, 36, RED), I420::of_colour(64, 36, BLUE));
    let mut above = tile(1, &red, Rect::new(40, 20, 20, 20));
    above.z = 5;
    let below = tile(2, &blue, Rect::new(0, 0, 100, 60));
    let out = mixed(&mut TileMixer::new(100, 60), &[above, below]);
    assert_eq!(at(&out, 50, 30), RED);
    assert_eq!(at(&out, 10, 10), BLUE);
    assert_eq!(at(&out, 99, 59), BLUE);
}

/// A picture in three vertical parts of equal width.
fn striped(width: usize, height: usize) -> I420 {
    let mut picture = I420::of_colour(width, height, BLUE);
    let third = width as u32 / 3;
    let middle = Rect::new(third as i32, 0, third, height as u32);
    blend::fill(&mut picture.as_mut(), middle, RED);
    picture
}

#[test]
fn cover_cuts_contain_shows_bars_and_fill_stretches() {
    let wide = striped(120, 40);
    let mut mixer = TileMixer::new(40, 40);
    let mut look = |fit| {
        let mut tile = tile(1, &wide, Rect::new(0, 0, 40, 40));
        tile.fit = fit;
        let out = mixed(&mut mixer, &[tile]);
        [(2, 20), (20, 20), (20, 2), (37, 37)].map(|(x, y)| at(&out, x, y))
    };
    assert_eq!(look(Fit::Cover), [RED, RED, RED, RED]);
    assert_eq!(look(Fit::Contain), [BLUE, RED, BACK, BACK]);
    assert_eq!(look(Fit::Fill), [BLUE, RED, RED, BLUE]);
}

#[test]
fn an_upright_picture_is_shown_whole_where_cutting_would_lose_more_than_half() {
    assert_eq!(Fit::sparing((720, 1280), (640, 360)), Fit::Contain);
    assert_eq!(Fit::sparing((1280, 720), (480, 360)), Fit::Cover);
    assert_eq!(Fit::sparing((640, 480), (640, 360)), Fit::Cover);
}

#[test]
fn a_tile_that_did_not_change_is_not_scaled_again() {
    let first = I420::of_colour(64, 36, RED);
    let second = I420::of_colour(64, 36, BLUE);
    let mut mixer = TileMixer::new(100, 60);
    let rect = Rect::new(0, 0, 30, 20);
    let mut step = |tile: Tile<'_>| {
        let before = mixer.scaled();
        let out = mixed(&mut mixer, &[tile]);
        (
            mixer.scaled() - before,
            at(&out, tile.rect.x as usize + 4, 4),
        )
    };
    let mut same = tile(1, &first, rect);
    assert_eq!(step(same), (1, RED));
    assert_eq!(step(same), (0, RED));
    same.rect.x = 20;
    same.dim = true;
    assert_eq!(step(same).0, 0, "a place or a dimming needs no scaling");
    same.dim = false;
    same.frame = second.as_ref();
    assert_eq!(
        step(same),
        (0, RED),
        "the serial says that it is the picture from before"
    );
    same.serial = 2;
    assert_eq!(step(same), (1, BLUE));
    same.rect.w = 40;
    assert_eq!(step(same), (1, BLUE));
    same.fit = Fit::Fill;
    assert_eq!(step(same), (1, BLUE));
}

#[test]
fn what_is_kept_for_an_id_goes_with_the_id() {
    let red = I420::of_colour(64, 36, RED);
    let mut mixer = TileMixer::new(100, 60);
    for id in 0..50 {
        mixed(&mut mixer, &[tile(id, &red, Rect::new(0, 0, 30, 20))]);
        assert_eq!(mixer.kept.len(), 1);
    }
    mixed(&mut mixer, &[]);
    assert_eq!(mixer.kept.len(), 0);
}

#[test]
fn a_dimmed_tile_is_dark_and_nearly_grey() {
    let red = I420::of_colour(64, 36, RED);
    for rect in [Rect::new(0, 0, 64, 36), Rect::new(0, 0, 30, 20)] {
        let mut dimmed = tile(1, &red, rect);
        dimmed.dim = true;
        let got = at(&mixed(&mut TileMixer::new(100, 60), &[dimmed]), 5, 5);
        let expected = 16.0 + (f32::from(RED.y) - 16.0) * 0.4;
        assert!((f32::from(got.y) - expected).abs() <= 1.0, "{got:?}");
        assert!(
            got.v.abs_diff(128) <= RED.v.abs_diff(128) / 4 + 1,
            "{got:?}"
        );
    }
    let mut black = I420::blank(64, 36);
    blend::fill(&mut black.as_mut(), Rect::new(0, 0, 64, 36), Yuv::BLACK);
    let mut dimmed = tile(1, &black, Rect::new(0, 0, 64, 36));
    dimmed.dim = true;
    assert_eq!(
        at(&mixed(&mut TileMixer::new(64, 36), &[dimmed]), 9, 9),
        Yuv::BLACK
    );
}

#[test]
fn an_overlay_lies_on_its_tile_and_is_cut_at_its_edge() {
    let red = I420::of_colour(64, 36, RED);
    let white = Rgba::from_premultiplied(40, 10, vec![255; 1600]).unwrap();
    let overlays = [Overlay {
        bitmap: &white,
        x: 20,
        y: 14,
    }];
    let mut tagged = tile(1, &red, Rect::new(10, 10, 40, 20));
    tagged.overlays = &overlays;
    let out = mixed(&mut TileMixer::new(100, 60), &[tagged]);
    let white = Yuv {
        y: 235,
        u: 128,
        v: 128,
    };
    assert_eq!(at(&out, 28, 26), RED);
    assert_eq!(at(&out, 30, 24), white);
    assert_eq!(at(&out, 49, 29), white);
    assert_eq!(at(&out, 50, 26), BACK);
    assert_eq!(at(&out, 40, 30), BACK);
}

#[test]
fn sizes_from_nowhere_do_no_harm() {
    let dot = I420::of_colour(1, 1, RED);
    let line = I420::of_colour(3000, 1, RED);
    let mut mixer = TileMixer::new(64, 36);
    let mut helped = (TileMixer::new(64, 36), Pool::new(1));
    for picture in [&dot, &line] {
        let source: Arc<dyn Source> = Arc::new(picture.clone());
        for fit in [Fit::Contain, Fit::Cover, Fit::Fill] {
            for (w, h) in [
                (0, 0),
                (0, 5),
                (1, 1),
                (1, 30),
                (63, 35),
                (5000, 3),
                (u32::MAX, u32::MAX),
            ] {
                for at in [0, -1, i32::MIN, i32::MAX] {
                    let mut odd = tile(1, picture, Rect::new(at, at, w, h));
                    odd.fit = fit;
                    let alone = mixed(&mut mixer, &[odd]);
                    let mut out = I420::of_colour(64, 36, RED);
                    let (mixer, pool) = &mut helped;
                    mixer.set_background(BACK);
                    let sources = std::slice::from_ref(&source);
                    mixer.mix_with(&mut out.as_mut(), &[odd], sources, pool);
                    assert!(out == alone, "{:?} {fit:?}", odd.rect);
                    place((picture.width(), picture.height()), (w, h), fit);
                }
            }
        }
    }
}

#[test]
fn colours_are_bt709_limited_range() {
    // ITU-R BT.709: 16 + 219 Y', 128 + 224 Cb/Cr.
    let near = |c: Yuv, y: u8, u: u8, v: u8| {
        c.y.abs_diff(y) <= 1 && c.u.abs_diff(u) <= 1 && c.v.abs_diff(v) <= 1
    };
    assert!(near(Yuv::from_rgb(255, 255, 255), 235, 128, 128));
    assert!(near(Yuv::from_rgb(0, 0, 0), 16, 128, 128));
    assert!(near(Yuv::from_rgb(255, 0, 0), 63, 102, 240));
    assert!(near(Yuv::from_rgb(0, 255, 0), 173, 42, 26));
    assert!(near(Yuv::from_rgb(0, 0, 255), 32, 240, 118));
}

#[test]
fn half_transparent_white_lies_half_way() {
    let mut black = I420::blank(8, 8);
    let half = Rgba::from_premultiplied(8, 8, vec![128; 256]).unwrap();
    blend::blend_rgba(&mut black.as_mut(), &half, 0, 0, None);
    let got = at(&black, 4, 4);
    assert!(
        got.y.abs_diff(126) <= 1 && got.u.abs_diff(128) <= 1,
        "{got:?}"
    );
}

proptest::proptest! {
    /// Only what no tile covers is painted, so nothing may be forgotten.
    #[test]
    fn every_pixel_is_written(
        width in 2usize..90,
        height in 2usize..70,
        rects in proptest::collection::vec((-30i32..100, -30i32..80, 1u32..80, 1u32..60), 0..6),
    ) {
        let colour = Yuv { y: 200, u: 90, v: 160 };
        let picture = I420::of_colour(16, 16, colour);
        let tiles: Vec<Tile<'_>> = rects
            .iter()
            .enumerate()
            .map(|(n, (x, y, w, h))| Tile {
                id: n as u64,
                frame: picture.as_ref(),
                serial: 1,
                rect: Rect::new(*x, *y, *w, *h),
                z: 0,
                fit: Fit::Fill,
                dim: false,
                overlays: &[],
                style: Style::default(),
            })
            .collect();
        let old = Yuv { y: 77, u: 77, v: 77 };
        let mut out = I420::of_colour(width, height, old);
        let mut mixer = TileMixer::new(width, height);
        mixer.set_background(Yuv { y: 30, u: 120, v: 130 });
        mixer.mix(&mut out.as_mut(), &tiles);
        proptest::prop_assert!(!out.data().contains(&77));
    }
}
