//! The src pad's side: negotiation, the beat, and frames that are painted and pushed. Whoever pushes holds this, so that
//! the clock pad's thread and the task never push at once.

use gst::prelude::*;

use super::beat::Beat;
use super::scene::{Look, Scene};
use crate::elements::canvas::Canvas;
use crate::elements::colorimetry;
use crate::tilemix::TileMixer;

const DEFAULT_SIZE: (i32, i32) = (1280, 720);
const DEFAULT_FPS: (i32, i32) = (30, 1);

/// What can be set while frames leave.
#[derive(Clone, Copy)]
pub(super) struct Painting {
    pub look: Look,
    pub background: u32,
    /// Nanoseconds.
    pub transition: u64,
}

pub(super) struct Output {
    pub beat: Beat,
    pub scene: Scene,
    format: Option<Format>,
    started: bool,
    segment_sent: bool,
    pub eos: bool,
}

struct Format {
    caps: gst::Caps,
    canvas: Canvas,
    mixer: TileMixer,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            beat: Beat::new((30, 1)),
            scene: Scene::default(),
            format: None,
            started: false,
            segment_sent: false,
            eos: false,
        }
    }
}

impl Output {
    /// Negotiates if that is due, and sends what has to come before the first frame.
    pub fn prepare(&mut self, src: &gst::Pad) -> Result<(), gst::FlowError> {
        if !self.started {
            self.started = true;
            // Of its own: it continues none of its inputs' streams.
            let id = format!("daistilemix/{}", gst::glib::uuid_string_random());
            let group = gst::GroupId::next();
            src.push_event(
                gst::event::StreamStart::builder(&id)
                    .group_id(group)
                    .build(),
            );
        }
        let due = src.check_reconfigure() || self.format.is_none();
        if due && let Err(error) = self.negotiate(src) {
            src.mark_reconfigure();
            return Err(error);
        }
        if !self.segment_sent {
            self.segment_sent = true;
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            src.push_event(gst::event::Segment::new(&segment));
        }
        Ok(())
    }

    fn negotiate(&mut self, src: &gst::Pad) -> Result<(), gst::FlowError> {
        let caps = self.choose_caps(src).ok_or(gst::FlowError::NotNegotiated)?;
        if self.format.as_ref().is_some_and(|f| f.caps == caps) {
            return Ok(());
        }
        let canvas = Canvas::new(&caps)?;
        let fps = canvas.info().fps();
        let (Ok(n), Ok(d)) = (u64::try_from(fps.numer()), u64::try_from(fps.denom())) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        if n == 0 || d == 0 {
            return Err(gst::FlowError::NotNegotiated);
        }
        self.beat.set_fps((n, d));
        let (width, height) = canvas.size();
        self.scene.converts = colorimetry::colours(&canvas.info().colorimetry()).are_right();
        src.push_event(gst::event::Caps::new(&caps));
        self.format = Some(Format {
            caps,
            canvas,
            mixer: TileMixer::new(width, height),
        });
        Ok(())
    }

    fn choose_caps(&self, src: &gst::Pad) -> Option<gst::Caps> {
        let mut caps = src.peer_query_caps(Some(&src.pad_template_caps()));
        if caps.is_empty() || caps.is_any() {
            return None;
        }
        let (size, fps) = self.scene.wishes();
        let current = self.format.as_ref().map(|f| f.canvas.info());
        // What downstream leaves open stays as it is.
        let size = current
            .map(|i| (i.width() as i32, i.height() as i32))
            .or(size)
            .unwrap_or(DEFAULT_SIZE);
        let fps = current
            .map(gst_video::VideoInfo::fps)
            .or(fps)
            .unwrap_or(gst::Fraction::new(DEFAULT_FPS.0, DEFAULT_FPS.1));
        caps.truncate();
        let structure = caps.make_mut().structure_mut(0)?;
        structure.fixate_field_nearest_int("width", size.0);
        structure.fixate_field_nearest_int("height", size.1);
        structure.fixate_field_nearest_fraction("framerate", fps);
        if structure.has_field("pixel-aspect-ratio") {
            structure.fixate_field_nearest_fraction("pixel-aspect-ratio", gst::Fraction::new(1, 1));
        } else {
            structure.set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
        }
        if !structure.has_field("colorimetry") {
            structure.set("colorimetry", "bt709");
        }
        caps.fixate();
        Some(caps)
    }

    /// Paints one picture and sends it as these frames.
    pub fn produce(
        &mut self,
        src: &gst::Pad,
        frames: std::ops::Range<u64>,
        painting: Painting,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let format = self.format.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let last = frames.start.saturating_sub(1);
        let times = (
            self.beat.pts(last),
            self.beat.pts(frames.end.saturating_sub(1)),
        );
        let (scene, mixer) = (&mut self.scene, &mut format.mixer);
        let looks = (painting.background, painting.transition);
        let buffer = format
            .canvas
            .paint(|out| scene.paint(mixer, out, painting.look, times, looks))?;
        let mut buffer = Some(buffer);
        let mut flow = Ok(gst::FlowSuccess::Ok);
        let end = frames.end;
        for n in frames {
            // A frame more than once shares its pixels.
            let frame = if n + 1 == end {
                buffer.take()
            } else {
                buffer.as_ref().map(|b| b.copy())
            };
            let Some(mut frame) = frame else { break };
            let (pts, next) = (self.beat.pts(n), self.beat.pts(n + 1));
            if let Some(frame) = frame.get_mut() {
                frame.set_pts(gst::ClockTime::from_nseconds(pts));
                frame.set_dts(gst::ClockTime::NONE);
                frame.set_duration(gst::ClockTime::from_nseconds(next - pts));
            }
            flow = src.push(frame);
            if flow.is_err() {
                break;
            }
        }
        flow
    }

    pub fn end(&mut self, src: &gst::Pad) {
        if !self.eos {
            self.eos = true;
            src.push_event(gst::event::Eos::new());
        }
    }
}
