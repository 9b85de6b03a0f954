//! Names as pictures: the tag in a tile, and the card of a seat without a camera.
//!
//! Pango shapes the text, because names come in every script, run right to left, and hold emoji. A drawing takes a few
//! milliseconds and the first one of a process loads the fonts: draw when a name or a size changes, not for each frame.

use gstdais::frame::Rgba;
use pangocairo::cairo::{self, Context, Format, ImageSurface, LinearGradient};
use pangocairo::pango;
use unicode_segmentation::UnicodeSegmentation;

/// No tag is wider than this many times its height; longer names end in an ellipsis.
pub const TAG_WIDEST: u32 = 10;
/// More than any canvas: a size from elsewhere must not allocate without end.
const LARGEST: u32 = 8192;
/// Whatever the box has installed; Pango finds other fonts for what this one lacks.
const FONT: &str = "Sans";

/// Calm colours for the circles of cards. White text on each has a contrast of at least 4.5:1.
const CIRCLES: [(f64, f64, f64); 8] = [
    (0.24, 0.42, 0.63),
    (0.20, 0.46, 0.42),
    (0.45, 0.37, 0.60),
    (0.60, 0.34, 0.36),
    (0.54, 0.41, 0.22),
    (0.33, 0.45, 0.25),
    (0.55, 0.34, 0.52),
    (0.28, 0.40, 0.52),
];

/// A dark translucent box with the name in white, `height_px` high and as wide as the name needs. The width is even,
/// as the height is if `height_px` is.
pub fn name_tag(name: &str, height_px: u32) -> Rgba {
    let h = height_px.clamp(8, LARGEST / TAG_WIDEST);
    let height = f64::from(h);
    let (font, padding) = (height * 0.52, height * 0.42);
    let widest = f64::from(h * TAG_WIDEST) - 2.0 * padding;

    // Once without a surface's pixels for the width, then for real.
    let mut text_width = 0.0;
    drawn(1, 1, |cr| {
        text_width = line(cr, &clean(name), font, widest).width;
        Ok(())
    });
    let w = ((text_width + 2.0 * padding).ceil() as u32)
        .next_multiple_of(2)
        .min(h * TAG_WIDEST);
    drawn(w, h, |cr| {
        rounded_box(cr, f64::from(w), height, height * 0.26);
        cr.set_source_rgba(0.04, 0.05, 0.08, 0.68);
        cr.fill()?;
        cr.set_source_rgb(1.0, 1.0, 1.0);
        line(cr, &clean(name), font, widest).show(cr, f64::from(w) / 2.0, height / 2.0);
        Ok(())
    })
}

/// An opaque dark card of the given size: a circle with the initials, the whole name below.
pub fn name_card(name: &str, w: u32, h: u32) -> Rgba {
    let (w, h) = (w.clamp(2, LARGEST), h.clamp(2, LARGEST));
    let (width, height) = (f64::from(w), f64::from(h));
    // Upright cards are narrow: what is drawn must fit both ways.
    let unit = height.min(width * 0.75);
    let (x, y) = (width / 2.0, height / 2.0);
    let name = clean(name);
    drawn(w, h, |cr| {
        let shade = LinearGradient::new(0.0, 0.0, 0.0, height);
        shade.add_color_stop_rgb(0.0, 0.125, 0.141, 0.176);
        shade.add_color_stop_rgb(1.0, 0.078, 0.090, 0.118);
        cr.set_source(&shade)?;
        cr.paint()?;

        let centre = y - unit * 0.09;
        let (r, g, b) = circle_colour(&name);
        cr.arc(x, centre, unit * 0.21, 0.0, std::f64::consts::TAU);
        cr.set_source_rgb(r, g, b);
        cr.fill()?;
        cr.set_source_rgb(1.0, 1.0, 1.0);
        // Two wide letters shrink: an ellipsis in a circle says nothing.
        let (letters, font, room) = (initials(&name), unit * 0.17, unit * 0.33);
        let natural = line(cr, &letters, font, f64::INFINITY).width;
        line(
            cr,
            &letters,
            font * (room / natural.max(1.0)).min(1.0),
            f64::INFINITY,
        )
        .show(cr, x, centre);

        cr.set_source_rgb(0.91, 0.92, 0.94);
        line(cr, &name, unit * 0.085, width * 0.88).show(cr, x, y + unit * 0.23);
        Ok(())
    })
}

