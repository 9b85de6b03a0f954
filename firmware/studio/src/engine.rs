//! What mixes the programme's pictures: the box's own mixer, or GStreamer's elements in its place.
//!
//! An element is used only if it just mixed a reference picture right and fast enough on this machine. One that fails in
//! service is left with the same frame for the own mixer, so that the programme has no gap.

mod elements;

use std::time::{Duration, Instant};

use gstdais::blend::{Rect, Yuv};
use gstdais::frame::{I420, I420Mut, I420Ref};
use gstdais::tilemix::{Fit, Style, Tile, TileMixer};
use serde::Serialize;

use crate::config::MixEngine;
use elements::ElementMixer;

/// Another scaler's picture differs at edges; a tile in the wrong place or a wrong colour gives less than 20 dB.
const RIGHT_DB: f64 = 30.0;
/// Share of a frame's time that mixing ten pictures may take.
const FAST_ENOUGH: f64 = 0.7;
const TRIAL_FRAMES: u32 = 10;

pub(crate) struct Engine {
    own: TileMixer,
    elements: Option<ElementMixer>,
}

/// What a trial of an engine showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineReport {
    pub engine: &'static str,
    /// Ten moving 1280x720 pictures into one, of the median frame.
    pub mix_ms: Option<f64>,
    /// Against the box's own mixer.
    pub psnr_db: Option<f64>,
    pub trouble: Option<String>,
}

impl Engine {
    /// `wanted`, if a trial with this shape shows that it works; else the box's own.
    pub fn new(wanted: MixEngine, (width, height): (usize, usize), fps: u32) -> Engine {
        let elements = match wanted {
            MixEngine::Dais => None,
            _ => match try_out(wanted, (width, height), fps) {
                Ok((_, _, mixer)) => Some(mixer),
                Err(why) => {
                    tracing::error!(
                        engine = name(wanted),
                        why,
                        "this mixing engine does not serve here; the box's own mixes instead"
                    );
                    None
                }
            },
        };
        Engine {
            own: TileMixer::new(width, height),
            elements,
        }
    }

    /// Behind the tiles.
    pub fn set_background(&mut self, colour: Yuv) {
        self.own.set_background(colour);
        if let Some(elements) = &mut self.elements {
            elements.set_background(colour);
        }
    }

    /// Writes every pixel of `out`.
    pub fn mix(&mut self, out: &mut I420Mut<'_>, tiles: &[Tile<'_>]) {
        if let Some(elements) = &mut self.elements {
            match elements.mix(out, tiles) {
                Ok(()) => return,
                Err(why) => {
                    tracing::error!(
                        why,
                        "the mixing engine failed; the box's own mixes from now on"
                    );
                    self.elements = None;
                }
            }
        }
        self.own.mix(out, tiles);
    }
}

/// Tries an engine for `daisd doctor`.
pub(crate) fn report(engine: MixEngine) -> EngineReport {
    let (mut mix_ms, mut psnr_db, mut trouble) = (None, None, None);
    match try_out(engine, (1920, 1080), 1) {
        Ok((time, psnr, _)) => {
            mix_ms = Some(time.as_secs_f64() * 1e3);
            psnr_db = Some(psnr);
        }
        Err(why) => trouble = Some(why),
    }
    EngineReport {
        engine: name(engine),
        mix_ms,
        psnr_db,
        trouble,
    }
}

fn name(engine: MixEngine) -> &'static str {
    match engine {
        MixEngine::Dais => "dais",
        MixEngine::Stock => "stock",
        MixEngine::Gl => "gl",
        MixEngine::Va => "va",
    }
}

