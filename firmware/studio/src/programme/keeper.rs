//! Looks after encoders: what fails is left for the next rung or built anew, what nobody takes rests.
//!
//! **When a rung is left.** Looked at every 40 ms; the time in which this thread does not run either is not counted
//! ([`Patience`]), because then the machine stands and not the encoder.
//!
//! - It posts an error: at once.
//! - It is fed and gives nothing for 0.7 s ([`STALLED_SOON`]); from its start to its first unit, 2 s. A *software* encoder always has
//!   2 s ([`STALLED`]), and is built anew once before it is left: what it lacks is CPU, each new one takes some of that, and the next
//!   rung, openh264, takes half as much again as x264.
//! - A keyframe was asked for, and half a second of units came without one ([`Line::obeys_within`](super::Line::obeys_within)).
//! - A trial beside the programme found it wrong.
//!
//! That it *garbles* is found by trials and not in service: to see it there would take a decoder for all the time of the show, and
//! what trackers tell of encoders that were right at first is that they stall.
//!
//! The last rung, software, is never left: it is built anew. A new encoder begins with a keyframe. Frames that the old one had
//! taken and not given back are lost, and counted; the next one's timestamps go on from where the programme is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Line, Lines, NONE};
use crate::api::Event;
use crate::encoder::{Encoding, Key, Ladder, Passports, Patience};
use crate::health::add;
use crate::studio::Shared;

/// How often encoders are looked after; also the longest a first taker of a return waits for its encoder to be built.
pub(super) const LOOK: Duration = Duration::from_millis(40);
/// Nothing came out for so long, though it was fed: with building the next one that stays below a second.
const STALLED_SOON: Duration = Duration::from_millis(700);
/// The same of an encoder that opens, or of a software encoder.
const STALLED: Duration = Duration::from_secs(2);
/// At low frame rates time alone says little: so many frames must have been given to it.
const STALLED_FRAMES: u64 = 4;
/// Two stalls of a software rung within this time are no hiccup of the machine.
const STALLED_AGAIN: Duration = Duration::from_secs(60);
/// An encoder that nobody takes is kept for so long: people reload pages.
const REST: Duration = Duration::from_secs(10);
/// Between two tries of building an encoder.
const AGAIN: Duration = Duration::from_secs(1);

/// What the keeper knows of one line.
struct Kept {
    line: Arc<Line>,
    passports: Arc<Passports>,
    encoding: Option<Encoding>,
    units: u64,
    fed: u64,
    /// What the counters were when this encoder was opened.
    opened: Opened,
    silent: Patience,
    wanted: Instant,
    next_try: Instant,
    stalled: Option<Instant>,
    in_trouble: bool,
    /// Rungs that were told about: a person reads it once.
    told: BTreeSet<String>,
}

#[derive(Clone, Copy)]
struct Opened {
    at: Instant,
    units: u64,
    fed: u64,
    dropped: u64,
}

/// Why an encoder is not kept.
#[derive(Debug, PartialEq)]
enum Failure {
    /// Its machine may be the cause.
    Starved,
    Certain(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Starved => f.write_str(&nothing_for(STALLED)),
            Failure::Certain(why) => f.write_str(why),
        }
    }
}

fn nothing_for(time: Duration) -> String {
    format!("nothing came out of it for {} s", time.as_secs_f64())
}

/// Whether an encoder is given up that is fed and has given nothing for `silent`; `opens`: not yet anything.
fn gave_nothing(silent: Duration, software: bool, opens: bool) -> Option<Failure> {
    let patience = if software || opens {
        STALLED
    } else {
        STALLED_SOON
    };
    (silent > patience).then(|| match software {
        true => Failure::Starved,
        false => Failure::Certain(nothing_for(patience)),
    })
}

/// Looks after all encoders until `stop`, on a thread of its own: building and stopping one takes time.
pub(crate) fn keep(shared: &Shared, lines: &Lines, stop: &AtomicBool) {
    let now = Instant::now();
    let mut kept: Vec<Kept> = lines
        .all()
        .into_iter()
        .map(|line| Kept {
            line: line.clone(),
            passports: lines.passports.clone(),
            encoding: None,
            units: 0,
            fed: 0,
            opened: Opened {
                at: now,
                units: 0,
                fed: 0,
                dropped: 0,
            },
            silent: Patience::new(),
            wanted: now,
            next_try: now,
            stalled: None,
            in_trouble: false,
            told: BTreeSet::new(),
        })
        .collect();
    let mut pace = Pace::new();
    while !stop.load(Ordering::Relaxed) {
        for line in &mut kept {
            line.look(shared);
        }
        pace.look(shared, &lines.programme);
        std::thread::sleep(LOOK);
    }
    for line in kept {
        line.line.install(None);
    }
}

impl Kept {
    fn look(&mut self, shared: &Shared) {
        let now = Instant::now();
        let wanted = !self.line.on_demand || self.line.feed.is_wanted();
        if wanted {
            self.wanted = now;
        }
        let (units, fed) = (
            self.line.feed.units(),
            self.line.fed.load(Ordering::Relaxed),
        );
        let silent = self.silent.look(LOOK);
        if units != self.units || fed == self.fed {
            (self.units, self.fed) = (units, fed);
            self.silent.renew();
            if units > self.opened.units && self.in_trouble && self.encoding.is_some() {
                self.in_trouble = false;
                shared.tell(Event::TroubleOver { what: self.what() });
            }
        }
        match &self.encoding {
            Some(encoding) => {
                if let Some(failure) = self.failure(encoding, silent, units, fed) {
                    self.leave(shared, failure, now);
                } else if now - self.wanted > REST {
                    self.close();
                }
            }
            None if wanted && now >= self.next_try => self.build(shared),
            None => {}
        }
    }

