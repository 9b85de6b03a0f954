//! Tiles onto a canvas: each picture scaled into its rectangle, dimmed if its guest is away, its name tag laid over; see-through,
//! with round corners or a border where its style says so.
//!
//! A tile's scaled picture is kept until its frame, rectangle or fit changes, so that guests at 15 frames a second cost
//! half as much in a programme of 30, and a frozen one next to nothing. The same goes for a picture of other colours than the
//! programme's ([`crate::colours`]), which is converted once it is scaled.

mod pool;
mod style;
mod tween;

use std::sync::Arc;

use crate::blend::{self, Rect, Yuv, span};
use crate::colours::{Colours, Conversion};
use crate::frame::{I420, I420Mut, I420Ref, MAX_SIDE, Rgba};
use crate::scale::{Crop, Scaler};

pub use pool::{Pool, Source};
pub use style::{Border, Style};
pub use tween::Tween;

use pool::Job;
use style::Mask;

/// How a picture of another shape meets its rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fit {
    /// All of the picture, bars of background beside it.
    Contain,
    /// No bars: what doesn't fit is cut off evenly.
    #[default]
    Cover,
    /// Stretched.
    Fill,
}

impl Fit {
    /// `Cover`, unless it would cut off more than half of the picture: a phone held upright in a wide tile would show a
    /// chin, so that one gets bars.
    pub fn sparing(src: (usize, usize), tile: (usize, usize)) -> Fit {
        let (a, b) = (src.0 * tile.1, src.1 * tile.0);
        if a.min(b) * 2 < a.max(b) {
            Fit::Contain
        } else {
            Fit::Cover
        }
    }
}

/// A bitmap on a tile. (`x`, `y`) counts from the tile's top left corner; what leaves the tile is cut off.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    pub bitmap: &'a Rgba,
    pub x: i32,
    pub y: i32,
}

/// One picture and where it goes.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    /// Whose tile this is, the same from frame to frame.
    pub id: u64,
    pub frame: I420Ref<'a>,
    /// Another number means other pixels. The same number with the same size and place means the picture from before.
    pub serial: u64,
    /// May leave the canvas. Odd corners are moved to the chroma grid.
    pub rect: Rect,
    /// Higher lies above; equal ones in the order of the list.
    pub z: i32,
    pub fit: Fit,
    /// Shown at 40 % brightness and nearly grey.
    pub dim: bool,
    pub overlays: &'a [Overlay<'a>],
    /// Opacity, corners and border; `Style::default()` for none of them.
    pub style: Style,
}

/// What a cached picture was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Recipe {
    src: (usize, usize),
    size: (u32, u32),
    fit: Fit,
    colours: Colours,
}

/// A tile's picture at its size and in the programme's colours.
struct Scaled {
    recipe: Recipe,
    serial: Option<u64>,
    scaler: Scaler,
    conversion: Option<Conversion>,
    picture: I420,
}

/// What is kept of a tile from frame to frame.
struct Kept {
    id: u64,
    used: bool,
    /// In a box, because threads hand it around.
    scaled: Option<Box<Scaled>>,
    mask: Mask,
}

/// Mixes tiles into frames of one size.
pub struct TileMixer {
    width: usize,
    height: usize,
    background: Yuv,
    kept: Vec<Kept>,
    order: Vec<usize>,
    /// What of the canvas no opaque tile covers.
    bare: Vec<Rect>,
    /// Where a tile that is more than its picture is put together before it is laid over the canvas.
    layer: I420,
    scaled: u64,
}

