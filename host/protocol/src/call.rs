//! The methods: who may call them, with what, and what they answer.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{
    GainDb, Id, Layout, MaxGuests, Name, OutputKind, Reason, RpcError, Seat, Secret, TimeoutS,
    Token, TtlS, Uses, Words,
};

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    Guests,
    Hosts,
    Both,
}

/// One method as the published description lists it.
pub struct Method {
    pub name: &'static str,
    pub callers: Callers,
    pub params: fn(&mut SchemaGenerator) -> Schema,
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! methods {
    ($($callers:ident $name:literal $variant:ident($params:ty) -> $result:ty;)*) => {
        /// A request, parsed and checked.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Call { $($variant($params)),* }

        impl Call {
            /// Every method of the contract.
            pub const METHODS: &[Method] = &[$(Method {
                name: $name,
                callers: Callers::$callers,
                params: |g| g.subschema_for::<$params>(),
                result: |g| g.subschema_for::<$result>(),
            }),*];

            pub fn method(&self) -> &'static str { match self { $(Self::$variant(_) => $name),* } }
            /// Who may call `method`; `None` if there is no such method.
            pub fn callers_of(method: &str) -> Option<Callers> {
                match method { $($name => Some(Callers::$callers),)* _ => None }
            }

            /// The parameters as JSON, for the side that sends.
            pub fn params(&self) -> Value {
                match self { $(Self::$variant(p) => serde_json::to_value(p).unwrap_or(Value::Null)),* }
            }

            /// Parses the parameters of `method`. Left out, they count as `{}`.
            pub fn parse(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
                match method {
                    $($name => Ok(Self::$variant(parse_params(params)?)),)*
                    _ => Err(RpcError::new(Reason::MethodNotFound, format!("There is no method \"{}\".", short(method)))),
                }
            }
        }
    };
}

methods! {
    Guests "mic.request" MicRequest(MicRequest) -> Opened;
    Guests "mic.cancel" MicCancel(Empty) -> Empty;
    Guests "mic.answer" MicAnswer(MicAnswer) -> Empty;
    Guests "mic.leave" MicLeave(Empty) -> Empty;
    Both "media.answer" MediaAnswer(MediaAnswer) -> Empty;
    Both "media.candidate" MediaCandidate(MediaCandidate) -> Empty;
    Both "media.restart" MediaRestart(MediaRestart) -> Empty;
    Guests "media.set" MediaSet(MediaSet) -> Empty;
    Both "media.watch" MediaWatch(MediaWatch) -> Empty;
    Hosts "mic.respond" MicRespond(MicRespond) -> Seated;
    Hosts "mic.disconnect" MicDisconnect(MicDisconnect) -> Empty;
    Hosts "mic.invite" MicInvite(MicInvite) -> Opened;
    Hosts "mic.withdraw" MicWithdraw(OfUser) -> Empty;
    Hosts "mic.set" MicSet(MicSet) -> Empty;
    Hosts "mic.move" MicMove(MicMove) -> Empty;
    Hosts "seat.lock" SeatLock(SeatLock) -> Empty;
    Hosts "talkback.set" TalkbackSet(TalkbackSet) -> Empty;
    Hosts "room.set" RoomSet(RoomSet) -> Empty;
    Hosts "room.people" RoomPeople(Empty) -> People;
    Hosts "room.hosts" RoomHosts(Empty) -> PairedHosts;
    Hosts "host.set" HostSet(HostSet) -> Empty;
    Hosts "host.unpair" HostUnpair(OfUser) -> Empty;
    Hosts "layout.set" LayoutSet(LayoutSet) -> Empty;
    Hosts "invite.create" InviteCreate(InviteCreate) -> Invite;
    Hosts "invite.revoke" InviteRevoke(InviteRevoke) -> Empty;
    Hosts "guest.ban" GuestBan(OfUser) -> Empty;
    Hosts "output.start" OutputStart(OutputStart) -> OutputStarted;
    Hosts "output.stop" OutputStop(OutputStop) -> Empty;
    Hosts "record.start" RecordStart(Empty) -> Recording;
    Hosts "record.stop" RecordStop(Empty) -> Recording;
    Hosts "record.list" RecordList(Empty) -> RecordingList;
    Hosts "record.link" RecordLink(OfRecording) -> RecordingLink;
    Hosts "record.remove" RecordRemove(OfRecording) -> Empty;
}

fn parse_params<T: for<'de> Deserialize<'de>>(params: Option<Value>) -> Result<T, RpcError> {
    let params = params.unwrap_or_else(|| Value::Object(Default::default()));
    if !params.is_object() {
        return Err(RpcError::bad_param(
            "params",
            "parameters are an object with names",
        ));
    }
    serde_path_to_error::deserialize(params).map_err(|error| {
        let why = error.inner().to_string();
        let path = error.path().to_string();
        // serde names a missing field in its sentence only: «missing field `user_id`».
        let missing = why
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next());
        match (path.as_str(), missing) {
            (".", Some(field)) => RpcError::bad_param(field, "it is missing"),
            (parent, Some(field)) => {
                RpcError::bad_param(&short(&format!("{parent}.{field}")), "it is missing")
            }
            (path, None) => RpcError::bad_param(&short(path), short(&why)),
        }
    })
}

/// At most 120 characters of what a client sent, so that an error cannot be made to carry a payload back.
fn short(text: &str) -> String {
    text.chars().take(120).filter(|c| !c.is_control()).collect()
}

