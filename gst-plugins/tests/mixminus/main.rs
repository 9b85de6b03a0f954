//! `daismixminus` from outside: cranked clock, no sleep.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod drift;
mod fuzz;
mod live;
mod rig;
mod settings;
mod waiting;
