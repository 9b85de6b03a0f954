//! What the box tells unasked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{IceCandidateInit, IceServer, Id, Name, OutputState, Seat, Token, Words};

/// Every notification, as `{"method", "params"}`; on the wire `params` carries `rev` too, see [`Notification::encode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", content = "params")]
pub enum Notification {
    // to one guest
    #[serde(rename = "mic.accepted")]
    MicAccepted { seat: Seat },
    #[serde(rename = "mic.rejected")]
    MicRejected {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Words>,
    },
    #[serde(rename = "mic.timed_out")]
    MicTimedOut {},
    #[serde(rename = "mic.cancelled")]
    MicCancelled {},
    #[serde(rename = "mic.invited")]
    MicInvited {
        request_id: Token,
        expires_in_ms: u64,
    },
    #[serde(rename = "mic.invite_ended")]
    MicInviteEnded { reason: InviteEnd },
    #[serde(rename = "mic.terminated")]
    MicTerminated {
        reason: Termination,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Words>,
    },
    #[serde(rename = "media.offer")]
    MediaOffer {
        session: Token,
        sdp: String,
        ice_servers: Vec<IceServer>,
        video: VideoWant,
        /// To a console: which guest it shows; the programme where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<Id>,
    },
    #[serde(rename = "media.candidate")]
    MediaCandidate {
        session: Token,
        candidate: Option<IceCandidateInit>,
    },
    #[serde(rename = "media.want")]
    MediaWant {
        #[serde(flatten)]
        want: VideoWant,
    },
    /// What is silent and dark of this guest, by either's will, as `room` says it; and what of it is the host's.
    #[serde(rename = "media.state")]
    MediaState {
        audio_muted: bool,
        video_muted: bool,
        muted_by_host: bool,
        #[serde(default)]
        hidden_by_host: bool,
    },
    /// A host sees and hears this guest off air (`watching`), or speaks to this guest alone (`talking`). It comes before the first
    /// picture goes there, again every 5 s while either is true, and when that changes: what was not repeated for 15 s is over.
    #[serde(rename = "host.attention")]
    HostAttention { watching: bool, talking: bool },

    // to every console
    #[serde(rename = "mic.requested")]
    MicRequested {
        request_id: Token,
        user_id: Id,
        name: Name,
        camera: bool,
        expires_in_ms: u64,
    },
    #[serde(rename = "mic.request_cancelled")]
    MicRequestCancelled { request_id: Token, user_id: Id },
    #[serde(rename = "mic.request_timed_out")]
    MicRequestTimedOut { request_id: Token, user_id: Id },
    /// Another console was first.
    #[serde(rename = "mic.request_answered")]
    MicRequestAnswered {
        request_id: Token,
        user_id: Id,
        by: Id,
        /// What that console is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_name: Option<Name>,
        accept: bool,
    },
    #[serde(rename = "mic.invite_answered")]
    MicInviteAnswered {
        request_id: Token,
        user_id: Id,
        accept: bool,
    },
    #[serde(rename = "mic.on_air")]
    MicOnAir { user_id: Id, seat: Seat },
    #[serde(rename = "mic.exited")]
    MicExited { user_id: Id, reason: Exit },
    #[serde(rename = "output.changed")]
    OutputChanged {
        output_id: Token,
        state: OutputState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    #[serde(rename = "record.changed")]
    RecordChanged {
        state: OutputState,
        file: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    #[serde(rename = "alarm")]
    Alarm {
        what: String,
        since_ms: u64,
        advice: String,
    },

    // to both
    #[serde(rename = "room.users_updated")]
    RoomUsersUpdated {
        users: Vec<UserOnAir>,
        joined: Vec<Id>,
        left: Vec<Id>,
    },
}

impl Notification {
    /// What a guest hears on its `down`.
    pub const TO_GUESTS: &[&str] = &[
        "mic.accepted",
        "mic.rejected",
        "mic.timed_out",
        "mic.cancelled",
        "mic.invited",
        "mic.invite_ended",
        "mic.terminated",
        "media.offer",
        "media.candidate",
        "media.want",
        "media.state",
        "host.attention",
        "room.users_updated",
    ];
    /// What one host hears on its own `down`, while it watches.
    pub const TO_ONE_HOST: &[&str] = &["media.offer", "media.candidate"];
    /// What every host hears on `host/events`.
    pub const TO_HOSTS: &[&str] = &[
        "mic.requested",
        "mic.request_cancelled",
        "mic.request_timed_out",
        "mic.request_answered",
        "mic.invite_answered",
        "mic.on_air",
        "mic.exited",
        "room.users_updated",
        "output.changed",
        "record.changed",
        "alarm",
    ];

    /// The whole JSON-RPC notification.
    pub fn encode(&self, rev: u64) -> Value {
        let mut message = serde_json::to_value(self).unwrap_or(Value::Null);
        message["params"]["rev"] = json!(rev);
        message["jsonrpc"] = json!("2.0");
        message
    }
}

/// Someone with a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserOnAir {
    pub user_id: Id,
    pub name: Name,
    pub seat: Seat,
}

/// What the box can use of a guest's picture now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VideoWant {
    pub width: u32,
    pub height: u32,
    pub max_fps: u32,
    pub max_kbps: u32,
}

/// Why a guest's connection was ended by the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Termination {
    Host,
    Lost,
    MediaTimeout,
    Banned,
    Shutdown,
}

/// Why a seat became free, for the consoles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The guest left.
    Left,
    Host,
    Lost,
    MediaTimeout,
    Banned,
    Shutdown,
}

/// Why an invitation is no longer open, for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InviteEnd {
    Withdrawn,
    TimedOut,
    /// The guest's session ended.
    SessionGone,
    /// The guest said yes, and no seat was free any more.
    RoomFull,
    /// The guest said yes, and the seat of the invitation was no longer to be had.
    SeatTaken,
}