impl TileMixer {
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            background: Yuv::BLACK,
            kept: Vec::new(),
            order: Vec::new(),
            bare: Vec::new(),
            layer: I420::blank(1, 1),
            scaled: 0,
        }
    }

    pub fn set_background(&mut self, colour: Yuv) {
        self.background = colour;
    }

    /// How many pictures were scaled since the start: a measure of the work that the cache could not spare.
    pub fn scaled(&self) -> u64 {
        self.scaled
    }

    /// Writes every pixel of `out`.
    ///
    /// # Panics
    /// If `out` isn't of this mixer's size: that is the caller's bug.
    pub fn mix(&mut self, out: &mut I420Mut<'_>, tiles: &[Tile<'_>]) {
        let hidden = self.begin(out, tiles);
        self.draw_all(out, tiles, hidden);
    }

    /// The same, with the scaling spread over threads. `sources` are the pictures of the tiles once more, in their order.
    ///
    /// # Panics
    /// As [`TileMixer::mix`].
    pub fn mix_with(
        &mut self,
        out: &mut I420Mut<'_>,
        tiles: &[Tile<'_>],
        sources: &[Arc<dyn Source>],
        pool: &mut Pool,
    ) {
        let hidden = self.begin(out, tiles);
        for n in hidden..self.order.len() {
            let tile = &tiles[self.order[n]];
            let Some(source) = sources.get(self.order[n]) else {
                continue;
            };
            if self.visible(tile).is_none() {
                continue;
            }
            let (recipe, placed) = recipe(tile);
            if !recipe.changes(&placed) {
                continue;
            }
            let place = self.keep(tile.id);
            let kept = &mut self.kept[place];
            if kept.needs_scaling(tile, recipe, &placed)
                && let Some(scaled) = kept.scaled.take()
            {
                pool.add(Job {
                    source: source.clone(),
                    scaled,
                    place,
                });
            }
        }
        pool.finish(|job| {
            self.kept[job.place].scaled = Some(job.scaled);
            self.scaled += 1;
        });
        self.draw_all(out, tiles, hidden);
    }

    /// Sorts the tiles and paints the background; the first in order that can be seen.
    fn begin(&mut self, out: &mut I420Mut<'_>, tiles: &[Tile<'_>]) -> usize {
        assert_eq!((out.width(), out.height()), (self.width, self.height));
        let canvas = self.canvas();
        self.order.clear();
        self.order.extend(0..tiles.len());
        self.order.sort_unstable_by_key(|i| (tiles[*i].z, *i));

        // Below an opaque tile that covers the canvas nothing can be seen.
        let bottom = self.order.iter().rposition(|i| {
            let tile = &tiles[*i];
            self.visible(tile) == Some(canvas) && tile.style.is_opaque()
        });
        if bottom.is_none() {
            self.find_bare(tiles);
            for rect in &self.bare {
                blend::fill(out, *rect, self.background);
            }
        }
        self.kept.iter_mut().for_each(|k| k.used = false);
        bottom.unwrap_or(0)
    }

    /// Painting the background below opaque tiles would cost as much as drawing a third of them.
    fn find_bare(&mut self, tiles: &[Tile<'_>]) {
        self.bare.clear();
        self.bare.push(self.canvas());
        for tile in tiles {
            let Some(cover) = self.visible(tile).filter(|_| tile.style.is_opaque()) else {
                continue;
            };
            for n in (0..self.bare.len()).rev() {
                if let Some(covered) = self.bare[n].intersect(&cover) {
                    let rect = self.bare.swap_remove(n);
                    self.bare.extend(around(&rect, &covered));
                }
            }
        }
    }

    fn canvas(&self) -> Rect {
        Rect::new(0, 0, self.width as u32, self.height as u32)
    }

    /// What of a tile is on the canvas.
    fn visible(&self, tile: &Tile<'_>) -> Option<Rect> {
        let shown = sane(tile.rect) && !tile.style.is_invisible();
        tile.rect
            .snapped()
            .intersect(&self.canvas())
            .filter(|_| shown)
    }

    fn draw_all(&mut self, out: &mut I420Mut<'_>, tiles: &[Tile<'_>], hidden: usize) {
        for n in 0..self.order.len() {
            let tile = &tiles[self.order[n]];
            match self.visible(tile) {
                Some(visible) if n >= hidden => self.draw(out, tile, visible),
                // It may come back into view with the next frame: keep what it has.
                _ => self
                    .kept
                    .iter_mut()
                    .filter(|k| k.id == tile.id)
                    .for_each(|k| k.used = true),
            }
        }
        self.kept.retain(|k| k.used);
    }

    fn draw(&mut self, out: &mut I420Mut<'_>, tile: &Tile<'_>, visible: Rect) {
        let rect = tile.rect.snapped();
        let (recipe, placed) = recipe(tile);
        let n = self.keep(tile.id);
        let kept = &mut self.kept[n];
        if recipe.changes(&placed) && kept.needs_scaling(tile, recipe, &placed) {
            self.scaled += 1;
            if let Some(scaled) = &mut kept.scaled {
                scaled.run(&tile.frame);
            }
        }
        let (source, origin) = match &kept.scaled {
            Some(scaled) if recipe.changes(&placed) => (scaled.picture.as_ref(), (0, 0)),
            // Nothing to change: straight from the frame.
            _ => (tile.frame, (placed.crop.x, placed.crop.y)),
        };
        let painted = Painted {
            tile,
            source,
            origin,
            inset: placed.inset,
            size: placed.size,
            background: self.background,
        };
        if tile.style.is_plain() {
            painted.paint(out, rect, visible);
            return;
        }
        kept.mask.set(rect.w as usize, rect.h as usize, &tile.style);
        if painted.is_bare(rect) {
            style::lay(out, &source, origin, rect, visible, &kept.mask, &tile.style);
            return;
        }
        self.layer.resize(rect.w as usize, rect.h as usize);
        let whole = Rect::new(0, 0, rect.w, rect.h);
        painted.paint(&mut self.layer.as_mut(), whole, whole);
        let layer = self.layer.as_ref();
        style::lay(out, &layer, (0, 0), rect, visible, &kept.mask, &tile.style);
    }

    /// Index of what is kept of a tile.
    fn keep(&mut self, id: u64) -> usize {
        let n = self.kept.iter().position(|k| k.id == id);
        let n = n.unwrap_or_else(|| {
            self.kept.push(Kept {
                id,
                used: true,
                scaled: None,
                mask: Mask::default(),
            });
            self.kept.len() - 1
        });
        self.kept[n].used = true;
        n
    }
}

