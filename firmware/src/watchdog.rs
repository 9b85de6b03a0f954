//! What keeps systemd's watchdog quiet: programme frames that left the encoder, and nothing else.
//!
//! It looks from a thread of its own, so that a slow disk under the journal cannot end a show that moves. There are two
//! times without frames in which a restart would make nothing better, and the box has to stay reachable: while the media
//! part is down, and after a box that was restarted for this again and again stalls once more. Then the beat of the
//! appliance counts in their place: who serves consoles is alive.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::{BootTime, Clock};
use crate::flight::{Fault, Flight};
use crate::plane::Plane;

/// How often it looks where systemd sets no time, and the most seldom where it does.
const LOOK: Duration = Duration::from_millis(500);
/// A programme that stands for so long is stalled, where systemd sets no time.
const STALLED: Duration = Duration::from_secs(5);
/// So many stalls in ten minutes show that restarting does not cure it.
const HOPELESS: usize = 3;
const LATELY_MS: u64 = 10 * 60 * 1000;

/// The appliance's beat: one a second while it serves.
#[derive(Clone, Default)]
pub struct Beat(Arc<AtomicU64>);

impl Beat {
    pub fn tick(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a look showed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    alive: bool,
    /// For the first time since frames last moved.
    stalled: bool,
}

/// The rule, without clock and threads.
struct Rule {
    /// Without frames for so long it is stalled.
    patience_ms: u64,
    /// The beat is enough, since restarting did not help.
    lenient: bool,
    frames: Option<u64>,
    beat: u64,
    moved_at: u64,
    /// Since when frames have moved without a stall.
    well_since: u64,
    told: bool,
}

impl Rule {
    fn new(patience_ms: u64, lenient: bool) -> Self {
        Self {
            patience_ms,
            lenient,
            frames: None,
            beat: 0,
            moved_at: 0,
            well_since: 0,
            told: false,
        }
    }

    /// `frames` left the encoder so far; `None` while the media part is down.
    fn look(&mut self, now: u64, frames: Option<u64>, beat: u64) -> Look {
        let beats = std::mem::replace(&mut self.beat, beat) != beat;
        let moves = frames != self.frames;
        self.frames = frames;
        if moves || frames.is_none() {
            (self.moved_at, self.told) = (now, false);
        }
        let stalled = !self.told && now.saturating_sub(self.moved_at) >= self.patience_ms;
        self.told |= stalled;
        if self.told || frames.is_none() {
            self.well_since = now;
        } else if now.saturating_sub(self.well_since) >= LATELY_MS {
            // What was wrong is over, and restarting may help again.
            self.lenient = false;
        }
        Look {
            alive: match frames {
                Some(_) => moves || (self.lenient && beats),
                None => beats,
            },
            stalled,
        }
    }
}

/// When the programme stalled lately, in a folder that outlives the process and not the machine (`RuntimeDirectory`).
pub struct Stalls(Option<PathBuf>);

impl Stalls {
    /// As systemd names the folder; without one nothing is remembered, and nobody restarts the box either.
    pub fn of_this_service() -> Self {
        Self(std::env::var_os("RUNTIME_DIRECTORY").map(|folder| Path::new(&folder).join("stalls")))
    }

    fn times(&self) -> Vec<BootTime> {
        let text = self
            .0
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok());
        let now = BootTime::now();
        text.unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str::<BootTime>(line).ok())
            .filter(|at| at.same_boot(&now) && now.since_ms(at) < LATELY_MS)
            .collect()
    }

    /// Whether restarting has shown to be no cure.
    pub fn hopeless(&self) -> bool {
        self.times().len() >= HOPELESS
    }

    fn add(&self) {
        let Some(path) = &self.0 else { return };
        let mut times = self.times();
        times.push(BootTime::now());
        let lines = times
            .iter()
            .filter_map(|at| serde_json::to_string(at).ok())
            .collect::<Vec<_>>()
            .join("\n");
        if let Err(error) = std::fs::write(path, lines) {
            tracing::warn!(%error, file = %path.display(), "a stall could not be remembered");
        }
    }
}

