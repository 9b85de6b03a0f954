//! What a synthetic guest tells, a line an event: for programs as JSON, for people as words.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use dais_protocol::{PersonState, Termination};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Joined {
        user_id: String,
        name: String,
    },
    Requested {
        request_id: String,
        expires_in_ms: u64,
    },
    Invited {
        request_id: String,
    },
    Offer {
        session: String,
    },
    Connected {
        session: String,
    },
    /// The first picture of the programme came back, so long after the offer.
    FirstPicture {
        session: String,
        after_offer_ms: u64,
    },
    Accepted {
        seat: u8,
    },
    Rejected {
        message: Option<String>,
    },
    TimedOut,
    Cancelled,
    InviteEnded,
    /// As the room says.
    State {
        state: PersonState,
    },
    OnAir {
        seat: u8,
    },
    Want {
        width: u32,
        height: u32,
        max_fps: u32,
        max_kbps: u32,
    },
    MediaState {
        audio_muted: bool,
        video_muted: bool,
        muted_by_host: bool,
        hidden_by_host: bool,
    },
    /// A host sees and hears this guest off air; a host speaks to this guest alone.
    Attention {
        watching: bool,
        talking: bool,
    },
    Stats(Stats),
    Restarting {
        session: String,
        why: String,
    },
    Disconnected {
        why: String,
    },
    Reconnected,
    Terminated {
        reason: Termination,
        message: Option<String>,
    },
    Left,
    Error {
        message: String,
    },
}

/// The return, once a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    pub session: String,
    /// Pictures decoded since the session began.
    pub frames: u64,
    /// Over the last second.
    pub fps: f32,
    /// Longest time between two pictures in the last second.
    pub longest_gap_ms: f32,
    pub width: i32,
    pub height: i32,
    /// Sound packets decoded since the session began.
    pub sounds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone: Option<ToneStats>,
}

/// Of the last whole second of the returned sound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ToneStats {
    pub level_db: f32,
    /// dBFS; -120 is nothing.
    pub own_db: f32,
    pub other_hz: u32,
    pub other_db: f32,
    /// The own tone against the loudest other one: what the mix-minus is judged by.
    pub own_to_other_db: f32,
}

/// One line of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The guest's number.
    pub guest: u32,
    /// Since the command was started.
    pub t_ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Clone)]
pub(super) struct Lines {
    json: bool,
    started: Arc<Instant>,
}

impl Lines {
    pub fn new(json: bool) -> Lines {
        Lines {
            json,
            started: Arc::new(Instant::now()),
        }
    }

    pub fn tell(&self, guest: u32, event: Event) {
        let t_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut out = std::io::stdout().lock();
        // Whoever reads is gone; the guest goes on until it is told to end.
        let _ = if self.json {
            let line = Line { guest, t_ms, event };
            writeln!(out, "{}", serde_json::to_string(&line).unwrap_or_default())
        } else {
            writeln!(out, "guest {guest}: {event}")
        };
        let _ = out.flush();
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Joined { user_id, name } => write!(f, "joined as {name} ({user_id})"),
            Event::Requested { expires_in_ms, .. } => {
                write!(f, "asked to go on air; open for {} s", expires_in_ms / 1000)
            }
            Event::Invited { .. } => write!(f, "was invited, says yes"),
            Event::Offer { session } => write!(f, "was offered the media session {session}"),
            Event::Connected { .. } => write!(f, "media connected"),
            Event::FirstPicture { after_offer_ms, .. } => {
                write!(f, "sees the programme, {after_offer_ms} ms after the offer")
            }
            Event::Accepted { seat } => write!(f, "was accepted for seat {seat}"),
            Event::Rejected { message } => write!(f, "was rejected{}", tail(message)),
            Event::TimedOut => write!(f, "the request ran out"),
            Event::Cancelled => write!(f, "the request was cancelled"),
            Event::InviteEnded => write!(f, "the invitation ended"),
            Event::State { state } => write!(f, "is {state:?}"),
            Event::OnAir { seat } => write!(f, "is on air, seat {seat}"),
            Event::Want {
                width,
                height,
                max_fps,
                max_kbps,
            } => {
                write!(
                    f,
                    "the box wants {width}x{height} at {max_fps} fps, {max_kbps} kbit/s at most"
                )
            }
            Event::MediaState {
                audio_muted,
                video_muted,
                muted_by_host,
                hidden_by_host,
            } => {
                let of = |muted, by_host| match (muted, by_host) {
                    (false, _) => "on",
                    (true, false) => "off",
                    (true, true) => "off by the host",
                };
                let (sound, picture) = (
                    of(*audio_muted, *muted_by_host),
                    of(*video_muted, *hidden_by_host),
                );
                write!(f, "sound {sound}, picture {picture}")
            }
            Event::Attention { watching, talking } => f.write_str(match (watching, talking) {
                (true, true) => "is seen and heard by the host off air, and spoken to alone",
                (true, false) => "is seen and heard by the host off air",
                (false, true) => "is spoken to by the host alone",
                (false, false) => "is left alone by the host",
            }),
            Event::Stats(stats) => {
                write!(
                    f,
                    "{:.1} fps, {}x{}, longest gap {:.0} ms",
                    stats.fps, stats.width, stats.height, stats.longest_gap_ms
                )?;
                match &stats.tone {
                    Some(t) => write!(
                        f,
                        ", own tone {:.0} dB to the loudest other ({} Hz)",
                        t.own_to_other_db, t.other_hz
                    ),
                    None => Ok(()),
                }
            }
            Event::Restarting { why, .. } => write!(f, "asks for a new session: {why}"),
            Event::Disconnected { why } => write!(f, "lost the connection to the broker: {why}"),
            Event::Reconnected => write!(f, "is connected to the broker again"),
            Event::Terminated { reason, message } => {
                write!(f, "was disconnected ({reason:?}){}", tail(message))
            }
            Event::Left => write!(f, "left"),
            Event::Error { message } => f.write_str(message),
        }
    }
}

fn tail(message: &Option<String>) -> String {
    message
        .as_ref()
        .map(|m| format!(": {m}"))
        .unwrap_or_default()
}
