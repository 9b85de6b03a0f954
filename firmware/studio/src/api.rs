//! What the rest of the box says to the studio, and hears from it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A rectangle of the canvas in pixels; even-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: u32,
    pub h: u32,
}

/// Where a picture and its sound come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The host's camera and microphone.
    Host,
    /// A guest's session, by its id.
    Session(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Contain,
    Cover,
    Fill,
}

/// What a seat shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The newest frame.
    Live,
    /// The last frame, dimmed: the guest is reconnecting.
    Dimmed,
    /// A card with the name: no camera, or muted picture.
    Card,
}

/// One seat of the programme, whole: the studio carries out the newest [`Scene`] and remembers nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneSeat {
    pub seat: u8,
    pub source: Source,
    /// `None`: heard, not seen (layout `solo`).
    pub rect: Option<Rect>,
    pub z: i32,
    pub fit: Fit,
    pub look: Look,
    /// Shown as a tag in the tile, or on the card.
    pub name: String,
    /// Whether the seat's sound is in the programme and in the others' returns.
    pub audible: bool,
    pub gain_db: f32,
}

/// The programme as it shall be now. A session that is in no seat is neither seen nor heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    pub seats: Vec<SceneSeat>,
    /// The session whom the host speaks to off air: the host's sound goes there, over a return that is lowered, and neither
    /// into the programme nor into any other return. Only while that session takes its return: else the host is on air.
    pub talkback: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Sends and receives. `camera`: whether the guest sends a picture.
    Guest { camera: bool },
    /// Receives the programme only.
    Watch,
    /// Receives picture and sound of one guest's session alone, whether that is in a seat or not.
    View { of: String },
}

#[derive(Clone, Debug)]
pub struct SessionSpec {
    pub session: String,
    pub kind: SessionKind,
}

/// An `RTCIceCandidateInit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCandidate {
    pub candidate: String,
    pub sdp_mid: Option<String>,
    pub sdp_m_line_index: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    Connecting,
    Live,
    Retrying,
    Stopped,
    Failed,
}

#[derive(Clone, Debug)]
pub struct OutputStatus {
    pub output_id: String,
    pub state: OutputState,
    pub kbps: u32,
    pub dropped: u64,
    pub error: Option<String>,
}

#[derive(Clone, Debug)]
pub struct RecordStatus {
    pub state: OutputState,
    pub file: Option<PathBuf>,
    pub bytes: u64,
    pub dropped: u64,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub seat: u8,
    pub level_db: f32,
    pub peak_db: f32,
    pub speaking: bool,
}

/// What the studio tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// The first programme frame left the encoder.
    Moving,
    /// The offer of a session, to be carried to the other side.
    Offer {
        session: String,
        sdp: String,
    },
    /// A local candidate; `None` ends them.
    Candidate {
        session: String,
        candidate: Option<IceCandidate>,
    },
    /// Media of the guest were decoded: picture, or sound where the guest sends no picture; or again after `Lost`.
    Alive {
        session: String,
    },
    /// Nothing was decoded for the stall time.
    Lost {
        session: String,
    },
    /// The session ended by itself; its pipeline is gone.
    Failed {
        session: String,
        reason: String,
    },
    Output(OutputStatus),
    Record(RecordStatus),
    /// Ten times a second, every seat of the scene.
    Levels(Vec<Level>),
    /// Something a person should know: the host's camera stalled, the encoder cannot keep up …
    Trouble {
        what: String,
        advice: String,
    },
    /// An earlier `Trouble` of the same `what` is over.
    TroubleOver {
        what: String,
    },
}
