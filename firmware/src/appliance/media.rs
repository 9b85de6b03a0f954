//! Media sessions: whose each one is, and what passes between client and studio.

use dais_protocol::{Id, Notification, Reason, RpcError, Token, VideoWant};
use dais_room::access::Identity;
use dais_room::room::{Input, MediaEvent};
use dais_studio::StudioError;
use dais_studio::api::{IceCandidate, SessionKind, SessionSpec};

use super::{Appliance, guest};
use crate::media::to_wire;

/// Whose session it is, and whether it is one that may go on air or one that only watches.
pub(super) struct Owner {
    pub who: Identity,
    pub on_air: bool,
}

impl Appliance {
    pub(super) fn open_guest(&mut self, user: Id, session: Token, camera: bool) {
        let opened = self.open_session(
            &session,
            Owner {
                who: guest(&user),
                on_air: true,
            },
            SessionKind::Guest { camera },
        );
        if let Err(error) = opened {
            tracing::error!(%error, %user, "a guest's media session could not be opened");
            self.apply(
                Input::Media {
                    session,
                    event: MediaEvent::Failed,
                },
                None,
            );
        }
    }

    pub(super) fn open_session(
        &mut self,
        session: &Token,
        owner: Owner,
        kind: SessionKind,
    ) -> Result<(), StudioError> {
        self.signals.open(session);
        self.sessions.insert(session.to_string(), owner);
        let opened = self.plane.open(SessionSpec {
            session: session.to_string(),
            kind,
        });
        if opened.is_err() {
            self.forget_session(session);
        }
        opened
    }

    pub(super) fn close_session(&mut self, session: &str) {
        self.forget_session(session);
        self.plane.close(session);
    }

    fn forget_session(&mut self, session: &str) {
        self.sessions.remove(session);
        self.signals.close(session);
        self.wants.retain(|token, _| token.as_str() != session);
    }

    pub(super) fn watching(&self, who: &Identity) -> Option<String> {
        self.watching_sessions()
            .find(|(_, owner)| owner.who == *who)
            .map(|(session, _)| session.clone())
    }

    /// Those who see the programme without being on air.
    pub(super) fn watchers(&self) -> usize {
        self.watching_sessions().count()
    }

    fn watching_sessions(&self) -> impl Iterator<Item = (&String, &Owner)> {
        self.sessions
            .iter()
            .filter(|(session, owner)| !owner.on_air && self.off_air.shown_by(session).is_none())
    }

    pub(super) fn stop_watching(&mut self, who: &Identity) {
        if let Some(session) = self.watching(who) {
            self.close_session(&session);
        }
    }

    /// `media.watch`. Asking again while watching replaces the session: a page that was reloaded has lost the old one.
    pub(super) fn watch(&mut self, who: &Identity, on: bool) -> Result<(), RpcError> {
        self.stop_watching(who);
        if !on {
            return Ok(());
        }
        if let Ok(user) = who.id.parse::<Id>()
            && who.role == dais_room::access::Role::Guest
            && self.room.on_programme().any(|seated| *seated.user == user)
        {
            return Err(RpcError::new(
                Reason::AlreadyConnected,
                "You have a seat: its session carries the programme already.",
            ));
        }
        let watchers = self.watchers();
        if watchers >= self.config.sessions.max_watchers {
            let why = format!(
                "This box serves {watchers} watchers at most. Larger audiences watch a stream that is fed by an output."
            );
            return Err(RpcError::new(Reason::Unavailable, why));
        }
        let owner = Owner {
            who: who.clone(),
            on_air: false,
        };
        self.open_session(&Token::random(), owner, SessionKind::Watch)
            .map_err(|e| RpcError::new(Reason::Unavailable, e.to_string()))
    }

    /// `media.restart` of a session that only watches; the room restarts its own.
    pub(super) fn restart_watching(
        &mut self,
        who: &Identity,
        session: &str,
    ) -> Result<(), RpcError> {
        if let Some(looked) = self.look_again(who, session) {
            return looked;
        }
        if self.watching(who).as_deref() != Some(session) {
            return Err(RpcError::bad_param(
                "session",
                "there is no such session of yours, or it has ended",
            ));
        }
        self.watch(who, true)
    }

    pub(super) fn on_media(&mut self, session: &str, event: MediaEvent) {
        match self.sessions.get(session) {
            Some(owner) if owner.on_air => {
                if let Ok(session) = session.parse() {
                    self.apply(Input::Media { session, event }, None);
                }
            }
            Some(_) if event == MediaEvent::Failed => {
                self.look_failed(session);
                self.close_session(session);
            }
            _ => {}
        }
    }

    pub(super) fn on_offer(&mut self, session: &str, sdp: String) {
        let (Some(owner), Ok(token)) = (self.sessions.get(session), session.parse::<Token>())
        else {
            return;
        };
        let video = if owner.on_air {
            self.want_of(&token)
        } else {
            self.most()
        };
        self.wants.insert(token.clone(), video);
        let offer = Notification::MediaOffer {
            session: token,
            sdp,
            ice_servers: self.config.ice_servers(),
            video,
            user_id: self.off_air.shown_by(session).cloned(),
        };
        self.control.tell(&owner.who, &offer, self.room.rev());
    }

    pub(super) fn on_candidate(&mut self, session: &str, candidate: Option<IceCandidate>) {
        let (Some(owner), Ok(session)) = (self.sessions.get(session), session.parse()) else {
            return;
        };
        let notification = Notification::MediaCandidate {
            session,
            candidate: candidate.map(to_wire),
        };
        self.control
            .tell(&owner.who, &notification, self.room.rev());
    }

    /// The most that a guest may send: before it has a tile, and for a tile of the whole picture.
    pub(super) fn most(&self) -> VideoWant {
        let up = &self.config.sessions.up;
        VideoWant {
            width: up.width,
            height: up.height,
            max_fps: up.max_fps,
            max_kbps: up.max_kbps,
        }
    }
}
