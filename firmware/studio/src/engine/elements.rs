//! A GStreamer mixing element, driven frame by frame: a pipeline that is not live gets one buffer for each of its inputs
//! and gives one picture.
//!
//! What its pads can't do is done to the pictures before (cutting to shape, dimming) and after (name tags).

use std::time::Duration;

use gst::prelude::*;
use gst_video::prelude::*;
use gstdais::blend::{Rect, Yuv, blend_rgba};
use gstdais::colours::{Colours, Conversion};
use gstdais::frame::{I420, I420Mut, I420Ref};
use gstdais::tilemix::{Fit, Placed, Style, Tile, TileMixer, place};

use crate::config::MixEngine;
use crate::element::{make, missing, posted_error};
use crate::encoder::raw_video_caps;

/// An element that gives no picture for this long hangs; the programme is that late, once.
const PATIENCE: Duration = Duration::from_millis(500);
/// The first picture of a GPU's element waits for its context and shaders.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(5);
/// The programme's ten, and the background.
const MOST_INPUTS: usize = 17;

pub(super) struct ElementMixer {
    pipeline: gst::Pipeline,
    mixer: gst::Element,
    sink: gst_app::AppSink,
    info: gst_video::VideoInfo,
    /// The first is the background.
    inputs: Vec<Input>,
    background: Yuv,
    fps: u32,
    frames: u64,
}

struct Input {
    source: gst_app::AppSrc,
    pad: gst::Pad,
    /// What the buffer was made from.
    made_from: Option<Made>,
    buffer: Option<gst::Buffer>,
}

#[derive(Clone, Copy, PartialEq)]
struct Made {
    id: u64,
    serial: u64,
    placed: Placed,
    dim: bool,
    colours: Colours,
}

impl ElementMixer {
    pub fn new(engine: MixEngine, size: (usize, usize), fps: u32) -> Result<Self, String> {
        let (mixer, out_of) = match engine {
            MixEngine::Dais => return Err("it is the box's own".into()),
            MixEngine::Stock => ("compositor", "identity"),
            MixEngine::Gl => ("glvideomixer", "gldownload"),
            MixEngine::Va => ("vacompositor", "vapostproc"),
        };
        Self::by_name(mixer, out_of, size, fps)
    }

