//! A scene as the mix needs it: every picture of text already drawn, so that the mixing thread never waits for a font.
//!
//! A new scene takes effect at once with the drawings that are known; a thread draws what is missing, a few
//! milliseconds each, and then the scene is set again.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gstdais::blend::blend_rgba;
use gstdais::frame::{I420, Rgba};

use crate::api::{Look, Rect, Scene, SceneSeat, Source};
use crate::label::{TAG_WIDEST, name_card, name_tag};

/// What the host's tile says when its camera is gone.
const NO_CAMERA: &str = "No camera";
/// A tag's share of its tile's height, and the least that can be read on a phone.
const TAG_SHARE: u32 = 12;
const TAG_LEAST: u32 = 16;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    Tag {
        name: String,
        height: u32,
    },
    Card {
        name: String,
        width: u32,
        height: u32,
    },
}

#[derive(Clone)]
enum Drawing {
    Tag(Arc<Rgba>),
    Card(Arc<I420>),
}

/// The newest scene, for the threads that mix.
#[derive(Default)]
pub(crate) struct Stage {
    state: Mutex<State>,
    changed: Condvar,
    version: AtomicU64,
}

#[derive(Default)]
struct State {
    scene: Scene,
    plan: Arc<Plan>,
    drawings: HashMap<Text, Drawing>,
    wanted: Vec<Text>,
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Plan {
    pub seats: Vec<PlannedSeat>,
}

pub(crate) struct PlannedSeat {
    pub seat: SceneSeat,
    /// The same for a source as long as it lives.
    pub id: u64,
    pub tag: Option<Arc<Rgba>>,
    pub card: Option<Arc<I420>>,
}

impl Stage {
    /// Takes effect with the next frame and the next 10 ms of sound.
    pub fn set(&self, scene: Scene) {
        let mut state = self.lock();
        let used: Vec<Text> = scene.seats.iter().flat_map(texts).collect();
        state.drawings.retain(|text, _| used.contains(text));
        state.wanted = used
            .into_iter()
            .filter(|text| !state.drawings.contains_key(text))
            .collect();
        state.scene = scene;
        self.publish(&mut state);
        self.changed.notify_all();
    }

    /// Changes with each scene and each drawing.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn plan(&self) -> Arc<Plan> {
        self.lock().plan.clone()
    }

    /// Draws what scenes need, until [`Stage::close`]. On a thread of its own.
    pub fn draw(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(text) = state.wanted.pop() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let drawing = text.draw();
            state = self.lock();
            if state
                .scene
                .seats
                .iter()
                .flat_map(texts)
                .any(|used| used == text)
            {
                state.drawings.insert(text, drawing);
                if state.wanted.is_empty() {
                    self.publish(&mut state);
                }
            }
        }
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &mut State) {
        let seat = |seat: &SceneSeat| {
            let mut planned = PlannedSeat {
                id: id(&seat.source),
                seat: seat.clone(),
                tag: None,
                card: None,
            };
            for text in texts(seat) {
                match state.drawings.get(&text) {
                    Some(Drawing::Tag(tag)) => planned.tag = Some(tag.clone()),
                    Some(Drawing::Card(card)) => planned.card = Some(card.clone()),
                    None => {}
                }
            }
            planned
        };
        state.plan = Arc::new(Plan {
            seats: state.scene.seats.iter().map(seat).collect(),
        });
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// What has to be drawn for a seat: its tag, and the card for when there is no picture.
fn texts(seat: &SceneSeat) -> Vec<Text> {
    let Some(rect) = seat.rect.filter(|r| r.w >= 2 && r.h >= 2) else {
        return Vec::new();
    };
    let card = if seat.source == Source::Host && seat.look != Look::Card {
        NO_CAMERA
    } else {
        &seat.name
    };
    let mut texts = vec![Text::Card {
        name: card.into(),
        width: rect.w,
        height: rect.h,
    }];
    if !seat.name.trim().is_empty() && (seat.look != Look::Card) {
        texts.push(Text::Tag {
            name: seat.name.clone(),
            height: tag_height(&rect),
        });
    }
    texts
}

fn tag_height(rect: &Rect) -> u32 {
    let widest = rect.w / TAG_WIDEST;
    ((rect.h / TAG_SHARE)
        .max(TAG_LEAST)
        .min(widest.max(2))
        .min(rect.h)
        + 1)
        & !1
}

impl PlannedSeat {
    /// Where the tag lies in its tile: at the bottom left, a third of its height from the edges.
    pub fn tag_at(&self, tag: &Rgba) -> (i32, i32) {
        let margin = (tag.height() / 3).max(2) as i32 & !1;
        let height = self.seat.rect.map_or(0, |r| r.h as i32);
        (margin, height - tag.height() as i32 - margin)
    }
}

impl Text {
    fn draw(&self) -> Drawing {
        match self {
            Text::Tag { name, height } => Drawing::Tag(Arc::new(name_tag(name, *height))),
            Text::Card {
                name,
                width,
                height,
            } => {
                let card = name_card(name, *width, *height);
                let mut picture = I420::blank(card.width().max(1), card.height().max(1));
                blend_rgba(&mut picture.as_mut(), &card, 0, 0, None);
                Drawing::Card(Arc::new(picture))
            }
        }
    }
}

fn id(source: &Source) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish()
}
