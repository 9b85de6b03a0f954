//! What an encoder does with a moving picture: measured before it is trusted.
//!
//! A rung gets 30 soft pictures, with a request for a keyframe before the 11th, then noisy ones for a second (60 at
//! most), as fast as it takes them. What is measured:
//!
//! | figure | how | a fault when |
//! |---|---|---|
//! | `psnr_db` | soft pictures decoded and compared: median over the pictures, for each plane, dB | below 30 (one picture: below 20) |
//! | order | each decoded picture is most like the one that went in under its timestamp | another comes in its place, one comes twice, or a tenth is missing |
//! | `fps` | (units − 1) / (time of the last − time of the first) before the end of the stream; beside a programme without the pauses | below 1.2 times the programme's |
//! | `held` | pictures that it kept when all were in and it had come to rest | above 4 |
//! | `first_after` | pictures that it had taken when the first unit came: those that wait in it, too | never by itself |
//! | `rate` | kbit/s of the second half of the noisy pictures at the programme's frame rate / kbit/s asked for | above 1.6, or below 0.4 of what a bit a pixel would fill |
//! | `keyframe_after` | pictures from the request to the keyframe | more than 10, or none |
//!
//! The first unit must be a keyframe. Speed and rate are faults of hardware only: a software rung has nothing better below
//! it, and its speed beside a running programme says little; with it they are remarks. Keyframes come 300 pictures apart here, so
//! that none comes by itself.
//!
//! Waiting is bounded and counts only while this machine runs: see [`Patience`].

mod decode;
mod run;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Rung, VideoShape};
use run::{Trial, grey};

/// Keyframes that come by themselves are as far apart as that, in pictures.
const FAR: u32 = 300;
const OBEYS_WITHIN: u64 = 10;
/// Hardware works on two or three at once. MPP holds 16 unless it is told otherwise: half a second at 30 frames a second.
const MOST_HELD: u64 = 4;
/// Another decoder's rounding costs a few dB of 40 or more; a wrong stride, colour or range leaves less than 25.
const GOOD_DB: f64 = 30.0;
const STALLS: Duration = Duration::from_millis(1500);
const LOOK: Duration = Duration::from_millis(2);
/// Opening a device that hangs can't be interrupted: its thread is left behind after this.
const HANGS: Duration = Duration::from_secs(12);

/// What a trial measured; see the module's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub fps: Option<f64>,
    /// From its start to its first unit.
    pub opens_ms: Option<f64>,
    pub first_after: Option<u64>,
    pub held: Option<u64>,
    /// Y, U, V.
    pub psnr_db: Option<[f64; 3]>,
    pub rate: Option<f64>,
    pub keyframe_after: Option<u64>,
}

/// What is wrong with an encoder, in words that follow its name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it can't be opened: {0}")]
    Opens(String),
    #[error("it stopped with an error after {after} pictures: {what}")]
    Fails { after: u64, what: String },
    #[error("it stalls: nothing came out of it for {} s after {after} pictures", STALLS.as_secs_f64())]
    Stalls { after: u64 },
    #[error("it hangs: it could not even be opened in {} s", HANGS.as_secs())]
    Hangs,
    #[error("it makes {0}, and the programme is H.264")]
    NotH264(String),
    #[error("its first picture is no keyframe")]
    NoKeyframeFirst,
    #[error("it ignores requests for a keyframe: none came within {OBEYS_WITHIN} pictures")]
    IgnoresKeyframes,
    #[error("it garbles pictures: Y {:.0} dB, U {:.0} dB, V {:.0} dB, at least {GOOD_DB:.0} are right", .0[0], .0[1], .0[2])]
    Garbles([f64; 3]),
    #[error(
        "it shows other pictures than it was given: {wrong} of {of} were repeated or out of order"
    )]
    Repeats { wrong: u64, of: u64 },
    #[error("it put out {0} pictures twice")]
    Twice(u64),
    #[error("it lost {lost} of {of} pictures")]
    Loses { lost: u64, of: u64 },
    #[error("its pictures can't be decoded here: {0}")]
    Undecodable(String),
    #[error("it is too slow: {fps:.0} frames a second, at least {need:.0} are needed")]
    TooSlow { fps: f64, need: f64 },
    #[error("it holds {0} pictures back, which is too late for a live show: {MOST_HELD} at most")]
    Holds(u64),
    #[error("it does not keep to the bit rate: {:.0} % of what was asked for", .0 * 100.0)]
    Rate(f64),
}

impl Fault {
    /// What a slow or busy machine may cause as well.
    fn is_the_machines(&self) -> bool {
        matches!(self, Fault::TooSlow { .. } | Fault::Rate(_))
    }
}