    /// `out_of` brings the mixer's pictures into memory.
    pub fn by_name(
        mixer: &str,
        out_of: &str,
        (width, height): (usize, usize),
        fps: u32,
    ) -> Result<Self, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mixer = make(mixer).map_err(|_| missing(mixer).to_string())?;
        let out_of = make(out_of).map_err(|_| missing(out_of).to_string())?;
        let convert = make("videoconvert").map_err(|e| text(&e))?;
        let info = raw_video_caps(width as u32, height as u32, fps).map_err(|e| text(&e))?;
        let caps = info.to_caps().map_err(|e| text(&e))?;
        let sink = gst_app::AppSink::builder().caps(&caps).sync(false).build();
        let pipeline = gst::Pipeline::new();
        crate::element::chain(
            &pipeline,
            "mix",
            &[&mixer, &out_of, &convert, sink.upcast_ref()],
        )
        .map_err(|e| text(&e))?;
        let mut this = ElementMixer {
            pipeline,
            mixer,
            sink,
            info,
            inputs: Vec::new(),
            background: Yuv::BLACK,
            fps,
            frames: 0,
        };
        this.add_input()?;
        Ok(this)
    }

    pub fn set_background(&mut self, colour: Yuv) {
        self.background = colour;
        if let Some(input) = self.inputs.first_mut() {
            input.made_from = None;
        }
    }

    /// Writes every pixel of `out`, or says what failed.
    pub fn mix(&mut self, out: &mut I420Mut<'_>, tiles: &[Tile<'_>]) -> Result<(), String> {
        if tiles.len() >= MOST_INPUTS {
            return Err(format!("{} tiles are more than it mixes", tiles.len()));
        }
        // A tile keeps its input, so that its picture is not made anew when others come and go.
        let mut places = vec![None; tiles.len()];
        for (tile, place) in tiles.iter().zip(&mut places) {
            let known = |i: &Input| i.made_from.is_some_and(|made| made.id == tile.id);
            *place = (1..self.inputs.len()).find(|n| known(&self.inputs[*n]));
        }
        for n in 0..tiles.len() {
            if places[n].is_none() {
                let free = (1..self.inputs.len()).find(|i| !places.contains(&Some(*i)));
                places[n] = Some(match free {
                    Some(free) => free,
                    None => self.add_input()?,
                });
            }
        }
        let canvas = Rect::new(0, 0, self.info.width(), self.info.height());
        let colour = I420::of_colour(16, 16, self.background);
        let behind = Tile {
            id: u64::MAX,
            frame: colour.as_ref(),
            serial: 0,
            rect: canvas,
            z: 0,
            fit: Fit::Fill,
            dim: false,
            overlays: &[],
            style: Style::default(),
        };
        let mut shapes_changed = false;
        for n in 0..self.inputs.len() {
            let tile = match n {
                0 => Some((0, &behind)),
                _ => places
                    .iter()
                    .position(|place| *place == Some(n))
                    .map(|at| (1 + drawn_as(tiles, at), &tiles[at])),
            };
            shapes_changed |= self.inputs[n].set(tile, self.fps)?;
        }
        self.feed()?;
        if self.frames == 1 {
            self.pipeline
                .set_state(gst::State::Playing)
                .map_err(|_| self.trouble("it did not start"))?;
        } else if shapes_changed {
            // GstVideoAggregator puts new caps to use only when the buffer after them comes (seen with 1.22).
            self.feed()?;
            self.pull()?;
        }
        let sample = self.pull()?;
        let mixed = sample
            .buffer()
            .ok_or_else(|| self.trouble("it gave no picture"))?;
        let mixed = gst_video::VideoFrameRef::from_buffer_ref_readable(mixed, &self.info)
            .map_err(|_| self.trouble("its picture could not be read"))?;
        let planes = [0, 1, 2].map(|plane| mixed.plane_data(plane));
        let size = (self.info.width(), self.info.height());
        let view = crate::picture::view(size, planes, mixed.plane_stride())
            .ok_or("its picture has another shape")?;
        out.copy_from(&view);
        for (at, tile) in tiles.iter().enumerate() {
            lay_tags(out, tiles, at, tile, canvas);
        }
        Ok(())
    }

    /// A buffer for each input, for the next frame's time.
    fn feed(&mut self) -> Result<(), String> {
        let at = |n: u64| gst::ClockTime::from_nseconds(n * 1_000_000_000 / u64::from(self.fps));
        let (pts, end) = (at(self.frames), at(self.frames + 1));
        self.frames += 1;
        for input in &self.inputs {
            input.push(pts, end - pts)?;
        }
        Ok(())
    }

    fn pull(&self) -> Result<gst::Sample, String> {
        let patience = match self.frames {
            1 => PATIENCE_AT_FIRST,
            _ => PATIENCE,
        };
        let patience = gst::ClockTime::from_nseconds(patience.as_nanos() as u64);
        self.sink
            .try_pull_sample(patience)
            .ok_or_else(|| self.trouble("it gave no picture in time"))
    }

    /// One more input; its number.
    fn add_input(&mut self) -> Result<usize, String> {
        let source = gst_app::AppSrc::builder()
            .format(gst::Format::Time)
            .max_buffers(2)
            .build();
        self.pipeline
            .add(&source)
            .map_err(|_| "it has no room for an input".to_owned())?;
        let pad = self
            .mixer
            .request_pad_simple("sink_%u")
            .ok_or("it gives no input")?;
        source
            .static_pad("src")
            .ok_or("it has no source")?
            .link(&pad)
            .map_err(|_| "its input could not be linked".to_owned())?;
        let _ = source.sync_state_with_parent();
        self.inputs.push(Input {
            source,
            pad,
            made_from: None,
            buffer: None,
        });
        Ok(self.inputs.len() - 1)
    }

    fn trouble(&self, what: &str) -> String {
        match posted_error(&self.pipeline) {
            Some(error) => format!("{what}: {error}"),
            None => what.into(),
        }
    }

    /// The mixer is stuck from its next picture on, until what is returned is dropped.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub fn get_stuck(&self) -> std::sync::mpsc::Sender<()> {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let pad = self.mixer.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = released.lock().unwrap().recv();
            gst::PadProbeReturn::Ok
        });
        release
    }
}

impl Drop for ElementMixer {
    fn drop(&mut self) {
        // Maybe because it hangs: the programme's next picture does not wait for it.
        crate::element::stop(&self.pipeline, Duration::ZERO);
    }
}

