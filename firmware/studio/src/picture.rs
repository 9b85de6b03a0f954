//! The programme's picture: a thread that follows the host's beat and mixes the newest frame of every seat.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst_video::prelude::*;
use gstdais::blend::{Rect, Yuv};
use gstdais::elements::canvas::Canvas;
use gstdais::frame::{I420Mut, I420Ref};
use gstdais::scale::Scaler;
use gstdais::tilemix::{Fit, Overlay, Style, Tile, Tween};

use crate::api::{self, Look, Source};
use crate::beat::Beat;
use crate::encoder::raw_video_caps;
use crate::engine::Engine;
use crate::error::StudioError;
use crate::health::add;
use crate::plan::{Plan, PlannedSeat, tag_at};
use crate::programme::Line;
use crate::slot::{Picture, Slot};
use crate::studio::Shared;

/// After this the machine stood still: grid points are left out instead of being made up for.
const STOOD_STILL: gst::ClockTime = gst::ClockTime::from_seconds(1);

fn canvas(width: u32, height: u32, fps: u32) -> Result<Canvas, StudioError> {
    let caps = raw_video_caps(width, height, fps)?
        .to_caps()
        .map_err(|e| StudioError::pipeline("mix", e))?;
    Canvas::new(&caps).map_err(|e| StudioError::pipeline("mix", e))
}

/// A frame of `canvas`, painted and stamped.
fn frame(
    canvas: &mut Canvas,
    (pts, duration): (gst::ClockTime, gst::ClockTime),
    paint: impl FnOnce(&mut I420Mut<'_>),
) -> Option<gst::Buffer> {
    let mut buffer = canvas.paint(paint).ok()?;
    let writable = buffer.get_mut()?;
    writable.set_pts(pts);
    writable.set_duration(duration);
    Some(buffer)
}

/// An I420 picture as it lies in a mapped frame.
pub(crate) fn view<'a>(
    (width, height): (u32, u32),
    planes: [Result<&'a [u8], gst::glib::BoolError>; 3],
    strides: &[i32],
) -> Option<I420Ref<'a>> {
    let [y, u, v] = planes;
    let stride = |p: usize| usize::try_from(*strides.get(p)?).ok();
    I420Ref::new(
        width as usize,
        height as usize,
        [y.ok()?, u.ok()?, v.ok()?],
        [stride(0)?, stride(1)?, stride(2)?],
    )
    .ok()
}

pub(crate) struct PictureMix {
    shared: Shared,
    host: Arc<Slot>,
    encoder: Arc<Line>,
    returns: [Arc<Line>; 2],
    large: Canvas,
    small: Canvas,
    to_small: Scaler,
    engine: Engine,
    plan: (u64, Arc<Plan>),
    /// Where each seat that is seen goes, by its id.
    moves: HashMap<u64, Tween>,
    /// The slot of each seat of the plan.
    slots: (u64, Vec<Option<Arc<Slot>>>),
    host_seen: u64,
}

impl PictureMix {
    pub fn new(
        shared: &Shared,
        encoder: Arc<Line>,
        returns: [Arc<Line>; 2],
    ) -> Result<PictureMix, StudioError> {
        let p = &shared.config.programme;
        let r = &shared.config.returns;
        let mut engine = Engine::new(
            shared.config.mix.engine,
            (p.width as usize, p.height as usize),
            p.fps,
        );
        let [red, green, blue] = p.background_rgb()?;
        engine.set_background(Yuv::from_rgb(red, green, blue));
        Ok(PictureMix {
            host: shared.slots.add(Source::Host),
            encoder,
            returns,
            large: canvas(p.width, p.height, p.fps)?,
            small: canvas(r.width, r.height, shared.config.returns_fps())?,
            to_small: Scaler::new(
                (p.width as usize, p.height as usize),
                None,
                (r.width as usize, r.height as usize),
            ),
            engine,
            plan: (u64::MAX, Arc::default()),
            moves: HashMap::new(),
            slots: (u64::MAX, Vec::new()),
            host_seen: 0,
            shared: shared.clone(),
        })
    }

