//! What the host hears: the programme without themself (their mix-minus), on a playback device.
//!
//! ```text
//! sound mix, 10 ms a time, studio's clock ─▶ queue that corrects the drift ─▶ card, 10 ms a time, its own clock
//! ```
//!
//! At most 200 ms wait in the queue and 40 ms in the card. The mix only puts sound into the queue: a card that stalls,
//! breaks or goes costs the monitor alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alsa::Direction;
use gstdais::{BLOCK_FRAMES, BLOCK_SAMPLES, Block, RATE};

use super::identity::{Device, Places};
use super::pcm::{Pcm, pack};
use super::{End, LOOK, STALLED, keep_open};
use crate::api::Source;
use crate::error::StudioError;
use crate::health::add;
use crate::rt;
use crate::slot::AudioSlot;
use crate::studio::Shared;

const BUFFER_MS: u32 = 40;
const WHAT: &str = "the monitor output gives no sound";

/// What a setting of `[monitor] audio` means; `None` for `none`.
pub fn parse(spec: &str) -> Result<Option<Device>, StudioError> {
    if spec == "none" {
        return Ok(None);
    }
    let device = spec.strip_prefix("alsa:").and_then(Device::sound);
    device.map(Some).ok_or_else(|| StudioError::Config {
        key: "monitor.audio",
        what: format!("\"{spec}\" is neither \"none\" nor \"alsa:DEVICE\""),
    })
}

/// Starts the monitor's thread, if one is set.
pub(crate) fn start(
    shared: &Shared,
    stop: &Arc<AtomicBool>,
) -> Result<Option<std::thread::JoinHandle<()>>, StudioError> {
    let Some(device) = parse(&shared.config.monitor.audio)? else {
        return Ok(None);
    };
    let heard = Arc::new(AudioSlot::default());
    let host = shared.slots.add(Source::Host);
    host.sound_out.set_monitor(heard.clone());
    let (shared, stop) = (shared.clone(), stop.clone());
    std::thread::Builder::new()
        .name("monitor".into())
        .spawn(move || keep(&shared, &device, &heard, &stop))
        .map(Some)
        .map_err(StudioError::Thread)
}

fn keep(shared: &Shared, device: &Device, heard: &AudioSlot, stop: &AtomicBool) {
    rt::raise_this_thread();
    let advice =
        |why: &str| format!("Check the headphones' device, {device}. It is tried again. ({why})");
    keep_open(shared, "sound", WHAT, stop, advice, |alive| {
        let opened = Places::default()
            .pcm(device)
            .and_then(|name| Pcm::open(&name, Direction::Playback, BUFFER_MS));
        match opened {
            Ok(card) if card.rate != RATE => End::Broken(format!(
                "it plays at {} Hz only, not at {RATE}: try \"alsa:plughw:…\"",
                card.rate
            )),
            Ok(card) => play(shared, &card, heard, stop, alive),
            Err(why) => End::Broken(why),
        }
    });
}

/// The card's free space asks for each block, so that its clock sets the pace.
fn play(
    shared: &Shared,
    card: &Pcm,
    heard: &AudioSlot,
    stop: &AtomicBool,
    alive: &mut dyn FnMut(),
) -> End {
    let io = card.pcm.io_bytes();
    let frame_bytes = card.sample_bytes() * card.channels;
    let mut block: Box<Block> = Box::new([0.0; BLOCK_SAMPLES]);
    let mut bytes = Vec::with_capacity(BLOCK_FRAMES * frame_bytes);
    let mut written = 0;
    let mut last = Instant::now();
    // What came while no card played is old.
    heard.clear();
    while !stop.load(Ordering::Relaxed) {
        if written == bytes.len() {
            heard.pull(&mut block);
            pack(block.as_slice(), card.format, card.channels, &mut bytes);
            written = 0;
        }
        let took = match card.ready(LOOK.as_millis() as u32) {
            Ok(true) => io.writei(&bytes[written..]),
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        match took {
            Ok(0) if last.elapsed() > STALLED => {
                return End::Broken(format!(
                    "it took no sound for {} s",
                    last.elapsed().as_secs()
                ));
            }
            Ok(0) => {}
            Ok(frames) => {
                last = Instant::now();
                written += frames * frame_bytes;
                alive();
            }
            Err(error) => match card.recover(error) {
                Ok(ran_dry) => add(&shared.counters.monitor_xruns, u64::from(ran_dry)),
                Err(why) => return End::Broken(why),
            },
        }
    }
    End::Stopped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_monitor_is_an_alsa_device_or_none() {
        assert_eq!(parse("none").unwrap(), None);
        assert_eq!(
            parse("alsa:id:Headphones").unwrap(),
            Some(Device::Id("Headphones".into()))
        );
        for bad in ["", "hw:1", "alsa:", "kms"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
