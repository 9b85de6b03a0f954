//! Somebody who sees every input, effect and state, and knows what the contract promises.

use std::collections::BTreeSet;

use dais_protocol::{Call, Id, Notification, Reason, Seat, Token};

use super::super::guest::{Phase, Stage};
use super::super::{Caller, Effect, Input, Recipient, Room};

/// What those outside know: who waits for the end of a request or an invitation, and which sessions are open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    pub requested: BTreeSet<Id>,
    pub invited: BTreeSet<Id>,
    pub sessions: BTreeSet<Token>,
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn seats(room: &Room) -> Vec<(&Id, Seat)> {
    room.core
        .guests
        .iter()
        .filter_map(|(user, guest)| Some((user, guest.stay()?.seat)))
        .collect()
}

impl Watch {
    /// Checks one step of the room.
    pub fn step(
        &mut self,
        before: &Room,
        input: &Input,
        effects: &[Effect],
        after: &Room,
    ) -> Result<(), String> {
        for effect in effects {
            self.effect(input, effect, after)?;
        }
        self.replies(before, input, effects, after)?;
        self.seats(before, after)?;
        self.state(after)
    }

    /// The box stopped at any moment and came back.
    pub fn restart(&mut self, before: &Room, after: &Room) -> Result<(), String> {
        self.sessions.clear();
        ensure(seats(before) == seats(after), || {
            "promise 4: other seats after a restart".into()
        })?;
        for guest in after.core.guests.values().filter_map(|guest| guest.stay()) {
            let back = matches!(guest.phase, Phase::Reconnecting { .. });
            ensure(back, || {
                format!("promise 4: seat {:?} is not reconnecting", guest.seat)
            })?;
        }
        self.state(after)
    }

    fn effect(&mut self, input: &Input, effect: &Effect, after: &Room) -> Result<(), String> {
        match effect {
            Effect::Reply {
                to: Caller::Guest(user),
                result: Ok(_),
                ..
            } => match input {
                Input::Call {
                    call: Call::MicRequest(_),
                    ..
                } => {
                    ensure(self.requested.insert(user.clone()), || {
                        format!("{user} has two requests open")
                    })?;
                }
                Input::Call {
                    call: Call::MicAnswer(p),
                    ..
                } if !p.accept => {
                    ensure(self.invited.remove(user), || {
                        format!("{user} declined twice")
                    })?;
                }
                _ => {}
            },
            Effect::Reply { .. } | Effect::Evict { .. } => {}
            Effect::Tell {
                to,
                notification,
                rev,
            } => {
                ensure(*rev == after.rev(), || {
                    "a notification carries an old rev".into()
                })?;
                if let Recipient::Guest(user) = to {
                    self.told(user, notification)?;
                }
            }
            Effect::OpenMedia { session, .. } => {
                ensure(self.sessions.insert(session.clone()), || {
                    format!("{session} was opened twice")
                })?;
            }
            Effect::CloseMedia { session } => {
                ensure(self.sessions.remove(session), || {
                    format!("{session} was closed, and was not open")
                })?;
            }
        }
        Ok(())
    }

    fn told(&mut self, user: &Id, notification: &Notification) -> Result<(), String> {
        match notification {
            Notification::MicRejected { .. }
            | Notification::MicTimedOut {}
            | Notification::MicCancelled {} => ensure(self.requested.remove(user), || {
                format!("promise 2: {user} was told {notification:?} of nothing")
            }),
            Notification::MicAccepted { .. } => {
                let waited = self.requested.remove(user) || self.invited.remove(user);
                ensure(waited, || {
                    format!("promise 2: {user} was told of a seat and waited for none")
                })
            }
            Notification::MicInvited { .. } => ensure(self.invited.insert(user.clone()), || {
                format!("{user} was invited twice")
            }),
            Notification::MicInviteEnded { .. } => ensure(self.invited.remove(user), || {
                format!("{user} was told the end of no invitation")
            }),
            _ => Ok(()),
        }
    }

