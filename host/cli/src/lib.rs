//! The command line of Dais, as a library: what `dais dev`, `dais guest`, `dais host`, `dais analyse` and `dais doctor` are made of.
//!
#![doc = include_str!("../README.md")]

pub mod address;
pub mod analyse;
pub mod client;
pub mod console;
pub mod daisd;
pub mod dev;
pub mod discover;
pub mod doctor;
pub mod door;
pub mod guest;
pub mod host;
