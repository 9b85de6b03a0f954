//! What goes into the room and what comes out of it.

use dais_protocol::{Call, Id, Name, Notification, RpcError, Seat, Token};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who sent a request. Written `guest-<id>` and `host-<id>`, as their MQTT user names are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Caller {
    Guest(Id),
    Host(Id),
}

impl From<Caller> for String {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::Guest(id) => format!("guest-{id}"),
            Caller::Host(id) => format!("host-{id}"),
        }
    }
}

impl TryFrom<String> for Caller {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let id = |id: &str| Id::try_from(id.to_owned()).map_err(|error| error.to_string());
        match text.split_once('-') {
            Some(("guest", rest)) => Ok(Self::Guest(id(rest)?)),
            Some(("host", rest)) => Ok(Self::Host(id(rest)?)),
            _ => Err(format!("\"{text}\" is neither a guest nor a host.")),
        }
    }
}

/// What the media plane says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaEvent {
    /// Frames or samples come out of its decoders (first or again).
    Alive,
    /// They stopped; the session may come back by itself.
    Lost,
    /// The session is broken for good, and the room replaces it.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A guest's MQTT session is live: its first message, or the broker says that it connected.
    Seen {
        user: Id,
        name: Name,
    },
    /// A guest's MQTT session ended: `session.gone`, or the broker says that it disconnected.
    SessionGone {
        user: Id,
    },
    /// A console's MQTT session ended.
    HostGone {
        user: Id,
    },
    /// A request, allowed for its sender's rate. The methods of `Room::OWN` are carried out here.
    Call {
        from: Caller,
        id: String,
        call: Call,
    },
    Media {
        session: Token,
        event: MediaEvent,
    },
    /// The meters of a seat found or lost a voice.
    Speaking {
        seat: Seat,
        speaking: bool,
    },
    /// Time passed. Due at `Room::deadline`; any other time does no harm.
    Tick,
    /// The show is over for good. A box that only restarts does not say this: its guests keep their seats.
    Shutdown,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// On the guest's `down`.
    Guest(Id),
    /// On `host/events`.
    Hosts,
    /// On `host/events`, and on the `down` of every guest with a live session (`Room::live_guests`).
    Everyone,
}

/// What is to be done about it, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Reply {
        to: Caller,
        id: String,
        result: Result<Value, RpcError>,
    },
    Tell {
        to: Recipient,
        notification: Notification,
        rev: u64,
    },
    /// Offer a WebRTC session to this guest. Nothing of it is on air before `Room::on_programme` names it.
    OpenMedia {
        user: Id,
        session: Token,
        camera: bool,
    },
    CloseMedia {
        session: Token,
    },
    /// A banned guest: end the MQTT session and the credential.
    Evict {
        user: Id,
    },
}