    fn replies(
        &self,
        before: &Room,
        input: &Input,
        effects: &[Effect],
        after: &Room,
    ) -> Result<(), String> {
        let replies = effects.iter().filter_map(|effect| match effect {
            Effect::Reply { to, id, result } => Some((to, id, result)),
            _ => None,
        });
        let replies: Vec<_> = replies.collect();
        let Input::Call { from, id, call } = input else {
            return ensure(replies.is_empty(), || "a reply to no request".into());
        };
        let [(to, of, result)] = replies[..] else {
            return Err(format!("{} replies to one request", replies.len()));
        };
        ensure(to == from && of == id, || "a reply to somebody else".into())?;
        if let Call::MicRespond(p) = call {
            let open = |room: &Room| {
                room.core
                    .guests
                    .get(&p.user_id)
                    .is_some_and(|guest| guest.request().is_some())
            };
            let full = seats(before).len() >= usize::from(before.core.max_guests.get());
            if p.accept && full && open(before) && open(after) {
                let refused = result
                    .as_ref()
                    .is_err_and(|error| error.reason() == Reason::RoomFull);
                ensure(refused, || {
                    format!("promise 3: accepting into a full room was answered with {result:?}")
                })?;
            }
            if result
                .as_ref()
                .is_err_and(|error| error.reason() == Reason::RoomFull)
            {
                ensure(open(after), || {
                    "promise 3: a request that found the room full is gone".into()
                })?;
            }
        }
        Ok(())
    }

    fn seats(&self, before: &Room, after: &Room) -> Result<(), String> {
        let (old, new) = (seats(before), seats(after));
        let most = usize::from(after.core.max_guests.get());
        ensure(new.len() <= most, || {
            format!("promise 1: {} seats are taken", new.len())
        })?;
        let distinct: BTreeSet<Seat> = new.iter().map(|(_, seat)| *seat).collect();
        ensure(distinct.len() == new.len(), || {
            "promise 1: two on one seat".into()
        })?;
        for given in new.iter().filter(|seat| !old.contains(seat)) {
            ensure(!after.core.locked.contains(&given.1), || {
                format!("{given:?}: a locked seat was given")
            })?;
        }
        Ok(())
    }

    /// What holds of any state.
    fn state(&self, room: &Room) -> Result<(), String> {
        let guests = || room.core.guests.iter();
        let requested = guests()
            .filter(|(_, guest)| guest.request().is_some())
            .map(|(user, _)| user);
        ensure(requested.eq(&self.requested), || {
            format!(
                "promise 2: {:?} wait for an end, which are not those with an open request",
                self.requested
            )
        })?;
        let invited = guests()
            .filter(|(_, guest)| guest.invitation().is_some())
            .map(|(user, _)| user);
        ensure(invited.eq(&self.invited), || {
            format!(
                "{:?} think they are invited, which are not those who are",
                self.invited
            )
        })?;
        if let Some(talkback) = &room.core.talkback {
            let hears = room.core.guests.get(&talkback.user).is_some_and(|guest| {
                let there = guest.request().is_some() || guest.stay().is_some();
                there && guest.media.as_ref().is_some_and(|media| media.alive)
            });
            ensure(hears, || {
                format!("the host speaks to {}, who does not hear", talkback.user)
            })?;
        }
        let mut sessions = 0;
        for (user, guest) in guests() {
            let idle = matches!(guest.stage, Stage::Idle | Stage::Invited(_));
            ensure(!idle || guest.media.is_none(), || {
                format!("promise 5: {user} is idle and sends media")
            })?;
            if let Some(media) = &guest.media {
                sessions += 1;
                ensure(self.sessions.contains(&media.session), || {
                    format!("{} is not open", media.session)
                })?;
            }
            if let Some(stay) = guest.stay() {
                let there = guest.live && guest.media.as_ref().is_some_and(|media| media.alive);
                ensure(there == (stay.phase == Phase::OnAir), || {
                    format!("{user} is here: {there}, and {:?}", stay.phase)
                })?;
            }
        }
        ensure(sessions == self.sessions.len(), || {
            format!("more sessions are open than known: {:?}", self.sessions)
        })?;
        let shown = room
            .on_programme()
            .filter(|shown| self.sees(room, shown.user))
            .count();
        ensure(
            shown == seats(room).len() && shown == room.on_programme().count(),
            || "promise 5: the programme shows others than those with a seat".into(),
        )
    }

    fn sees(&self, room: &Room, user: &Id) -> bool {
        room.core
            .guests
            .get(user)
            .is_some_and(|guest| guest.stay().is_some())
    }
}