    /// Mixes until `stop`.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut beat = Beat::new(self.shared.time.now(), self.shared.config.programme.fps);
        while !stop.load(Ordering::Relaxed) {
            let arrival = self.wait_for_tick(&mut beat);
            self.tick(&beat, arrival);
            beat.ticked(arrival.map(|(arrived, _)| arrived));
        }
    }

    /// Returns when the next frame has to leave, with arrival and capture time of the host's new frame if there is one.
    fn wait_for_tick(&mut self, beat: &mut Beat) -> Option<(gst::ClockTime, gst::ClockTime)> {
        let (time, counters) = (&self.shared.time, &self.shared.counters);
        let video = &self.host.video;
        let mut window = beat.window();
        let behind = time.now().saturating_sub(window.closes);
        if behind > STOOD_STILL {
            let points = behind.nseconds() / beat.period().nseconds();
            add(&counters.ticks_missed, points);
            beat.skip(points);
            window = beat.window();
        }
        time.sleep_until(window.opens);
        let seq = video.seq();
        let in_window = video.newest().is_some_and(|p| p.arrived >= window.opens);
        if !(in_window || window.take_waiting && seq > self.host_seen) {
            video.wait_newer(seq, window.closes);
        }
        if time.now() > window.closes + beat.period() / 2 {
            add(&counters.ticks_late, 1);
        }
        let newest = video.newest().filter(|p| p.seq > self.host_seen);
        match newest {
            Some(picture) => {
                if self.host_seen > 0 {
                    add(&counters.host_skipped, picture.seq - self.host_seen - 1);
                }
                self.host_seen = picture.seq;
                Some((picture.arrived, picture.captured))
            }
            None => {
                add(&counters.host_repeated, 1);
                None
            }
        }
    }

    fn tick(&mut self, beat: &Beat, arrival: Option<(gst::ClockTime, gst::ClockTime)>) {
        self.look_up();
        let pts = beat.pts();
        let now = self.shared.time.now();
        let stall = gst::ClockTime::from_mseconds(self.shared.config.sessions.stall_ms);
        let fresh = now.saturating_sub(stall);
        let (plan, slots) = (self.plan.1.clone(), &self.slots.1);
        let pictures: Vec<Option<Arc<Picture>>> = slots
            .iter()
            .map(|slot| slot.as_ref().and_then(|s| s.video.newest()))
            .collect();
        let rect = |seat: &PlannedSeat| Some(self.moves.get(&seat.id)?.at(now.nseconds()));
        let rects: Vec<Option<Rect>> = plan.seats.iter().map(rect).collect();
        let tags: Vec<Option<Overlay<'_>>> = plan
            .seats
            .iter()
            .zip(&rects)
            .map(|(seat, rect)| tag(seat, (*rect)?))
            .collect();
        let shown = plan.seats.iter().zip(&rects).zip(&pictures).zip(&tags);
        let tiles: Vec<Tile<'_>> = shown
            .filter_map(|(((seat, rect), picture), tag)| {
                tile(seat, (*rect)?, picture.as_deref(), tag.as_slice(), fresh)
            })
            .collect();
        let engine = &mut self.engine;
        let stamp = (pts, beat.period());
        let Some(canvas) = frame(&mut self.large, stamp, |out| engine.mix(out, &tiles)) else {
            return;
        };
        let counters = &self.shared.counters;
        add(&counters.frames, 1);
        let captured = arrival.map(|(_, captured)| captured);
        if let Some(captured) = captured {
            self.shared.lips.saw_picture(pts, captured);
        }
        counters.ledger.mixed(pts, captured, self.shared.time.now());
        self.encoder.push(canvas.clone());
        self.shared.screen.put(&canvas);
        self.send_return(beat, &canvas);
    }

    /// The same picture, smaller, while somebody wants it.
    fn send_return(&mut self, beat: &Beat, canvas: &gst::Buffer) {
        if !self.returns.iter().any(|line| line.is_open()) {
            return;
        }
        let (fps, all) = (
            u64::from(self.shared.config.returns_fps()),
            u64::from(self.shared.config.programme.fps),
        );
        let n = beat.number();
        if n * fps / all == (n + 1) * fps / all {
            return;
        }
        let info = self.large.info();
        let Ok(mapped) = gst_video::VideoFrameRef::from_buffer_ref_readable(canvas, info) else {
            return;
        };
        let planes = [0, 1, 2].map(|plane| mapped.plane_data(plane));
        let size = (info.width(), info.height());
        let Some(large) = view(size, planes, mapped.plane_stride()) else {
            return;
        };
        let scaler = &mut self.to_small;
        let stamp = (beat.pts(), beat.period());
        let Some(small) = frame(&mut self.small, stamp, |out| scaler.scale(&large, out)) else {
            return;
        };
        for line in &self.returns {
            line.push(small.clone());
        }
    }

    /// Newest scene and slots, looked up only when they have changed.
    fn look_up(&mut self) {
        let versions = (self.shared.stage.version(), self.shared.slots.version());
        if versions == (self.plan.0, self.slots.0) {
            return;
        }
        let plan = self.shared.stage.plan();
        let slots = plan
            .seats
            .iter()
            .map(|s| self.shared.slots.get(&s.seat.source))
            .collect();
        if versions.0 != self.plan.0 {
            self.aim(&plan);
        }
        self.plan = (versions.0, plan);
        self.slots = (versions.1, slots);
    }

    /// Tiles that are seen go to their new places; who comes is there at once.
    fn aim(&mut self, plan: &Plan) {
        let now = self.shared.time.now().nseconds();
        let length = u64::from(self.shared.config.mix.transition_ms) * 1_000_000;
        let before = std::mem::take(&mut self.moves);
        for planned in &plan.seats {
            let Some(rect) = planned.seat.rect else {
                continue;
            };
            let to = Rect::new(rect.x, rect.y, rect.w, rect.h);
            let tween = match before.get(&planned.id) {
                Some(tween) if tween.to == to => *tween,
                Some(tween) => tween.towards(to, now, length),
                None => Tween::resting(to),
            };
            self.moves.insert(planned.id, tween);
        }
    }
}

