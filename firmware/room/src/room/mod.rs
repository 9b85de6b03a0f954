//! The room: who asked, who is invited, who sits where, and what each of them is told.
//!
//! A pure state machine, `(state, input, now) → effects`: no I/O, no threads, no clock, no randomness, so that the five
//! promises of the contract (§4) are searched exhaustively instead of being hoped for (`tests/search.rs`).
//!
//! ```text
//! idle ──mic.request──▶ requested ──accept──▶ connecting ──first decoded media──▶ on_air
//! requested ──reject | cancel | timeout | session gone | ban | shutdown──▶ idle
//! idle ──mic.invite──▶ invited ──answer yes──▶ connecting ; no | timeout | withdrawn | gone──▶ idle
//! connecting ──15 s without decoded media──▶ idle
//! on_air ──media or session lost──▶ reconnecting ──both back within 10 s──▶ on_air ; else──▶ idle
//! ```
//!
//! What the contract leaves open, and how it is here:
//! - *On air* needs both a live MQTT session and decoded media. `connecting` and `reconnecting` end when both are
//!   there: after a lost session the guest must be seen again, after lost media frames alone are enough.
//! - A request from a guest shows that the guest's session is live, as [`Input::Seen`] does.
//! - `room.users_updated` lists everyone who holds a seat, in whichever of the three states; it goes out when a seat is
//!   given, freed or changed.
//! - A locked seat is given to nobody new. Locking an occupied one keeps its guest, and bites when the guest leaves.
//! - Seat numbers are 1 to 9 whatever `max_guests` is; it cannot be lowered below the number present.
//! - An invitation reserves no seat: a yes that finds the room full (or its seat gone) is answered with that error and
//!   stays open, as an accepted request does.
//! - Consoles hear of the end of an invitation by its `request_id`: `mic.request_timed_out` when it ran out,
//!   `mic.request_cancelled` when it was withdrawn or its guest's session went.
//! - A guest's own mute may be set from the request on, and lasts until the stay ends. In the snapshot `audio_muted` and
//!   `video_muted` say what is silent or dark for either reason, `muted_by_host` and `hidden_by_host` whether the host
//!   is one. `media.state` tells a guest the same four.
//! - Every end of a request is told to its guest, also when the session is gone: the `session.gone` of an old
//!   connection can arrive after its guest is back.
//! - The host's word to one guest alone (`talkback`) needs decoded media, and stays through an accept; what ends it is
//!   in `talkback.rs`.
//! - Only [`Input::Shutdown`], the end of the show, sends guests away. A box that stops or crashes keeps their seats.

mod act;
mod flow;
mod guest;
mod guest_calls;
mod host_calls;
mod io;
mod record;
mod replies;
mod talkback;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use dais_protocol::{Call, HostState, Id, Layout, MaxGuests, Name, Reason, RpcError, Seat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use act::Act;
use guest::Guest;
use replies::Replies;

pub use io::{Caller, Effect, Input, MediaEvent, Recipient};
pub use record::Record;
pub use replies::Once;
pub use talkback::{HELD_MS, Talkback};
pub use view::OnProgramme;

/// How long an accepted guest has until decoded media.
pub const CONNECT_MS: u64 = 15_000;
/// How long a guest who was lost may take to come back.
pub const GRACE_MS: u64 = 10_000;
/// Sessions offered to people who are not accepted yet. Each costs a pipeline and a decoder.
pub const EARLY_SESSIONS: usize = 4;
/// Sessions in a row that may fail on a seat before the room stops offering new ones, until the guest is seen anew.
const FAILURES: u8 = 2;
/// Guests known at once, live or lately gone. A box is shown to 1,000 connected clients.
const PEOPLE: usize = 2_000;
/// Open requests and invitations at once. More than a host can read, and 20 KiB of `pending`.
const OPEN: usize = 100;
/// How long an ended request is answered with `request_expired`.
const RECENT_MS: u64 = replies::REMEMBER_MS;
/// A guest's credential ends after 24 h, and with it the need to know that it was banned.
const BANNED_MS: u64 = 24 * 3600 * 1000;
const BANNED: usize = 1_000;
/// How far `rev` jumps when the room is restored. Changes that need not survive (who speaks) are not journalled one by
/// one, but never more than this many in a row, so that `rev` cannot fall behind what clients saw.
const REV_LEAP: u64 = 1_000;

/// How a new room begins.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Begins the names of requests and media sessions; new at each creation of a room, at most 16 characters.
    pub seed: Id,
    pub title: Name,
    pub max_guests: MaxGuests,
    pub accepting: bool,
    pub layout: Layout,
    pub host: HostState,
}

/// The whole state. [`Room::apply`] is the only way to change it.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    core: Core,
    replies: Replies,
    /// The newest time seen: a clock that stands still or steps back does no harm.
    clock: u64,
    /// Something changed that must be on disk before the effects are carried out.
    dirty: bool,
    recorded_rev: u64,
    /// Replies to requests that acted, since the last record.
    unrecorded: Vec<(Caller, String)>,
}

