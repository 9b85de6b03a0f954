#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::frame::I420;
use crate::scale::Scaler;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }
}

/// A picture of soft slopes with some hard edges, as a room has.
fn room(width: usize, height: usize, seed: u64) -> I420 {
    let mut random = Random(seed);
    let (fx, fy) = (random.below(97) + 40, random.below(89) + 40);
    let mut picture = I420::blank(width, height);
    let mut view = picture.as_mut();
    let mut luma = view.plane_mut(0);
    for y in 0..height {
        for (x, pixel) in luma.row_mut(y).iter_mut().enumerate() {
            let slope = (x * 180 / fx + y * 180 / fy) % 360;
            *pixel = (30 + slope.min(360 - slope)) as u8;
        }
    }
    picture
}

fn stamp(picture: &mut I420, place: Place, mark: Mark) {
    let (width, mut view) = (picture.width(), picture.as_mut());
    let mut bytes = Vec::new();
    let mut plane = view.plane_mut(0);
    for y in 0..plane.height() {
        bytes.extend_from_slice(plane.row_mut(y));
    }
    paint(&mut bytes, width, place, mark);
    for (y, row) in bytes.chunks(width).enumerate() {
        plane.row_mut(y).copy_from_slice(row);
    }
}

fn luma(picture: &I420) -> Luma<'_> {
    Luma::new(
        picture.data(),
        picture.width(),
        picture.width(),
        picture.height(),
    )
    .unwrap()
}

fn scaled(picture: &I420, width: usize, height: usize) -> I420 {
    let mut small = I420::blank(width, height);
    Scaler::new((picture.width(), picture.height()), None, (width, height))
        .scale(&picture.as_ref(), &mut small.as_mut());
    small
}

fn put(canvas: &mut I420, tile: &I420, x: usize, y: usize) {
    let mut view = canvas.as_mut();
    let (mut to, from) = (view.plane_mut(0), tile.as_ref().plane(0));
    for row in 0..from.height() {
        to.row_mut(y + row)[x..x + from.width()].copy_from_slice(from.row(row));
    }
}

fn marks(reader: &mut Reader, picture: &I420) -> Vec<Mark> {
    let mut marks: Vec<Mark> = reader.read(&luma(picture)).iter().map(|s| s.mark).collect();
    marks.sort_by_key(|m| m.source);
    marks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_mark_is_read_wherever_it_is_painted(
        width in 200usize..900, height in 120usize..700, at in any::<[u16; 4]>(),
        number in any::<u64>(), time in any::<u32>(), source in any::<u8>(), seed in any::<u64>(),
    ) {
        // Cells of at least four pixels.
        let (least_w, least_h) = (COLUMNS * 4, ROWS * 4);
        let w = least_w + usize::from(at[0]) % (width - least_w + 1);
        // Not flatter or steeper than the finder looks for.
        let h = (w * ROWS / COLUMNS * (60 + usize::from(at[1]) % 90) / 100).clamp(least_h, height);
        prop_assume!((0.45..2.2).contains(&((h * COLUMNS) as f64 / (w * ROWS) as f64)));
        let place = Place {
            x: usize::from(at[2]) % (width - w + 1),
            y: usize::from(at[3]) % (height - h + 1),
            width: w,
            height: h,
        };
        prop_assert!(place.fits(width, height));
        let mark = Mark::new(number, u64::from(time) * 100_000, source);
        let mut picture = room(width, height, seed);
        stamp(&mut picture, place, mark);
        let mut reader = Reader::new(16);
        let seen = reader.read(&luma(&picture));
        prop_assert_eq!(seen.len(), 1);
        prop_assert_eq!(seen[0].mark, mark);
        prop_assert!((seen[0].rect[0] - place.x as f32).abs() < w as f32 / COLUMNS as f32 / 2.0);
        prop_assert!((seen[0].rect[1] - place.y as f32).abs() < h as f32 / ROWS as f32 / 2.0);
    }

    #[test]
    fn a_marked_picture_is_read_after_scaling_to_any_tile(
        size in prop::sample::select(vec![(640usize, 360usize), (1280, 720), (1920, 1080), (960, 540), (320, 240), (360, 640)]),
        tile_width in 200usize..700, stretch in 80usize..125, x in 0usize..300, y in 0usize..300,
        number in any::<u64>(), source in any::<u8>(), seed in any::<u64>(),
    ) {
        let (width, height) = size;
        let mark = Mark::new(number, number, source);
        let mut picture = room(width, height, seed);
        stamp(&mut picture, Place::usual(width, height).unwrap(), mark);
        let tile_height = (tile_width * height / width * stretch / 100).max(1);
        prop_assume!(tile_height <= 1000);
        let tile = scaled(&picture, tile_width, tile_height);
        let mut canvas = room(1024, 1304, seed ^ 1);
        put(&mut canvas, &tile, x, y);
        prop_assert_eq!(marks(&mut Reader::new(16), &canvas), vec![mark]);
    }
}

#[test]
fn ten_tiles_are_read_from_the_first_frame_and_followed() {
    let mut reader = Reader::new(16);
    for frame in 0..40u64 {
        let mut canvas = room(1920, 1080, 7);
        let mut sent = Vec::new();
        for source in 0..10u8 {
            let mark = Mark::new(frame * 3 + u64::from(source), frame * 33_366_667, source);
            let mut picture = room(640, 360, u64::from(source));
            stamp(&mut picture, Place::usual(640, 360).unwrap(), mark);
            // All move at frame 20, each to the place of the next one.
            let at = (usize::from(source) + usize::from(frame >= 20)) % 10;
            let tile = scaled(&picture, 320, 180);
            put(&mut canvas, &tile, 40 + at % 4 * 430, 50 + at / 4 * 330);
            sent.push(mark);
        }
        assert_eq!(marks(&mut reader, &canvas), sent, "frame {frame}");
    }
}