impl Recipe {
    /// Whether the frame can't be laid onto the canvas as it is.
    fn changes(&self, placed: &Placed) -> bool {
        placed.scales() || !self.colours.are_right()
    }
}

impl Kept {
    /// Makes everything ready for [`Scaled::run`], which is due if this is `true`.
    fn needs_scaling(&mut self, tile: &Tile<'_>, recipe: Recipe, placed: &Placed) -> bool {
        let fresh = || Scaler::new(recipe.src, Some(placed.crop), placed.size);
        let conversion = || (!recipe.colours.are_right()).then(|| Conversion::new(recipe.colours));
        let scaled = match &mut self.scaled {
            Some(scaled) => {
                if scaled.recipe != recipe {
                    scaled.recipe = recipe;
                    scaled.serial = None;
                    scaled.scaler = fresh();
                    scaled.conversion = conversion();
                    scaled.picture.resize(placed.size.0, placed.size.1);
                }
                scaled
            }
            none => none.insert(Box::new(Scaled {
                recipe,
                serial: None,
                scaler: fresh(),
                conversion: conversion(),
                picture: I420::blank(placed.size.0, placed.size.1),
            })),
        };
        let due = scaled.serial != Some(tile.serial);
        scaled.serial = Some(tile.serial);
        due
    }
}

impl Scaled {
    fn run(&mut self, frame: &I420Ref<'_>) {
        let mut picture = self.picture.as_mut();
        self.scaler.scale(frame, &mut picture);
        // After scaling: all tiles together have not more pixels than the canvas.
        if let Some(conversion) = &self.conversion {
            conversion.run(&mut picture);
        }
    }
}

/// A tile with its picture at the right size.
struct Painted<'a> {
    tile: &'a Tile<'a>,
    source: I420Ref<'a>,
    /// Where in `source` the picture begins.
    origin: (usize, usize),
    /// Where in the tile the picture begins.
    inset: (i32, i32),
    size: (usize, usize),
    background: Yuv,
}

impl Painted<'_> {
    fn has_bars(&self, rect: Rect) -> bool {
        (self.size.0 as u32, self.size.1 as u32) != (rect.w, rect.h)
    }

    /// The picture is all that there is.
    fn is_bare(&self, rect: Rect) -> bool {
        !self.tile.dim && self.tile.overlays.is_empty() && !self.has_bars(rect)
    }

    fn paint(&self, out: &mut I420Mut<'_>, rect: Rect, visible: Rect) {
        let picture = Rect::new(
            rect.x + self.inset.0,
            rect.y + self.inset.1,
            self.size.0 as u32,
            self.size.1 as u32,
        );
        if self.has_bars(rect) {
            blend::fill(out, visible, self.background);
        }
        copy(
            out,
            &self.source,
            self.origin,
            picture,
            visible,
            self.tile.dim,
        );
        for overlay in self.tile.overlays {
            let (x, y) = (
                rect.x.saturating_add(overlay.x),
                rect.y.saturating_add(overlay.y),
            );
            blend::blend_rgba(out, overlay.bitmap, x, y, Some(visible));
        }
    }
}

/// What is left of `rect` without `hole`, which lies inside: above, below, left, right. It starts on the chroma grid:
/// where the hole ends off it, the two overlap by a pixel.
fn around(rect: &Rect, hole: &Rect) -> impl Iterator<Item = Rect> + use<> {
    let bottom = |r: &Rect| r.y + r.h as i32;
    let right = |r: &Rect| r.x + r.w as i32;
    let (under, beside) = (bottom(hole) & !1, right(hole) & !1);
    let between = |a: i32, b: i32| (b - a).max(0) as u32;
    let (above, below) = (between(rect.y, hole.y), between(under, bottom(rect)));
    let (before, after) = (between(rect.x, hole.x), between(beside, right(rect)));
    [
        Rect::new(rect.x, rect.y, rect.w, above),
        Rect::new(rect.x, under, rect.w, below),
        Rect::new(rect.x, hole.y, before, hole.h),
        Rect::new(beside, hole.y, after, hole.h),
    ]
    .into_iter()
    .filter(|r| r.w > 0 && r.h > 0)
}

