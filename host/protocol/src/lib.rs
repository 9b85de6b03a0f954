//! The wire of the Dais control contract, version 1: topic names, JSON-RPC messages, room snapshots and the HTTP bodies.
//!
//! Types only, no I/O: the box, the command line and the companion (through the generated JSON Schemas) speak with these.
//! A message is parsed into a [`Call`] once, at the door, with every bound of the contract checked there.
//!
#![doc = include_str!("../README.md")]

mod call;
mod error;
mod http;
mod notification;
mod rpc;
mod snapshot;
mod topic;
mod value;

pub mod asyncapi;

pub use call::*;
pub use error::*;
pub use http::*;
pub use notification::*;
pub use rpc::*;
pub use snapshot::*;
pub use topic::*;
pub use value::*;

/// The largest payload that a client may send, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;
