//! When programme frames leave. Frame n has its timestamp on a fixed grid; the moment it leaves follows the host's camera,
//! so that a frame of the host goes out mixed at once and needs no queue.
//!
//! A tick leaves when a new frame of the host arrives in its window (half a period around where it is expected), else at
//! the window's end. A camera that is slower or faster than the grid slips against it; after a whole period one of its own
//! frames is repeated or skipped. The grid has no gap and no double either way.

use gst::ClockTime;

/// Share of a frame's deviation by which the expected arrival follows it: quick enough for a camera 1000 ppm off,
/// slow enough that a camera's jitter doesn't move the windows.
const FOLLOW: f64 = 0.03;
/// The same for the first frames after a start or a pause.
const FOLLOW_FRESH: f64 = 0.5;
const FRESH_FRAMES: u32 = 6;
/// Past this many periods the expectation jumps to the next grid point; more than a half, so that it doesn't jump to and fro.
const SLIP: f64 = 0.6;

pub(crate) struct Beat {
    start: ClockTime,
    fps: u64,
    /// The next frame's number.
    n: u64,
    /// Expected arrival of the host's frame, relative to the grid point, in nanoseconds.
    phase: f64,
    arrivals: u32,
    silent: u32,
    /// The host has just gained a period on the grid: the next tick takes the frame that came before its window.
    gained: bool,
}

/// When the next tick may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub opens: ClockTime,
    pub closes: ClockTime,
    /// A frame that is there when the window opens is taken without waiting for another.
    pub take_waiting: bool,
}

impl Beat {
    pub fn new(start: ClockTime, fps: u32) -> Beat {
        Beat {
            start,
            fps: u64::from(fps),
            n: 0,
            phase: 0.0,
            arrivals: 0,
            silent: 0,
            gained: false,
        }
    }

    pub fn period(&self) -> ClockTime {
        ClockTime::from_nseconds(1_000_000_000 / self.fps)
    }

    /// The next frame's place on the grid.
    pub fn pts(&self) -> ClockTime {
        self.start + ClockTime::from_nseconds(self.n * 1_000_000_000 / self.fps)
    }

    pub fn number(&self) -> u64 {
        self.n
    }

    pub fn window(&self) -> Window {
        let expected = self.pts().nseconds() as f64 + self.phase;
        let half = self.period().nseconds() as f64 / 2.0;
        let at = |ns: f64| ClockTime::from_nseconds(ns.max(0.0) as u64);
        Window {
            opens: at(expected - half),
            closes: at(expected + half),
            take_waiting: self.gained,
        }
    }

    /// A tick has left: with a frame of the host that arrived then, or without a new one.
    pub fn ticked(&mut self, arrival: Option<ClockTime>) {
        let period = self.period().nseconds() as f64;
        self.gained = false;
        match arrival {
            Some(arrival) => {
                if self.silent > 2 * self.fps as u32 {
                    self.arrivals = 0;
                }
                self.silent = 0;
                self.arrivals = self.arrivals.saturating_add(1);
                let follow = if self.arrivals <= FRESH_FRAMES {
                    FOLLOW_FRESH
                } else {
                    FOLLOW
                };
                let late = arrival.nseconds() as f64 - (self.pts().nseconds() as f64 + self.phase);
                self.phase += late.clamp(-period / 2.0, period / 2.0) * follow;
            }
            None => self.silent = self.silent.saturating_add(1),
        }
        if self.phase > SLIP * period {
            self.phase -= period;
        } else if self.phase < -SLIP * period {
            self.phase += period;
            self.gained = true;
        }
        self.n += 1;
    }

    /// Leaves out grid points: after the machine stood still there is no use in making up for all of them.
    pub fn skip(&mut self, points: u64) {
        self.n += points;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of a camera of `period_ns`, each with the moment at which it left and whether it showed a new frame.
    fn run(period_ns: u64, ticks: usize) -> (Vec<(u64, bool)>, Vec<u64>) {
        let mut beat = Beat::new(ClockTime::from_seconds(1), 30);
        let arrival = |k: u64| 1_005_000_000 + k * period_ns;
        let (mut next, mut now) = (0u64, 1_000_000_000u64);
        let (mut left, mut pts) = (Vec::new(), Vec::new());
        for _ in 0..ticks {
            let window = beat.window();
            let mut newest = None;
            while arrival(next) <= now.max(window.opens.nseconds()) {
                newest = Some(arrival(next));
                next += 1;
            }
            let taken = if window.take_waiting && newest.is_some() {
                now = now.max(window.opens.nseconds());
                newest
            } else if arrival(next) <= window.closes.nseconds() {
                next += 1;
                now = arrival(next - 1);
                Some(now)
            } else {
                now = now.max(window.closes.nseconds());
                newest
            };
            pts.push(beat.pts().nseconds());
            left.push((now, taken.is_some()));
            beat.ticked(taken.map(ClockTime::from_nseconds));
        }
        (left, pts)
    }

    fn longest_interval(left: &[(u64, bool)]) -> u64 {
        left.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap_or(0)
    }

    #[test]
    fn a_camera_on_the_grid_is_never_repeated() {
        let (left, pts) = run(33_333_333, 3000);
        assert!(left[10..].iter().all(|(_, fresh)| *fresh));
        assert!(
            pts.windows(2)
                .all(|w| w[1] > w[0] && w[1] - w[0] < 33_333_335)
        );
    }

    #[test]
    fn a_slow_camera_repeats_one_frame_a_slip_and_keeps_the_grid() {
        // 1000 ppm slow: 3 frames in 3000.
        let (left, pts) = run(33_366_666, 3000);
        let repeated = left[10..].iter().filter(|(_, fresh)| !fresh).count();
        assert!((2..=4).contains(&repeated), "{repeated} repeated");
        assert!(longest_interval(&left[10..]) < 51_000_000);
        let drift = left[2999].0 as i64 - pts[2999] as i64;
        assert!(drift.abs() < 34_000_000, "left {drift} ns off the grid");
    }

    #[test]
    fn a_fast_camera_skips_one_frame_a_slip_and_keeps_the_grid() {
        let (left, pts) = run(33_300_000, 3000);
        assert!(left[10..].iter().filter(|(_, fresh)| !fresh).count() <= 1);
        assert!(
            longest_interval(&left[10..]) < 52_000_000,
            "{}",
            longest_interval(&left[10..])
        );
        let drift = left[2999].0 as i64 - pts[2999] as i64;
        assert!(drift.abs() < 34_000_000, "left {drift} ns off the grid");
    }

    #[test]
    fn a_dead_camera_leaves_the_beat_even() {
        let mut beat = Beat::new(ClockTime::ZERO, 25);
        for _ in 0..100 {
            beat.ticked(None);
        }
        assert_eq!(beat.pts(), ClockTime::from_seconds(4));
        assert_eq!(beat.window().closes, ClockTime::from_mseconds(4020));
    }
}