#[test]
fn a_mark_that_is_gone_is_not_reported_and_found_again() {
    let (mut reader, mark) = (Reader::new(16), Mark::new(1, 2, 3));
    let empty = room(640, 360, 1);
    let mut marked = empty.clone();
    stamp(&mut marked, Place::usual(640, 360).unwrap(), mark);
    for _ in 0..3 {
        assert_eq!(marks(&mut reader, &marked), [mark]);
        for _ in 0..70 {
            assert_eq!(marks(&mut reader, &empty), []);
        }
    }
}

#[test]
fn a_dimmed_tile_is_read() {
    let mark = Mark::new(99, 88, 77);
    let mut picture = room(640, 360, 3);
    stamp(&mut picture, Place::usual(640, 360).unwrap(), mark);
    let mut view = picture.as_mut();
    let mut plane = view.plane_mut(0);
    for y in 0..360 {
        for pixel in plane.row_mut(y) {
            *pixel = 16 + (*pixel - 16) / 2;
        }
    }
    assert_eq!(marks(&mut Reader::new(16), &picture), [mark]);
}

/// Squares of random grey or of black and white, in the sizes that cells have, and fine noise.
#[test]
fn thousands_of_random_pictures_hold_no_mark() {
    let mut random = Random(5);
    let mut reader = Reader::new(16);
    for n in 0..3000 {
        let side = 1 + n % 12;
        let hard = n % 2 == 0;
        let (columns, rows) = (320 / side + 1, 180 / side + 1);
        let squares: Vec<u8> = (0..columns * rows)
            .map(|_| match (hard, random.next()) {
                (true, bit) => 16 + (bit & 1) as u8 * 219,
                (false, grey) => grey as u8,
            })
            .collect();
        let pixels: Vec<u8> = (0..320 * 180)
            .map(|i| squares[i / 320 / side * columns + i % 320 / side])
            .collect();
        let luma = Luma::new(&pixels, 320, 320, 180).unwrap();
        assert_eq!(reader.read(&luma), [], "picture {n}");
    }
}

/// The hardest case: the sync is whole, and the cells are those of two frames mixed, or noise.
#[test]
fn a_torn_or_noisy_mark_is_never_misread() {
    let mut random = Random(11);
    let place = Place::usual(320, 180).unwrap();
    let mut read = 0;
    for n in 0..6_000u32 {
        let (a, b) = (
            Mark::new(u64::from(n), u64::from(n) * 33_000_000, 1),
            Mark::new(u64::from(n) + 1, u64::from(n + 1) * 33_000_000, 1),
        );
        let mut luma_a = vec![60u8; 320 * 180];
        let mut luma_b = luma_a.clone();
        paint(&mut luma_a, 320, place, a);
        paint(&mut luma_b, 320, place, b);
        let cell = place.width / COLUMNS;
        let data = place.y + 2 * cell..place.y + 8 * cell;
        for y in data {
            for x in place.x..place.x + place.width {
                let i = y * 320 + x;
                let (square, torn) = ((x / cell + y / cell * 31) as u32, n % 2 == 0);
                luma_a[i] = if torn && square % 3 == 0 {
                    luma_b[i]
                } else if !torn && (square ^ n) % 5 == 0 {
                    random.next() as u8
                } else {
                    luma_a[i]
                };
            }
        }
        let luma = Luma::new(&luma_a, 320, 320, 180).unwrap();
        for sighting in Reader::new(16).read(&luma) {
            assert!([a, b].contains(&sighting.mark), "{n}: {sighting:?}");
            read += 1;
        }
    }
    // Neighbours differ in about 25 cells, so most torn ones are refused.
    assert!(read < 1_500, "{read}");
}

#[test]
fn odd_and_tiny_pictures_do_no_harm() {
    for (width, height) in [
        (1, 1),
        (35, 20),
        (36, 20),
        (41, 33),
        (119, 67),
        (1, 2000),
        (2000, 1),
    ] {
        let mut bytes = vec![90u8; width * height];
        match Place::usual(width, height) {
            Some(place) => paint(&mut bytes, width, place, Mark::new(1, 1, 1)),
            None => assert!(width < 36 || height < 20, "{width}x{height}"),
        }
        let luma = Luma::new(&bytes, width, width, height).unwrap();
        let _ = Reader::new(16).read(&luma);
    }
    assert!(Luma::new(&[0; 10], 5, 5, 3).is_none());
    // A place outside paints what lies inside.
    let place = Place {
        x: 30,
        y: 10,
        width: 400,
        height: 300,
    };
    assert!(!place.fits(64, 32));
    let mut bytes = vec![90u8; 64 * 32];
    paint(&mut bytes, 64, place, Mark::new(1, 1, 1));
    neutral_chroma(&mut bytes, 64, 1, place);
}

#[test]
fn only_the_marks_own_chroma_is_made_neutral() {
    let place = Place {
        x: 37,
        y: 21,
        width: 90,
        height: 50,
    };
    let mut nv12 = vec![7u8; 160 * 60];
    neutral_chroma(&mut nv12, 160, 2, place);
    for y in 0..60 {
        for x in 0..80 {
            let inside = (18..64).contains(&x) && (10..36).contains(&y);
            let wanted = if inside { 128 } else { 7 };
            assert_eq!(nv12[y * 160 + 2 * x..][..2], [wanted; 2], "{x},{y}");
        }
    }
}