/// What a seat shows now; a picture that came before `fresh` is dimmed: its network has stopped, and everybody shall see
/// that. `None` for one that is only heard, or whose card is not drawn yet.
fn tile<'a>(
    planned: &'a PlannedSeat,
    rect: Rect,
    picture: Option<&'a Picture>,
    overlays: &'a [Overlay<'a>],
    fresh: gst::ClockTime,
) -> Option<Tile<'a>> {
    let seat = &planned.seat;
    let fit = match seat.fit {
        api::Fit::Contain => Fit::Contain,
        api::Fit::Cover => Fit::Cover,
        api::Fit::Fill => Fit::Fill,
    };
    let shown = picture
        .filter(|_| seat.look != Look::Card)
        .and_then(|p| Some((p, p.view()?)));
    match shown {
        Some((picture, frame)) => Some(Tile {
            id: planned.id,
            frame,
            serial: picture.seq,
            rect,
            z: seat.z,
            fit,
            dim: seat.look == Look::Dimmed || picture.arrived < fresh,
            overlays,
            style: Style::default(),
        }),
        None => {
            let card = planned.card.as_ref()?;
            Some(Tile {
                id: !planned.id,
                frame: card.as_ref().as_ref(),
                serial: Arc::as_ptr(card) as u64,
                rect,
                z: seat.z,
                fit: Fit::Fill,
                dim: seat.look == Look::Dimmed,
                overlays,
                style: Style::default(),
            })
        }
    }
}

fn tag(planned: &PlannedSeat, tile: Rect) -> Option<Overlay<'_>> {
    let bitmap = planned.tag.as_deref()?;
    let (x, y) = tag_at(bitmap, tile.h);
    Some(Overlay { bitmap, x, y })
}
