//! The flight recorder: the last ten minutes of what happened, kept in memory and written out when something fails.
//!
//! Three rings, so that a flood of one kind leaves the others whole: what was logged and what the room was told and did
//! (1 MiB), `health` once a second (768 KiB), the seats' levels once a second (128 KiB). A fault writes them as one
//! gzipped file of JSON lines into `data_dir/flight`: see [`file`].

mod file;
mod layer;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

pub use file::Fault;
pub use layer::FlightLayer;

const LOOK_BACK_MS: u64 = 10 * 60 * 1000;
/// What a kept line costs beside its text: the pointer, its length and time, the reference counts, the allocator's own.
const LINE_OVERHEAD: usize = 64;
/// Longer lines are cut: a message with a whole session description in it would push out an hour of others.
const MAX_LINE: usize = 2048;
/// A panic may have hit a thread that was just noting something: its hook waits no longer than this for the rings.
const PATIENCE: Duration = Duration::from_millis(200);

/// Which ring a line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Log,
    Input,
    Effect,
    Health,
    Levels,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Input => "input",
            Kind::Effect => "effect",
            Kind::Health => "health",
            Kind::Levels => "levels",
        }
    }
}

#[derive(Default)]
struct Rings {
    events: Ring,
    health: Ring,
    levels: Ring,
}

impl Rings {
    fn of(&mut self, kind: Kind) -> (&mut Ring, usize) {
        match kind {
            Kind::Log | Kind::Input | Kind::Effect => (&mut self.events, 1 << 20),
            Kind::Health => (&mut self.health, 768 << 10),
            Kind::Levels => (&mut self.levels, 128 << 10),
        }
    }
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    /// Lines that had to go before they were ten minutes old.
    crowded_out: u64,
}

impl Ring {
    fn push(&mut self, at: u64, line: Arc<str>, limit: usize) {
        self.bytes += line.len() + LINE_OVERHEAD;
        self.lines.push_back((at, line));
        while let Some((oldest, line)) = self.lines.front() {
            let aged = oldest + LOOK_BACK_MS < at;
            if !aged && self.bytes <= limit {
                break;
            }
            self.crowded_out += u64::from(!aged);
            self.bytes -= line.len() + LINE_OVERHEAD;
            self.lines.pop_front();
        }
    }
}

struct Recorder {
    start: Instant,
    rings: Mutex<Rings>,
    folder: OnceLock<file::Folder>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Flight(Arc<Recorder>);

impl Default for Flight {
    fn default() -> Self {
        Self(Arc::new(Recorder {
            start: Instant::now(),
            rings: Mutex::default(),
            folder: OnceLock::new(),
        }))
    }
}

impl Flight {
    /// Faults are written below `data` from now on; before, they are only kept.
    pub fn write_below(&self, data: &Path) {
        let _ = self.0.folder.set(file::Folder::new(data));
    }

    /// Keeps one line.
    pub fn note(&self, kind: Kind, what: impl Serialize) {
        let what = serde_json::to_value(what).unwrap_or(Value::Null);
        self.keep(kind, what);
    }

    fn keep(&self, kind: Kind, what: Value) {
        let ms = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut line = json!({"ms": ms, "kind": kind.name(), "what": what}).to_string();
        if line.len() > MAX_LINE {
            let what: String = line.chars().take(MAX_LINE / 2).collect();
            line = json!({"ms": ms, "kind": kind.name(), "cut": what}).to_string();
        }
        let line: Arc<str> = line.into();
        // A poisoned ring is whole: nothing between its two changes can panic.
        let mut rings = match self.0.rings.lock() {
            Ok(rings) => rings,
            Err(poisoned) => poisoned.into_inner(),
        };
        let (ring, limit) = rings.of(kind);
        ring.push(ms, line, limit);
    }

    /// Everything kept, by time, and how many lines had to go early.
    fn read(&self) -> Option<(Vec<Arc<str>>, u64)> {
        let rings = lock_within(&self.0.rings, PATIENCE)?;
        let all = [&rings.events, &rings.health, &rings.levels];
        let crowded_out = all.iter().map(|ring| ring.crowded_out).sum();
        let mut lines: Vec<(u64, Arc<str>)> = all
            .iter()
            .flat_map(|ring| ring.lines.iter().cloned())
            .collect();
        drop(rings);
        lines.sort_by_key(|(at, _)| *at);
        Some((
            lines.into_iter().map(|(_, line)| line).collect(),
            crowded_out,
        ))
    }

    /// Writes the file of a fault, unless one was written lately. Blocks until it is on the disk.
    pub fn write(&self, fault: Fault, why: &str) {
        let Some(folder) = self.0.folder.get() else {
            return;
        };
        let Some((lines, crowded_out)) = self.read() else {
            return;
        };
        match folder.write(fault, why, &lines, crowded_out) {
            Ok(Some(path)) => {
                tracing::info!(file = %path.display(), why, "the flight recorder was written out");
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, folder = %folder.path().display(), "the flight recorder could not be written out");
            }
        }
    }

    /// The same, away from the thread that found the fault.
    pub fn write_soon(&self, fault: Fault, why: &str) {
        let (flight, why) = (self.clone(), why.to_owned());
        tokio::task::spawn_blocking(move || flight.write(fault, &why));
    }

    /// A panic of any thread is logged, and written out before the process can go down.
    pub fn on_panic(&self) {
        let (flight, said) = (self.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            said(panic);
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("?");
            let why = panic.to_string();
            tracing::error!(thread, why, "a part of the box panicked: this is a bug");
            flight.write(Fault::Panic, &why);
        }));
    }
}

/// The lock, or none if another has it for so long: a panic's hook may run in the thread that holds it.
fn lock_within<T>(mutex: &Mutex<T>, patience: Duration) -> Option<MutexGuard<'_, T>> {
    let began = Instant::now();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if began.elapsed() > patience => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kept(flight: &Flight) -> String {
        flight.read().unwrap().0.join("\n")
    }

    #[test]
    fn a_flood_of_one_kind_leaves_the_others_whole_and_stays_within_its_bytes() {
        let flight = Flight::default();
        flight.note(Kind::Health, json!({"fps": 30}));
        for n in 0..20_000 {
            flight.note(Kind::Log, json!({"message": format!("{n:0200}")}));
        }
        let (lines, crowded_out) = flight.read().unwrap();
        let bytes: usize = lines.iter().map(|line| line.len() + LINE_OVERHEAD).sum();
        assert!(bytes < (1 << 20) + 1024, "{bytes} bytes");
        assert_eq!(lines.len() as u64 + crowded_out, 20_001);
        assert!(lines[0].contains(r#""kind":"health""#), "{}", lines[0]);
    }

    #[test]
    fn what_is_older_than_ten_minutes_goes() {
        let mut ring = Ring::default();
        for minute in 0..=15 {
            ring.push(minute * 60_000, "x".into(), 1 << 20);
        }
        assert_eq!(ring.lines.front().unwrap().0, 5 * 60_000);
        assert_eq!((ring.lines.len(), ring.crowded_out), (11, 0));
        assert_eq!(ring.bytes, 11 * (1 + LINE_OVERHEAD));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let flight = Flight::default();
        flight.note(Kind::Log, "ü".repeat(50_000));
        assert!(kept(&flight).len() <= 2 * MAX_LINE);
    }
}