/// A name on one line: control characters would break it, and the marks that turn the direction of writing would let
/// a name reorder what stands beside it.
fn clean(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = name
        .chars()
        .map(|c| if c.is_control() || turns(c) { ' ' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first letter of the first and of the last word; signs such as `@` before them don't count.
fn initials(name: &str) -> String {
    let first = |word: &str| {
        let is_sign = |g: &&str| g.chars().all(|c| c.is_ascii_punctuation());
        word.graphemes(true)
            .find(|g| !is_sign(g))
            .map(str::to_uppercase)
    };
    let mut letters = name.split_whitespace().filter_map(first);
    match (letters.next(), letters.next_back()) {
        (Some(a), Some(b)) => a + &b,
        (Some(a), None) => a,
        _ => name.graphemes(true).take(1).collect(),
    }
}

/// The same name has the same colour everywhere and after each start (FNV-1a).
fn circle_colour(name: &str) -> (f64, f64, f64) {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    CIRCLES[(hash >> 32) as usize % CIRCLES.len()]
}

/// One shaped line of text.
struct Line {
    layout: pango::Layout,
    left: f64,
    width: f64,
    height: f64,
}

impl Line {
    /// Draws it with its middle at (`x`, `y`).
    fn show(&self, cr: &Context, x: f64, y: f64) {
        cr.move_to(x - self.left - self.width / 2.0, y - self.height / 2.0);
        pangocairo::functions::show_layout(cr, &self.layout);
    }
}

fn line(cr: &Context, text: &str, font_px: f64, widest_px: f64) -> Line {
    let scale = f64::from(pango::SCALE);
    let layout = pangocairo::functions::create_layout(cr);
    let mut font = pango::FontDescription::from_string(FONT);
    font.set_weight(pango::Weight::Semibold);
    font.set_absolute_size(font_px * scale);
    layout.set_font_description(Some(&font));
    layout.set_single_paragraph_mode(true);
    layout.set_text(text);
    if f64::from(layout.size().0) > widest_px * scale {
        layout.set_ellipsize(pango::EllipsizeMode::End);
        layout.set_width((widest_px.max(1.0) * scale) as i32);
    }
    // With a width set, right-to-left text stands at its right end: `left` is not always 0.
    let (_, text) = layout.extents();
    let [left, width, height] =
        [text.x(), text.width(), text.height()].map(|n| f64::from(n) / scale);
    Line {
        layout,
        left,
        width,
        height,
    }
}

fn rounded_box(cr: &Context, w: f64, h: f64, r: f64) {
    use std::f64::consts::{FRAC_PI_2, PI};
    cr.new_sub_path();
    cr.arc(w - r, r, r, -FRAC_PI_2, 0.0);
    cr.arc(w - r, h - r, r, 0.0, FRAC_PI_2);
    cr.arc(r, h - r, r, FRAC_PI_2, PI);
    cr.arc(r, r, r, PI, PI + FRAC_PI_2);
    cr.close_path();
}

/// A bitmap with what `draw` puts on it. A name that can't be drawn must not stop the programme: then it is blank.
fn drawn(w: u32, h: u32, draw: impl FnOnce(&Context) -> Result<(), cairo::Error>) -> Rgba {
    let bytes = pixels(w, h, draw).unwrap_or_else(|error| {
        tracing::warn!(%error, w, h, "A name could not be drawn; its place stays blank.");
        vec![0; w as usize * h as usize * 4]
    });
    Rgba::from_premultiplied(w as usize, h as usize, bytes)
        .unwrap_or_else(|| unreachable!("`pixels` gives four bytes for each of {w}x{h} pixels"))
}

fn pixels(
    w: u32,
    h: u32,
    draw: impl FnOnce(&Context) -> Result<(), cairo::Error>,
) -> Result<Vec<u8>, cairo::Error> {
    let mut surface = ImageSurface::create(Format::ARgb32, w as i32, h as i32)?;
    {
        let cr = Context::new(&surface)?;
        draw(&cr)?;
    }
    surface.flush();
    let stride = surface.stride() as usize;
    let mut bytes = Vec::with_capacity(w as usize * h as usize * 4);
    let data = surface.data().map_err(|_| cairo::Error::SurfaceFinished)?;
    for row in data.chunks(stride).take(h as usize) {
        for pixel in row[..w as usize * 4].as_chunks::<4>().0 {
            // Cairo's pixel is a native 32-bit number, alpha highest.
            let [a, r, g, b] = u32::from_ne_bytes(*pixel).to_be_bytes();
            bytes.extend_from_slice(&[r, g, b, a]);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "label_tests.rs"]
mod tests;