impl Input {
    /// What it shows from now on; nothing if there is no tile for it. True if its caps changed.
    fn set(&mut self, tile: Option<(u32, &Tile<'_>)>, fps: u32) -> Result<bool, String> {
        let Some((order, tile)) = tile else {
            self.pad.set_property("alpha", 0.0);
            self.made_from = None;
            return Ok(false);
        };
        let rect = tile.rect.snapped();
        let size = (tile.frame.width(), tile.frame.height());
        let placed = place(size, (rect.w, rect.h), tile.fit);
        let made = Made {
            id: tile.id,
            serial: tile.serial,
            placed,
            dim: tile.dim,
            colours: tile.frame.colours(),
        };
        let before = self.source.caps();
        if self.made_from != Some(made) {
            self.buffer = Some(self.make(tile, &placed, fps)?);
            self.made_from = Some(made);
        }
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        self.pad.set_property("alpha", 1.0);
        self.pad.set_property("xpos", rect.x + placed.inset.0);
        self.pad.set_property("ypos", rect.y + placed.inset.1);
        self.pad.set_property("width", number(placed.size.0));
        self.pad.set_property("height", number(placed.size.1));
        self.pad.set_property("zorder", order);
        Ok(before != self.source.caps())
    }

    /// The part of the tile's frame that is seen, at its own size.
    fn make(&self, tile: &Tile<'_>, placed: &Placed, fps: u32) -> Result<gst::Buffer, String> {
        let crop = placed.crop;
        let info = raw_video_caps(crop.w as u32, crop.h as u32, fps).map_err(|e| e.to_string())?;
        let caps = info.to_caps().map_err(|e| e.to_string())?;
        if self.source.caps().as_ref() != Some(&caps) {
            self.source.set_caps(Some(&caps));
        }
        let mut data = vec![0; info.size()];
        let (o, s) = (info.offset(), info.stride());
        let mut picture = I420Mut::from_contiguous(
            crop.w,
            crop.h,
            &mut data,
            [o[0], o[1], o[2]],
            [s[0] as usize, s[1] as usize, s[2] as usize],
        )
        .map_err(|e| e.to_string())?;
        cut(&mut picture, &tile.frame, (crop.x, crop.y), tile.dim);
        if !tile.frame.colours().are_right() {
            Conversion::new(tile.frame.colours()).run(&mut picture);
        }
        Ok(gst::Buffer::from_mut_slice(data))
    }

    fn push(&self, pts: gst::ClockTime, duration: gst::ClockTime) -> Result<(), String> {
        let Some(mut buffer) = self.buffer.clone() else {
            return Ok(());
        };
        let stamps = buffer.make_mut();
        stamps.set_pts(pts);
        stamps.set_duration(duration);
        self.source
            .push_buffer(buffer)
            .map(drop)
            .map_err(|e| format!("it takes no more pictures: {e}"))
    }
}

/// Copies what `to` holds of `from`, from `origin` on.
fn cut(to: &mut I420Mut<'_>, from: &I420Ref<'_>, origin: (usize, usize), dim: bool) {
    let (width, height) = (to.width() as u32, to.height() as u32);
    let tile = Tile {
        id: 0,
        frame: *from,
        serial: 0,
        rect: Rect::new(
            -(origin.0 as i32),
            -(origin.1 as i32),
            from.width() as u32,
            from.height() as u32,
        ),
        z: 0,
        fit: Fit::Fill,
        dim,
        overlays: &[],
        style: Style::default(),
    };
    TileMixer::new(width as usize, height as usize).mix(to, &[tile]);
}

/// The tile's place in the order of drawing.
fn drawn_as(tiles: &[Tile<'_>], at: usize) -> u32 {
    let key = |n: usize| (tiles[n].z, n);
    (0..tiles.len()).filter(|n| key(*n) < key(at)).count() as u32
}

/// A tag below another tile is left out: it would be laid over that.
fn lay_tags(out: &mut I420Mut<'_>, tiles: &[Tile<'_>], at: usize, tile: &Tile<'_>, canvas: Rect) {
    let rect = tile.rect.snapped();
    let Some(visible) = rect.intersect(&canvas) else {
        return;
    };
    let above = |other: usize| drawn_as(tiles, other) > drawn_as(tiles, at);
    for overlay in tile.overlays {
        let (x, y) = (rect.x + overlay.x, rect.y + overlay.y);
        let size = (
            overlay.bitmap.width() as u32,
            overlay.bitmap.height() as u32,
        );
        let place = Rect::new(x, y, size.0, size.1);
        let covered = (0..tiles.len())
            .any(|n| above(n) && tiles[n].rect.snapped().intersect(&place).is_some());
        if !covered {
            blend_rgba(out, overlay.bitmap, x, y, Some(visible));
        }
    }
}
