//! Every order of everything: three guests, two consoles, a network that loses, repeats, delays and reorders, time that
//! runs out, and a box that restarts at any moment.
//!
//! The clients are the most hostile ones: any of them may send anything at any time. That covers loss (it is not sent),
//! delay and reordering (it is sent later, in another order) without keeping a network of messages in the state. What
//! has to be kept are repetitions: the network may hold back copies of requests that were delivered, and deliver each
//! again at any later time, after any number of restarts. A repetition must give the first reply and do nothing else.
//! Media events of sessions that are long closed are delivered too.
//!
//! States are told apart by what decides the future: times as what is left of them, requests and sessions without their
//! numbers, guests without their names, as they are interchangeable. So are the two consoles: they take turns, and a copy
//! of one's request is repeated while the other acts.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use dais_protocol::{
    Call, Empty, MediaRestart, MicAnswer, MicDisconnect, MicInvite, MicMove, MicRequest,
    MicRespond, OfUser, RoomSet, RpcError, SeatLock,
};
use serde_json::Value;
use stateright::{Checker, Model, Property};

use super::super::guest::{Guest, Stage};
use super::watch::Watch;
use super::*;

/// All times of the search are multiples of this; the three timeouts of the room are 1, 2 and 3 of them.
const STEP_MS: u64 = 5_000;
const REQUEST_S: u32 = 5;

/// How much of the room is searched.
struct Show {
    guests: usize,
    /// The most guests on air.
    most: u8,
    /// Requests that the network holds back to repeat them; and whether those that were refused are held back too.
    copies: usize,
    refused: bool,
    /// `room.set` changes the most between 1 and `most`.
    limits: bool,
    /// Media sessions fail for good.
    failures: bool,
    /// Seats are chosen, moved to and locked, and the room is closed for requests.
    seats: bool,
    invitations: bool,
    bans: bool,
}

/// Three guests and two consoles with everything that is told apart by nothing else.
const CORE: Show = Show {
    guests: 3,
    most: 2,
    copies: 1,
    refused: false,
    limits: false,
    failures: false,
    seats: false,
    invitations: false,
    bans: false,
};

#[derive(Clone, Debug, PartialEq)]
struct Moment {
    room: Room,
    now: u64,
    watch: Watch,
    copies: Vec<Copy>,
    sent: u64,
    broken: Option<String>,
}

/// A request that was delivered and may be again.
#[derive(Clone, Debug, PartialEq)]
struct Copy {
    from: Caller,
    id: String,
    call: Call,
    result: Result<Value, RpcError>,
}

#[derive(Clone, PartialEq)]
enum Step {
    Input(Input),
    /// A new request; a copy of it may stay in the network.
    Fresh {
        from: Caller,
        call: Call,
        copied: bool,
    },
    Repeat(usize),
    Later,
    Restart {
        elapsed: u64,
    },
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(input) => write!(f, "{input:?}"),
            Self::Fresh { from, call, copied } => {
                write!(
                    f,
                    "{}: {} {} copied={copied}",
                    String::from(from.clone()),
                    call.method(),
                    call.params()
                )
            }
            Self::Repeat(copy) => write!(f, "repeat {copy}"),
            Self::Later => write!(f, "5 s later"),
            Self::Restart { elapsed } => write!(f, "restart after {elapsed} ms"),
        }
    }
}

/// Whom a request is about.
fn about(copy: &Copy) -> Option<&Id> {
    match (&copy.from, &copy.call) {
        (Caller::Guest(user), _) => Some(user),
        (_, Call::MicRespond(p)) => Some(&p.user_id),
        (_, Call::MicDisconnect(p)) => Some(&p.user_id),
        (_, Call::MicInvite(p)) => Some(&p.user_id),
        (_, Call::MicWithdraw(p) | Call::GuestBan(p)) => Some(&p.user_id),
        (_, Call::MicMove(p)) => Some(&p.user_id),
        _ => None,
    }
}

