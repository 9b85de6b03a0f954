//! What an output tells of itself while it runs, and how it hears that it shall end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::api::{Event, OutputState, OutputStatus};
use crate::studio::Shared;

/// How often an output looks after its connection.
pub(super) const LOOK: Duration = Duration::from_millis(100);
const TELL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Counts {
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
}

/// How one connection ended.
pub(super) enum Ended {
    /// It broke, or never came about: it is tried again.
    Broken { was_live: bool, why: String },
    /// It would be the same again: a person has to change something.
    Refused(String),
    /// More is known now than before; the next try need not wait.
    Again(String),
}

pub(super) struct Report {
    pub shared: Shared,
    pub output_id: String,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    /// Of the connections before this one.
    before: (u64, u64),
    told: Option<(Instant, u64)>,
}

impl Report {
    pub fn new(
        shared: Shared,
        output_id: String,
        stop: Arc<AtomicBool>,
        counts: Arc<Counts>,
    ) -> Report {
        Report {
            shared,
            output_id,
            stop,
            counts,
            before: (0, 0),
            told: None,
        }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps so long, or until the output is stopped.
    pub fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopped() && Instant::now() < until {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// A new connection, which counts from zero.
    pub fn begin(&mut self) {
        self.before = (
            self.counts.bytes.load(Ordering::Relaxed),
            self.counts.dropped.load(Ordering::Relaxed),
        );
        self.told = None;
    }

    /// What this connection has sent and dropped by now.
    pub fn count(&self, bytes: u64, dropped: u64) {
        self.counts
            .bytes
            .store(self.before.0 + bytes, Ordering::Relaxed);
        self.counts
            .dropped
            .store(self.before.1 + dropped, Ordering::Relaxed);
    }

    /// The connection is live and has sent so many bytes. Told at once, and then once a second with the rate.
    pub fn live(&mut self, bytes: u64) {
        let now = Instant::now();
        match self.told {
            None => self.tell(OutputState::Live, 0, None),
            Some((at, before)) if now - at >= TELL => {
                let seconds = (now - at).as_secs_f64();
                let kbps = bytes.saturating_sub(before) as f64 * 8.0 / 1000.0 / seconds;
                self.tell(OutputState::Live, kbps as u32, None);
            }
            Some(_) => return,
        }
        self.told = Some((now, bytes));
    }

    pub fn tell(&self, state: OutputState, kbps: u32, error: Option<String>) {
        self.shared.tell(Event::Output(OutputStatus {
            output_id: self.output_id.clone(),
            state,
            kbps,
            dropped: self.counts.dropped.load(Ordering::Relaxed),
            error,
        }));
    }
}
