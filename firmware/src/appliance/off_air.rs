//! What passes between a host and one guest off air: a look at them alone (the green room), and a word to them (talkback).
//!
//! Whom the host speaks to is the room's; who looks at whom is kept here, for it is a matter of media sessions. The guest is
//! told of both before the first picture or word is on its way.

use std::collections::HashMap;

use dais_protocol::{Id, Notification, Reason, RpcError, Token};
use dais_room::access::Identity;
use dais_studio::api::SessionKind;

use super::media::Owner;
use super::{Appliance, guest};

/// A guest's page may have missed what it was told, as between two connections: it is told again, and forgets what was not
/// repeated for three times as long.
const REPEAT_MS: u64 = 5_000;

/// Who looks at whom, and what guests were told.
#[derive(Default)]
pub(super) struct OffAir {
    /// By console: one at a time.
    looks: HashMap<Identity, Look>,
    told: HashMap<Id, Attention>,
    repeated: u64,
}

/// A console that looks at one guest.
struct Look {
    user: Id,
    /// The guest's session, and the one that shows it; `None` while the guest's is being replaced.
    shows: Option<(Token, Token)>,
}

impl Look {
    fn is_shown_by(&self, session: &str) -> bool {
        let shows = self.shows.as_ref();
        shows.is_some_and(|(_, by)| by.as_str() == session)
    }
}

/// What a guest is told.
#[derive(Clone, Copy, Default, PartialEq)]
struct Attention {
    watching: bool,
    talking: bool,
}

impl OffAir {
    /// Whom this session shows.
    pub fn shown_by(&self, session: &str) -> Option<&Id> {
        let mut looks = self.looks.values();
        let look = looks.find(|look| look.is_shown_by(session))?;
        Some(&look.user)
    }
}

impl Appliance {
    /// `media.watch` with a `user_id`. Asking again begins a new session: a page that was reloaded has lost the old one.
    pub(super) fn look(&mut self, who: &Identity, user: &Id, on: bool) -> Result<(), RpcError> {
        if !on {
            if self
                .off_air
                .looks
                .get(who)
                .is_some_and(|look| look.user == *user)
            {
                self.stop_looking(who);
            }
            return Ok(());
        }
        // Whoever was looked at before is not any more, whatever comes of this.
        self.stop_looking(who);
        let of = self.room.off_air(user)?.clone();
        self.off_air.looks.insert(
            who.clone(),
            Look {
                user: user.clone(),
                shows: None,
            },
        );
        // Before anything of the guest is on its way.
        self.tell_attention();
        self.show_guest(who, of)
    }

    pub(super) fn stop_looking(&mut self, who: &Identity) {
        let Some(look) = self.off_air.looks.remove(who) else {
            return;
        };
        if let Some((_, session)) = look.shows {
            self.close_session(&session);
        }
        self.tell_attention();
    }

    /// `media.restart` of a session that shows a guest.
    pub(super) fn look_again(
        &mut self,
        who: &Identity,
        session: &str,
    ) -> Option<Result<(), RpcError>> {
        let user = self.off_air.shown_by(session)?.clone();
        let own = self
            .off_air
            .looks
            .get(who)
            .is_some_and(|look| look.user == user);
        own.then(|| self.look(who, &user, true))
    }

    fn show_guest(&mut self, who: &Identity, of: Token) -> Result<(), RpcError> {
        let session = Token::random();
        let owner = Owner {
            who: who.clone(),
            on_air: false,
        };
        if let Some(look) = self.off_air.looks.get_mut(who) {
            look.shows = Some((of.clone(), session.clone()));
        }
        let kind = SessionKind::View { of: of.to_string() };
        self.open_session(&session, owner, kind).map_err(|error| {
            self.off_air.looks.remove(who);
            self.tell_attention();
            RpcError::new(Reason::Unavailable, error.to_string())
        })
    }

    /// A session that showed a guest failed. Its console may ask again.
    pub(super) fn look_failed(&mut self, session: &str) {
        let before = self.off_air.looks.len();
        self.off_air
            .looks
            .retain(|_, look| !look.is_shown_by(session));
        if self.off_air.looks.len() != before {
            self.tell_attention();
        }
    }

    /// What guests have muted holds for each session of theirs: before any of it is shown to somebody, and so that sound alone keeps
    /// who turned the camera off.
    pub(super) fn settle_own_mutes(&self) {
        for (user, session) in self.room.sessions() {
            let (sound, picture) = self.room.own_mutes(user);
            self.plane.set_own_mutes(session.as_str(), sound, picture);
        }
    }

    /// After whatever happened in the room: looks end with their guests and follow them to a new session; and guests know.
    pub(super) fn settle_off_air(&mut self) {
        let looks: Vec<(Identity, Id, Option<Token>)> = self
            .off_air
            .looks
            .iter()
            .map(|(who, look)| {
                let of = look.shows.as_ref().map(|(of, _)| of.clone());
                (who.clone(), look.user.clone(), of)
            })
            .collect();
        for (who, user, shown) in looks {
            match self.room.off_air(&user).cloned() {
                Ok(of) if shown.as_ref() == Some(&of) => {}
                Ok(of) => {
                    self.hide_guest(&who);
                    if let Err(error) = self.show_guest(&who, of) {
                        tracing::warn!(%error, %who, "a look at a guest could not follow to the new session");
                    }
                }
                Err(error) if error.reason() == Reason::NoSuchRequest => self.stop_looking(&who),
                // Between two sessions, or away for a moment: what there is goes on, and what comes is followed.
                Err(_) => match (&shown, self.room.session_of(&user)) {
                    (Some(shown), Some(now)) if shown == now => {}
                    _ => self.hide_guest(&who),
                },
            }
        }
        self.tell_attention();
    }

    fn hide_guest(&mut self, who: &Identity) {
        let look = self.off_air.looks.get_mut(who);
        if let Some((_, session)) = look.and_then(|look| look.shows.take()) {
            self.close_session(&session);
        }
    }

    fn tell_attention(&mut self) {
        let mut now: HashMap<Id, Attention> = HashMap::new();
        for look in self.off_air.looks.values() {
            now.entry(look.user.clone()).or_default().watching = true;
        }
        if let Some(talkback) = self.room.talkback() {
            now.entry(talkback.user.clone()).or_default().talking = true;
        }
        let before = std::mem::replace(&mut self.off_air.told, now.clone());
        for user in before.keys().filter(|user| !now.contains_key(*user)) {
            self.tell_one(user, Attention::default());
        }
        for (user, attention) in &now {
            if before.get(user) != Some(attention) {
                self.tell_one(user, *attention);
            }
        }
    }

    /// Once a second.
    pub(super) fn repeat_attention(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.off_air.repeated) < REPEAT_MS {
            return;
        }
        self.off_air.repeated = now_ms;
        for (user, attention) in &self.off_air.told {
            self.tell_one(user, *attention);
        }
    }

    fn tell_one(&self, user: &Id, attention: Attention) {
        let Attention { watching, talking } = attention;
        let notification = Notification::HostAttention { watching, talking };
        self.control
            .tell(&guest(user), &notification, self.room.rev());
    }
}