/// What survives a restart, replies apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Core {
    rev: u64,
    seed: Id,
    /// The last number given to a request, an invitation or a session.
    number: u64,
    title: Name,
    accepting: bool,
    max_guests: MaxGuests,
    layout: Layout,
    host: HostState,
    locked: BTreeSet<Seat>,
    guests: BTreeMap<Id, Guest>,
    /// Banned guests, and until when that is remembered.
    banned: BTreeMap<Id, u64>,
    /// Not kept: after a restart the host is on air.
    #[serde(skip)]
    talkback: Option<Talkback>,
}

impl Room {
    /// The methods that [`Room::apply`] carries out; the others are the appliance's. A `media.restart` is the room's for
    /// a guest with a seat or a request, unless it names a session of the appliance's that only watches.
    pub const OWN: [&str; 19] = [
        "mic.request",
        "mic.cancel",
        "mic.answer",
        "mic.leave",
        "media.restart",
        "media.set",
        "mic.respond",
        "mic.disconnect",
        "mic.invite",
        "mic.withdraw",
        "mic.set",
        "mic.move",
        "talkback.set",
        "seat.lock",
        "room.set",
        "room.people",
        "host.set",
        "layout.set",
        "guest.ban",
    ];

    pub fn new(opening: Opening) -> Self {
        let Opening {
            seed,
            title,
            max_guests,
            accepting,
            layout,
            host,
        } = opening;
        Self {
            core: Core {
                rev: 1,
                seed,
                number: 0,
                title,
                accepting,
                max_guests,
                layout,
                host,
                locked: BTreeSet::new(),
                guests: BTreeMap::new(),
                banned: BTreeMap::new(),
                talkback: None,
            },
            replies: Replies::default(),
            clock: 0,
            dirty: true,
            recorded_rev: 0,
            unrecorded: Vec::new(),
        }
    }

    /// Takes one input at `now` (milliseconds of a monotonic clock) and says what is to be done about it. What ran out
    /// by `now` ends first. Before the effects are carried out, [`Room::take_record`] must be on disk.
    pub fn apply(&mut self, input: Input, now: u64) -> Vec<Effect> {
        let now = self.clock.max(now);
        self.clock = now;
        let seated_before = self.core.users();
        let mut act = Act::new(&mut self.core, now);
        act.expire();
        if let Input::Call { from, id, call } = input {
            match self.replies.begin(&from, &id, now) {
                Once::Answered(result) => act.effects.push(Effect::Reply {
                    to: from,
                    id,
                    result,
                }),
                Once::Underway => {}
                Once::New => {
                    let (was_durable, at) = (std::mem::take(&mut act.durable), act.effects.len());
                    let result = act.call(&from, call);
                    if std::mem::replace(&mut act.durable, was_durable) {
                        act.durable = true;
                        self.unrecorded.push((from.clone(), id.clone()));
                    }
                    self.replies.finish(&from, &id, result.clone(), now);
                    act.effects.insert(
                        at,
                        Effect::Reply {
                            to: from,
                            id,
                            result,
                        },
                    );
                }
            }
        } else {
            if input == Input::Tick {
                self.replies.purge(now);
            }
            act.take(input);
        }
        let (effects, durable) = act.finish(seated_before);
        self.dirty |= durable || self.core.rev.saturating_sub(self.recorded_rev) >= REV_LEAP;
        effects
    }

    /// Once-only for the requests that the appliance carries out itself. A new id counts as underway until
    /// [`Room::finish`]; nothing is done for one that is not new, but to repeat the reply if there is one.
    pub fn begin(&mut self, from: &Caller, id: &str, now: u64) -> Once {
        self.clock = self.clock.max(now);
        self.replies.begin(from, id, self.clock)
    }

    /// The reply to a request that the appliance carried out. If it `acted`, it goes into the next record.
    pub fn finish(
        &mut self,
        from: &Caller,
        id: &str,
        result: Result<Value, RpcError>,
        acted: bool,
        now: u64,
    ) {
        self.clock = self.clock.max(now);
        self.replies.finish(from, id, result, self.clock);
        if acted {
            self.dirty = true;
            self.unrecorded.push((from.clone(), id.to_owned()));
        }
    }

    /// A change that consoles see outside the room, such as an output's: the next `rev`.
    pub fn next_rev(&mut self) -> u64 {
        self.core.rev += 1;
        self.dirty |= self.core.rev.saturating_sub(self.recorded_rev) >= REV_LEAP;
        self.core.rev
    }

    /// Whether the room carries this request out, or the appliance does.
    pub fn is_own(&self, from: &Caller, call: &Call) -> bool {
        match (from, call) {
            (Caller::Guest(user), Call::MediaRestart(_)) => self
                .core
                .guests
                .get(user)
                .is_some_and(Guest::may_have_media),
            (Caller::Host(_), Call::MediaRestart(_)) => false,
            _ => Self::OWN.contains(&call.method()),
        }
    }
}

/// An error of the contract.
fn fail(reason: Reason, message: &str) -> RpcError {
    RpcError::new(reason, message)
}
