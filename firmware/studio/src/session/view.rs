//! The picture of a private view: one guest alone, from the slot that the programme takes it from too, encoded once more
//! for one console.
//!
//! ```text
//! slot of the guest ─▶ fitted into 640x360 ─▶ encoder ─▶ feed ─▶ appsrc of the console's session
//! ```
//!
//! A thread of its own looks at the slot's newest picture, as often as a small picture needs it; neither the guest's pipeline nor the
//! programme knows of it. The guest's own access units could be passed on without decoding them; but then one console's keyframe
//! requests would cost the guest's uplink, what is lost on that way would be lost here too, and the codec would be the guest's choice.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use gst_video::prelude::*;
use gstdais::blend::Rect;
use gstdais::frame::I420;
use gstdais::tilemix::{Fit, Style, Tile, TileMixer};

use crate::encoder::{Encoding, Rung, SOFTWARE, VideoShape, request_keyframe};
use crate::error::StudioError;
use crate::feed::Feed;
use crate::slot::{Picture, Slot};
use crate::studio::Shared;

use super::answer::Codec;
use super::vitals::Vitals;

/// As large as a guest's picture usually is, and half of its rate: a face, and whether the light is right. 1.5 % of a 2.6 GHz core.
const SHAPE: VideoShape = VideoShape {
    width: 640,
    height: 360,
    fps: 15,
    kbps: 600,
    keyframe: 150,
    baseline: true,
};
/// A picture that stands is sent again, so that a keyframe which was asked for has a picture to be made of.
const AGAIN: Duration = Duration::from_millis(500);
/// The encoder works on one; a slow one gets the newest next, and what came between is nobody's loss.
const WAITING: u64 = 2;

/// Ends with its drop.
pub(super) struct View {
    pub feed: Arc<Feed>,
    stop: Arc<AtomicBool>,
}

impl View {
    pub fn start(
        shared: &Shared,
        of: &Arc<Slot>,
        codec: Codec,
        vitals: &Arc<Vitals>,
    ) -> Result<View, StudioError> {
        let feed = Feed::new("view");
        let taken = feed.clone();
        let encoding = Encoding::video(
            &rung(shared, codec),
            &SHAPE,
            false,
            &shared.time,
            move |unit| {
                if let Some(caps) = unit.caps {
                    taken.set_caps(caps);
                }
                taken.publish(unit.buffer);
            },
        )?;
        let encoder = encoding.encoder.downgrade();
        feed.on_keyframe_request(move || {
            if let Some(encoder) = encoder.upgrade() {
                request_keyframe(&encoder);
            }
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, of, vitals) = (shared.clone(), Arc::downgrade(of), Arc::downgrade(vitals));
        let end = stop.clone();
        std::thread::Builder::new()
            .name("view".into())
            .spawn(move || {
                if let Err(why) = run(&shared, &of, &encoding, &end)
                    && let Some(vitals) = vitals.upgrade()
                {
                    vitals.fail(why);
                }
                encoding.leave();
            })
            .map_err(StudioError::Thread)?;
        Ok(View { feed, stop })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// In software: hardware was tried for the shapes of programme and returns, and may have no room for one more.
fn rung(shared: &Shared, codec: Codec) -> Rung {
    let settings = &shared.config.programme.encoder_settings;
    let mut h264 = SOFTWARE
        .map(|element| Rung::new(element, settings))
        .into_iter();
    match codec {
        Codec::Vp8 => Rung::vp8(),
        // Where neither exists, building the last one says which package is missing.
        Codec::H264 | Codec::Opus => {
            let last = h264.next_back().unwrap_or_else(Rung::vp8);
            h264.find(Rung::exists).unwrap_or(last)
        }
    }
}

/// Until `stop`, the end of the guest's slot, or the encoder's failure.
fn run(
    shared: &Shared,
    of: &Weak<Slot>,
    encoding: &Encoding,
    stop: &AtomicBool,
) -> Result<(), String> {
    let (width, height) = (SHAPE.width as usize, SHAPE.height as usize);
    let mut mixer = TileMixer::new(width, height);
    let mut canvas = I420::blank(width, height);
    let (mut shown, mut sent) = (None, Instant::now());
    let pause = gst::ClockTime::from_nseconds(1_000_000_000 / u64::from(SHAPE.fps));
    let mut due = shared.time.now();
    while !stop.load(Relaxed) {
        let Some(slot) = of.upgrade() else {
            return Ok(());
        };
        let picture = slot.video.peek().filter(|_| !slot.dark.load(Relaxed));
        drop(slot);
        let seq = picture.as_ref().map_or(0, |picture| picture.seq);
        if (shown != Some(seq) || sent.elapsed() >= AGAIN)
            && encoding.appsrc.current_level_buffers() < WAITING
        {
            if let Some(why) = encoding.error() {
                return Err(format!("the private view could not be encoded: {why}"));
            }
            let tile = picture.as_deref().and_then(tile);
            mixer.mix(&mut canvas.as_mut(), tile.as_slice());
            let pts = shared.time.now();
            let mut frame = gst::Buffer::from_mut_slice(canvas.data().to_vec());
            if let Some(frame) = frame.get_mut() {
                frame.set_pts(pts);
                frame.set_duration(pause);
            }
            // A pipeline that is in trouble says so above.
            let _ = encoding.appsrc.push_buffer(frame);
            (shown, sent) = (Some(seq), Instant::now());
        }
        // What was late is not made up for.
        due = (due + pause).max(shared.time.now());
        shared.time.sleep_until(due);
    }
    Ok(())
}

fn tile(picture: &Picture) -> Option<Tile<'_>> {
    Some(Tile {
        id: 0,
        frame: picture.view()?,
        serial: picture.seq,
        rect: Rect::new(0, 0, SHAPE.width, SHAPE.height),
        z: 0,
        fit: Fit::Contain,
        dim: false,
        overlays: &[],
        style: Style::default(),
    })
}
