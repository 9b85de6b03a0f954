//! From when to when a server certificate holds.
//!
//! The phone's clock judges, and the box may not know what it says: without a battery it starts in 1970, and learns the time
//! from the network later or never. So a certificate is made for the box's own time where that can be, and for the time at
//! which the firmware was built where the clock is behind even that. It is made anew when the clock has learnt better.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// The box's clock may be ahead of a phone's.
const BEFORE: u64 = 30 * DAY;
/// With [`BEFORE`] 820 days: Apple's systems take no certificate of a private authority that holds for more than 825
/// (<https://support.apple.com/103769>).
const AFTER: u64 = 790 * DAY;
/// A certificate is made anew when less than this is left: a box that is switched off for months still has a good one.
const RENEW: u64 = 365 * DAY;

/// Both in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: u64,
    pub until: u64,
}

/// When this firmware was built.
fn built() -> u64 {
    env!("DAIS_BUILT").parse().unwrap_or(0)
}

pub fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

/// The box's time, unless it is known to be wrong.
pub fn known(clock: SystemTime) -> Option<u64> {
    Some(unix(clock)).filter(|now| *now >= built())
}

impl Window {
    pub fn at(clock: SystemTime) -> Self {
        let now = known(clock).unwrap_or_else(built);
        Self {
            from: now.saturating_sub(BEFORE),
            until: now + AFTER,
        }
    }

    /// Whether a certificate that holds in this window needs no successor yet.
    pub fn serves(&self, clock: SystemTime) -> bool {
        match known(clock) {
            Some(now) => self.from <= now && now + RENEW <= self.until,
            // One of before this start was made with a clock that was right, or is at least no worse.
            None => self.from >= Self::at(clock).from,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn system_time(unix: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(unix)
    }

    fn days(n: u64) -> SystemTime {
        system_time(built() + n * DAY)
    }

    #[test]
    fn a_box_that_believes_1970_makes_a_certificate_for_the_time_of_its_firmware() {
        let window = Window::at(UNIX_EPOCH);
        assert!(window.from < built() && built() + 2 * 365 * DAY < window.until);
        assert!(window.serves(UNIX_EPOCH));
    }

    #[test]
    fn no_certificate_holds_longer_than_apple_allows() {
        for clock in [UNIX_EPOCH, days(0), days(5000)] {
            let window = Window::at(clock);
            assert!(window.until - window.from <= 825 * DAY);
        }
    }

    #[test]
    fn a_clock_that_jumps_asks_for_a_new_certificate() {
        let early = Window::at(UNIX_EPOCH);
        assert!(early.serves(days(300)), "it holds at the true time too");
        assert!(!early.serves(days(3 * 365)));
        let astray = Window::at(days(4000));
        assert!(!astray.serves(days(10)), "made in a future that never was");
    }

    #[test]
    fn a_certificate_of_better_days_is_kept_when_the_clock_is_lost() {
        assert!(Window::at(days(500)).serves(UNIX_EPOCH));
    }

    #[test]
    fn a_certificate_is_renewed_a_year_before_it_ends() {
        let window = Window::at(days(100));
        assert!(window.serves(days(100 + 420)));
        assert!(!window.serves(days(100 + 430)));
    }
}
