//! Whether a picture comes in at the capture card, asked of the card itself: `v4l2src` looks only while it negotiates, and
//! most cards go on sending black or noise when the cable is pulled.

use std::io;
use std::path::Path;
use std::time::Duration;

use v4l::v4l_sys as sys;

use super::edid;
use super::v4l2::{Card, Input};

/// How often a card is asked. Each time it talks to its receiver over a slow bus.
pub(crate) const EVERY: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    Ok,
    /// The card itself is gone, busy, or gives nothing.
    NoCamera,
    /// Nothing is plugged in, or what is has no power.
    NoCable,
    NoSignal,
    /// Something comes in, and the card can't lock onto it.
    NoSync,
    /// A format that the card can't take.
    Unsupported,
}

impl Signal {
    /// For the slate in the host's tile.
    pub fn words(self) -> &'static str {
        match self {
            Signal::Ok => "Camera",
            Signal::NoCamera => "No camera",
            Signal::NoCable => "No cable",
            Signal::NoSignal => "No signal",
            Signal::NoSync => "No sync",
            Signal::Unsupported => "Unsupported format",
        }
    }

    pub(crate) fn trouble(self) -> &'static str {
        match self {
            Signal::Ok => "the host's camera is well",
            Signal::NoCamera => "the host's camera gives no picture",
            Signal::NoCable => "the host's camera: no cable",
            Signal::NoSignal => "the host's camera: no signal",
            Signal::NoSync => "the host's camera: no sync",
            Signal::Unsupported => "the host's camera: unsupported format",
        }
    }

    pub(crate) fn advice(self) -> &'static str {
        match self {
            Signal::Ok => "Nothing needs to be done.",
            Signal::NoCamera => "Check the camera and its cable.",
            Signal::NoCable => "Plug the camera's cable in at both ends, and switch the camera on.",
            Signal::NoSignal => {
                "The cable is in, and no picture comes: wake the camera, and switch on its HDMI or SDI output."
            }
            Signal::NoSync => {
                "The picture can't be locked onto: try a shorter or better cable, or a lower format at the camera."
            }
            Signal::Unsupported => {
                "The capture card can't take the camera's format: set the camera to 1080p, at 60 frames a second at most."
            }
        }
    }
}

/// `errno` of `VIDIOC_QUERY_DV_TIMINGS`, as its manual page says.
const ENOLINK: i32 = 67;
const ENOLCK: i32 = 37;
const ERANGE: i32 = 34;
/// What every call gets once the device is gone.
const ENODEV: i32 = 19;

const NO_SIGNAL: u32 = sys::V4L2_IN_ST_NO_POWER | sys::V4L2_IN_ST_NO_SIGNAL;
const NO_SYNC: u32 = sys::V4L2_IN_ST_NO_H_LOCK
    | sys::V4L2_IN_ST_NO_V_LOCK
    | sys::V4L2_IN_ST_NO_STD_LOCK
    | sys::V4L2_IN_ST_NO_SYNC
    | sys::V4L2_IN_ST_NO_CARRIER;

/// What a card's answers mean: whether there is power, what the input says, and what the query of the format gave.
fn judge(power: Option<bool>, status: u32, query: Option<Result<(), Option<i32>>>) -> Signal {
    match query {
        Some(Err(Some(ENOLINK))) if power == Some(false) => Signal::NoCable,
        Some(Err(Some(ENOLINK))) => Signal::NoSignal,
        Some(Err(Some(ENOLCK))) => Signal::NoSync,
        Some(Err(Some(ERANGE))) => Signal::Unsupported,
        // A card that locks onto a signal has one, whatever its status bits say. Another error is no word about the signal.
        Some(Ok(())) => Signal::Ok,
        _ if power == Some(false) => Signal::NoCable,
        _ if status & NO_SIGNAL != 0 => Signal::NoSignal,
        _ if status & NO_SYNC != 0 => Signal::NoSync,
        _ => Signal::Ok,
    }
}

/// A card that is looked at from time to time.
pub(crate) struct Watch {
    card: Card,
}

/// What one look showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub signal: Signal,
    /// Another format comes in than the card is set to.
    pub changed: bool,
}

impl Watch {
    pub fn open(node: &Path) -> io::Result<Watch> {
        let card = Card::open(node)?;
        Ok(Watch { card })
    }

