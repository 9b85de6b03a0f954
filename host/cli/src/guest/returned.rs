//! What a synthetic guest gets back: the programme decoded and counted, its sound measured.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gst::prelude::*;
use gstdais::elements::packets::without_header_extensions;

use super::peer::{PeerError, PeerEvent, Tell};
use super::tones::{Heard, Tones};

/// Of the return, since the connection began unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Returned {
    pub frames: u64,
    pub width: i32,
    pub height: i32,
    /// Longest time between two decoded pictures since the last look, ms.
    pub longest_gap_ms: f32,
    pub sounds: u64,
    pub heard: Option<Heard>,
}

pub struct Ledger(Mutex<Counts>);

struct Counts {
    frames: u64,
    size: (i32, i32),
    last_frame: Option<Instant>,
    longest_gap_ms: f32,
    sounds: u64,
    tones: Tones,
}

impl Ledger {
    pub fn new(own_hz: u32) -> Ledger {
        Ledger(Mutex::new(Counts {
            frames: 0,
            size: (0, 0),
            last_frame: None,
            longest_gap_ms: 0.0,
            sounds: 0,
            tones: Tones::new(own_hz),
        }))
    }

    /// Starts the next gap measurement.
    pub fn look(&self) -> Returned {
        let mut counts = self.lock();
        let open_gap = counts
            .last_frame
            .map_or(0.0, |at| at.elapsed().as_secs_f32() * 1000.0);
        let longest_gap_ms = std::mem::take(&mut counts.longest_gap_ms).max(open_gap);
        Returned {
            frames: counts.frames,
            width: counts.size.0,
            height: counts.size.1,
            longest_gap_ms,
            sounds: counts.sounds,
            heard: counts.tones.last,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the first.
    fn picture(&self, size: (i32, i32)) -> bool {
        let mut counts = self.lock();
        counts.frames += 1;
        counts.size = size;
        if let Some(last) = counts.last_frame.replace(Instant::now()) {
            counts.longest_gap_ms = counts
                .longest_gap_ms
                .max(last.elapsed().as_secs_f32() * 1000.0);
        }
        counts.frames == 1
    }

    fn sound(&self, pcm: &[u8]) {
        let mut counts = self.lock();
        counts.sounds += 1;
        for frame in pcm.as_chunks::<4>().0 {
            let sample =
                |at: usize| f32::from(i16::from_le_bytes([frame[at], frame[at + 1]])) / 32_768.0;
            counts.tones.push((sample(0) + sample(2)) / 2.0);
        }
    }
}

/// A bin that decodes what comes out of `pad`.
pub fn decode(pad: &gst::Pad, ledger: &Arc<Ledger>, tell: &Tell) -> Result<gst::Bin, PeerError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let encoding = caps
        .structure(0)
        .and_then(|s| s.get::<&str>("encoding-name").ok())
        .unwrap_or_default();
    let sink = "appsink name=sink sync=false async=false max-buffers=4 enable-last-sample=false";
    let h264 = if gst::ElementFactory::find("avdec_h264").is_some() {
        "avdec_h264 max-threads=1"
    } else {
        "openh264dec"
    };
    let description = match encoding {
        "H264" => format!(
            "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! {h264} ! {sink}"
        ),
        "VP8" => format!(
            "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec threads=1 ! {sink}"
        ),
        "OPUS" => format!(
            "rtpopusdepay ! opusdec plc=true use-inband-fec=true ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {sink}"
        ),
        other => {
            return Err(PeerError::Pipeline(format!(
                "the box sends {other}, which was not asked for"
            )));
        }
    };
    let bin = gst::parse::bin_from_description(&description, true)
        .map_err(|e| PeerError::Pipeline(e.to_string()))?;
    let Some(sink) = bin
        .by_name("sink")
        .and_then(|s| s.downcast::<gst_app::AppSink>().ok())
    else {
        return Err(PeerError::Pipeline("the decoder has no sink".into()));
    };
    if let Some(sink) = bin.static_pad("sink") {
        without_header_extensions(&sink);
    }
    let is_sound = encoding == "OPUS";
    let (ledger, tell) = (ledger.clone(), tell.clone());
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let Ok(sample) = sink.pull_sample() else {
                    return Ok(gst::FlowSuccess::Ok);
                };
                if is_sound {
                    if let Some(Ok(map)) = sample.buffer().map(gst::BufferRef::map_readable) {
                        ledger.sound(&map);
                    }
                    return Ok(gst::FlowSuccess::Ok);
                }
                let side = |name| {
                    sample
                        .caps()
                        .and_then(|c| c.structure(0))
                        .and_then(|s| s.get::<i32>(name).ok())
                };
                if ledger.picture((side("width").unwrap_or(0), side("height").unwrap_or(0))) {
                    // Nobody asks any more.
                    let _ = tell.send(PeerEvent::FirstPicture);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    Ok(bin)
}
