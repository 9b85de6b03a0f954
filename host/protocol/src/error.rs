//! The errors of the contract, with their codes and reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $code:literal $name:literal),* $(,)?) => {
        /// Why a request failed: the `reason` in an error's `data`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason { $($(#[$doc])* #[serde(rename = $name)] $variant),* }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];
            pub const fn code(self) -> i32 { match self { $(Self::$variant => $code),* } }
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name),* } }
        }
    };
}

reasons! {
    /// Not JSON.
    ParseError -32700 "parse_error",
    /// JSON, and no JSON-RPC 2.0 request; or a batch.
    InvalidRequest -32600 "invalid_request",
    /// A request with the retain flag: it would act again after a reconnect.
    Retained -32600 "retained",
    /// There is no such method.
    MethodNotFound -32601 "method_not_found",
    /// A parameter is missing, unknown, of the wrong type or out of its bounds; `data.field` names it.
    InvalidParams -32602 "invalid_params",
    /// The method is not this role's.
    NotAllowed -32001 "not_allowed",
    /// All seats are taken.
    RoomFull -32010 "room_full",
    /// This user has a request or an invitation open.
    AlreadyPending -32011 "already_pending",
    /// This user has a seat.
    AlreadyConnected -32012 "already_connected",
    /// The host has closed the room for requests.
    NotAccepting -32013 "not_accepting",
    /// Nothing is open for that user.
    NoSuchRequest -32014 "no_such_request",
    /// It was open, and ran out, was cancelled, or was answered by another console.
    RequestExpired -32015 "request_expired",
    /// That user has no seat.
    NotConnected -32016 "not_connected",
    /// Someone has that seat.
    SeatTaken -32017 "seat_taken",
    /// A host has locked that seat.
    SeatLocked -32017 "seat_locked",
    /// More than 20 requests in a second from one client (200 for `media.candidate`); `data.retry_after_ms` says when to try again.
    RateLimited -32019 "rate_limited",
    /// An SDP or a candidate that cannot be used; the message says what is wrong in it.
    BadMedia -32020 "bad_media",
    /// The media engine cannot serve it now; the message says why.
    Unavailable -32021 "unavailable",
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RpcError {
    pub code: i32,
    /// A sentence for a person.
    pub message: String,
    pub data: ErrorData,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    pub reason: Reason,
    /// More, by reason: `field`, `retry_after_ms`, `request_id`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl RpcError {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code: reason.code(),
            message: message.into(),
            data: ErrorData {
                reason,
                more: Map::new(),
            },
        }
    }
    /// `-32602`: the parameter `field` cannot be used, because `why`.
    pub fn bad_param(field: &str, why: impl std::fmt::Display) -> Self {
        Self::new(
            Reason::InvalidParams,
            format!("The parameter \"{field}\" cannot be used: {why}."),
        )
        .with("field", json!(field))
    }
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.data.more.insert(key.into(), value);
        self
    }
    pub fn reason(&self) -> Reason {
        self.data.reason
    }
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.data.reason.as_str())
    }
}

impl std::error::Error for RpcError {}
