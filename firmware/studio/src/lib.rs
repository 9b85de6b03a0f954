//! The media plane: capture, guests, programme, outputs. It knows slots and sessions, no users and no MQTT.
//!
//! ```text
//! capture (host) ─▶ slot 0 ─┐                        ┌▶ programme encoder ─▶ Feed ─▶ record, rtmp, srt, whip
//! session s1 ────▶ slot s1 ─┼▶ mix, beat of the host ┤
//! session s2 ────▶ slot s2 ─┘                        └▶ return encoder ───▶ Feed ─▶ sessions (and mix-minus sound)
//! ```
//!
//! Every session and every output is a pipeline of its own. They meet the programme only in slots and feeds,
//! which never block: what is late is dropped there, and counted.

pub mod api;
mod beat;
pub mod capture;
pub mod config;
pub mod disk;
mod element;
mod encoder;
mod engine;
pub mod error;
pub mod feed;
pub mod health;
mod label;
pub mod output;
mod picture;
mod plan;
pub mod probe;
mod programme;
mod rt;
pub mod session;
pub mod slot;
mod sound;
pub mod studio;
pub mod time;

pub use config::{Secret, StudioConfig};
pub use encoder::{Figures, Key, Passport, VideoShape};
pub use error::{MediaError, StudioError};
pub use feed::{Feed, Feeds, Subscription};
pub use health::StudioHealth;
pub use output::{OutputKind, OutputSpec};
pub use slot::{Slot, Slots};
pub use studio::{Shared, Studio};