/// Larger than any picture can be: not drawn.
fn sane(rect: Rect) -> bool {
    rect.w.max(rect.h) as usize <= MAX_SIDE
}

/// Which part of a picture its tile shows, where inside the tile, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub crop: Crop,
    pub inset: (i32, i32),
    pub size: (usize, usize),
}

impl Placed {
    fn scales(&self) -> bool {
        self.size != (self.crop.w, self.crop.h)
    }
}

fn recipe(tile: &Tile<'_>) -> (Recipe, Placed) {
    let recipe = Recipe {
        src: (tile.frame.width(), tile.frame.height()),
        size: (tile.rect.w, tile.rect.h),
        fit: tile.fit,
        colours: tile.frame.colours(),
    };
    let placed = place(recipe.src, recipe.size, recipe.fit);
    (recipe, placed)
}

/// Fits a picture of the size `src` into a tile.
pub fn place(src: (usize, usize), tile: (u32, u32), fit: Fit) -> Placed {
    let (sw, sh) = src;
    let (tw, th) = (tile.0 as usize, tile.1 as usize);
    let whole = Crop {
        x: 0,
        y: 0,
        w: sw,
        h: sh,
    };
    let wider = sw * th > tw * sh;
    match fit {
        Fit::Fill => Placed {
            crop: whole,
            inset: (0, 0),
            size: (tw, th),
        },
        Fit::Contain => {
            // Even sizes and insets keep the chroma in place; a bar one pixel narrower is not seen.
            let (w, h) = if wider {
                (tw, even(sh * tw / sw, th))
            } else {
                (even(sw * th / sh, tw), th)
            };
            let inset = (((tw - w) / 2) & !1, ((th - h) / 2) & !1);
            Placed {
                crop: whole,
                inset: (inset.0 as i32, inset.1 as i32),
                size: (w, h),
            }
        }
        Fit::Cover => {
            let (w, h) = if wider {
                (even(tw * sh / th, sw), sh)
            } else {
                // An empty tile shows nothing, but whoever asks for one gets an answer.
                (sw, even(th * sw / tw.max(1), sh))
            };
            Placed {
                crop: Crop {
                    x: ((sw - w) / 2) & !1,
                    y: ((sh - h) / 2) & !1,
                    w,
                    h,
                },
                inset: (0, 0),
                size: (tw, th),
            }
        }
    }
}

/// Rounded to an even number, at least 2, at most `limit`.
fn even(side: usize, limit: usize) -> usize {
    ((side + 1) & !1).max(2).min(limit)
}

/// Copies the part of `src` (from `origin` on) that `at` places inside `visible`.
fn copy(
    out: &mut I420Mut<'_>,
    src: &I420Ref<'_>,
    origin: (usize, usize),
    at: Rect,
    visible: Rect,
    dim: bool,
) {
    let Some(shown) = at.intersect(&visible) else {
        return;
    };
    let skip = (
        origin.0 + (shown.x - at.x) as usize,
        origin.1 + (shown.y - at.y) as usize,
    );
    for p in 0..3 {
        let (columns, rows) = (span(p, shown.x, shown.w), span(p, shown.y, shown.h));
        let (left, top) = if p == 0 {
            skip
        } else {
            (skip.0 / 2, skip.1 / 2)
        };
        let from = src.plane(p);
        let mut to = out.plane_mut(p);
        let top_row = rows.start;
        for y in rows {
            let source = &from.row(top + y - top_row)[left..][..columns.len()];
            let target = &mut to.row_mut(y)[columns.clone()];
            match (dim, p) {
                (false, _) => target.copy_from_slice(source),
                (true, 0) => dim_luma(target, source),
                (true, _) => dim_chroma(target, source),
            }
        }
    }
}

/// 40 % (102/256) of the distance from black.
fn dim_luma(target: &mut [u8], source: &[u8]) {
    for (t, s) in target.iter_mut().zip(source) {
        *t = ((u16::from(*s) * 102 + 16 * (256 - 102) + 128) >> 8) as u8;
    }
}

/// A quarter of the distance from grey.
fn dim_chroma(target: &mut [u8], source: &[u8]) {
    for (t, s) in target.iter_mut().zip(source) {
        *t = ((u16::from(*s) + 3 * 128 + 2) >> 2) as u8;
    }
}

#[cfg(test)]
#[path = "tilemix/tests.rs"]
mod tests;
