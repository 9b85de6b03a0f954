//! What the studio counted and measured. Counting takes no lock of the media path; percentiles are made when asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gst::ClockTime;

use crate::capture::Signal;
use crate::feed::FeedHealth;
use crate::slot::SlotHealth;

/// Half and 99 % of the last 10 s were below; in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Latency {
    pub p50_ms: f32,
    pub p99_ms: f32,
    pub samples: u32,
}

/// Everything `health` of the contract needs from the studio, since its start unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct StudioHealth {
    /// Programme frames mixed.
    pub frames: u64,
    /// Programme frames per second that left the encoder, over the last second.
    pub encoded_fps: f32,
    /// Ticks of the mix that left more than half a frame after their window.
    pub ticks_late: u64,
    /// Grid points without a frame: the machine stood still for more than a second.
    pub ticks_missed: u64,
    /// Mixed frames that the encoder was too slow to take, or took and lost when it failed.
    pub encoder_dropped: u64,
    /// How often a stalled encoder was built anew.
    pub encoder_rebuilt: u64,
    /// Which encoders make the programme's and the returns' pictures.
    pub encoders: Vec<EncoderHealth>,
    /// Programme frames that showed the host's previous frame again.
    pub host_repeated: u64,
    /// Frames of the host that were never shown.
    pub host_skipped: u64,
    /// 10 ms blocks of the programme's sound.
    pub blocks: u64,
    pub blocks_late: u64,
    pub blocks_missed: u64,
    /// How often the host's sound was heard to break off or to jump: it came too late, or too much of it waited.
    pub host_sound_torn: u64,
    /// The same of all guests on air.
    pub guests_sound_torn: u64,
    /// How often the microphone's card ran over before it was read.
    pub microphone_xruns: u64,
    pub microphone_reopened: u64,
    pub camera_reopened: u64,
    /// What comes in at the host's camera, where it is one, once it was asked.
    pub signal: Option<Signal>,
    /// How often the monitor output's card ran dry.
    pub monitor_xruns: u64,
    /// Pictures that the host's screen was too slow to show.
    pub screen_dropped: u64,
    pub capture_to_mix: Latency,
    pub mix_to_encoded: Latency,
    pub capture_to_encoded: Latency,
    pub slots: Vec<SlotHealth>,
    pub feeds: Vec<FeedHealth>,
    pub outputs: Vec<OutputHealth>,
    pub sessions: Vec<crate::session::SessionHealth>,
}

/// Where an encoder's place stands on its ladder.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct EncoderHealth {
    pub line: &'static str,
    /// The rung in use.
    pub element: String,
    /// Those that failed in service and were left.
    pub left: Vec<String>,
}

/// What an output lost, with its own queue.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct OutputHealth {
    pub output_id: String,
    pub dropped: u64,
    pub bytes: u64,
}

/// Counters of the mix.
#[derive(Default)]
pub(crate) struct Counters {
    pub frames: AtomicU64,
    pub ticks_late: AtomicU64,
    pub ticks_missed: AtomicU64,
    pub host_repeated: AtomicU64,
    pub host_skipped: AtomicU64,
    pub blocks: AtomicU64,
    pub blocks_late: AtomicU64,
    pub blocks_missed: AtomicU64,
    pub host_sound_torn: AtomicU64,
    pub guests_sound_torn: AtomicU64,
    pub microphone_xruns: AtomicU64,
    pub microphone_reopened: AtomicU64,
    pub camera_reopened: AtomicU64,
    pub monitor_xruns: AtomicU64,
    pub screen_dropped: AtomicU64,
    /// Times 100.
    pub encoded_fps: AtomicU32,
    pub ledger: Ledger,
    signal: Mutex<Option<Signal>>,
}

impl Counters {
    pub fn tell_signal(&self, signal: Signal) {
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
    }

