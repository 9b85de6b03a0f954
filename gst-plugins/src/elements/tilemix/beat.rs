//! When output frames leave in live mode, and which timestamps they get: all on a grid that starts at running time zero.
//!
//! A frame of the clock pad takes the next point of the grid and leaves at once. One that is missing half a period after it was
//! expected is made up for by the pipeline clock. A camera that is slower or faster than the grid slips against it: after a period
//! one of its frames is repeated, or shown without an output frame of its own. The grid has no gap and no double either way.

use std::ops::Range;

const SECOND: u64 = 1_000_000_000;
/// A frame may be this share of a period away from its point; more than a half, so that jitter doesn't make it slip to and fro.
const SLIP: f64 = 0.75;
/// A timestamp that is this far ahead of the clock would carry the output there, and nothing could follow it.
const WILD: u64 = 60 * SECOND;
/// Share of a deviation by which the expected lateness of the clock pad's frames follows it.
const FOLLOW: f64 = 0.125;

pub(super) struct Beat {
    fps: (u64, u64),
    /// The next frame's number.
    next: u64,
    emitted: bool,
    /// How much later than their timestamps say the clock pad's frames arrive, in nanoseconds.
    lateness: Option<f64>,
    /// Frames made up for in a row.
    silent: u64,
}

impl Beat {
    pub fn new(fps: (u64, u64)) -> Self {
        Self {
            fps,
            next: 0,
            emitted: false,
            lateness: None,
            silent: 0,
        }
    }

    /// Another rate from now on: timestamps go on rising.
    pub fn set_fps(&mut self, fps: (u64, u64)) {
        if fps != self.fps {
            let at = self.pts(self.next);
            self.fps = fps;
            self.next = self.first_from(at);
        }
    }

    pub fn pts(&self, n: u64) -> u64 {
        (u128::from(n) * u128::from(SECOND) * u128::from(self.fps.1) / u128::from(self.fps.0))
            as u64
    }

    fn period(&self) -> f64 {
        SECOND as f64 * self.fps.1 as f64 / self.fps.0 as f64
    }

    fn nearest(&self, at: u64) -> u64 {
        (at as f64 / self.period()).round() as u64
    }

