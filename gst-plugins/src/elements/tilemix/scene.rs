//! What each pad shows now and where: settings and newest pictures of all pads, and the moves on their way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, TryLockError};

use super::Fit;
use super::input::{Picture, Slot, lock};
use super::pad::{PadSettings, colour};
use crate::blend::Rect;
use crate::frame::I420Mut;
use crate::tilemix::{self, Pool, Source, Tile, TileMixer, Tween};

/// How the locks of the pads are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A pad that is just being written keeps its last look: nothing waits for it.
    Glance,
    /// Each is seen as it is.
    Stare,
}

struct Seat {
    slot: Arc<Slot>,
    settings: PadSettings,
    picture: Option<Arc<Picture>>,
    tween: Option<Tween>,
}

/// Position and size, of which a change is a move.
fn place(s: &PadSettings) -> [i32; 4] {
    [s.xpos, s.ypos, s.width, s.height]
}

impl Seat {
    fn look(&mut self, look: Look, last: u64, transition: u64) {
        let before = self.settings;
        let shown = self.picture.is_some();
        read(&self.slot.settings, look, |s| self.settings = *s);
        let mut newest = None;
        read(&self.slot.input, look, |i| newest = Some(i.newest.clone()));
        if let Some(newest) = newest {
            self.slot
                .retire(std::mem::replace(&mut self.picture, newest));
        }
        let Some(view) = self.picture.as_ref().and_then(|p| p.view()) else {
            self.tween = None;
            return;
        };
        let side = |set: i32, own: usize| {
            u32::try_from(set)
                .ok()
                .filter(|s| *s > 0)
                .unwrap_or(own as u32)
        };
        let s = &self.settings;
        let aim = Rect::new(
            s.xpos,
            s.ypos,
            side(s.width, view.width()),
            side(s.height, view.height()),
        );
        let moves = shown && transition > 0 && place(s) != place(&before);
        self.tween = match self.tween {
            // From the frame before on, so that this one already moves.
            Some(tween) if moves => Some(tween.towards(aim, last, transition)),
            Some(tween) if tween.to == aim => Some(tween),
            _ => Some(Tween::resting(aim)),
        };
    }

    fn tile(&self, now: u64, converts: bool) -> Option<Tile<'_>> {
        let picture = self.picture.as_ref()?;
        let view = picture.view()?;
        Some(Tile {
            id: self.slot.id,
            frame: if converts {
                view.with_colours(picture.colours())
            } else {
                view
            },
            serial: picture.serial,
            rect: self.tween?.at(now),
            z: i32::try_from(self.settings.zorder).unwrap_or(i32::MAX),
            fit: match self.settings.fit {
                Fit::Contain => tilemix::Fit::Contain,
                Fit::Cover => tilemix::Fit::Cover,
                Fit::Fill => tilemix::Fit::Fill,
            },
            dim: false,
            overlays: &[],
            style: self.settings.style(),
        })
    }
}

fn read<T>(mutex: &Mutex<T>, look: Look, with: impl FnOnce(&T)) {
    if look == Look::Stare {
        return with(&lock(mutex));
    }
    match mutex.try_lock() {
        Ok(guard) => with(&guard),
        Err(TryLockError::Poisoned(guard)) => with(&guard.into_inner()),
        Err(TryLockError::WouldBlock) => {}
    }
}

#[derive(Default)]
pub(super) struct Scene {
    version: u64,
    seats: Vec<Seat>,
    /// Empty between frames: only its memory is kept.
    tiles: Vec<Tile<'static>>,
    /// The same, for the pictures of the tiles.
    sources: Vec<Arc<dyn Source>>,
    /// Whether colours are made those of the output, which then are BT.709.
    pub converts: bool,
    /// Helpers in scaling, if any.
    pub pool: Option<Pool>,
}

impl Scene {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The pads are these now.
    pub fn set_pads(&mut self, version: u64, slots: &[Arc<Slot>]) {
        self.version = version;
        self.seats
            .retain(|seat| slots.iter().any(|s| Arc::ptr_eq(s, &seat.slot)));
        for slot in slots {
            if !self.seats.iter().any(|seat| Arc::ptr_eq(slot, &seat.slot)) {
                let settings = *lock(&slot.settings);
                self.seats.push(Seat {
                    slot: slot.clone(),
                    settings,
                    picture: None,
                    tween: None,
                });
            }
        }
    }

    /// Size that shows all tiles, and the clock pad's frame rate.
    pub fn wishes(&self) -> (Option<(i32, i32)>, Option<gst::Fraction>) {
        let (mut right, mut bottom, mut fps) = (0, 0, None);
        for seat in &self.seats {
            let (s, input) = (*lock(&seat.slot.settings), lock(&seat.slot.input));
            let Some(info) = &input.info else { continue };
            let side = |set: i32, own: u32| if set > 0 { set } else { own as i32 };
            right = right.max(s.xpos.saturating_add(side(s.width, info.width())));
            bottom = bottom.max(s.ypos.saturating_add(side(s.height, info.height())));
            let rate = Some(info.fps()).filter(|f| f.numer() > 0);
            if seat.slot.is_clock.load(Ordering::Relaxed) || fps.is_none() {
                fps = rate.or(fps);
            }
        }
        ((right > 0 && bottom > 0).then_some((right, bottom)), fps)
    }

    /// Looks at the pads and paints them for running time `now`; `last` is that of the frame before.
    pub fn paint(
        &mut self,
        mixer: &mut TileMixer,
        out: &mut I420Mut<'_>,
        look: Look,
        (last, now): (u64, u64),
        (background, transition): (u32, u64),
    ) {
        for seat in &mut self.seats {
            seat.look(look, last, transition);
        }
        mixer.set_background(colour(background));
        let mut tiles = recycle(std::mem::take(&mut self.tiles));
        for seat in &self.seats {
            if let (Some(tile), Some(picture)) = (seat.tile(now, self.converts), &seat.picture) {
                tiles.push(tile);
                if self.pool.is_some() {
                    self.sources.push(picture.clone());
                }
            }
        }
        match &mut self.pool {
            Some(pool) => mixer.mix_with(out, &tiles, &self.sources, pool),
            None => mixer.mix(out, &tiles),
        }
        self.sources.clear();
        self.tiles = recycle(tiles);
    }
}

/// The memory of a list for tiles of other pictures.
fn recycle<'b>(mut tiles: Vec<Tile<'_>>) -> Vec<Tile<'b>> {
    tiles.clear();
    tiles.into_iter().map_while(|_| None).collect()
}
