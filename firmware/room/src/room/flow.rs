//! How guests get from one state to another.

use dais_protocol::{Exit, Id, InviteEnd, Notification, Seat, Termination, Token, Words};

use super::act::Act;
use super::guest::{Guest, Media, Mutes, Phase, Stage, Stay};
use super::{CONNECT_MS, EARLY_SESSIONS, Effect, FAILURES, GRACE_MS, MediaEvent, RECENT_MS};

/// How a request ended without a seat.
pub(super) enum Ending {
    Rejected { by: Id, message: Option<Words> },
    Cancelled,
    TimedOut,
}

impl Act<'_> {
    /// Ends what ran out by now, the earliest first.
    pub fn expire(&mut self) {
        let now = self.now;
        let due = |guest: &Guest| guest.deadline().filter(|at| *at <= now);
        let mut late: Vec<(u64, Id)> = self
            .core
            .guests
            .iter()
            .filter_map(|(user, guest)| Some((due(guest)?, user.clone())))
            .collect();
        late.sort();
        for (_, user) in late {
            let Some(guest) = self.core.guests.get(&user) else {
                continue;
            };
            match &guest.stage {
                Stage::Idle => {}
                Stage::Requested(_) => self.end_request(&user, Ending::TimedOut),
                Stage::Invited(_) => self.end_invitation(&user, InviteEnd::TimedOut),
                Stage::Seated(stay) => {
                    let decoded = guest.media.as_ref().is_some_and(|media| media.alive);
                    let connecting = matches!(stay.phase, Phase::Connecting { .. });
                    self.unseat(
                        &user,
                        if connecting && !decoded {
                            Exit::MediaTimeout
                        } else {
                            Exit::Lost
                        },
                        None,
                    );
                }
            }
        }
    }

    /// Ends an open request that gets no seat, and tells its guest and the consoles.
    pub fn end_request(&mut self, user: &Id, ending: Ending) {
        let Some(number) = self.take_request(user) else {
            return;
        };
        let (request_id, user_id) = (self.request_id(number), user.clone());
        let (to_guest, to_hosts) = match ending {
            Ending::Rejected { by, message } => (
                Notification::MicRejected { message },
                Notification::MicRequestAnswered {
                    request_id,
                    user_id,
                    by,
                    by_name: None,
                    accept: false,
                },
            ),
            Ending::Cancelled => (
                Notification::MicCancelled {},
                Notification::MicRequestCancelled {
                    request_id,
                    user_id,
                },
            ),
            Ending::TimedOut => (
                Notification::MicTimedOut {},
                Notification::MicRequestTimedOut {
                    request_id,
                    user_id,
                },
            ),
        };
        self.tell_guest(user, to_guest);
        self.tell_hosts(to_hosts);
        self.close_media(user);
        self.forget_own_mutes(user);
    }

    /// Takes an open request away and leaves its guest idle, whose media stays open: its number.
    pub fn take_request(&mut self, user: &Id) -> Option<u64> {
        let recent = self.now.saturating_add(RECENT_MS);
        let guest = self.guest(user)?;
        let number = guest.request()?.number;
        guest.stage = Stage::Idle;
        guest.closed_request = Some(recent);
        self.touch();
        Some(number)
    }

    pub fn take_invitation(&mut self, user: &Id) -> Option<u64> {
        let recent = self.now.saturating_add(RECENT_MS);
        let guest = self.guest(user)?;
        let number = guest.invitation()?.number;
        guest.stage = Stage::Idle;
        guest.closed_invitation = Some(recent);
        self.touch();
        Some(number)
    }

    /// Ends an open invitation that its guest did not answer.
    pub fn end_invitation(&mut self, user: &Id, reason: InviteEnd) {
        let Some(number) = self.take_invitation(user) else {
            return;
        };
        let (request_id, user_id) = (self.request_id(number), user.clone());
        self.tell_guest(user, Notification::MicInviteEnded { reason });
        self.tell_hosts(match reason {
            InviteEnd::TimedOut => Notification::MicRequestTimedOut {
                request_id,
                user_id,
            },
            _ => Notification::MicRequestCancelled {
                request_id,
                user_id,
            },
        });
        self.forget_own_mutes(user);
    }

    /// Gives an idle guest a seat that was found free.
    pub fn seat(&mut self, user: &Id, seat: Seat, camera: bool) {
        let now = self.now;
        let Some(guest) = self.guest(user) else {
            return;
        };
        guest.stage = Stage::Seated(Stay {
            seat,
            phase: Phase::Connecting {
                until: now.saturating_add(CONNECT_MS),
            },
            camera,
            by_host: Mutes::default(),
            gain: Default::default(),
            speaking: false,
            failures: 0,
            since: now,
            before_ms: 0,
        });
        let to_open = guest.live && guest.media.is_none();
        self.touch();
        self.tell_guest(user, Notification::MicAccepted { seat });
        if to_open {
            self.open_media(user);
        }
        self.promote(user);
    }

    /// Frees a seat. A guest who left by themselves is not told so.
    pub fn unseat(&mut self, user: &Id, exit: Exit, message: Option<Words>) {
        let Some(guest) = self.guest(user).filter(|guest| guest.stay().is_some()) else {
            return;
        };
        guest.stage = Stage::Idle;
        self.touch();
        let reason = match exit {
            Exit::Left => None,
            Exit::Host => Some(Termination::Host),
            Exit::Lost => Some(Termination::Lost),
            Exit::MediaTimeout => Some(Termination::MediaTimeout),
            Exit::Banned => Some(Termination::Banned),
            Exit::Shutdown => Some(Termination::Shutdown),
        };
        if let Some(reason) = reason {
            self.tell_guest(user, Notification::MicTerminated { reason, message });
        }
        self.tell_hosts(Notification::MicExited {
            user_id: user.clone(),
            reason: exit,
        });
        self.close_media(user);
        self.forget_own_mutes(user);
    }

    /// Puts a guest on air whose session is live and whose media is decoded.
    pub fn promote(&mut self, user: &Id) {
        let Some(guest) = self.core.guests.get_mut(user) else {
            return;
        };
        if !guest.live || !guest.media.as_ref().is_some_and(|media| media.alive) {
            return;
        }
        let Some(stay) = guest.stay_mut().filter(|stay| stay.phase != Phase::OnAir) else {
            return;
        };
        stay.phase = Phase::OnAir;
        let seat = stay.seat;
        self.changed = true;
        self.tell_hosts(Notification::MicOnAir {
            user_id: user.clone(),
            seat,
        });
    }

    /// Takes a guest who was on air off it, for the grace time.
    fn lose(&mut self, user: &Id) {
        let until = self.now.saturating_add(GRACE_MS);
        let stay = self
            .guest(user)
            .and_then(Guest::stay_mut)
            .filter(|stay| stay.phase == Phase::OnAir);
        let Some(stay) = stay else { return };
        stay.phase = Phase::Reconnecting { until };
        stay.speaking = false;
        self.changed = true;
    }

    pub fn session_gone(&mut self, user: &Id) {
        let Some(guest) = self.guest(user) else {
            return;
        };
        guest.live = false;
        match guest.stage {
            Stage::Idle if guest.closed_request.is_none() && guest.closed_invitation.is_none() => {
                self.core.guests.remove(user);
            }
            Stage::Idle => {}
            Stage::Requested(_) => self.end_request(user, Ending::Cancelled),
            Stage::Invited(_) => self.end_invitation(user, InviteEnd::SessionGone),
            Stage::Seated(_) => self.lose(user),
        }
    }

    pub fn media(&mut self, session: &Token, event: MediaEvent) {
        let of = |guest: &Guest| {
            guest
                .media
                .as_ref()
                .is_some_and(|media| media.session == *session)
        };
        let Some(user) = self
            .core
            .guests
            .iter()
            .find(|(_, guest)| of(guest))
            .map(|(user, _)| user.clone())
        else {
            return;
        };
        let Some(guest) = self.guest(&user) else {
            return;
        };
        let alive = event == MediaEvent::Alive;
        if let Some(media) = &mut guest.media {
            media.alive = alive;
        }
        match event {
            MediaEvent::Alive => {
                if let Some(stay) = guest.stay_mut() {
                    stay.failures = 0;
                }
                self.promote(&user);
            }
            MediaEvent::Lost => self.lose(&user),
            MediaEvent::Failed => self.media_failed(&user),
        }
    }

    /// A broken session is replaced, so that its guest can come back within the time that is left; not for ever.
    fn media_failed(&mut self, user: &Id) {
        self.lose(user);
        self.close_media(user);
        let Some(guest) = self.guest(user) else {
            return;
        };
        let live = guest.live;
        let Some(stay) = guest.stay_mut() else { return };
        if live && stay.failures < FAILURES {
            stay.failures += 1;
            self.open_media(user);
        }
    }

    /// Ends the guest's session and offers a new one; the seat or the request stays, and so does its time.
    pub fn restart_media(&mut self, user: &Id) {
        self.lose(user);
        self.close_media(user);
        self.open_media(user);
    }

    pub fn open_media(&mut self, user: &Id) {
        let Some(camera) = self
            .core
            .guests
            .get(user)
            .and_then(|guest| match &guest.stage {
                Stage::Requested(request) => Some(request.camera),
                Stage::Seated(stay) => Some(stay.camera),
                Stage::Idle | Stage::Invited(_) => None,
            })
        else {
            return;
        };
        let number = self.number();
        let session = self.core.token('m', number);
        if let Some(guest) = self.guest(user) {
            guest.media = Some(Media {
                session: session.clone(),
                alive: false,
            });
        }
        self.effects.push(Effect::OpenMedia {
            user: user.clone(),
            session,
            camera,
        });
    }

    pub fn close_media(&mut self, user: &Id) {
        if let Some(media) = self.guest(user).and_then(|guest| guest.media.take()) {
            self.effects.push(Effect::CloseMedia {
                session: media.session,
            });
        }
    }

    /// Offers media to those who asked first, as long as early sessions are left, so that an accept only opens the seat.
    pub fn offer_early(&mut self) {
        let early = self
            .core
            .guests
            .values()
            .filter(|guest| guest.media.is_some() && guest.request().is_some())
            .count();
        let mut waiting: Vec<(u64, Id)> = self
            .core
            .guests
            .iter()
            .filter(|(_, guest)| guest.live && guest.media.is_none())
            .filter_map(|(user, guest)| {
                Some((
                    guest.request().filter(|request| !request.offered)?.number,
                    user.clone(),
                ))
            })
            .collect();
        waiting.sort();
        for (_, user) in waiting
            .into_iter()
            .take(EARLY_SESSIONS.saturating_sub(early))
        {
            if let Some(Stage::Requested(request)) = self.guest(&user).map(|guest| &mut guest.stage)
            {
                request.offered = true;
            }
            self.open_media(&user);
        }
    }

    pub fn speaking(&mut self, seat: Seat, speaking: bool) {
        let stay = self
            .core
            .guests
            .values_mut()
            .filter_map(Guest::stay_mut)
            .find(|stay| stay.seat == seat);
        let Some(stay) =
            stay.filter(|stay| stay.phase == Phase::OnAir && stay.speaking != speaking)
        else {
            return;
        };
        stay.speaking = speaking;
        self.changed = true;
    }

    /// The end of the show: everything open ends, everyone is told.
    pub fn shutdown(&mut self) {
        let users: Vec<Id> = self.core.guests.keys().cloned().collect();
        for user in users {
            self.end_request(&user, Ending::Cancelled);
            self.end_invitation(&user, InviteEnd::Withdrawn);
            self.unseat(&user, Exit::Shutdown, None);
        }
    }

    fn forget_own_mutes(&mut self, user: &Id) {
        if let Some(guest) = self.guest(user) {
            guest.own = Mutes::default();
        }
    }
}
