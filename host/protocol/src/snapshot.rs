//! The retained and periodic payloads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GainDb, Id, Layout, MaxGuests, Name, OutputKind, Seat, Token};

/// `online`, and with `online: false` the box's will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Online {
    pub online: bool,
    pub boot_id: uuid::Uuid,
    pub version: String,
}

/// `room`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomSnapshot {
    pub rev: u64,
    pub title: Name,
    pub accepting: bool,
    pub max_guests: MaxGuests,
    pub layout: Layout,
    pub host: HostState,
    /// By seat.
    pub guests: Vec<GuestState>,
    pub locked_seats: Vec<Seat>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostState {
    pub name: Name,
    pub muted: bool,
    pub camera: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestState {
    pub seat: Seat,
    pub user_id: Id,
    pub name: Name,
    pub state: SeatState,
    /// Whether the guest sends a picture at all.
    pub camera: bool,
    pub audio_muted: bool,
    pub video_muted: bool,
    pub muted_by_host: bool,
    /// The same of the picture: `video_muted` alone does not say who turned it off.
    #[serde(default)]
    pub hidden_by_host: bool,
    pub gain_db: GainDb,
    pub speaking: bool,
    /// Since the seat was given, by the box's monotonic clock.
    pub connected_ms: u64,
}

/// The states of someone who has a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    Connecting,
    OnAir,
    Reconnecting,
}

/// `pending`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pending {
    pub rev: u64,
    pub requests: Vec<PendingRequest>,
    /// Left out while the host's microphone is where it always is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talkback: Option<Talkback>,
}

/// The host's microphone goes to one guest alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Talkback {
    pub user_id: Id,
    /// The console that began it.
    pub by: Id,
    /// What that console is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingRequest {
    pub request_id: Token,
    pub user_id: Id,
    pub name: Name,
    pub camera: bool,
    pub expires_in_ms: u64,
}

/// `outputs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    pub rev: u64,
    pub outputs: Vec<Output>,
    pub record: Record,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    pub output_id: Token,
    pub kind: OutputKind,
    pub name: Name,
    pub state: OutputState,
    /// Since when in this state.
    pub since_ms: u64,
    pub kbps: u32,
    /// Access units dropped because the other side was too slow or gone.
    pub dropped: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub state: OutputState,
    pub file: Option<String>,
    pub bytes: u64,
    /// How long the free disk lasts at the present rate.
    pub seconds_left: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputState {
    Connecting,
    Live,
    Retrying,
    #[default]
    Stopped,
    Failed,
}

/// `health`, once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    pub rev: u64,
    pub uptime_ms: u64,
    /// Programme frames that left the encoder in the last second.
    pub fps: f32,
    pub frames: u64,
    /// What was dropped since the start, by place.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// Of the last 10 s, by stage.
    pub latency: std::collections::BTreeMap<String, Latency>,
    /// Cores in use by the box's process.
    pub cpu: f32,
    pub memory_bytes: u64,
    pub temperature_c: Option<f32>,
    pub disk_free_bytes: Option<u64>,
    /// How long that lasts for a recording of the programme, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_s: Option<u64>,
    pub watchers: u32,
    /// How each guest's connection does, by seat.
    #[serde(default)]
    pub guests: Vec<GuestHealth>,
    /// What comes in at the host's camera; absent where the picture is a test's or a file's, and before the camera was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraSignal>,
    /// What encodes the pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoders: Vec<EncoderHealth>,
    /// What is wrong now; empty when all is well.
    pub alarms: Vec<Alarm>,
}

/// The connection of one guest, over the last seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestHealth {
    pub seat: Seat,
    pub quality: Quality,
    /// Packets lost on the way, the worse of both directions.
    pub loss_percent: f32,
    /// Absent before the first report of the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f32>,
    /// Pictures decoded in the last second.
    pub fps: f32,
    /// What came from the guest in the last second.
    pub kbps: u32,
}

/// What a capture card says of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CameraSignal {
    Ok,
    /// The device itself is gone, busy, or gives nothing.
    NoCamera,
    /// Nothing is plugged into the card, or what is has no power.
    NoCable,
    NoSignal,
    /// Something comes in, and the card can't lock onto it.
    NoSync,
    /// A format that the card can't take.
    Unsupported,
}

/// What makes the pictures of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncoderHealth {
    /// `programme`, `return` or `VP8 return`.
    pub line: String,
    /// GStreamer's element.
    pub element: String,
    /// Those that failed since the start and were left, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    Good,
    Fair,
    Poor,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    pub p50_ms: f32,
    pub p99_ms: f32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alarm {
    pub what: String,
    pub since_ms: u64,
    pub advice: String,
}

/// `meters`, ten times a second. Seat 0 is the host's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meters {
    pub rev: u64,
    pub seats: Vec<Meter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meter {
    pub seat: u8,
    pub level_db: f32,
    pub peak_db: f32,
    pub speaking: bool,
}