/// What a copy asks for, without names.
fn asks(copy: &Copy) -> (&'static str, u8, bool) {
    let detail = match &copy.call {
        Call::MicRespond(p) => u8::from(p.accept) * 16 + p.seat.map_or(0, Seat::get),
        Call::MicAnswer(p) => u8::from(p.accept),
        Call::MicInvite(p) => p.seat.map_or(0, Seat::get),
        Call::MicMove(p) => p.seat.get(),
        Call::SeatLock(p) => u8::from(p.locked) * 16 + p.seat.get(),
        Call::RoomSet(p) => {
            p.max_guests.map_or(0, MaxGuests::get) * 4 + p.accepting.map_or(2, u8::from)
        }
        _ => 0,
    };
    (copy.call.method(), detail, copy.result.is_ok())
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let core = &self.room.core;
        let mut guests: Vec<u64> = core
            .guests
            .iter()
            .filter(|(_, guest)| !guest.is_forgettable())
            .map(|(user, guest)| {
                let mut one = DefaultHasher::new();
                self.hash_guest(guest, &mut one);
                let copies = self.copies.iter().filter(|copy| about(copy) == Some(user));
                copies.for_each(|copy| asks(copy).hash(&mut one));
                one.finish()
            })
            .collect();
        guests.sort_unstable();
        let mut gone: Vec<_> = self
            .copies
            .iter()
            .filter(|copy| {
                about(copy)
                    .is_none_or(|user| core.guests.get(user).is_none_or(Guest::is_forgettable))
            })
            .map(asks)
            .collect();
        gone.sort_unstable();
        (
            guests,
            gone,
            core.banned.len(),
            core.max_guests.get(),
            core.accepting,
            &core.locked,
        )
            .hash(state);
        self.broken.is_some().hash(state);
    }
}

impl Moment {
    fn hash_guest(&self, guest: &Guest, state: &mut impl Hasher) {
        guest.live.hash(state);
        guest.media.as_ref().map(|media| media.alive).hash(state);
        guest
            .deadline()
            .map(|at| at.saturating_sub(self.now))
            .hash(state);
        match &guest.stage {
            Stage::Idle => 0.hash(state),
            Stage::Requested(request) => (1, request.camera, request.offered).hash(state),
            Stage::Invited(invitation) => (2, invitation.seat).hash(state),
            Stage::Seated(stay) => {
                (3, stay.seat, stay.phase.seat_state(), stay.failures).hash(state)
            }
        }
    }

    fn apply(&mut self, before: &Room, input: &Input) -> Vec<Effect> {
        let effects = self.room.apply(input.clone(), self.now);
        if let Err(why) = self.watch.step(before, input, &effects, &self.room) {
            self.broken = Some(why);
        }
        self.room.unrecorded.clear();
        effects
    }

    fn call(&mut self, before: &Room, from: &Caller, call: &Call, copied: bool, refused: bool) {
        self.sent += 1;
        let id = self.sent.to_string();
        let effects = self.apply(
            before,
            &Input::Call {
                from: from.clone(),
                id: id.clone(),
                call: call.clone(),
            },
        );
        if copied && let Some(result) = reply(&effects).filter(|result| refused || result.is_ok()) {
            self.copies.push(Copy {
                from: from.clone(),
                id,
                call: call.clone(),
                result,
            });
        }
        let copies = &self.copies;
        self.room.replies.retain(|from, id| {
            copies
                .iter()
                .any(|copy| copy.from == *from && copy.id == id)
        });
    }

    fn repeat(&mut self, copy: &Copy) {
        let before = self.room.core.clone();
        let Copy {
            from,
            id,
            call,
            result,
        } = copy.clone();
        let effects = self.room.apply(
            Input::Call {
                from: from.clone(),
                id: id.clone(),
                call,
            },
            self.now,
        );
        if self.room.core != before {
            self.broken = Some(format!("once only: {} acted again", copy.call.method()));
        }
        if effects
            != [Effect::Reply {
                to: from,
                id,
                result,
            }]
        {
            self.broken = Some(format!(
                "once only: {} was answered with {effects:?}",
                copy.call.method()
            ));
        }
    }

    fn restart(&mut self, elapsed: u64) {
        let left = |room: &Room, now: u64| room.pending(now).requests;
        let before = left(&self.room, self.now);
        let bytes = serde_json::to_vec(&self.room.whole_record()).unwrap();
        let room = Room::restore(serde_json::from_slice(&bytes).unwrap(), self.now, elapsed);
        let kept = before
            .iter()
            .zip(left(&room, self.now))
            .all(|(before, after)| {
                after.request_id == before.request_id
                    && after.expires_in_ms == before.expires_in_ms.saturating_sub(elapsed)
            });
        let mut fault = (!kept || before.len() != room.pending(self.now).requests.len())
            .then(|| "promise 4: a request lost or gained time in a restart".to_owned());
        if let Err(why) = self.watch.restart(&self.room, &room) {
            fault = Some(why);
        }
        self.room = room;
        self.broken = fault;
        if self.broken.is_none() {
            let before = self.room.clone();
            self.apply(&before, &Input::Tick);
        }
    }
}