    fn failure(
        &self,
        encoding: &Encoding,
        silent: Duration,
        units: u64,
        fed: u64,
    ) -> Option<Failure> {
        if let Some(error) = encoding.error() {
            return Some(Failure::Certain(format!(
                "it stopped with an error: {error}"
            )));
        }
        let ladder = self.line.ladder.as_ref();
        if let Some(why) = ladder.and_then(Ladder::condemned) {
            return Some(Failure::Certain(why));
        }
        let asked_at = self.line.asked_at.load(Ordering::Relaxed);
        if let Some(within) = self.line.obeys_within()
            && asked_at != NONE
            && units.saturating_sub(asked_at) > within
        {
            return Some(Failure::Certain(format!(
                "it ignores requests for a keyframe: none came within {within} pictures"
            )));
        }
        let fed = fed - self.fed;
        if fed < STALLED_FRAMES {
            return None;
        }
        let software = ladder
            .and_then(Ladder::rung)
            .is_none_or(|rung| rung.is_software());
        gave_nothing(silent, software, units == self.opened.units)
    }

    /// For the next rung, or to be built anew.
    fn leave(&mut self, shared: &Shared, failure: Failure, now: Instant) {
        self.close();
        // A unit for a frame: what did not come back is lost. (Of sound, a unit holds more than a block.)
        if self.line.ladder.is_some() {
            let fed = self.line.fed.load(Ordering::Relaxed) - self.opened.fed;
            let dropped = self.line.dropped.load(Ordering::Relaxed) - self.opened.dropped;
            let given = self.line.feed.units() - self.opened.units + dropped;
            add(&self.line.lost, fed.saturating_sub(given));
        }
        let why = failure.to_string();
        let hiccup = matches!(failure, Failure::Starved)
            && self.stalled.is_none_or(|at| now - at > STALLED_AGAIN);
        if matches!(failure, Failure::Starved) {
            self.stalled = Some(now);
        }
        if !hiccup && self.step(shared, &why) {
            self.build(shared);
            return;
        }
        tracing::warn!(
            encoder = self.line.name,
            why,
            "encoder failed: building it anew"
        );
        add(&self.line.rebuilt, 1);
        self.trouble(shared, &why);
        if now - self.opened.at < AGAIN {
            // One that fails as soon as it is opened is not opened all the time.
            self.next_try = now + AGAIN;
        } else {
            self.build(shared);
        }
    }

    /// Down to the next rung, if there is one.
    fn step(&mut self, shared: &Shared, why: &str) -> bool {
        let Some(ladder) = &self.line.ladder else {
            return false;
        };
        let Some(left) = ladder.rung().cloned() else {
            return false;
        };
        let Some(next) = ladder.step() else {
            return false;
        };
        let (line, next) = (self.line.name, next.element.clone());
        tracing::error!(
            line,
            left = left.element,
            why,
            now = next,
            "the encoder failed and was left for another"
        );
        if self.told.insert(left.element.clone()) {
            shared.tell(Event::Trouble {
                what: format!("the {line} encoder {}", left.element),
                advice: format!(
                    "It was left ({why}). {next} encodes the {line} now, until the box is restarted."
                ),
            });
        }
        let (passports, shape, why) =
            (self.passports.clone(), ladder.shape.clone(), why.to_owned());
        // A disk may take its time.
        let _ = std::thread::Builder::new()
            .name("passport".into())
            .spawn(move || passports.failed(&Key::of(&left, &shape), &why));
        true
    }

    /// Opens an encoder; a rung that can't be opened is left, too.
    fn build(&mut self, shared: &Shared) {
        loop {
            match (self.line.build)(&self.line) {
                Ok(encoding) => {
                    self.line.install(Some(&encoding));
                    self.encoding = Some(encoding);
                    self.opened = Opened {
                        at: Instant::now(),
                        units: self.line.feed.units(),
                        fed: self.line.fed.load(Ordering::Relaxed),
                        dropped: self.line.dropped.load(Ordering::Relaxed),
                    };
                    (self.units, self.fed) = (self.opened.units, self.opened.fed);
                    self.silent.renew();
                    return;
                }
                Err(error) => {
                    if self.step(shared, &error.to_string()) {
                        continue;
                    }
                    self.next_try = Instant::now() + AGAIN;
                    self.trouble(shared, &error.to_string());
                    return;
                }
            }
        }
    }

    fn what(&self) -> String {
        format!("the {} encoder", self.line.name)
    }

    fn trouble(&mut self, shared: &Shared, why: &str) {
        if !self.in_trouble {
            self.in_trouble = true;
            let advice = format!(
                "It is being restarted ({why}). If this comes again, choose another programme.encoder."
            );
            shared.tell(Event::Trouble {
                what: self.what(),
                advice,
            });
        }
    }

    fn close(&mut self) {
        self.line.install(None);
        if let Some(encoding) = self.encoding.take() {
            encoding.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_that_gives_nothing_is_not_left_within_the_second_of_hardware() {
        let second = Duration::from_secs(1);
        assert!(
            matches!(gave_nothing(second, false, false), Some(Failure::Certain(why)) if why.contains("0.7 s"))
        );
        assert_eq!(gave_nothing(second, true, false), None);
        assert_eq!(gave_nothing(second, false, true), None);
        assert_eq!(
            gave_nothing(3 * second, true, false),
            Some(Failure::Starved)
        );
        assert!(matches!(
            gave_nothing(3 * second, false, true),
            Some(Failure::Certain(_))
        ));
    }
}