/// Mixes ten pictures as the own mixer does, and says how long a frame takes and how near it comes.
fn try_out(
    engine: MixEngine,
    (width, height): (usize, usize),
    fps: u32,
) -> Result<(Duration, f64, ElementMixer), String> {
    let mut mixer = ElementMixer::new(engine, (width, height), fps)?;
    let background = Yuv::from_rgb(20, 60, 90);
    mixer.set_background(background);
    let sources: Vec<I420> = (0..20).map(reference_picture).collect();
    let tiles = |frame: usize| {
        let shown = std::array::from_fn(|n| &sources[(2 * n + frame) % sources.len()]);
        let mut tiles = ten_tiles(shown, frame as u64 + 1, (width, height));
        tiles[9].dim = true;
        tiles
    };
    let mut out = I420::blank(width, height);
    let mut times = Vec::new();
    for frame in 0..TRIAL_FRAMES as usize {
        let began = Instant::now();
        mixer.mix(&mut out.as_mut(), &tiles(frame))?;
        times.push(began.elapsed());
    }
    let mut right = I420::blank(width, height);
    let mut own = TileMixer::new(width, height);
    own.set_background(background);
    own.mix(&mut right.as_mut(), &tiles(TRIAL_FRAMES as usize - 1));
    let psnr = psnr(&out.as_ref(), &right.as_ref());
    if psnr < RIGHT_DB {
        return Err(format!(
            "its reference picture is wrong: {psnr:.1} dB, at least {RIGHT_DB} are needed"
        ));
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    let limit = Duration::from_secs(1).mul_f64(FAST_ENOUGH / f64::from(fps));
    if median > limit {
        return Err(format!(
            "it is too slow: {:.1} ms a frame of ten pictures, at most {:.1} fit",
            median.as_secs_f64() * 1e3,
            limit.as_secs_f64() * 1e3
        ));
    }
    Ok((median, psnr, mixer))
}

/// Ten pictures as a grid of four by three places.
pub(crate) fn ten_tiles(
    pictures: [&I420; 10],
    serial: u64,
    (width, height): (usize, usize),
) -> [Tile<'_>; 10] {
    let (columns, rows) = (4, 3);
    let (w, h) = ((width / columns) & !1, (height / rows) & !1);
    std::array::from_fn(|n| Tile {
        id: n as u64,
        frame: pictures[n].as_ref(),
        serial,
        rect: Rect::new(
            (n % columns * w) as i32,
            (n / columns * h) as i32,
            w as u32,
            h as u32,
        ),
        z: 0,
        fit: Fit::Cover,
        dim: false,
        overlays: &[],
        style: Style::default(),
    })
}

/// Soft waves, which every scaler keeps, another in each picture.
fn reference_picture(n: usize) -> I420 {
    let mut picture = I420::blank(1280, 720);
    let mut view = picture.as_mut();
    for p in 0..3 {
        let mut plane = view.plane_mut(p);
        let scale = if p == 0 { 1.0 } else { 2.0 };
        for y in 0..plane.height() {
            for (x, pixel) in plane.row_mut(y).iter_mut().enumerate() {
                let (x, y) = (x as f64 * scale / 90.0, y as f64 * scale / 70.0);
                let wave = ((x + n as f64).sin() + (y - p as f64).cos()) * 45.0;
                *pixel = (126.0 + wave) as u8;
            }
        }
    }
    picture
}

/// Of all planes together, in dB; 99 for equal pictures.
fn psnr(a: &I420Ref<'_>, b: &I420Ref<'_>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for p in 0..3 {
        let (a, b) = (a.plane(p), b.plane(p));
        for y in 0..a.height() {
            for (a, b) in a.row(y).iter().zip(b.row(y)) {
                sum += f64::from(a.abs_diff(*b)).powi(2);
                count += 1.0;
            }
        }
    }
    if sum == 0.0 {
        return 99.0;
    }
    10.0 * (255.0 * 255.0 * count / sum).log10()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_stock_engine_mixes_the_same_picture() {
        gst::init().unwrap();
        let (_, psnr, _) = try_out(MixEngine::Stock, (640, 360), 1).unwrap();
        assert!(psnr > RIGHT_DB, "{psnr:.1} dB");
    }

    #[test]
    fn tiles_of_the_stock_engine_come_go_move_and_change_shape() {
        gst::init().unwrap();
        let sources = [
            reference_picture(1),
            reference_picture(2),
            I420::of_colour(322, 180, Yuv::from_rgb(200, 60, 20)),
        ];
        let mut stock = ElementMixer::new(MixEngine::Stock, (640, 360), 30).unwrap();
        let mut own = TileMixer::new(640, 360);
        let tile = |source: usize, rect: Rect, fit, z| Tile {
            id: source as u64,
            frame: sources[source].as_ref(),
            serial: 1,
            rect,
            z,
            fit,
            dim: false,
            overlays: &[],
            style: Style::default(),
        };
        let whole = Rect::new(0, 0, 640, 360);
        let scenes = [
            vec![],
            vec![tile(0, whole, Fit::Fill, 0)],
            vec![
                tile(0, Rect::new(0, 0, 320, 360), Fit::Cover, 0),
                tile(1, Rect::new(320, 0, 320, 360), Fit::Cover, 0),
            ],
            vec![
                tile(1, whole, Fit::Fill, 0),
                tile(2, Rect::new(400, 200, 200, 120), Fit::Contain, 1),
                tile(0, Rect::new(40, 40, 160, 90), Fit::Fill, 2),
            ],
            vec![tile(2, Rect::new(-60, -20, 320, 180), Fit::Cover, 0)],
        ];
        for round in 0..2 {
            for (n, scene) in scenes.iter().enumerate() {
                let (mut a, mut b) = (I420::blank(640, 360), I420::blank(640, 360));
                stock.mix(&mut a.as_mut(), scene).unwrap();
                own.mix(&mut b.as_mut(), scene);
                let psnr = psnr(&a.as_ref(), &b.as_ref());
                // At 8:1 `compositor` leaves out what it does not need.
                assert!(psnr > 25.0, "scene {n} of round {round}: {psnr:.1} dB");
            }
        }
    }

    #[test]
    fn an_engine_that_is_too_slow_or_not_there_is_not_taken() {
        gst::init().unwrap();
        let why = try_out(MixEngine::Stock, (640, 360), 1_000_000)
            .err()
            .unwrap();
        assert!(why.contains("too slow"), "{why}");
        let why = ElementMixer::by_name("nosuchmixer", "identity", (64, 64), 1)
            .err()
            .unwrap();
        assert!(why.contains("nosuchmixer"), "{why}");
    }

    #[test]
    fn an_engine_that_mixes_wrong_is_not_taken() {
        let (a, b) = (reference_picture(1), reference_picture(9));
        assert!(psnr(&a.as_ref(), &b.as_ref()) < 20.0);
        assert!(psnr(&a.as_ref(), &a.as_ref()) > 90.0);
    }

    #[test]
    fn an_engine_that_gets_stuck_in_service_leaves_its_frame_to_the_own_mixer() {
        gst::init().unwrap();
        let (_, _, stock) = try_out(MixEngine::Stock, (640, 360), 1).unwrap();
        let mut engine = Engine {
            own: TileMixer::new(640, 360),
            elements: Some(stock),
        };
        let picture = reference_picture(3);
        let tile = Tile {
            id: 1,
            frame: picture.as_ref(),
            serial: 1,
            rect: Rect::new(0, 0, 640, 360),
            z: 0,
            fit: Fit::Fill,
            dim: false,
            overlays: &[],
            style: Style::default(),
        };
        let mut out = I420::blank(640, 360);
        engine.mix(&mut out.as_mut(), &[tile]);
        let release = engine.elements.as_ref().unwrap().get_stuck();
        let (done, over) = mpsc::channel::<()>();
        let patience = std::thread::spawn(move || {
            let late = over.recv_timeout(Duration::from_secs(60)).is_err();
            drop(release);
            late
        });
        let mut own = I420::blank(640, 360);
        TileMixer::new(640, 360).mix(&mut own.as_mut(), &[tile]);
        let mut out = I420::blank(640, 360);
        engine.mix(&mut out.as_mut(), &[tile]);
        done.send(()).unwrap();
        assert!(!patience.join().unwrap(), "it waits for what is stuck");
        assert!(engine.elements.is_none());
        assert_eq!(out.data(), own.data());
    }
}