fn reply(effects: &[Effect]) -> Option<Result<Value, RpcError>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply { result, .. } => Some(result.clone()),
        _ => None,
    })
}

impl Show {
    fn users(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.guests).map(|n| id(&format!("g{n}")))
    }

    fn guest_calls(&self, room: &Room, user: &Id) -> Vec<Call> {
        let mut calls = vec![
            Call::MicRequest(MicRequest {
                timeout_s: seconds(REQUEST_S),
                camera: true,
            }),
            Call::MicCancel(Empty {}),
            Call::MicLeave(Empty {}),
        ];
        if self.invitations {
            calls.extend([true, false].map(|accept| Call::MicAnswer(MicAnswer { accept })));
        }
        if let Some(session) = room.session_of(user) {
            calls.push(Call::MediaRestart(MediaRestart {
                session: session.clone(),
            }));
        }
        calls
    }

    fn host_calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        if self.limits {
            let most = |most| RoomSet {
                title: None,
                accepting: None,
                max_guests: Some(max(most)),
            };
            calls.extend([1, self.most].map(|limit| Call::RoomSet(most(limit))));
        }
        let choices = if self.seats {
            vec![None, Some(seat(1)), Some(seat(2))]
        } else {
            vec![None]
        };
        if self.seats {
            calls.extend([true, false].map(|locked| {
                Call::SeatLock(SeatLock {
                    seat: seat(1),
                    locked,
                })
            }));
            let accepting = |accepting| RoomSet {
                title: None,
                accepting: Some(accepting),
                max_guests: None,
            };
            calls.extend([true, false].map(|open| Call::RoomSet(accepting(open))));
        }
        for user_id in self.users() {
            for &seat in &choices {
                calls.push(respond(&user_id, true, seat));
                if self.invitations {
                    let timeout_s = seconds(REQUEST_S);
                    calls.push(Call::MicInvite(MicInvite {
                        user_id: user_id.clone(),
                        timeout_s,
                        seat,
                    }));
                }
                if let Some(seat) = seat {
                    calls.push(Call::MicMove(MicMove {
                        user_id: user_id.clone(),
                        seat,
                    }));
                }
            }
            calls.push(respond(&user_id, false, None));
            calls.push(Call::MicDisconnect(MicDisconnect {
                user_id: user_id.clone(),
                message: None,
            }));
            if self.invitations {
                calls.push(Call::MicWithdraw(OfUser {
                    user_id: user_id.clone(),
                }));
            }
            if self.bans {
                calls.push(Call::GuestBan(OfUser { user_id }));
            }
        }
        calls
    }
}

fn respond(user_id: &Id, accept: bool, seat: Option<Seat>) -> Call {
    Call::MicRespond(MicRespond {
        user_id: user_id.clone(),
        accept,
        seat,
        message: None,
    })
}