    pub fn signal(&self) -> Option<Signal> {
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// Frames on their way through mixer and encoder: a second of them.
const IN_FLIGHT: usize = 64;
/// What a percentile looks back on.
const LOOK_BACK: ClockTime = ClockTime::from_seconds(10);
const MAX_SAMPLES: usize = 600;

/// Where the time of a frame went.
#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<LedgerState>,
}

#[derive(Default)]
struct LedgerState {
    in_flight: VecDeque<Stamped>,
    capture_to_mix: Samples,
    mix_to_encoded: Samples,
    capture_to_encoded: Samples,
}

struct Stamped {
    pts: ClockTime,
    captured: Option<ClockTime>,
    mixed: ClockTime,
}

#[derive(Default)]
struct Samples(VecDeque<(ClockTime, f32)>);

impl Samples {
    fn add(&mut self, now: ClockTime, took: ClockTime) {
        if self.0.len() == MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back((now, took.nseconds() as f32 / 1e6));
    }

    fn recent(&self, now: ClockTime) -> Vec<f32> {
        let oldest = now.saturating_sub(LOOK_BACK);
        let recent = self.0.iter().filter(|(at, _)| *at >= oldest);
        recent.map(|(_, ms)| *ms).collect()
    }
}

impl Latency {
    fn of(mut samples: Vec<f32>) -> Latency {
        samples.sort_by(f32::total_cmp);
        let last = samples.len().saturating_sub(1);
        let at = |share: f64| {
            let place = (samples.len() as f64 * share) as usize;
            samples.get(place.min(last)).copied().unwrap_or(0.0)
        };
        Latency {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            samples: samples.len() as u32,
        }
    }
}

impl Ledger {
    /// A programme frame left the mix. `captured` is the host frame's, where it shows a new one.
    pub fn mixed(&self, pts: ClockTime, captured: Option<ClockTime>, mixed: ClockTime) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.in_flight.len() == IN_FLIGHT {
            state.in_flight.pop_front();
        }
        state.in_flight.push_back(Stamped {
            pts,
            captured,
            mixed,
        });
        if let Some(captured) = captured {
            state
                .capture_to_mix
                .add(mixed, mixed.saturating_sub(captured));
        }
    }

    /// The frame of this timestamp left the encoder.
    pub fn encoded(&self, pts: ClockTime, now: ClockTime) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(frame) = state.in_flight.front() {
            // x264enc keeps its own time base: a microsecond may be rounded away.
            if frame.pts > pts + ClockTime::from_useconds(50) {
                break;
            }
            let Some(frame) = state.in_flight.pop_front() else {
                break;
            };
            if frame.pts + ClockTime::from_useconds(50) < pts {
                continue;
            }
            state
                .mix_to_encoded
                .add(now, now.saturating_sub(frame.mixed));
            if let Some(captured) = frame.captured {
                state
                    .capture_to_encoded
                    .add(now, now.saturating_sub(captured));
            }
        }
    }

    /// Capture → mix, mix → encoded, capture → encoded.
    pub fn percentiles(&self, now: ClockTime) -> [Latency; 3] {
        let recent = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            [
                state.capture_to_mix.recent(now),
                state.mix_to_encoded.recent(now),
                state.capture_to_encoded.recent(now),
            ]
        };
        // Without the lock, which the mix takes for each frame.
        recent.map(Latency::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_knows_where_a_frame_spent_its_time() {
        let (ledger, ms) = (Ledger::default(), ClockTime::from_mseconds);
        for n in 0..100 {
            let at = ms(1000 + n * 33);
            ledger.mixed(at, Some(at), at + ms(2));
            // Every tenth frame is dropped before the encoder.
            if n % 10 != 0 {
                ledger.encoded(
                    at + ClockTime::from_nseconds(7),
                    at + ms(if n > 97 { 40 } else { 12 }),
                );
            }
        }
        let [mix, encode, whole] = ledger.percentiles(ms(5000));
        assert_eq!((mix.p50_ms, mix.p99_ms, mix.samples), (2.0, 2.0, 100));
        assert_eq!(
            (encode.p50_ms, encode.p99_ms, encode.samples),
            (10.0, 38.0, 90)
        );
        assert_eq!((whole.p50_ms, whole.p99_ms), (12.0, 40.0));
        assert_eq!(ledger.percentiles(ms(60_000))[0].samples, 0);
    }
}
