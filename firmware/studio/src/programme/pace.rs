//! Whether the programme's encoder keeps up with the programme.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Line;
use crate::api::Event;
use crate::studio::Shared;

/// Whether the programme's encoder keeps up.
pub(super) struct Pace {
    since: Instant,
    units: u64,
    dropped: u64,
    calm: Option<Instant>,
}

const PACE_WHAT: &str = "the programme encoder is too slow";

impl Pace {
    pub fn new() -> Pace {
        Pace {
            since: Instant::now(),
            units: 0,
            dropped: 0,
            calm: None,
        }
    }

    pub fn look(&mut self, shared: &Shared, line: &Line) {
        let took = self.since.elapsed();
        if took < Duration::from_secs(1) {
            return;
        }
        let (units, dropped) = (line.feed.units(), line.dropped.load(Ordering::Relaxed));
        let fps = (units - self.units) as f64 / took.as_secs_f64();
        shared
            .counters
            .encoded_fps
            .store((fps * 100.0) as u32, Ordering::Relaxed);
        if dropped > self.dropped {
            if self.calm.is_none() {
                let advice = "Choose a smaller programme size or frame rate, or free this machine of other work.".into();
                shared.tell(Event::Trouble {
                    what: PACE_WHAT.into(),
                    advice,
                });
            }
            self.calm = Some(Instant::now());
        } else if self
            .calm
            .is_some_and(|at| at.elapsed() > Duration::from_secs(5))
        {
            self.calm = None;
            shared.tell(Event::TroubleOver {
                what: PACE_WHAT.into(),
            });
        }
        (self.since, self.units, self.dropped) = (Instant::now(), units, dropped);
    }
}
