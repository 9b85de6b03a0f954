//! One step of the room: the state it changes, and what it says about that.

use dais_protocol::{Call, Id, Name, Notification, Reason, RpcError, Token, UserOnAir};
use serde::Serialize;
use serde_json::Value;

use super::guest::{Guest, Stage};
use super::{Caller, Core, Effect, Input, PEOPLE, Recipient, fail};

pub(super) type Answer = Result<Value, RpcError>;

pub(super) struct Act<'a> {
    pub core: &'a mut Core,
    pub now: u64,
    pub effects: Vec<Effect>,
    /// Something that a snapshot shows changed.
    pub changed: bool,
    /// Something changed that must survive a crash.
    pub durable: bool,
}

impl<'a> Act<'a> {
    pub fn new(core: &'a mut Core, now: u64) -> Self {
        Self {
            core,
            now,
            effects: Vec::new(),
            changed: false,
            durable: false,
        }
    }

    /// Settles who hears of new seats, offers early sessions, and stamps the notifications with the new `rev`.
    pub fn finish(mut self, seated_before: Vec<UserOnAir>) -> (Vec<Effect>, bool) {
        self.settle_talkback();
        self.tell_users(&seated_before);
        self.offer_early();
        if self.changed {
            self.core.rev += 1;
        }
        for effect in &mut self.effects {
            if let Effect::Tell { rev, .. } = effect {
                *rev = self.core.rev;
            }
        }
        (self.effects, self.durable)
    }

    pub fn take(&mut self, input: Input) {
        match input {
            Input::Seen { user, name } => self.seen(&user, Some(name)),
            Input::SessionGone { user } => self.session_gone(&user),
            Input::HostGone { user } => self.host_gone(&user),
            Input::Media { session, event } => self.media(&session, event),
            Input::Speaking { seat, speaking } => self.speaking(seat, speaking),
            Input::Tick => self.forget(),
            Input::Shutdown => self.shutdown(),
            Input::Call { .. } => unreachable!("Room::apply gives requests to Act::call"),
        }
    }

    pub fn call(&mut self, from: &Caller, call: Call) -> Answer {
        match from {
            Caller::Guest(user) => {
                if self.core.banned.contains_key(user) {
                    return Err(fail(Reason::NotAllowed, "The host has banned this guest."));
                }
                self.seen(user, None);
                if !self.core.guests.contains_key(user) {
                    return Err(fail(
                        Reason::Unavailable,
                        "The box serves as many guests as it can.",
                    ));
                }
                self.guest_call(user, call)
            }
            Caller::Host(by) => self.host_call(by, call),
        }
    }

    /// A sign of life. Whoever comes without a name is called by their id until one is known.
    fn seen(&mut self, user: &Id, name: Option<Name>) {
        if self.core.banned.contains_key(user) {
            return;
        }
        if !self.core.guests.contains_key(user) {
            if self.core.guests.len() >= PEOPLE {
                self.forget();
            }
            let Some(called) = name.clone().or_else(|| user.parse().ok()) else {
                return;
            };
            if self.core.guests.len() >= PEOPLE && !self.make_room() {
                return;
            }
            self.core.guests.insert(user.clone(), Guest::new(called));
        }
        let Some(guest) = self.core.guests.get_mut(user) else {
            return;
        };
        if let Some(name) = name.filter(|name| *name != guest.name) {
            guest.name = name;
            if !matches!(guest.stage, Stage::Idle) {
                self.changed = true;
                self.durable = true;
            }
        }
        if guest.live {
            return;
        }
        guest.live = true;
        if guest.media.is_none()
            && let Some(stay) = guest.stay_mut()
        {
            stay.failures = 0;
            self.open_media(user);
        }
        self.promote(user);
    }

    /// Forgets one guest whose only trace is a request that ended lately.
    fn make_room(&mut self) -> bool {
        let spare = self
            .core
            .guests
            .iter()
            .find(|(_, guest)| guest.is_forgettable())
            .map(|(user, _)| user.clone());
        spare.is_some_and(|user| self.core.guests.remove(&user).is_some())
    }

    /// Drops what need not be remembered any longer.
    fn forget(&mut self) {
        let now = self.now;
        self.core.banned.retain(|_, until| *until > now);
        for guest in self.core.guests.values_mut() {
            guest.closed_request = guest.closed_request.filter(|until| *until > now);
            guest.closed_invitation = guest.closed_invitation.filter(|until| *until > now);
        }
        self.core.guests.retain(|_, guest| {
            !guest.is_forgettable()
                || guest.closed_request.is_some()
                || guest.closed_invitation.is_some()
        });
    }

    pub fn guest(&mut self, user: &Id) -> Option<&mut Guest> {
        self.core.guests.get_mut(user)
    }

    /// A change that snapshots show and that must survive.
    pub fn touch(&mut self) {
        self.changed = true;
        self.durable = true;
    }

    pub fn tell_guest(&mut self, user: &Id, notification: Notification) {
        self.effects.push(Effect::Tell {
            to: Recipient::Guest(user.clone()),
            notification,
            rev: 0,
        });
    }

    pub fn tell_hosts(&mut self, notification: Notification) {
        self.effects.push(Effect::Tell {
            to: Recipient::Hosts,
            notification,
            rev: 0,
        });
    }

    /// `room.users_updated`, if seats were given, freed or changed, or someone on one has a new name.
    fn tell_users(&mut self, before: &[UserOnAir]) {
        let users = self.core.users();
        if users == before {
            return;
        }
        let missing = |from: &[UserOnAir], of: &[UserOnAir]| -> Vec<Id> {
            let gone = of
                .iter()
                .filter(|user| from.iter().all(|other| other.user_id != user.user_id));
            gone.map(|user| user.user_id.clone()).collect()
        };
        let (joined, left) = (missing(before, &users), missing(&users, before));
        let notification = Notification::RoomUsersUpdated {
            users,
            joined,
            left,
        };
        self.effects.push(Effect::Tell {
            to: Recipient::Everyone,
            notification,
            rev: 0,
        });
    }

    /// The next number for something that gets a name.
    pub fn number(&mut self) -> u64 {
        self.core.number += 1;
        self.durable = true;
        self.core.number
    }

    pub fn request_id(&self, number: u64) -> Token {
        self.core.token('r', number)
    }
}

impl Core {
    /// `<seed>-r<number>`: at most 32 + 2 + 20 characters, within the 64 of a token.
    pub fn token(&self, kind: char, number: u64) -> Token {
        match Token::try_from(format!("{}-{kind}{number}", self.seed)) {
            Ok(token) => token,
            Err(error) => unreachable!("an id, a letter and a number make a token: {error}"),
        }
    }
}

/// A result of the contract as JSON.
pub(super) fn answer(result: &impl Serialize) -> Answer {
    serde_json::to_value(result).map_err(|error| {
        fail(
            Reason::Unavailable,
            &format!("The reply could not be written: {error}."),
        )
    })
}

pub(super) fn done() -> Answer {
    Ok(Value::Object(serde_json::Map::new()))
}