    /// Makes the card ready to stream: tells the other end what it takes, and sets the card to what comes in.
    pub fn prepare(&self) -> Signal {
        let Ok(input) = self.card.input() else {
            // Some drivers know no inputs. They have no timings either.
            return Signal::Ok;
        };
        if !input.has_timings {
            return self.signal(&input);
        }
        self.offer_edid(&input);
        let signal = self.signal(&input);
        if signal != Signal::Ok {
            return signal;
        }
        match self.card.incoming() {
            Ok(incoming) => {
                if self.card.set_to().is_ok_and(|now| now.is_like(&incoming)) {
                    return Signal::Ok;
                }
                match self.card.set(&incoming) {
                    Ok(()) => {
                        tracing::info!(format = %incoming, "the capture card is set to what comes in")
                    }
                    Err(error) => {
                        tracing::debug!(format = %incoming, %error, "the capture card refuses what comes in");
                        return Signal::Unsupported;
                    }
                }
                Signal::Ok
            }
            Err(_) => self.signal(&input),
        }
    }

    /// A card without an EDID gets no signal: the camera does not know what may be sent. One that was set by somebody stays.
    fn offer_edid(&self, input: &Input) {
        if !matches!(self.card.edid_blocks(input.index), Ok(0)) {
            return;
        }
        match self.card.set_edid(input.index, &edid::bytes()) {
            Ok(()) => tracing::info!(
                "the capture card had no EDID and was given one: 1080p at 60 frames a second at most"
            ),
            Err(error) => tracing::debug!(%error, "the capture card has no EDID and takes none"),
        }
    }

    /// Takes some milliseconds at most; changes nothing. `None` where the device is gone.
    pub fn look(&self) -> Option<Look> {
        let input = match self.card.input() {
            Ok(input) => input,
            Err(error) if error.raw_os_error() == Some(ENODEV) => return None,
            // A driver that knows no inputs says nothing of the signal.
            Err(_) => {
                return Some(Look {
                    signal: Signal::Ok,
                    changed: false,
                });
            }
        };
        let signal = self.signal(&input);
        let changed = signal == Signal::Ok
            && input.has_timings
            && match (self.card.incoming(), self.card.set_to()) {
                (Ok(incoming), Ok(set)) => !incoming.is_like(&set),
                _ => false,
            };
        Some(Look { signal, changed })
    }

    fn signal(&self, input: &Input) -> Signal {
        let query = input.has_timings.then(|| {
            self.card
                .incoming()
                .map(|_| ())
                .map_err(|e| e.raw_os_error())
        });
        judge(self.card.power_present(), input.status, query)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_a_card_is_one_state() {
        let errno = |n| Some(Err(Some(n)));
        let table = [
            (None, 0, None, Signal::Ok),
            (None, 0, Some(Ok(())), Signal::Ok),
            (Some(true), 0, errno(ENOLINK), Signal::NoSignal),
            (None, NO_SIGNAL, errno(ENOLINK), Signal::NoSignal),
            (Some(false), 0, errno(ENOLINK), Signal::NoCable),
            (Some(true), 0, errno(ENOLCK), Signal::NoSync),
            (Some(true), 0, errno(ERANGE), Signal::Unsupported),
            // A composite input has no timings, and says it by its bits.
            (None, sys::V4L2_IN_ST_NO_SIGNAL, None, Signal::NoSignal),
            (None, sys::V4L2_IN_ST_NO_H_LOCK, None, Signal::NoSync),
            (None, sys::V4L2_IN_ST_NO_COLOR, None, Signal::Ok),
            // Bits that lag behind, and an error that says nothing of the signal.
            (None, sys::V4L2_IN_ST_NO_SIGNAL, Some(Ok(())), Signal::Ok),
            (None, 0, errno(25), Signal::Ok),
        ];
        for (power, status, query, signal) in table {
            assert_eq!(
                judge(power, status, query),
                signal,
                "{power:?} {status:x} {query:?}"
            );
        }
    }

    #[test]
    fn a_driver_that_knows_no_inputs_is_no_lost_signal() {
        // It refuses every request of V4L2, as such a driver refuses those of inputs.
        let watch = Watch::open(Path::new("/dev/null")).expect("it can be opened");
        assert_eq!(watch.prepare(), Signal::Ok);
        let quiet = Look {
            signal: Signal::Ok,
            changed: false,
        };
        assert_eq!(watch.look(), Some(quiet));
    }

    #[test]
    fn every_state_has_words_for_the_slate_and_says_what_to_do() {
        use std::collections::HashSet;
        let all = [
            Signal::NoCamera,
            Signal::NoCable,
            Signal::NoSignal,
            Signal::NoSync,
            Signal::Unsupported,
        ];
        let words: HashSet<_> = all.map(|s| (s.words(), s.trouble(), s.advice())).into();
        assert_eq!(words.len(), all.len());
    }
}
