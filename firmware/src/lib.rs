//! The box: what turns a Linux machine with a camera and a microphone into a Dais.
//!
//! ```text
//!  http  control ──▶ appliance ──▶ room (crate dais-room)
//!    │      │            │  ▲
//!    ▼      ▼            ▼  │
//!   book   broker     studio (crate dais-studio)
//! ```
//!
//! The studio may be down while everything else serves: the box holds it as a [`plane`]. The [`appliance`] is the only part that sees all others. `room` and `studio` do not know each other; `http` and
//! `control` are the doors, where everything that comes in is parsed, bounded and rated.

pub mod appliance;
pub mod book;
pub mod clock;
pub mod config;
pub mod control;
pub mod destinations;
pub mod doctor;
pub mod flight;
pub mod http;
pub mod journal;
pub mod lines;
pub mod log;
pub mod machine;
pub mod media;
pub mod patches;
pub mod plane;
pub mod reach;
pub mod recordings;
pub mod start;
pub mod store;
pub mod tls;
pub mod told;
pub mod watchdog;
