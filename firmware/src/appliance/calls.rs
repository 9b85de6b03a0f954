//! Requests: the room's own go to the room, the rest is done here.

use dais_protocol::{
    Call, Invite, OutputStarted, OutputState, Reason, Recording, RecordingLink, RpcError, Token,
    TtlS, Uses,
};
use dais_room::access::Role;
use dais_room::room::{Caller, Input, Once};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Appliance, caller};
use crate::book::BookError;
use crate::control::Envelope;
use crate::destinations::Changed;
use crate::media::Signal;

/// What became of a request.
enum Outcome {
    Now(Result<Value, RpcError>),
    /// The media plane answers it.
    Later,
}

impl Appliance {
    pub(super) fn on_call(&mut self, to: Envelope, call: Result<Call, RpcError>) {
        let Some(from) = caller(&to.from) else {
            return;
        };
        let call = match call {
            Ok(call) => call,
            Err(error) => return self.refuse(&to, &from, error),
        };
        if let Caller::Guest(user) = &from
            && !self.is_live(user)
        {
            self.see(&to.from, user.clone());
        }
        if needs_media(&call)
            && let Some(why) = self.plane.why_not()
        {
            let error = RpcError::new(Reason::Unavailable, why);
            return self.refuse(&to, &from, error);
        }
        let watches = matches!(&call, Call::MediaRestart(p) if self.watching(&to.from).as_deref() == Some(p.session.as_str()));
        if !watches && self.room.is_own(&from, &call) {
            return self.apply(
                Input::Call {
                    from,
                    id: to.id.clone(),
                    call,
                },
                Some(&to),
            );
        }
        match self.room.begin(&from, &to.id, self.clock.now_ms()) {
            Once::Answered(result) => self.control.reply(&to, result),
            Once::Underway => {}
            Once::New => {
                let media = matches!(call, Call::MediaAnswer(_) | Call::MediaCandidate(_));
                if let Outcome::Now(result) = self.act(&to, call) {
                    let acted = !media && result.is_ok();
                    self.answer(&to, result, acted);
                }
            }
        }
    }

    /// Answers without acting. What was answered before is answered so again.
    fn refuse(&mut self, to: &Envelope, from: &Caller, error: RpcError) {
        match self.room.begin(from, &to.id, self.clock.now_ms()) {
            Once::Answered(result) => self.control.reply(to, result),
            Once::Underway => {}
            Once::New => self.answer(to, Err(error), false),
        }
    }

    /// Remembers a result, on disk if it `acted`, and sends it.
    pub(super) fn answer(&mut self, to: &Envelope, result: Result<Value, RpcError>, acted: bool) {
        let Some(from) = caller(&to.from) else {
            return;
        };
        self.room
            .finish(&from, &to.id, result.clone(), acted, self.clock.now_ms());
        self.keep();
        self.control.reply(to, result);
    }

    fn act(&mut self, to: &Envelope, call: Call) -> Outcome {
        let now = self.clock.now_ms();
        let result = match call {
            Call::MediaAnswer(p) => {
                return self.signal(to, p.session.as_str(), Signal::Answer(p.sdp));
            }
            Call::MediaCandidate(p) => {
                return self.signal(to, p.session.as_str(), Signal::Candidate(p.candidate));
            }
            Call::MediaRestart(p) => self
                .restart_watching(&to.from, p.session.as_str())
                .map(|()| json!({})),
            Call::MediaWatch(p) => match p.user_id {
                None => self.watch(&to.from, p.on),
                Some(user) if to.from.role == Role::Host => self.look(&to.from, &user, p.on),
                Some(_) => Err(RpcError::bad_param(
                    "user_id",
                    "only a host may look at a guest alone",
                )),
            }
            .map(|()| json!({})),
            Call::InviteCreate(p) => match self
                .book
                .invite(p.uses.map(Uses::get), p.ttl_s.map(TtlS::get))
            {
                Ok(invite) => as_json(Invite {
                    url: format!("{}/join?invite={invite}", self.reach.people()),
                    invite,
                }),
                Err(error) => Err(unavailable(&error)),
            },
            Call::InviteRevoke(p) => match self.book.revoke_invite(&p.invite) {
                Ok(true) => Ok(json!({})),
                Ok(false) => Err(RpcError::bad_param(
                    "invite",
                    "there is no such invite, or it has ended",
                )),
                Err(error) => Err(unavailable(&error)),
            },
            Call::RoomHosts(_) => as_json(self.paired_hosts()),
            Call::HostUnpair(p) => self.unpair(&to.from, &p.user_id).map(|()| json!({})),
            Call::OutputStart(p) => self.destinations.start(p, now).and_then(|output_id| {
                self.output_changed(output_id.clone(), OutputState::Connecting);
                as_json(OutputStarted { output_id })
            }),
            Call::OutputStop(p) => self.destinations.stop(&p.output_id).map(|()| {
                self.output_changed(p.output_id, OutputState::Stopped);
                json!({})
            }),
            Call::RecordStart(_) => self.destinations.start_record(now).and_then(|file| {
                self.on_changed(Some(Changed::Record {
                    state: OutputState::Connecting,
                    file: Some(file.clone()),
                    error: None,
                }));
                as_json(Recording { file })
            }),
            Call::RecordStop(_) => self
                .destinations
                .stop_record()
                .and_then(|file| as_json(Recording { file })),
            Call::RecordList(_) => as_json(self.destinations.list_recordings()),
            Call::RecordLink(p) => self.destinations.link_recording(&p.file).and_then(|path| {
                let url = format!("{}{path}", self.reach.people());
                as_json(RecordingLink { url })
            }),
            Call::RecordRemove(p) => self
                .destinations
                .remove_recording(&p.file)
                .map(|()| json!({})),
            other => Err(RpcError::new(
                Reason::Unavailable,
                format!("The box cannot serve \"{}\" now.", other.method()),
            )),
        };
        Outcome::Now(result)
    }

    fn output_changed(&mut self, output_id: Token, state: OutputState) {
        self.on_changed(Some(Changed::Output {
            output_id,
            state,
            error: None,
        }));
    }

    fn signal(&mut self, to: &Envelope, session: &str, signal: Signal) -> Outcome {
        let own = self
            .sessions
            .get(session)
            .is_some_and(|owner| owner.who == to.from);
        let sent = if own {
            self.signals.send(session, to.clone(), signal)
        } else {
            Err(RpcError::bad_param(
                "session",
                "there is no such session of yours, or it has ended",
            ))
        };
        match sent {
            Ok(()) => Outcome::Later,
            Err(error) => Outcome::Now(Err(error)),
        }
    }
}

/// Calls that begin something which only the media plane can carry out. What ends or mutes is taken all the same.
fn needs_media(call: &Call) -> bool {
    match call {
        Call::MicRequest(_)
        | Call::MicInvite(_)
        | Call::MediaAnswer(_)
        | Call::MediaCandidate(_)
        | Call::MediaRestart(_)
        | Call::OutputStart(_)
        | Call::RecordStart(_) => true,
        Call::MicRespond(respond) => respond.accept,
        Call::MicAnswer(answer) => answer.accept,
        Call::MediaWatch(watch) => watch.on,
        _ => false,
    }
}

fn as_json(result: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|e| {
        RpcError::new(
            Reason::Unavailable,
            format!("The box could not write its answer: {e}."),
        )
    })
}

pub(super) fn unavailable(error: &BookError) -> RpcError {
    RpcError::new(Reason::Unavailable, error.to_string())
}
