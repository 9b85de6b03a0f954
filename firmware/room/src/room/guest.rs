//! One guest as the room knows them.

use dais_protocol::{GainDb, Name, PersonState, Seat, SeatState, Token};
use serde::{Deserialize, Serialize};

/// Someone with a live session, an open request or invitation, a seat, or a request that closed lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Guest {
    pub name: Name,
    /// Whether the MQTT session is live.
    pub live: bool,
    pub stage: Stage,
    /// What the guest muted. Kept from the request to the end of the stay.
    pub own: Mutes,
    pub media: Option<Media>,
    /// Until when "it was open and ended" is answered, instead of "there never was one".
    pub closed_request: Option<u64>,
    pub closed_invitation: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Mutes {
    pub audio: bool,
    pub video: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Media {
    pub session: Token,
    pub alive: bool,
}

/// Exactly one of these, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    Idle,
    Requested(Request),
    Invited(Invitation),
    Seated(Stay),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub number: u64,
    pub camera: bool,
    pub expires_at: u64,
    /// Whether an early session was offered: a request gets one, not one after another.
    pub offered: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Invitation {
    pub number: u64,
    pub expires_at: u64,
    pub seat: Option<Seat>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stay {
    pub seat: Seat,
    pub phase: Phase,
    pub camera: bool,
    pub by_host: Mutes,
    pub gain: GainDb,
    pub speaking: bool,
    /// Sessions that failed since frames last came.
    pub failures: u8,
    /// Since when, by the clock of this life of the process; and how long before that.
    pub since: u64,
    pub before_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Connecting { until: u64 },
    OnAir,
    Reconnecting { until: u64 },
}

impl Guest {
    pub fn new(name: Name) -> Self {
        Self {
            name,
            live: false,
            stage: Stage::Idle,
            own: Mutes::default(),
            media: None,
            closed_request: None,
            closed_invitation: None,
        }
    }

    /// By the guest's own will or by the host's.
    pub fn muted(&self) -> Mutes {
        let by_host = self.stay().map(|stay| stay.by_host).unwrap_or_default();
        Mutes {
            audio: self.own.audio || by_host.audio,
            video: self.own.video || by_host.video,
        }
    }

    pub fn stay(&self) -> Option<&Stay> {
        match &self.stage {
            Stage::Seated(stay) => Some(stay),
            _ => None,
        }
    }

    pub fn stay_mut(&mut self) -> Option<&mut Stay> {
        match &mut self.stage {
            Stage::Seated(stay) => Some(stay),
            _ => None,
        }
    }

    pub fn request(&self) -> Option<&Request> {
        match &self.stage {
            Stage::Requested(request) => Some(request),
            _ => None,
        }
    }

    pub fn invitation(&self) -> Option<&Invitation> {
        match &self.stage {
            Stage::Invited(invitation) => Some(invitation),
            _ => None,
        }
    }

    /// Whether a media session may be offered to this guest.
    pub fn may_have_media(&self) -> bool {
        matches!(self.stage, Stage::Requested(_) | Stage::Seated(_))
    }

    /// When something ends by itself.
    pub fn deadline(&self) -> Option<u64> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Requested(request) => Some(request.expires_at),
            Stage::Invited(invitation) => Some(invitation.expires_at),
            Stage::Seated(stay) => match stay.phase {
                Phase::Connecting { until } | Phase::Reconnecting { until } => Some(until),
                Phase::OnAir => None,
            },
        }
    }

    pub fn person_state(&self) -> PersonState {
        match &self.stage {
            Stage::Idle => PersonState::Idle,
            Stage::Requested(_) => PersonState::Requested,
            Stage::Invited(_) => PersonState::Invited,
            Stage::Seated(stay) => match stay.phase {
                Phase::Connecting { .. } => PersonState::Connecting,
                Phase::OnAir => PersonState::OnAir,
                Phase::Reconnecting { .. } => PersonState::Reconnecting,
            },
        }
    }

    /// Nothing would be lost by forgetting this guest.
    pub fn is_forgettable(&self) -> bool {
        !self.live && matches!(self.stage, Stage::Idle)
    }
}

impl Phase {
    pub fn seat_state(self) -> SeatState {
        match self {
            Self::Connecting { .. } => SeatState::Connecting,
            Self::OnAir => SeatState::OnAir,
            Self::Reconnecting { .. } => SeatState::Reconnecting,
        }
    }
}
