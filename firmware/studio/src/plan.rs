//! A scene as the mix needs it: every picture of text already drawn, so that the mixing thread never waits for a font.
//!
//! A new scene takes effect at once if its text is drawn. If not, a thread draws it, a few milliseconds each, and until
//! then the seats stay where they were, so that no tag blinks; who has left or has turned off a camera is gone at once,
//! and what is heard changes at once.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gstdais::blend::blend_rgba;
use gstdais::frame::{I420, Rgba};

use crate::api::{Look, Rect, Scene, SceneSeat, Source};
use crate::label::{TAG_WIDEST, name_card, name_tag};

/// What the host's tile says until its camera gives a picture, and whenever nobody said another reason.
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
    /// What the host's card says, if not `NO_CAMERA`.
    slate: Option<String>,
    plan: Arc<Plan>,
    drawings: HashMap<Text, Drawing>,
    /// Not drawn yet, the most urgent last.
    wanted: Vec<Text>,
    /// How many of these the scene can do without for now: cards behind pictures.
    spare: usize,
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Plan {
    pub seats: Vec<PlannedSeat>,
    /// Whom the host speaks to off air.
    pub talkback: Option<Source>,
}

pub(crate) struct PlannedSeat {
    pub seat: SceneSeat,
    /// The same for a source as long as it lives.
    pub id: u64,
    pub tag: Option<Arc<Rgba>>,
    pub card: Option<Arc<I420>>,
}

impl Stage {
    /// Takes effect with the next 10 ms of sound, and with the next frame once its text is drawn.
    pub fn set(&self, scene: Scene) {
        let mut state = self.lock();
        self.stage(&mut state, scene);
    }

    /// What the host's tile says while there is no picture. An older slate stands until this one is drawn.
    pub fn set_slate(&self, words: &str) {
        let mut state = self.lock();
        if state.slate.as_deref() == Some(words) {
            return;
        }
        state.slate = Some(words.into());
        let scene = state.scene.clone();
        self.stage(&mut state, scene);
    }

