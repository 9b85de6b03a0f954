//! Who is there, by what the broker tells, by good-byes and by wills; and what a will that comes late means.

use dais_protocol::{Id, Name};
use dais_room::access::Identity;
use dais_room::room::{Caller, Input};

use super::{Appliance, caller};
use crate::book::Presence;

/// What a connection sent last, and its will, come through the broker within milliseconds; this leaves time for a slow box.
const WILL_MS: u64 = 2_000;

impl Appliance {
    pub(super) fn on_presence(&mut self, change: &Presence) {
        let now = self.clock.now_ms();
        self.taken_over.retain(|_, at| *at + WILL_MS > now);
        self.departed.retain(|_, at| *at + WILL_MS > now);
        self.lessened.retain(|_, at| *at + WILL_MS > now);
        match change {
            Presence::Arrived(who) => {
                *self.connections.entry(who.clone()).or_default() += 1;
                let Some(Caller::Guest(user)) = caller(who) else {
                    return;
                };
                let lately = self.departed.remove(&user).is_some();
                if lately || self.is_live(&user) {
                    self.taken_over.insert(user.clone(), now);
                }
                self.see(who, user)
            }
            Presence::Departed(who, left @ 1..) => {
                self.connections.insert(who.clone(), *left);
                self.lessened.insert(who.clone(), now);
            }
            Presence::Departed(who, 0) => {
                self.connections.remove(who);
                if let Some(Caller::Guest(user)) = caller(who) {
                    self.departed.insert(user, now);
                }
                self.gone(who)
            }
        }
    }

    pub(super) fn is_live(&self, user: &Id) -> bool {
        self.room.live_guests().any(|live| live == user)
    }

    pub(super) fn see(&mut self, who: &Identity, user: Id) {
        let Some(name) = self.book.name_of(who).or_else(|| user.parse::<Name>().ok()) else {
            return;
        };
        self.apply(Input::Seen { user, name }, None)
    }

    /// `session.gone` came: a good-bye, or a will.
    pub(super) fn on_gone(&mut self, who: &Identity) {
        let until = self.clock.now_ms().saturating_sub(WILL_MS);
        let another = self.connections.get(who).is_some_and(|live| *live > 1);
        if another || self.lessened.get(who).is_some_and(|at| *at > until) {
            return;
        }
        if let Some(Caller::Guest(user)) = caller(who)
            && self.taken_over.remove(&user).is_some_and(|at| at > until)
        {
            // The old connection's will: its successor is live.
            self.stop_watching(who);
            return;
        }
        self.gone(who)
    }

    pub(super) fn gone(&mut self, who: &Identity) {
        self.stop_watching(who);
        match caller(who) {
            Some(Caller::Guest(user)) => self.apply(Input::SessionGone { user }, None),
            Some(Caller::Host(user)) => {
                self.stop_looking(who);
                self.apply(Input::HostGone { user }, None)
            }
            None => {}
        }
    }
}