    /// The first point of the grid that is not before `at`.
    fn first_from(&self, at: u64) -> u64 {
        let n = self.nearest(at);
        if self.pts(n) < at { n + 1 } else { n }
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next frame leaves.
    pub fn take_next(&mut self) -> u64 {
        self.emitted = true;
        self.next += 1;
        self.next - 1
    }

    /// Which frames leave now that the clock pad brought one of running time `at`, at the moment `arrival`: mostly one.
    pub fn clock_frame(&mut self, at: Option<u64>, arrival: Option<u64>) -> Range<u64> {
        let expected = self.pts(self.next);
        let late = self.late() as u64;
        let guess = arrival.map_or(expected, |arrival| arrival.saturating_sub(late));
        let wild = |at: &u64| arrival.is_some_and(|now| *at > now.saturating_add(WILD));
        let here = at.filter(|at| !wild(at)).unwrap_or(guess);
        // A timestamp more than a second behind tells nothing; one ahead means that the machine stood still.
        let lost = self.emitted && here.saturating_add(SECOND) < expected;
        let here = if lost {
            arrival.unwrap_or(expected)
        } else {
            here
        };
        if let Some(arrival) = arrival {
            self.learn(arrival as f64 - here as f64);
        }
        self.silent = 0;
        if !self.emitted || here > expected + SECOND {
            self.next = self.nearest(here).max(self.next_if_emitted());
            let n = self.take_next();
            return n..n + 1;
        }
        let off = (here as f64 - expected as f64) / self.period();
        let from = self.next;
        if off >= -SLIP {
            self.next = if off > SLIP {
                self.nearest(here) + 1
            } else {
                from + 1
            };
        }
        from..self.next
    }

    fn next_if_emitted(&self) -> u64 {
        if self.emitted { self.next } else { 0 }
    }

    fn learn(&mut self, late: f64) {
        let known = self
            .lateness
            .filter(|_| self.silent * self.fps.1 < self.fps.0);
        let half = self.period() / 2.0;
        self.lateness = Some(known.map_or(late, |known| {
            known + (late - known).clamp(-half, half) * FOLLOW
        }));
    }

    fn late(&self) -> f64 {
        self.lateness.unwrap_or(0.0).max(0.0)
    }

    /// Until when the next frame waits for the clock pad's.
    pub fn deadline(&mut self, now: u64) -> u64 {
        if !self.emitted {
            self.next = self.next.max(
                self.first_from(now.saturating_sub(self.late() as u64 + self.period() as u64)),
            );
        }
        self.pts(self.next) + (self.late() + self.period() / 2.0) as u64
    }

    /// The clock pad's frame did not come until the deadline: the frame that leaves instead.
    pub fn expired(&mut self, now: u64) -> u64 {
        // After the machine stood still there is no use in making up for all frames.
        if now > self.deadline(now) + SECOND {
            let at = now.saturating_sub(self.late() as u64);
            self.next = self.next.max(self.first_from(at));
        }
        self.silent += 1;
        self.take_next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A camera's frames of `period` ns from `first` on, each `late` at the mixer; returns when each output frame left, its
    /// number, and whether the camera's frame made it leave.
    fn run(period: u64, late: impl Fn(u64) -> u64, frames: u64) -> Vec<(u64, u64, bool)> {
        let mut beat = Beat::new((30, 1));
        let mut left = Vec::new();
        for k in 0..frames {
            let at = 5 * MS + k * period;
            let arrival = at + late(k);
            while k > 0 && beat.deadline(0) <= arrival {
                let now = beat.deadline(0);
                left.push((now, beat.expired(now), false));
            }
            for n in beat.clock_frame(Some(at), Some(arrival)) {
                left.push((arrival, n, true));
            }
        }
        left
    }

    fn whole(left: &[(u64, u64, bool)]) -> bool {
        left.windows(2)
            .all(|w| w[1].1 == w[0].1 + 1 && w[1].0 >= w[0].0)
    }

    #[test]
    fn a_camera_on_the_grid_makes_every_frame_leave() {
        let left = run(33_333_333, |k| 20 * MS + (k * 7 % 5) * MS, 3000);
        assert!(whole(&left));
        assert_eq!(left.len(), 3000);
        assert!(left.iter().all(|(_, _, camera)| *camera));
    }

    #[test]
    fn a_slow_camera_repeats_one_frame_a_slip() {
        // 1000 ppm: three frames in 3000.
        let left = run(33_366_666, |_| 20 * MS, 3000);
        assert!(whole(&left));
        assert!((3002..=3004).contains(&left.len()), "{}", left.len());
    }

    #[test]
    fn a_fast_camera_skips_one_frame_a_slip() {
        let left = run(33_300_000, |_| 20 * MS, 3000);
        assert!(whole(&left));
        assert!((2996..=2998).contains(&left.len()), "{}", left.len());
    }

    #[test]
    fn a_camera_that_is_later_than_announced_leads_all_the_same() {
        let mut beat = Beat::new((30, 1));
        // The clock alone, ten frames; then frames that are 200 ms late.
        for _ in 0..10 {
            let now = beat.deadline(0);
            beat.expired(now);
        }
        let mut led = 0;
        for k in 10..100u64 {
            let at = beat.pts(k);
            let arrival = at + 200 * MS;
            while beat.deadline(arrival) <= arrival {
                let now = beat.deadline(arrival);
                beat.expired(now);
            }
            led += beat.clock_frame(Some(at), Some(arrival)).count();
        }
        assert!(led > 75, "{led}");
    }

    #[test]
    fn timestamps_that_make_no_sense_do_not_stop_the_beat() {
        let mut beat = Beat::new((30, 1));
        let mut last = None;
        let mut count = 0;
        for k in 0..300u64 {
            let at = match k % 100 {
                0..40 => Some(k * 33_333_333),
                40..70 => None,
                70..80 => Some(u64::MAX - k),
                _ => Some(0),
            };
            for n in beat.clock_frame(at, Some(k * 33_333_333)) {
                assert!(last.is_none_or(|last| n > last));
                last = Some(n);
                count += 1;
            }
        }
        assert!(count >= 290, "{count}");
    }

    #[test]
    fn after_a_standstill_the_grid_goes_on_from_now() {
        let mut beat = Beat::new((25, 1));
        let n = beat.expired(20 * MS);
        let later = beat.expired(60 * SECOND);
        assert!(n == 0 && later >= 1499, "{later}");
        assert_eq!(beat.expired(60 * SECOND), later + 1);
    }

    #[test]
    fn another_rate_never_turns_time_back() {
        let mut beat = Beat::new((30, 1));
        for _ in 0..10 {
            beat.take_next();
        }
        let last = beat.pts(9);
        beat.set_fps((30_000, 1001));
        assert!(beat.pts(beat.next()) > last);
        beat.set_fps((5, 1));
        assert!(beat.pts(beat.next()) > last);
    }
}