    fn stage(&self, state: &mut State, scene: Scene) {
        let undrawn = |urgent: bool| {
            let texts = scene.seats.iter().flat_map(|seat| state.texts(seat));
            texts
                .filter(move |(_, it_is)| *it_is == urgent)
                .map(|(text, _)| text)
                .filter(|text| !state.drawings.contains_key(text))
        };
        let mut wanted: Vec<Text> = undrawn(false).collect();
        let spare = wanted.len();
        wanted.extend(undrawn(true));
        (state.wanted, state.spare) = (wanted, spare);
        state.scene = scene;
        self.publish(state);
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
            state.spare = state.spare.min(state.wanted.len());
            drop(state);
            let drawing = text.draw();
            state = self.lock();
            let seats = &state.scene.seats;
            let mut used = seats.iter().flat_map(|seat| state.texts(seat));
            if used.any(|(used, _)| used == text) {
                drop(used);
                state.drawings.insert(text, drawing);
                if state.is_drawn() || state.wanted.is_empty() {
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
        let seats = match state.is_drawn() {
            true => state.scene.seats.clone(),
            false => state.not_moved(),
        };
        let before = state.plan.clone();
        let planned = seats.into_iter().map(|seat| {
            let mut planned = PlannedSeat {
                id: id(&seat.source),
                seat,
                tag: None,
                card: None,
            };
            for (text, _) in state.texts(&planned.seat) {
                match state.drawings.get(&text) {
                    Some(Drawing::Tag(tag)) => planned.tag = Some(tag.clone()),
                    Some(Drawing::Card(card)) => planned.card = Some(card.clone()),
                    None => {}
                }
            }
            if planned.card.is_none() && planned.seat.source == Source::Host {
                let shown = before.seats.iter().find(|shown| shown.id == planned.id);
                planned.card = shown.and_then(|shown| shown.card.clone());
            }
            planned
        });
        let plan = Plan {
            seats: planned.collect(),
            talkback: state.scene.talkback.clone().map(Source::Session),
        };
        let shown = plan.seats.iter().map(|planned| &planned.seat);
        let used: Vec<Text> = shown
            .chain(&state.scene.seats)
            .flat_map(|seat| state.texts(seat))
            .map(|(text, _)| text)
            .collect();
        state.drawings.retain(|text, _| used.contains(text));
        state.plan = Arc::new(plan);
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl State {
    /// Whether all text is drawn that the scene needs now.
    fn is_drawn(&self) -> bool {
        self.wanted.len() <= self.spare
    }

    /// What has to be drawn for a seat: its tag, and the card for when there is no picture; and whether it is needed now.
    fn texts(&self, seat: &SceneSeat) -> Vec<(Text, bool)> {
        let Some(rect) = seat.rect.filter(|r| r.w >= 2 && r.h >= 2) else {
            return Vec::new();
        };
        let shows_card = seat.look == Look::Card;
        let card = if seat.source == Source::Host && !shows_card {
            self.slate.as_deref().unwrap_or(NO_CAMERA)
        } else {
            &seat.name
        };
        let card = Text::Card {
            name: card.into(),
            width: rect.w,
            height: rect.h,
        };
        let mut texts = vec![(card, shows_card)];
        if !seat.name.trim().is_empty() && !shows_card {
            let tag = Text::Tag {
                name: seat.name.clone(),
                height: tag_height(&rect),
            };
            texts.push((tag, true));
        }
        texts
    }

    /// The scene's seats in the places of the plan that is shown now; one that was not in it is heard and not yet seen.
    fn not_moved(&self) -> Vec<SceneSeat> {
        let shown = &self.plan.seats;
        let place = |seat: &SceneSeat| {
            let mut seat = seat.clone();
            let before = shown.iter().find(|p| p.seat.source == seat.source);
            match before {
                Some(PlannedSeat { seat: before, .. }) => {
                    (seat.rect, seat.z, seat.fit) = (before.rect, before.z, before.fit);
                }
                // The first scene has nothing to hold on to.
                None if shown.is_empty() => {}
                None => seat.rect = None,
            }
            seat
        };
        self.scene.seats.iter().map(place).collect()
    }
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

/// Where a tag lies in a tile of this height: at the bottom left, a third of its own height from the edges.
pub(crate) fn tag_at(tag: &Rgba, tile_height: u32) -> (i32, i32) {
    let margin = (tag.height() / 3).max(2) as i32 & !1;
    (margin, tile_height as i32 - tag.height() as i32 - margin)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::Fit;

    fn seat(source: Source, x: i32, width: u32) -> SceneSeat {
        SceneSeat {
            seat: 0,
            name: format!("{source:?}"),
            source,
            rect: Some(Rect {
                x,
                y: 0,
                w: width,
                h: 180,
            }),
            z: 0,
            fit: Fit::Cover,
            look: Look::Live,
            audible: true,
            gain_db: 0.0,
        }
    }

    fn guest(x: i32, width: u32) -> SceneSeat {
        seat(Source::Session("guest".into()), x, width)
    }

    /// Draws all that is wanted, as the thread does, until it would wait.
    fn draw(stage: &Stage) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| stage.draw());
            let mut state = stage.lock();
            while !state.wanted.is_empty() {
                drop(state);
                std::thread::yield_now();
                state = stage.lock();
            }
            drop(state);
            stage.close();
            thread.join().unwrap();
            stage.lock().closed = false;
        });
    }

    fn places(stage: &Stage) -> Vec<(Option<i32>, bool)> {
        let plan = stage.plan();
        let place = |p: &PlannedSeat| (p.seat.rect.map(|r| r.x), p.tag.is_some());
        plan.seats.iter().map(place).collect()
    }

    #[test]
    fn a_tag_does_not_blink_when_a_scene_changes() {
        let stage = Stage::default();
        let set = |seats: Vec<SceneSeat>| {
            stage.set(Scene {
                seats,
                talkback: None,
            })
        };
        set(vec![seat(Source::Host, 0, 640)]);
        assert_eq!(
            places(&stage),
            [(Some(0), false)],
            "the first is shown at once"
        );
        draw(&stage);
        assert_eq!(places(&stage), [(Some(0), true)]);

        // Smaller, so that its tag is a new drawing; and somebody beside.
        let mut muted = seat(Source::Host, 10, 160);
        muted.audible = false;
        set(vec![muted, guest(330, 160)]);
        assert_eq!(places(&stage), [(Some(0), true), (None, false)]);
        assert!(
            !stage.plan().seats[0].seat.audible,
            "what is heard does not wait"
        );
        draw(&stage);
        assert_eq!(places(&stage), [(Some(10), true), (Some(330), true)]);
    }

    #[test]
    fn a_slate_says_the_newest_reason_and_an_older_one_stands_until_it_is_drawn() {
        let stage = Stage::default();
        stage.set(Scene {
            seats: vec![seat(Source::Host, 0, 320), guest(320, 320)],
            talkback: None,
        });
        draw(&stage);
        let card = |n: usize| stage.plan().seats[n].card.clone().unwrap();
        let (first, of_guest) = (card(0), card(1));
        stage.set_slate("No signal");
        assert!(Arc::ptr_eq(&card(0), &first), "the tile is never empty");
        draw(&stage);
        let second = card(0);
        assert!(second.data() != first.data());
        assert!(Arc::ptr_eq(&card(1), &of_guest), "a guest's card stays");
        stage.set_slate("No camera");
        draw(&stage);
        assert!(card(0).data() == first.data());
    }

    #[test]
    fn who_leaves_or_turns_off_a_camera_is_not_held_for_a_drawing() {
        let stage = Stage::default();
        let set = |seats: Vec<SceneSeat>| {
            stage.set(Scene {
                seats,
                talkback: None,
            })
        };
        set(vec![seat(Source::Host, 0, 320), guest(320, 320)]);
        draw(&stage);

        let mut dark = guest(400, 160);
        dark.look = Look::Card;
        set(vec![seat(Source::Host, 0, 160), dark]);
        let plan = stage.plan();
        assert_eq!(plan.seats[1].seat.look, Look::Card);
        assert!(plan.seats[1].card.is_some(), "its card was drawn before");

        set(vec![seat(Source::Host, 10, 100)]);
        assert_eq!(places(&stage), [(Some(0), true)]);
        draw(&stage);
        assert_eq!(places(&stage), [(Some(10), true)]);
    }
}
