//! One contact sheet a layout, with 0 to 9 guests: geometry is judged best by eye.
//!
//! `UPDATE_GOLDEN=1 cargo test -p dais-room --test layout_golden` draws them anew; look at them before you commit.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;

use dais_protocol::Layout;
use dais_room::layout::{Place, Size, arrange};

const CANVAS: Size = Size { w: 1920, h: 1080 };
const PANEL: (usize, usize) = (320, 180);
const COLUMNS: usize = 5;
const PANELS: usize = 10;
/// Pixels of the canvas for one of a panel.
const STEP: usize = 6;
/// Between panels.
const LINE: usize = 4;
const SHEET: (usize, usize) = (
    COLUMNS * (PANEL.0 + LINE) + LINE,
    PANELS / COLUMNS * (PANEL.1 + LINE) + LINE,
);

type Colour = [u8; 3];

const PAPER: Colour = [235, 235, 235];
const BACKGROUND: Colour = [24, 28, 36];
/// Seat 0 to 9.
const COLOURS: [Colour; 10] = [
    [196, 64, 56],
    [64, 120, 200],
    [72, 160, 88],
    [208, 152, 40],
    [136, 88, 184],
    [40, 160, 168],
    [200, 96, 152],
    [120, 136, 48],
    [120, 104, 88],
    [88, 96, 160],
];
/// Digits, three columns by five rows, the top row in the highest three bits.
const DIGITS: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];

/// Whether (`x`, `y`) of the canvas lies on the seat's digit, which is a third of the tile high and in its middle.
fn on_digit(place: &Place, x: i32, y: i32) -> bool {
    let dot = (place.rect.h as i32 / 15).max(1);
    let left = place.rect.x + place.rect.w as i32 / 2 - 3 * dot / 2;
    let top = place.rect.y + place.rect.h as i32 / 2 - 5 * dot / 2;
    let (column, row) = ((x - left).div_euclid(dot), (y - top).div_euclid(dot));
    (0..3).contains(&column)
        && (0..5).contains(&row)
        && DIGITS[usize::from(place.seat)] >> (14 - row * 3 - column) & 1 == 1
}

fn colour_at(places: &[Place], x: i32, y: i32) -> Colour {
    let above = places
        .iter()
        .filter(|p| {
            (p.rect.x..p.rect.x + p.rect.w as i32).contains(&x)
                && (p.rect.y..p.rect.y + p.rect.h as i32).contains(&y)
        })
        .max_by_key(|p| p.z);
    match above {
        None => BACKGROUND,
        Some(p) if on_digit(p, x, y) => [255; 3],
        Some(p) => COLOURS[usize::from(p.seat)],
    }
}

fn corner(panel: usize) -> (usize, usize) {
    (
        LINE + panel % COLUMNS * (PANEL.0 + LINE),
        LINE + panel / COLUMNS * (PANEL.1 + LINE),
    )
}

fn sheet(layout: Layout) -> Vec<Colour> {
    let mut pixels = vec![PAPER; SHEET.0 * SHEET.1];
    for panel in 0..PANELS {
        let people: Vec<u8> = (0..=panel as u8).collect();
        let places = arrange(layout, CANVAS, &people, None);
        let (left, top) = corner(panel);
        for y in 0..PANEL.1 {
            for x in 0..PANEL.0 {
                let middle = |at: usize| (at * STEP + STEP / 2) as i32;
                pixels[(top + y) * SHEET.0 + left + x] = colour_at(&places, middle(x), middle(y));
            }
        }
    }
    pixels
}

fn path(layout: Layout) -> PathBuf {
    let name = serde_json::to_value(layout).unwrap();
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    dir.join(format!("layout-{}.png", name.as_str().unwrap()))
}

fn write(layout: Layout, pixels: &[Colour]) {
    let file = BufWriter::new(File::create(path(layout)).unwrap());
    let mut encoder = png::Encoder::new(file, SHEET.0 as u32, SHEET.1 as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels.as_flattened()).unwrap();
}

fn read(layout: Layout) -> Vec<Colour> {
    let path = path(layout);
    let file = File::open(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; draw it with UPDATE_GOLDEN=1", path.display()));
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(
        (info.width as usize, info.height as usize),
        SHEET,
        "{}",
        path.display()
    );
    bytes.as_chunks::<3>().0.to_vec()
}

#[test]
fn layouts_look_as_they_did() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for layout in Layout::ALL {
        let drawn = sheet(layout);
        if update {
            write(layout, &drawn);
        }
        let golden = read(layout);
        for panel in 0..PANELS {
            let (left, top) = corner(panel);
            let differ = (0..PANEL.1)
                .map(|y| (top + y) * SHEET.0 + left)
                .map(|from| {
                    (from..from + PANEL.0)
                        .filter(|i| golden[*i] != drawn[*i])
                        .count()
                })
                .sum::<usize>();
            if differ > 0 {
                wrong.push(format!(
                    "{layout:?} with {panel} guests: {differ} pixels differ"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nIf that is meant: UPDATE_GOLDEN=1, and look at the sheets.",
        wrong.join("\n")
    );
}
