//! Tiles onto a canvas: each picture scaled into its rectangle, dimmed if its guest is away, its name tag laid over.
//!
//! A tile's scaled picture is kept until its frame, rectangle or fit changes, so that guests at 15 frames a second cost
//! half as much in a programme of 30, and a frozen one next to nothing.

use crate::blend::{self, Rect, Yuv, span};
use crate::frame::{I420, I420Mut, I420Ref, MAX_SIDE, Rgba};
use crate::scale::{Crop, Scaler};

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
}

/// What a cached picture was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Recipe {
    src: (usize, usize),
    size: (u32, u32),
    fit: Fit,
}

struct Kept {
    id: u64,
    recipe: Recipe,
    serial: Option<u64>,
    scaler: Scaler,
    picture: I420,
    used: bool,
}

/// Mixes tiles into frames of one size.
pub struct TileMixer {
    width: usize,
    height: usize,
    background: Yuv,
    kept: Vec<Kept>,
    order: Vec<usize>,
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
        assert_eq!((out.width(), out.height()), (self.width, self.height));
        let canvas = Rect::new(0, 0, self.width as u32, self.height as u32);
        self.order.clear();
        self.order.extend(0..tiles.len());
        self.order.sort_unstable_by_key(|i| (tiles[*i].z, *i));

        // Below an opaque tile that covers the canvas nothing can be seen.
        let bottom = self.order.iter().rposition(|i| {
            canvas.intersect(&tiles[*i].rect.snapped()) == Some(canvas) && sane(tiles[*i].rect)
        });
        if bottom.is_none() {
            blend::fill(out, canvas, self.background);
        }
        self.kept.iter_mut().for_each(|k| k.used = false);
        let hidden = bottom.unwrap_or(0);
        for n in 0..self.order.len() {
            let tile = &tiles[self.order[n]];
            let rect = tile.rect.snapped();
            match rect.intersect(&canvas) {
                Some(visible) if n >= hidden && sane(rect) => self.draw(out, tile, rect, visible),
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

    fn draw(&mut self, out: &mut I420Mut<'_>, tile: &Tile<'_>, rect: Rect, visible: Rect) {
        let recipe = Recipe {
            src: (tile.frame.width(), tile.frame.height()),
            size: (rect.w, rect.h),
            fit: tile.fit,
        };
        let (crop, inset, size) = place(&recipe);
        let picture = Rect::new(
            rect.x + inset.0,
            rect.y + inset.1,
            size.0 as u32,
            size.1 as u32,
        );
        if (size.0 as u32, size.1 as u32) != (rect.w, rect.h) {
            blend::fill(out, visible, self.background);
        }
        if size == (crop.w, crop.h) {
            // Nothing to scale: straight from the frame.
            self.kept
                .iter_mut()
                .filter(|k| k.id == tile.id)
                .for_each(|k| k.used = true);
            copy(
                out,
                &tile.frame,
                (crop.x, crop.y),
                picture,
                visible,
                tile.dim,
            );
        } else {
            let kept = self.scaled_picture(tile, recipe, crop, size);
            let source = self.kept[kept].picture.as_ref();
            copy(out, &source, (0, 0), picture, visible, tile.dim);
        }
        for overlay in tile.overlays {
            let (x, y) = (
                rect.x.saturating_add(overlay.x),
                rect.y.saturating_add(overlay.y),
            );
            blend::blend_rgba(out, overlay.bitmap, x, y, Some(visible));
        }
    }

    /// Index of the tile's picture at its size, scaled now if it has to be.
    fn scaled_picture(
        &mut self,
        tile: &Tile<'_>,
        recipe: Recipe,
        crop: Crop,
        size: (usize, usize),
    ) -> usize {
        let found = self.kept.iter().position(|k| k.id == tile.id);
        let n = match found {
            Some(n) if self.kept[n].recipe == recipe => n,
            _ => {
                let fresh = Kept {
                    id: tile.id,
                    recipe,
                    serial: None,
                    scaler: Scaler::new(recipe.src, Some(crop), size),
                    picture: I420::blank(size.0, size.1),
                    used: true,
                };
                match found {
                    Some(n) => {
                        self.kept[n] = fresh;
                        n
                    }
                    None => {
                        self.kept.push(fresh);
                        self.kept.len() - 1
                    }
                }
            }
        };
        let kept = &mut self.kept[n];
        kept.used = true;
        if kept.serial != Some(tile.serial) {
            kept.scaler.scale(&tile.frame, &mut kept.picture.as_mut());
            kept.serial = Some(tile.serial);
            self.scaled += 1;
        }
        n
    }
}

/// Larger than any picture can be: not drawn.
fn sane(rect: Rect) -> bool {
    rect.w.max(rect.h) as usize <= MAX_SIDE
}

/// Which part of the source is shown, where inside the tile, and how large.
fn place(recipe: &Recipe) -> (Crop, (i32, i32), (usize, usize)) {
    let (sw, sh) = recipe.src;
    let (tw, th) = (recipe.size.0 as usize, recipe.size.1 as usize);
    let whole = Crop {
        x: 0,
        y: 0,
        w: sw,
        h: sh,
    };
    let wider = sw * th > tw * sh;
    match recipe.fit {
        Fit::Fill => (whole, (0, 0), (tw, th)),
        Fit::Contain => {
            // Even sizes and insets keep the chroma in place; a bar one pixel narrower is not seen.
            let (w, h) = if wider {
                (tw, even(sh * tw / sw, th))
            } else {
                (even(sw * th / sh, tw), th)
            };
            let inset = (((tw - w) / 2) & !1, ((th - h) / 2) & !1);
            (whole, (inset.0 as i32, inset.1 as i32), (w, h))
        }
        Fit::Cover => {
            let (w, h) = if wider {
                (even(tw * sh / th, sw), sh)
            } else {
                (sw, even(th * sw / tw, sh))
            };
            let crop = Crop {
                x: ((sw - w) / 2) & !1,
                y: ((sh - h) / 2) & !1,
                w,
                h,
            };
            (crop, (0, 0), (tw, th))
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
