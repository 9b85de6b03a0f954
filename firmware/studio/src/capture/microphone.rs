//! The host's microphone: read from the card in periods of 10 ms, so that every overrun is seen, and counted.
//!
//! ```text
//! card, as it is ─▶ appsrc ! audioconvert ! audioresample ! F32LE, 48 kHz, stereo ! appsink → audio slot of the host
//! ```
//!
//! The card's clock is not slaved: the slot's queue corrects the drift.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alsa::Direction;
use gst::prelude::*;

use super::branch::{chain, sound_sink};
use super::mixer;
use super::pcm::Pcm;
use super::{End, LOOK, STALLED};
use crate::element::{filter, make, posted_error};
use crate::encoder::raw_sound_caps;
use crate::error::StudioError;
use crate::health::add;
use crate::rt;
use crate::slot::Slot;
use crate::studio::Shared;

/// What may wait in the card: the box may be late by so much before sound is lost.
const BUFFER_MS: u32 = 80;
/// What may wait for the conversion, of 10 ms each.
const WAITING: u64 = 10;

/// Reads until something ends it; `alive` is called with each period, and says whether it goes on.
pub(super) fn run(
    shared: &Shared,
    host: &Arc<Slot>,
    name: &str,
    stop: &AtomicBool,
    alive: &mut dyn FnMut() -> bool,
) -> End {
    let card = match Pcm::open(name, Direction::Capture, BUFFER_MS) {
        Ok(card) => card,
        Err(why) => return End::Broken(why),
    };
    prepare(shared, &card);
    let (pipeline, entry) = match convert(shared, host, &card) {
        Ok(made) => made,
        Err(error) => return End::Broken(error.to_string()),
    };
    rt::raise_this_thread();
    let end = read(shared, &card, &pipeline, &entry, stop, alive);
    let _ = pipeline.set_state(gst::State::Null);
    end
}

/// A microphone whose mixer can't be set is heard all the same.
fn prepare(shared: &Shared, card: &Pcm) {
    let config = &shared.config.capture;
    let Some(number) = card.number() else {
        return;
    };
    match mixer::prepare(
        number,
        config.audio_control.as_deref(),
        config.audio_gain_db,
    ) {
        Ok(Some(control)) => tracing::info!(
            control = control.name,
            gain_db = control.gain_db,
            "the microphone is switched on in its card"
        ),
        Ok(None) => {}
        Err(why) => tracing::warn!(why, "the microphone's card can't be set"),
    }
}

fn read(
    shared: &Shared,
    card: &Pcm,
    pipeline: &gst::Pipeline,
    entry: &gst_app::AppSrc,
    stop: &AtomicBool,
    alive: &mut dyn FnMut() -> bool,
) -> End {
    let io = card.pcm.io_bytes();
    let frame_bytes = card.sample_bytes() * card.channels;
    let mut bytes = vec![0u8; card.period * frame_bytes];
    let mut last = Instant::now();
    // A capture runs from its start, not from the first read, when it is waited for.
    if let Err(error) = card.pcm.start() {
        return End::Broken(super::pcm::said(&error));
    }
    while !stop.load(Ordering::Relaxed) {
        if let Some(error) = posted_error(pipeline) {
            return End::Broken(error.to_string());
        }
        let came = match card.ready(LOOK.as_millis() as u32) {
            Ok(true) => io.readi(&mut bytes),
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        match came {
            Ok(0) if last.elapsed() > STALLED => {
                return End::Broken(format!("nothing came for {} s", last.elapsed().as_secs()));
            }
            Ok(0) => {}
            Ok(frames) => {
                last = Instant::now();
                // What is still in the card was captured after what was just read.
                let behind = card.pcm.delay().unwrap_or(0).clamp(0, card.buffer as i64);
                let age = (behind as u64 + frames as u64) * 1_000_000_000 / u64::from(card.rate);
                let captured = shared
                    .time
                    .now()
                    .saturating_sub(gst::ClockTime::from_nseconds(age));
                let read = &bytes[..frames * frame_bytes];
                if entry.push_buffer(buffer(read, card, captured)).is_err() {
                    return End::Broken("its sound could not be converted".into());
                }
                if !alive() {
                    return End::Another;
                }
            }
            Err(error) => match card.recover(error) {
                Ok(overrun) => {
                    add(&shared.counters.microphone_xruns, u64::from(overrun));
                    let _ = card.pcm.start();
                }
                Err(why) => return End::Broken(why),
            },
        }
    }
    End::Stopped
}

/// Of a card with many channels the first two.
fn buffer(read: &[u8], card: &Pcm, captured: gst::ClockTime) -> gst::Buffer {
    let (sample, channels) = (card.sample_bytes(), card.channels);
    let taken = match channels {
        1 | 2 => read.to_vec(),
        _ => read
            .chunks_exact(sample * channels)
            .flat_map(|frame| &frame[..2 * sample])
            .copied()
            .collect(),
    };
    let mut buffer = gst::Buffer::from_mut_slice(taken);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(captured);
    }
    buffer
}

fn convert(
    shared: &Shared,
    host: &Arc<Slot>,
    card: &Pcm,
) -> Result<(gst::Pipeline, gst_app::AppSrc), StudioError> {
    let pipeline = gst::Pipeline::new();
    rt::raise_streams(&pipeline);
    shared.time.adopt(&pipeline);
    let caps = gst_audio::AudioCapsBuilder::new_interleaved()
        .format(card.format)
        .rate(card.rate as i32)
        .channels(card.channels.min(2) as i32)
        .build();
    let entry = gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .is_live(true)
        .max_buffers(WAITING)
        .leaky_type(gst_app::AppLeakyType::Downstream)
        .build();
    chain(
        &pipeline,
        vec![
            entry.clone().upcast(),
            make("audioconvert")?,
            make("audioresample")?,
            filter(&raw_sound_caps())?,
            sound_sink(shared, host, false),
        ],
    )?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| StudioError::pipeline("microphone", e))?;
    Ok((pipeline, entry))
}
