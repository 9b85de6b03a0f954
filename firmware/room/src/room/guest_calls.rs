//! The requests of guests.

use dais_protocol::{
    Call, Exit, Id, MediaSet, MicAnswer, MicRequest, Notification, Opened, Reason, RpcError, Token,
};

use super::act::{Act, Answer, answer, done};
use super::flow::Ending;
use super::guest::{Guest, Request, Stage};
use super::{OPEN, fail};

impl Act<'_> {
    pub fn guest_call(&mut self, user: &Id, call: Call) -> Answer {
        match call {
            Call::MicRequest(p) => self.request(user, &p),
            Call::MicCancel(_) => self.cancel(user),
            Call::MicAnswer(p) => self.answer_invitation(user, &p),
            Call::MicLeave(_) => self.leave(user),
            Call::MediaRestart(p) => self.media_restart(user, &p.session),
            Call::MediaSet(p) => self.media_set(user, &p),
            _ => Err(fail(Reason::NotAllowed, "This method is for hosts.")),
        }
    }

    fn request(&mut self, user: &Id, p: &MicRequest) -> Answer {
        self.check_idle(user)?;
        if !self.core.accepting {
            return Err(fail(
                Reason::NotAccepting,
                "The host takes no requests at the moment.",
            ));
        }
        let expires_in_ms = u64::from(p.timeout_s.get()) * 1000;
        let number = self.open_number()?;
        let expires_at = self.now.saturating_add(expires_in_ms);
        let Some(guest) = self.guest(user) else {
            return Err(not_known());
        };
        guest.stage = Stage::Requested(Request {
            number,
            camera: p.camera,
            expires_at,
            offered: false,
        });
        let name = guest.name.clone();
        self.touch();
        let request_id = self.request_id(number);
        self.tell_hosts(Notification::MicRequested {
            request_id: request_id.clone(),
            user_id: user.clone(),
            name,
            camera: p.camera,
            expires_in_ms,
        });
        answer(&Opened {
            request_id,
            expires_in_ms,
        })
    }

    /// Refuses whoever has a seat, a request or an invitation.
    pub fn check_idle(&self, user: &Id) -> Result<(), RpcError> {
        match self.core.guests.get(user).map(|guest| &guest.stage) {
            Some(Stage::Seated(_)) => Err(fail(
                Reason::AlreadyConnected,
                "This guest has a seat already.",
            )),
            Some(Stage::Requested(_)) => Err(fail(
                Reason::AlreadyPending,
                "This guest has a request open already.",
            )),
            Some(Stage::Invited(_)) => Err(fail(
                Reason::AlreadyPending,
                "This guest has an invitation open already.",
            )),
            Some(Stage::Idle) | None => Ok(()),
        }
    }

    /// The number of a new request or invitation, if there may be one more.
    pub fn open_number(&mut self) -> Result<u64, RpcError> {
        let open = self
            .core
            .guests
            .values()
            .filter(|g| matches!(g.stage, Stage::Requested(_) | Stage::Invited(_)))
            .count();
        if open >= OPEN {
            return Err(fail(
                Reason::Unavailable,
                "Too many requests are open; try again when some were answered.",
            ));
        }
        Ok(self.number())
    }

    fn cancel(&mut self, user: &Id) -> Answer {
        self.check_request(user)?;
        self.end_request(user, Ending::Cancelled);
        done()
    }

    /// Why there is no request of this guest to act on, if there is none.
    pub fn check_request(&self, user: &Id) -> Result<(), RpcError> {
        let guest = self.core.guests.get(user);
        if guest.and_then(Guest::request).is_some() {
            return Ok(());
        }
        Err(ended(
            guest.and_then(|guest| guest.closed_request),
            self.now,
            "request",
        ))
    }

    pub fn check_invitation(&self, user: &Id) -> Result<(), RpcError> {
        let guest = self.core.guests.get(user);
        if guest.and_then(Guest::invitation).is_some() {
            return Ok(());
        }
        Err(ended(
            guest.and_then(|guest| guest.closed_invitation),
            self.now,
            "invitation",
        ))
    }

    fn answer_invitation(&mut self, user: &Id, p: &MicAnswer) -> Answer {
        self.check_invitation(user)?;
        let wanted = self
            .core
            .guests
            .get(user)
            .and_then(Guest::invitation)
            .and_then(|invitation| invitation.seat);
        let seat = if p.accept {
            Some(self.free_seat(wanted)?)
        } else {
            None
        };
        let Some(number) = self.take_invitation(user) else {
            return Err(not_known());
        };
        let request_id = self.request_id(number);
        self.tell_hosts(Notification::MicInviteAnswered {
            request_id,
            user_id: user.clone(),
            accept: p.accept,
        });
        if let Some(seat) = seat {
            self.seat(user, seat, true);
        }
        done()
    }

    fn leave(&mut self, user: &Id) -> Answer {
        self.check_seated(user)?;
        self.unseat(user, Exit::Left, None);
        done()
    }

    pub fn check_seated(&self, user: &Id) -> Result<(), RpcError> {
        match self.core.guests.get(user).and_then(Guest::stay) {
            Some(_) => Ok(()),
            None => Err(fail(Reason::NotConnected, "This guest has no seat.")),
        }
    }

    /// A guest may have missed the offer of the present session, as when it was made before the guest had subscribed, and
    /// then cannot name it. So any name will do, unless it is an old one and the present session is alive.
    fn media_restart(&mut self, user: &Id, session: &Token) -> Answer {
        let guest = self
            .core
            .guests
            .get(user)
            .filter(|guest| guest.may_have_media());
        match guest.map(|guest| guest.media.as_ref()) {
            None => Err(fail(
                Reason::NotConnected,
                "This guest has neither a seat nor a request.",
            )),
            Some(Some(media)) if media.alive && media.session != *session => {
                Err(RpcError::bad_param(
                    "session",
                    "it is not this guest's present media session, which is alive",
                ))
            }
            Some(_) => {
                self.restart_media(user);
                done()
            }
        }
    }

    fn media_set(&mut self, user: &Id, p: &MediaSet) -> Answer {
        let Some(guest) = self
            .guest(user)
            .filter(|guest| !matches!(guest.stage, Stage::Idle))
        else {
            return Err(fail(
                Reason::NotConnected,
                "This guest has neither a seat nor a request.",
            ));
        };
        let before = guest.own;
        guest.own.audio = p.audio_muted.unwrap_or(before.audio);
        guest.own.video = p.video_muted.unwrap_or(before.video);
        if guest.own != before {
            self.touch();
            self.tell_media_state(user);
        }
        done()
    }

    pub fn tell_media_state(&mut self, user: &Id) {
        let Some(guest) = self.guest(user) else {
            return;
        };
        let by_host = guest.stay().map(|stay| stay.by_host).unwrap_or_default();
        let muted = guest.muted();
        self.tell_guest(
            user,
            Notification::MediaState {
                audio_muted: muted.audio,
                video_muted: muted.video,
                muted_by_host: by_host.audio,
                hidden_by_host: by_host.video,
            },
        );
    }
}

fn ended(recent: Option<u64>, now: u64, what: &str) -> RpcError {
    if recent.is_some_and(|until| until > now) {
        fail(
            Reason::RequestExpired,
            &format!("The {what} ran out, was withdrawn, or was answered already."),
        )
    } else {
        fail(
            Reason::NoSuchRequest,
            &format!("No {what} is open for this guest."),
        )
    }
}

fn not_known() -> RpcError {
    fail(Reason::NoSuchRequest, "Nothing is open for this guest.")
}