impl Model for Show {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        let room = Room::new(opening(self.most));
        vec![Moment {
            room,
            now: 0,
            watch: Watch::default(),
            copies: Vec::new(),
            sent: 0,
            broken: None,
        }]
    }

    fn actions(&self, at: &Moment, steps: &mut Vec<Step>) {
        if at.broken.is_some() {
            return;
        }
        let mut fresh = |from: Caller, call: Call| {
            if at.copies.len() < self.copies {
                steps.push(Step::Fresh {
                    from: from.clone(),
                    call: call.clone(),
                    copied: true,
                });
            }
            steps.push(Step::Fresh {
                from,
                call,
                copied: false,
            });
        };
        for user in self.users() {
            for call in self.guest_calls(&at.room, &user) {
                fresh(Caller::Guest(user.clone()), call);
            }
        }
        let console = if at.sent.is_multiple_of(2) {
            "h0"
        } else {
            "h1"
        };
        for call in self.host_calls() {
            fresh(Caller::Host(id(console)), call);
        }
        let mut events = vec![MediaEvent::Alive, MediaEvent::Lost];
        if self.failures {
            events.push(MediaEvent::Failed);
        }
        for user in self.users() {
            steps.push(Step::Input(Input::Seen {
                user: user.clone(),
                name: name(&user),
            }));
            steps.push(Step::Input(Input::SessionGone { user: user.clone() }));
            if let Some(session) = at.room.session_of(&user) {
                for &event in &events {
                    steps.push(Step::Input(Input::Media {
                        session: session.clone(),
                        event,
                    }));
                }
            }
        }
        let last = at.room.core.token('m', at.room.core.number);
        if at.room.core.number > 0 && at.room.user_of(&last).is_none() {
            for &event in &events {
                steps.push(Step::Input(Input::Media {
                    session: last.clone(),
                    event,
                }));
            }
        }
        steps.extend((0..at.copies.len()).map(Step::Repeat));
        steps.push(Step::Later);
        steps.extend([0, STEP_MS].map(|elapsed| Step::Restart { elapsed }));
    }

    fn next_state(&self, at: &Moment, step: Step) -> Option<Moment> {
        let mut next = at.clone();
        match step {
            Step::Input(input) => {
                next.apply(&at.room, &input);
            }
            Step::Fresh { from, call, copied } => {
                next.call(&at.room, &from, &call, copied, self.refused)
            }
            Step::Repeat(copy) => next.repeat(&at.copies[copy]),
            Step::Later => {
                next.now += STEP_MS;
                next.apply(&at.room, &Input::Tick);
            }
            Step::Restart { elapsed } => next.restart(elapsed),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every promise is kept", |_, at: &Moment| {
                at.broken.is_none()
            }),
            Property::sometimes("the room gets full", |show: &Self, at: &Moment| {
                let full = at.room.core.users().len() >= usize::from(show.most);
                full && (show.guests <= show.most.into()
                    || !at.room.pending(at.now).requests.is_empty())
            }),
            Property::sometimes("somebody is on air", |_, at: &Moment| {
                at.room
                    .on_programme()
                    .any(|seat| seat.state == dais_protocol::SeatState::OnAir)
            }),
        ]
    }
}

/// Searches to the end, and says how many states there were.
fn search(show: Show) -> usize {
    let checker = show.checker().threads(2).spawn_bfs().join();
    if let Some(path) = checker.discovery("every promise is kept") {
        let broken = path.last_state().broken.clone();
        panic!("{broken:?} after {:#?}", path.into_actions());
    }
    checker.assert_properties();
    let (states, transitions) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{states} states, {transitions} transitions, {} steps deep",
        checker.max_depth()
    );
    states
}

const README: &str = "the README states this number: say the new one there, and why it changed";

#[test]
fn no_order_of_requests_repetitions_losses_and_restarts_breaks_a_promise() {
    assert_eq!(search(CORE), 45_376, "{README}");
}

#[test]
fn no_order_of_failing_media_and_changing_limits_breaks_a_promise() {
    let show = Show {
        copies: 0,
        failures: true,
        limits: true,
        ..CORE
    };
    assert_eq!(search(show), 20_211, "{README}");
}

#[test]
fn no_order_of_invitations_and_bans_breaks_a_promise() {
    let show = Show {
        copies: 0,
        invitations: true,
        bans: true,
        ..CORE
    };
    assert_eq!(search(show), 3_556, "{README}");
}

/// A deeper run: DAIS_SEARCH is `guests,most,copies` and any of
/// `refused limits failures seats invitations bans`, as in `3,2,1,failures`.
#[test]
fn the_search_that_was_asked_for_finds_nothing() {
    let Ok(asked) = std::env::var("DAIS_SEARCH") else {
        return;
    };
    let words: Vec<&str> = asked.split([',', ' ']).collect();
    let number = |at: usize| {
        let word = words.get(at).and_then(|word| word.parse::<u8>().ok());
        word.unwrap()
    };
    let has = |word: &str| words.contains(&word);
    search(Show {
        guests: number(0).into(),
        most: number(1),
        copies: number(2).into(),
        refused: has("refused"),
        limits: has("limits"),
        failures: has("failures"),
        seats: has("seats"),
        invitations: has("invitations"),
        bans: has("bans"),
    });
}
