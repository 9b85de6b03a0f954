//! The container's timestamps of one stream.

use serde::Serialize;

use super::spans::{Span, Spans, median};

/// A step of so many usual ones is a gap: one frame is missing then, whatever a container rounds.
const GAP: f64 = 1.8;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    pub packets: u64,
    /// Usual distance of two packets.
    pub step_ms: f64,
    pub longest_step_ms: f64,
    /// Steps of almost two usual ones and more: where it lasted from, and how long.
    pub gaps: Spans,
    pub repeated: u64,
    pub without: u64,
}

/// Presentation times in nanoseconds in the order of the file (a video's frames may refer to later ones, so it need not rise).
pub fn judge(times: &[Option<u64>]) -> Times {
    let mut known: Vec<u64> = times.iter().flatten().copied().collect();
    known.sort_unstable();
    let origin = known.first().copied().unwrap_or(0);
    let steps: Vec<(u64, u64)> = known.windows(2).map(|w| (w[0], w[1] - w[0])).collect();
    let ms = |step: u64| step as f64 / 1e6;
    let moving = steps.iter().filter(|(_, step)| *step > 0);
    let usual = median(moving.map(|(_, step)| ms(*step)).collect()).unwrap_or(0.0);
    let mut gaps = Spans::default();
    for (from, step) in &steps {
        // A timestamp in whole milliseconds may be off by one.
        if ms(*step) > GAP * usual + 1.0 {
            gaps.add(Span {
                from_s: (from - origin) as f64 / 1e9,
                seconds: *step as f64 / 1e9,
            });
        }
    }
    Times {
        packets: times.len() as u64,
        step_ms: usual,
        longest_step_ms: steps.iter().map(|(_, step)| ms(*step)).fold(0.0, f64::max),
        gaps,
        repeated: steps.iter().filter(|(_, step)| *step == 0).count() as u64,
        without: times.iter().filter(|time| time.is_none()).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repeats_are_found_and_reordered_frames_are_neither() {
        let at = |frame: u64| Some(frame * 33_000_000);
        let times = [at(0), at(3), at(1), at(2), at(4), at(4), None, at(7), at(8)];
        let judged = judge(&times);
        assert_eq!((judged.packets, judged.repeated, judged.without), (9, 1, 1));
        assert_eq!(judged.gaps.count, 1);
        assert_eq!(judged.gaps.first[0].from_s, 0.132);
        assert_eq!((judged.step_ms, judged.longest_step_ms), (33.0, 99.0));
    }
}
