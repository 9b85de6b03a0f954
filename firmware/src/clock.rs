//! The box's one measure of durations: milliseconds that only grow, whatever the wall clock believes.

use std::iter;
use std::time::Instant;

/// Milliseconds since the process started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a reading.
    pub fn instant(&self, ms: u64) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start) + std::time::Duration::from_millis(ms)
    }
}

/// A point in time that survives a restart of the process, but not of the machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BootTime {
    boot: String,
    ms: u64,
}

impl BootTime {
    /// Now. Where the kernel does not tell, every reading is of a boot of its own.
    pub fn now() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime
            .split(' ')
            .next()
            .and_then(|s| s.parse().ok())
            .unwrap_or(0.0);
        Self {
            boot,
            ms: (seconds * 1000.0) as u64,
        }
    }

    /// Whether the machine ran through from one to the other.
    pub fn same_boot(&self, other: &Self) -> bool {
        !self.boot.is_empty() && self.boot == other.boot
    }

    /// How long ago `earlier` was; 0 where the machine was restarted in between, since nobody counted then.
    pub fn since_ms(&self, earlier: &Self) -> u64 {
        if self.same_boot(earlier) {
            self.ms.saturating_sub(earlier.ms)
        } else {
            0
        }
    }
}

/// Seconds between the tries of what is tried until it works.
pub fn pauses_s() -> impl Iterator<Item = u64> {
    [1, 2, 4, 8, 15].into_iter().chain(iter::repeat(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_within_a_boot_and_stands_still_across_one() {
        let at = |boot: &str, ms| BootTime {
            boot: boot.into(),
            ms,
        };
        assert_eq!(at("a", 5000).since_ms(&at("a", 2000)), 3000);
        assert_eq!(at("b", 5000).since_ms(&at("a", 2000)), 0);
        assert_eq!(at("a", 1000).since_ms(&at("a", 2000)), 0);
        assert_eq!(at("", 5000).since_ms(&at("", 2000)), 0);
    }
}