/// How a rung is tried.
#[derive(Clone)]
pub(crate) struct Terms {
    /// Beside a running programme: one picture at a time, and a pause of four times as long after each.
    pub beside: bool,
    /// Of the whole feeding.
    pub limit: Duration,
    /// Gives up soon after this is set.
    pub stop: Arc<AtomicBool>,
}

impl Terms {
    /// Nothing else runs, and somebody waits.
    pub fn alone() -> Terms {
        Terms {
            beside: false,
            limit: Duration::from_secs(4),
            stop: Arc::default(),
        }
    }

    /// The programme runs, and nobody waits.
    pub fn beside(stop: &Arc<AtomicBool>) -> Terms {
        Terms {
            beside: true,
            limit: Duration::from_secs(60),
            stop: stop.clone(),
        }
    }
}

/// A trial's result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tried {
    pub figures: Figures,
    /// Why it must not be used.
    pub refused: Option<String>,
    pub remarks: Vec<String>,
}

/// Tries a rung; `None` if that came to no end for reasons that are not the encoder's.
pub(crate) fn try_out(rung: &Rung, shape: &VideoShape, terms: &Terms) -> Option<Tried> {
    let (rung, terms) = (rung.clone(), terms.clone());
    let shape = VideoShape {
        keyframe: FAR,
        ..shape.clone()
    };
    // To open one in software is to compute for milliseconds: beside a programme it takes so long only where there is no time for it.
    // Condemned for that, x264 was left in the middle of a show of ten for one that costs half as much again.
    let starved = rung.is_software() && terms.beside;
    let software = rung.is_software();
    let (opened, wait) = mpsc::channel();
    let (done, result) = mpsc::channel();
    let trial = move || {
        let mut trial = match Trial::open(rung, shape, terms) {
            Ok(trial) => {
                let _ = opened.send(());
                trial
            }
            Err(why) => {
                drop(opened);
                let _ = done.send((Figures::default(), vec![Fault::Opens(why)]));
                return;
            }
        };
        if let Some(faults) = trial.run() {
            let _ = done.send((trial.figures.clone(), faults));
        }
        trial.encoding.leave();
    };
    let spawned = std::thread::Builder::new()
        .name("encoder-trial".into())
        .spawn(trial);
    spawned.ok()?;
    let (figures, faults) = match wait.recv_timeout(HANGS) {
        Err(mpsc::RecvTimeoutError::Timeout) if starved => return None,
        Err(mpsc::RecvTimeoutError::Timeout) => (Figures::default(), vec![Fault::Hangs]),
        // What follows is bounded by the trial itself; without a result it gave up.
        _ => result.recv().ok()?,
    };
    let mut tried = Tried {
        figures,
        ..Tried::default()
    };
    for fault in faults {
        if software && fault.is_the_machines() {
            tried.remarks.push(fault.to_string());
        } else if tried.refused.is_none() {
            tried.refused = Some(fault.to_string());
        } else {
            tried.remarks.push(fault.to_string());
        }
    }
    Some(tried)
}

/// Whether a rung opens and gives a picture: what a start can wait for.
pub(super) fn gives_a_picture(rung: &Rung, shape: &VideoShape) -> Result<(), String> {
    let (rung, shape) = (rung.clone(), shape.clone());
    let (done, result) = mpsc::channel();
    let trial = move || {
        let outcome = Trial::open_with(rung, shape, Terms::alone(), grey).and_then(|mut trial| {
            let outcome = trial.first_unit();
            trial.encoding.leave();
            outcome
        });
        let _ = done.send(outcome);
    };
    std::thread::Builder::new()
        .name("encoder-trial".into())
        .spawn(trial)
        .map_err(|e| e.to_string())?;
    result
        .recv_timeout(HANGS)
        .unwrap_or_else(|_| Err(Fault::Hangs.to_string()))
}

/// Counts the time that is waited, but not more than a few looks for each look: while this thread does not run, on a machine at
/// many times its load, the encoder hardly runs either.
pub(crate) struct Patience {
    looked: Instant,
    counted: Duration,
}

impl Patience {
    pub fn new() -> Patience {
        Patience {
            looked: Instant::now(),
            counted: Duration::ZERO,
        }
    }

    /// Another look, `every` so often.
    pub fn look(&mut self, every: Duration) -> Duration {
        let now = Instant::now();
        self.counted += (now - self.looked).min(every * 3);
        self.looked = now;
        self.counted
    }

    /// Something happened: all over again.
    pub fn renew(&mut self) {
        *self = Patience::new();
    }
}
