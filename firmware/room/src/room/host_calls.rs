//! The requests of consoles.

use dais_protocol::{
    Call, Exit, HostSet, Id, InviteEnd, MicDisconnect, MicInvite, MicMove, MicRespond, MicSet,
    Notification, Opened, Reason, RoomSet, RpcError, Seat, SeatLock, Seated,
};

use super::act::{Act, Answer, answer, done};
use super::flow::Ending;
use super::guest::{Guest, Invitation, Stage};
use super::{BANNED, BANNED_MS, Effect, fail};

impl Act<'_> {
    pub fn host_call(&mut self, by: &Id, call: Call) -> Answer {
        match call {
            Call::MicRespond(p) => self.respond(by, p),
            Call::MicDisconnect(p) => self.disconnect(p),
            Call::MicInvite(p) => self.invite(&p),
            Call::MicWithdraw(p) => self.withdraw(&p.user_id),
            Call::MicSet(p) => self.mic_set(&p),
            Call::MicMove(p) => self.move_to(&p),
            Call::TalkbackSet(p) => self.talkback_set(by, p),
            Call::SeatLock(p) => self.seat_lock(&p),
            Call::RoomSet(p) => self.room_set(p),
            Call::RoomPeople(_) => answer(&self.core.people()),
            Call::HostSet(p) => self.host_set(p),
            Call::LayoutSet(p) => {
                self.set(|core| &mut core.layout, Some(p.layout));
                done()
            }
            Call::GuestBan(p) => self.ban(by, &p.user_id),
            _ => Err(fail(Reason::NotAllowed, "This method is for guests.")),
        }
    }

    fn respond(&mut self, by: &Id, p: MicRespond) -> Answer {
        let user = &p.user_id;
        self.check_request(user)?;
        if !p.accept {
            self.end_request(
                user,
                Ending::Rejected {
                    by: by.clone(),
                    message: p.message,
                },
            );
            return answer(&Seated { seat: None });
        }
        let seat = self.free_seat(p.seat)?;
        let camera = self
            .core
            .guests
            .get(user)
            .and_then(Guest::request)
            .is_some_and(|request| request.camera);
        let Some(number) = self.take_request(user) else {
            return Err(fail(
                Reason::NoSuchRequest,
                "Nothing is open for this guest.",
            ));
        };
        let request_id = self.request_id(number);
        self.tell_hosts(Notification::MicRequestAnswered {
            request_id,
            user_id: user.clone(),
            by: by.clone(),
            by_name: None,
            accept: true,
        });
        self.seat(user, seat, camera);
        answer(&Seated { seat: Some(seat) })
    }

    /// The wanted seat, or the lowest that is free and not locked.
    pub fn free_seat(&self, wanted: Option<Seat>) -> Result<Seat, RpcError> {
        let taken: Vec<Seat> = self
            .core
            .guests
            .values()
            .filter_map(Guest::stay)
            .map(|stay| stay.seat)
            .collect();
        if taken.len() >= usize::from(self.core.max_guests.get()) {
            return Err(fail(Reason::RoomFull, "All seats are taken."));
        }
        match wanted {
            Some(seat) => self.check_free(seat).map(|()| seat),
            None => Seat::all()
                .find(|seat| !taken.contains(seat) && !self.core.locked.contains(seat))
                .ok_or_else(|| fail(Reason::RoomFull, "All seats are taken or locked.")),
        }
    }

    fn check_free(&self, seat: Seat) -> Result<(), RpcError> {
        if self
            .core
            .guests
            .values()
            .filter_map(Guest::stay)
            .any(|stay| stay.seat == seat)
        {
            return Err(fail(Reason::SeatTaken, "Another guest sits there."));
        }
        if self.core.locked.contains(&seat) {
            return Err(fail(Reason::SeatLocked, "This seat is locked."));
        }
        Ok(())
    }

    fn disconnect(&mut self, p: MicDisconnect) -> Answer {
        self.check_seated(&p.user_id)?;
        self.unseat(&p.user_id, Exit::Host, p.message);
        done()
    }

    fn invite(&mut self, p: &MicInvite) -> Answer {
        let user = &p.user_id;
        self.check_idle(user)?;
        if !self.core.guests.get(user).is_some_and(|guest| guest.live) {
            return Err(RpcError::bad_param(
                "user_id",
                "nobody with this id is here",
            ));
        }
        self.free_seat(p.seat)?;
        let expires_in_ms = u64::from(p.timeout_s.get()) * 1000;
        let number = self.open_number()?;
        let expires_at = self.now.saturating_add(expires_in_ms);
        if let Some(guest) = self.guest(user) {
            guest.stage = Stage::Invited(Invitation {
                number,
                expires_at,
                seat: p.seat,
            });
        }
        self.touch();
        let request_id = self.request_id(number);
        self.tell_guest(
            user,
            Notification::MicInvited {
                request_id: request_id.clone(),
                expires_in_ms,
            },
        );
        answer(&Opened {
            request_id,
            expires_in_ms,
        })
    }

    fn withdraw(&mut self, user: &Id) -> Answer {
        self.check_invitation(user)?;
        self.end_invitation(user, InviteEnd::Withdrawn);
        done()
    }

    fn mic_set(&mut self, p: &MicSet) -> Answer {
        self.check_seated(&p.user_id)?;
        let Some(stay) = self.guest(&p.user_id).and_then(Guest::stay_mut) else {
            return done();
        };
        let before = (stay.by_host, stay.gain);
        stay.by_host.audio = p.audio_muted.unwrap_or(before.0.audio);
        stay.by_host.video = p.video_muted.unwrap_or(before.0.video);
        stay.gain = p.gain_db.unwrap_or(before.1);
        let after = (stay.by_host, stay.gain);
        if after != before {
            self.touch();
        }
        if after.0 != before.0 {
            self.tell_media_state(&p.user_id);
        }
        done()
    }

    fn move_to(&mut self, p: &MicMove) -> Answer {
        self.check_seated(&p.user_id)?;
        if self
            .core
            .guests
            .get(&p.user_id)
            .and_then(Guest::stay)
            .is_some_and(|stay| stay.seat == p.seat)
        {
            return done();
        }
        self.check_free(p.seat)?;
        if let Some(stay) = self.guest(&p.user_id).and_then(Guest::stay_mut) {
            stay.seat = p.seat;
        }
        self.touch();
        done()
    }

    fn seat_lock(&mut self, p: &SeatLock) -> Answer {
        let changed = if p.locked {
            self.core.locked.insert(p.seat)
        } else {
            self.core.locked.remove(&p.seat)
        };
        if changed {
            self.touch();
        }
        done()
    }

    fn room_set(&mut self, p: RoomSet) -> Answer {
        let seated = self.core.guests.values().filter_map(Guest::stay).count();
        if p.max_guests
            .is_some_and(|most| usize::from(most.get()) < seated)
        {
            return Err(RpcError::bad_param(
                "max_guests",
                format!("{seated} guests have a seat: disconnect some first"),
            ));
        }
        self.set(|core| &mut core.title, p.title);
        self.set(|core| &mut core.accepting, p.accepting);
        self.set(|core| &mut core.max_guests, p.max_guests);
        done()
    }

    fn host_set(&mut self, p: HostSet) -> Answer {
        self.set(|core| &mut core.host.muted, p.audio_muted);
        self.set(
            |core| &mut core.host.camera,
            p.video_muted.map(|muted| !muted),
        );
        self.set(|core| &mut core.host.name, p.name);
        done()
    }

    fn set<T: PartialEq>(&mut self, field: impl Fn(&mut super::Core) -> &mut T, value: Option<T>) {
        let field = field(self.core);
        if let Some(value) = value.filter(|value| value != field) {
            *field = value;
            self.touch();
        }
    }

    /// Ends everything of a guest. Someone unknown is banned as well: the credential may be older than the session.
    fn ban(&mut self, by: &Id, user: &Id) -> Answer {
        self.end_request(
            user,
            Ending::Rejected {
                by: by.clone(),
                message: None,
            },
        );
        self.end_invitation(user, InviteEnd::Withdrawn);
        self.unseat(user, Exit::Banned, None);
        self.core.guests.remove(user);
        if self.core.banned.len() >= BANNED {
            let oldest = self
                .core
                .banned
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(user, _)| user.clone());
            oldest.and_then(|user| self.core.banned.remove(&user));
        }
        self.core
            .banned
            .insert(user.clone(), self.now.saturating_add(BANNED_MS));
        self.durable = true;
        self.effects.push(Effect::Evict { user: user.clone() });
        done()
    }
}