fn yes() -> bool {
    true
}

/// `null` counts as left out.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    value: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

fn or_yes<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(true))
}

/// An empty message, as a form sends it that nobody wrote in, is none.
fn words<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Words>, D::Error> {
    let text = Option::<String>::deserialize(value)?.filter(|text| !text.is_empty());
    text.map(|text| text.try_into().map_err(D::Error::custom))
        .transpose()
}

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$doc])*
        pub struct $name { $($(#[$meta])* pub $field: $ty),* }
    )*};
}

// A parameter with a wrong name is told, for a command that is half understood is worse than none. A result may grow: a newer
// box speaks with an older console.
macro_rules! results {
    ($($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$meta])* pub $field: $ty),* }
    )*};
}

params! {
    /// No parameters; or, as a result, done.
    Empty {}
    MicRequest {
        #[serde(default, deserialize_with = "or_default")]
        #[schemars(with = "Option<TimeoutS>")]
        timeout_s: TimeoutS,
        /// Whether the guest sends a picture.
        #[serde(default = "yes", deserialize_with = "or_yes")]
        #[schemars(with = "Option<bool>")]
        camera: bool,
    }
    MicAnswer { accept: bool }
    MediaAnswer { session: Token, sdp: String }
    #[schemars(extend("required" = ["session", "candidate"]))]
    MediaCandidate {
        session: Token,
        /// `null` says that no more will come; it cannot be left out.
        #[serde(deserialize_with = "Option::deserialize")]
        candidate: Option<IceCandidateInit>,
    }
    MediaRestart { session: Token }
    MediaSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_muted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_muted: Option<bool>,
    }
    /// Without `user_id` the programme. With it, for hosts only, one guest alone, seen and heard off air: one whose request is
    /// open or who has a seat, and whose media is connected. A console may have one of each open. A guest's own mutes hold
    /// there too; when that guest's session is replaced, the box offers a new one here. It ends when the guest becomes idle.
    MediaWatch {
        on: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<Id>,
    }
    MicRespond {
        user_id: Id,
        accept: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat: Option<Seat>,
        #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
        message: Option<Words>,
    }
    MicDisconnect {
        user_id: Id,
        #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
        message: Option<Words>,
    }
    MicInvite {
        user_id: Id,
        #[serde(default, deserialize_with = "or_default")]
        #[schemars(with = "Option<TimeoutS>")]
        timeout_s: TimeoutS,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat: Option<Seat>,
    }
    OfUser { user_id: Id }
    MicSet {
        user_id: Id,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_muted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_muted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gain_db: Option<GainDb>,
    }
    MicMove { user_id: Id, seat: Seat }
    /// The host's microphone goes to this guest alone, over the return, which is lowered by 12 dB; to nobody else, and not into the
    /// programme. Without `user_id` it goes back on air; any console may ask for that. One guest at a time, the newest console
    /// has its way. It ends by itself when the guest becomes idle or their media is lost, when the console that began it is
    /// gone or has not asked again with the same `user_id` for 10 s, and when the box restarts.
    TalkbackSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<Id>,
    }
    SeatLock { seat: Seat, locked: bool }
    RoomSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<Name>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepting: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_guests: Option<MaxGuests>,
    }
    HostSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_muted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_muted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
    }
    LayoutSet { layout: Layout }
    InviteCreate {
        /// Unlimited if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<Uses>,
        /// 24 hours if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_s: Option<TtlS>,
    }
    OutputStop { output_id: Token }
    /// `file` as `record.list` has it.
    OfRecording { file: Token }
}

results! {
    /// A request or an invitation is open.
    Opened { request_id: Token, expires_in_ms: u64 }
    /// The seat, after an accept.
    Seated {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat: Option<Seat>,
    }
    People { people: Vec<Person> }
    /// Someone with a live session.
    Person { user_id: Id, name: Name, state: PersonState }
    PairedHosts { hosts: Vec<PairedHost> }
    /// A console with a credential.
    PairedHost {
        user_id: Id,
        name: Name,
        /// Left out where the box cannot know: an external broker does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connected: Option<bool>,
    }
    OutputStarted { output_id: Token }
    Recording { file: String }
    /// The newest first.
    RecordingList { recordings: Vec<RecordingFile> }
    RecordingFile {
        file: Token,
        bytes: u64,
        /// It is being written: it can be fetched so far, and not be removed.
        open: bool,
    }
}

/// Where a recording can be fetched for twelve hours, by whoever has the link: it does not print.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingLink {
    pub url: String,
}

impl fmt::Debug for RecordingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingLink(***)")
    }
}

/// Who holds an invite can join: it does not print.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRevoke {
    pub invite: Token,
}

impl fmt::Debug for InviteRevoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteRevoke(***)")
    }
}

/// A new invite: the link to give away, and its secret part. It does not print.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    pub url: String,
    pub invite: Token,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(***)")
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputStart {
    pub kind: OutputKind,
    pub url: String,
    /// A stream key, a passphrase or a bearer token, as the kind needs. The box keeps it and never shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

/// Without the URL: many studios have the stream key in it.
impl fmt::Debug for OutputStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputStart")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An `RTCIceCandidateInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidateInit {
    pub candidate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// Where a person stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PersonState {
    Idle,
    Requested,
    Invited,
    Connecting,
    OnAir,
    Reconnecting,
}
