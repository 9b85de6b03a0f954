//! The host's word to one guest alone.
//!
//! While it lasts the host is off air, and so it ends by itself whenever nobody may be left who hears or holds it: with the
//! guest's request, seat or media, with the console that began it, and when that console has not said for [`HELD_MS`] that
//! it still does. It is not kept on disk: after a restart the host is on air.

use dais_protocol::{Id, Reason, RpcError, TalkbackSet, Token};

use super::act::{Act, Answer, done};
use super::guest::{Guest, Stage};
use super::{Core, Room, fail};

/// A console says every few seconds that it still speaks. A phone that was lost says nothing, and its MQTT connection may
/// take half a minute to be missed: so long no host may be silent on air.
pub const HELD_MS: u64 = 10_000;

/// Who is spoken to, by which console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talkback {
    pub user: Id,
    pub by: Id,
    pub(super) until: u64,
}

impl Core {
    /// The media session of a guest whom a host may see and hear, or speak to, off air.
    pub fn off_air(&self, user: &Id) -> Result<&Token, RpcError> {
        let guest = self.guests.get(user);
        let Some(guest) = guest.filter(|guest| guest.may_have_media()) else {
            return Err(fail(
                Reason::NoSuchRequest,
                "This guest has neither a request open nor a seat.",
            ));
        };
        // Nobody is seen or spoken to who could not be told so.
        match &guest.media {
            Some(media) if guest.live => Ok(&media.session),
            _ => Err(fail(
                Reason::Unavailable,
                "This guest is not connected at the moment.",
            )),
        }
    }

    fn hears(&self, user: &Id) -> bool {
        let guest = self.guests.get(user);
        guest.is_some_and(|guest| {
            guest.may_have_media() && guest.media.as_ref().is_some_and(|media| media.alive)
        })
    }
}

impl Act<'_> {
    pub fn talkback_set(&mut self, by: &Id, p: TalkbackSet) -> Answer {
        let Some(user) = p.user_id else {
            self.end_talkback();
            return done();
        };
        self.core.off_air(&user)?;
        if !self.core.hears(&user) {
            return Err(fail(
                Reason::Unavailable,
                "Nothing comes from this guest yet, so they may not hear you either.",
            ));
        }
        let talkback = Talkback {
            user,
            by: by.clone(),
            until: self.now.saturating_add(HELD_MS),
        };
        let before = self.core.talkback.replace(talkback.clone());
        if before.is_none_or(|before| (before.user, before.by) != (talkback.user, talkback.by)) {
            self.touch();
        }
        done()
    }

    pub fn end_talkback(&mut self) {
        if self.core.talkback.take().is_some() {
            self.touch();
        }
    }

    pub fn host_gone(&mut self, user: &Id) {
        if self.core.talkback.as_ref().is_some_and(|t| t.by == *user) {
            self.end_talkback();
        }
    }

    /// Whatever happened in this step: nobody is spoken to who does not hear.
    pub fn settle_talkback(&mut self) {
        let Some(talkback) = &self.core.talkback else {
            return;
        };
        if talkback.until <= self.now || !self.core.hears(&talkback.user) {
            self.end_talkback();
        }
    }
}

impl Room {
    /// Whom the host speaks to off air.
    pub fn talkback(&self) -> Option<&Talkback> {
        self.core.talkback.as_ref()
    }

    /// The media session by which a host may see and hear this guest off air, or why that cannot be.
    pub fn off_air(&self, user: &Id) -> Result<&Token, RpcError> {
        self.core.off_air(user)
    }

    /// What this guest has muted: the microphone, the camera. It holds off air too.
    pub fn own_mutes(&self, user: &Id) -> (bool, bool) {
        let guest = self.core.guests.get(user);
        guest
            .filter(|guest| !matches!(guest.stage, Stage::Idle))
            .map_or((true, true), |guest: &Guest| {
                (guest.own.audio, guest.own.video)
            })
    }
}