/// Looks until the process ends.
pub fn start(
    plane: Plane,
    beat: Beat,
    clock: Clock,
    flight: Flight,
    stalls: Stalls,
) -> std::io::Result<()> {
    let limit = sd_notify::watchdog_enabled();
    let look = limit.map_or(LOOK, |limit| (limit / 8).min(LOOK));
    // Half of the time that systemd gives is left for writing down what led to it.
    let patience = limit.map_or(STALLED, |limit| limit / 2);
    let lenient = stalls.hopeless();
    if lenient {
        tracing::error!(
            "the programme stalled {HOPELESS} times in ten minutes: the box is not restarted for it any more, and stays reachable"
        );
    }
    let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let mut rule = Rule::new(patience_ms, lenient);
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            loop {
                let found = rule.look(clock.now_ms(), plane.encoded(), beat.count());
                if found.alive && limit.is_some() {
                    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
                }
                if found.stalled {
                    let why = format!(
                        "no programme frame left the encoder for {} ms",
                        patience.as_millis()
                    );
                    tracing::error!(why, "the programme stalled");
                    if limit.is_some() {
                        stalls.add();
                    }
                    flight.write(Fault::Stalled, &why);
                }
                std::thread::sleep(look);
            }
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Look = Look {
        alive: true,
        stalled: false,
    };
    const SILENT: Look = Look {
        alive: false,
        stalled: false,
    };
    const STALLED: Look = Look {
        alive: false,
        stalled: true,
    };

    #[test]
    fn only_frames_count_while_the_media_part_runs_and_a_stall_is_told_once() {
        let mut rule = Rule::new(5000, false);
        assert_eq!(rule.look(0, Some(0), 1), ALIVE);
        assert_eq!(rule.look(1000, Some(30), 2), ALIVE);
        assert_eq!(rule.look(2000, Some(30), 3), SILENT);
        assert_eq!(rule.look(5999, Some(30), 7), SILENT);
        assert_eq!(rule.look(6000, Some(30), 8), STALLED);
        assert_eq!(rule.look(9000, Some(30), 9), SILENT);
        assert_eq!(rule.look(9500, Some(31), 9), ALIVE);
        assert_eq!(rule.look(14_500, Some(31), 9), STALLED);
    }

    #[test]
    fn a_box_whose_media_part_is_down_lives_by_its_beat() {
        let mut rule = Rule::new(5000, false);
        assert_eq!(rule.look(0, None, 1), ALIVE);
        assert_eq!(rule.look(60_000, None, 2), ALIVE);
        assert_eq!(rule.look(61_000, None, 2), SILENT);
        // Back: it has the whole time for its first frame.
        assert_eq!(rule.look(62_000, Some(0), 3), ALIVE);
        assert_eq!(rule.look(66_999, Some(0), 4), SILENT);
        assert_eq!(rule.look(67_000, Some(0), 5), STALLED);
    }

    #[test]
    fn a_box_that_restarting_does_not_cure_lives_by_its_beat_too() {
        let mut rule = Rule::new(5000, true);
        assert_eq!(rule.look(0, Some(9), 1), ALIVE);
        assert_eq!(rule.look(1000, Some(9), 2), ALIVE);
        assert_eq!(rule.look(1100, Some(9), 2), SILENT);
    }

    #[test]
    fn ten_good_minutes_end_the_leniency() {
        let mut rule = Rule::new(5000, true);
        for second in 0..=600 {
            assert_eq!(rule.look(second * 1000, Some(second), second), ALIVE);
        }
        assert_eq!(rule.look(601_000, Some(600), 601), SILENT);
    }

    #[test]
    fn three_stalls_in_ten_minutes_are_hopeless() {
        let stalls = Stalls(Some(
            std::env::temp_dir().join(format!("dais-stalls-{}", uuid::Uuid::new_v4())),
        ));
        for n in 0..3 {
            assert!(!stalls.hopeless(), "after {n}");
            stalls.add();
        }
        assert!(stalls.hopeless());
        let _ = stalls.0.map(std::fs::remove_file);
        assert!(!Stalls(None).hopeless());
    }
}
