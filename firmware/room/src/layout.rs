//! Which seat is which rectangle of the programme. Pure geometry: it knows no pictures and no sizes of cameras.
//!
//! All layouts are made of one thing, [`tiles`]: equal rectangles that fill a region as well as they can while they
//! stay between 4:3 and 16:9, the shapes that people's faces and cameras take without losing much.

use dais_protocol::Layout;

/// The programme's size in pixels. Meant for 160x90 to 16384x16384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub w: u32,
    pub h: u32,
}

/// A rectangle in pixels of the canvas; all four numbers are even, because chroma is shared by pairs of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: u32,
    pub h: u32,
}

/// How a picture meets a rectangle of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it, with bars.
    Contain,
    /// Without bars, cut evenly.
    Cover,
}

/// Where a seat is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub seat: u8,
    pub rect: Rect,
    /// Higher lies above.
    pub z: i32,
    pub fit: Fit,
}

/// Twelve pixels between tiles at 1080p.
const GAP_PART: u32 = 160;
/// A small picture of `pip`, and a strip of `spotlight` with one column, takes a fifth of the canvas.
const SMALL_PART: u32 = 5;
/// So many guests stand in one row of the strip; more need a second row, which takes three tenths.
const ONE_ROW: usize = 5;

/// Places everybody in `people` (seat numbers in the order to show them, 0 is the host). Whoever is left out of the
/// answer is heard and not seen. The lead of `solo`, `spotlight` and `pip` is the host; in a picture without the host
/// it is whoever is `speaking`, else the first.
pub fn arrange(layout: Layout, canvas: Size, people: &[u8], speaking: Option<u8>) -> Vec<Place> {
    let has = |seat: &u8| people.contains(seat);
    let lead = Some(0)
        .filter(has)
        .or(speaking.filter(has))
        .or(people.first().copied());
    let Some(lead) = lead else {
        return Vec::new();
    };
    let others: Vec<u8> = people
        .iter()
        .copied()
        .filter(|seat| *seat != lead)
        .collect();
    let whole = Region::new(0, 0, even(canvas.w), even(canvas.h));
    let gap = even(canvas.w.min(canvas.h * 16 / 9) / GAP_PART);
    let full = place(lead, whole, 0);
    if others.is_empty() {
        return vec![full];
    }
    // The lead in one part of the canvas, the others in the rest of it, which is `part` long.
    let beside = |part: u32| {
        let (first, rest) = whole.split(whole.long_side() - part);
        let mut places = grid(&[lead], first.inset(gap), 0);
        places.extend(grid(&others, rest, gap));
        places
    };
    match layout {
        Layout::Solo => vec![full],
        Layout::Auto | Layout::Grid => grid(people, whole, gap),
        // Two people are equals: the same as a grid of two.
        Layout::SideBySide if others.len() == 1 => grid(&[lead, others[0]], whole, gap),
        Layout::SideBySide => beside(whole.long_side() / 2),
        Layout::Spotlight if others.len() <= ONE_ROW => beside(whole.long_side() / SMALL_PART),
        Layout::Spotlight => beside(whole.long_side() * 3 / 10),
        Layout::Pip => {
            let mut places = vec![full];
            places.extend(lower_edge(&others, whole, gap));
            places
        }
    }
}

/// A part of the canvas to be filled; even numbers only.
#[derive(Clone, Copy)]
struct Region {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

impl Region {
    fn new(x: u32, y: u32, w: u32, h: u32) -> Self {
        Self {
            x: even(x),
            y: even(y),
            w: even(w),
            h: even(h),
        }
    }

    fn long_side(&self) -> u32 {
        self.w.max(self.h)
    }

    /// In two along the longer side: left and right, or above and below in an upright canvas.
    fn split(&self, first: u32) -> (Region, Region) {
        let first = even(first);
        if self.w >= self.h {
            (
                Region { w: first, ..*self },
                Region {
                    x: self.x + first,
                    w: self.w - first,
                    ..*self
                },
            )
        } else {
            (
                Region { h: first, ..*self },
                Region {
                    y: self.y + first,
                    h: self.h - first,
                    ..*self
                },
            )
        }
    }

    fn inset(&self, by: u32) -> Region {
        Region::new(
            self.x + by,
            self.y + by,
            self.w.saturating_sub(2 * by),
            self.h.saturating_sub(2 * by),
        )
    }
}

fn even(n: u32) -> u32 {
    n & !1
}

fn place(seat: u8, region: Region, z: i32) -> Place {
    // A canvas fits in i32 by far: encoders end at 16,384.
    let (x, y) = (region.x as i32, region.y as i32);
    Place {
        seat,
        rect: Rect {
            x,
            y,
            w: region.w,
            h: region.h,
        },
        z,
        fit: Fit::Cover,
    }
}

fn grid(seats: &[u8], region: Region, gap: u32) -> Vec<Place> {
    let tiles = tiles(region, seats.len() as u32, gap);
    seats
        .iter()
        .zip(tiles)
        .map(|(seat, tile)| place(*seat, tile, 0))
        .collect()
}

/// `count` equal tiles, as large as can be, row by row, the last row centred.
fn tiles(region: Region, count: u32, gap: u32) -> Vec<Region> {
    let best = (1..=count)
        .map(|columns| {
            let rows = count.div_ceil(columns);
            (columns, rows, tile_size(region, columns, rows, gap))
        })
        // The last of equals has more columns: rather wide than high.
        .max_by_key(|(_, _, size)| u64::from(size.w) * u64::from(size.h));
    let Some((columns, rows, size)) = best else {
        return Vec::new();
    };
    let used = |n: u32, side: u32| n * side + (n - 1) * gap;
    let top = region.y + even(region.h.saturating_sub(used(rows, size.h)) / 2);
    (0..count)
        .map(|n| {
            let (column, row) = (n % columns, n / columns);
            let in_row = columns.min(count - row * columns);
            let left = region.x + even(region.w.saturating_sub(used(in_row, size.w)) / 2);
            Region::new(
                left + column * (size.w + gap),
                top + row * (size.h + gap),
                size.w,
                size.h,
            )
        })
        .collect()
}

/// The largest tile between 4:3 and 16:9 of which so many fit, with gaps between and around them.
fn tile_size(region: Region, columns: u32, rows: u32, gap: u32) -> Size {
    let w = region.w.saturating_sub((columns + 1) * gap) / columns;
    let h = region.h.saturating_sub((rows + 1) * gap) / rows;
    Size {
        w: even(w.min(h * 16 / 9)),
        h: even(h.min(w * 3 / 4)),
    }
}

/// Small pictures over the lower edge, from the right: faces are rarely there, and the lead's name tag is on the left.
fn lower_edge(seats: &[u8], region: Region, gap: u32) -> Vec<Place> {
    let count = seats.len() as u32;
    let room = region.w.saturating_sub((count + 1) * gap) / count;
    let w = even(room.min(region.w / SMALL_PART));
    let h = even(w * 9 / 16);
    let left = region.w - count * (w + gap);
    seats
        .iter()
        .zip(0..)
        .map(|(seat, n)| {
            let (x, y) = (
                region.x + left + n * (w + gap),
                region.y + region.h - h - gap,
            );
            place(*seat, Region::new(x, y, w, h), 1)
        })
        .collect()
}
