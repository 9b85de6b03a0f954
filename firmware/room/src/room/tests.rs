//! The room under test: by exhaustive search, at random, and behaviour by behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod desk;
mod media;
mod nine;
mod once;
mod requests;
mod search;
mod seats;
mod talkback;
mod watch;

use dais_protocol::{HostState, Id, Layout, MaxGuests, Name, Seat, TimeoutS};

use super::*;

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn seat(number: u8) -> Seat {
    f64::from(number).try_into().unwrap()
}

fn max(number: u8) -> MaxGuests {
    f64::from(number).try_into().unwrap()
}

fn seconds(number: u32) -> TimeoutS {
    f64::from(number).try_into().unwrap()
}

fn opening(max_guests: u8) -> Opening {
    Opening {
        seed: id("s"),
        title: name("Friday live"),
        max_guests: max(max_guests),
        accepting: true,
        layout: Layout::Auto,
        host: HostState {
            name: name("Studio A"),
            muted: false,
            camera: true,
        },
    }
}
