//! What the console knows: the box's newest snapshots, the cursor, and what is being asked. Times are milliseconds of any one
//! clock.

use dais_protocol::{
    Call, GuestState, Health, Id, Meter, Notification, Outputs, Pending, PendingRequest,
    RoomSnapshot, Seat, Token,
};

use crate::client::Heard;

/// How long a sentence stands.
const SAID_MS: u64 = 8_000;
/// A cursor whose line has vanished rests for so long, so that a key that was meant for that line meets no other.
const REST_MS: u64 = 1_500;
/// Meters come ten times a second; older ones are no levels.
const METERS_MS: u64 = 1_000;

/// A line that the cursor can stand on, by what it is and not by where: lists change under a finger.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Request(Id),
    /// 0 is the host's.
    Seat(u8),
    Recording,
    Output(Token),
}

/// What the next key answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    Sure {
        question: String,
        call: Call,
        done: String,
    },
    Layout,
    Move {
        user: Id,
        name: String,
    },
}

#[derive(Default)]
pub struct State {
    /// This console's own user id.
    own: Option<Id>,
    /// Why the box can't be heard, if it can't.
    pub lost: Option<String>,
    pub room: Option<RoomSnapshot>,
    room_at: u64,
    pub pending: Pending,
    pending_at: u64,
    pub outputs: Option<Outputs>,
    pub health: Option<Health>,
    meters: Vec<Meter>,
    meters_at: u64,
    pub cursor: Option<Item>,
    vanished_at: Option<u64>,
    pub prompt: Option<Prompt>,
    said: Option<(Result<String, String>, u64)>,
}

impl State {
    pub fn of(own: Id) -> Self {
        Self {
            own: Some(own),
            ..Self::default()
        }
    }

    pub fn hear(&mut self, heard: Heard, now: u64) {
        match heard {
            Heard::Connected => self.lost = None,
            Heard::Lost { why } => self.lost = Some(why),
            Heard::Online(online) => {
                self.lost = (!online.online).then(|| "the box is off or restarting".into());
            }
            Heard::Room(room) => (self.room, self.room_at) = (Some(room), now),
            Heard::Pending(pending) => (self.pending, self.pending_at) = (pending, now),
            Heard::Outputs(outputs) => self.outputs = Some(outputs),
            Heard::Health(health) => self.health = Some(health),
            Heard::Meters(meters) => (self.meters, self.meters_at) = (meters.seats, now),
            Heard::Notification { notification, .. } => self.notice(&notification, now),
            Heard::Refused { .. } => {}
        }
        self.settle(now);
    }

    /// Two consoles may reach for the same request: the second is told who was first.
    fn notice(&mut self, notification: &Notification, now: u64) {
        let Notification::MicRequestAnswered {
            user_id,
            by,
            by_name,
            accept,
            ..
        } = notification
        else {
            return;
        };
        if self.own.as_ref() == Some(by) {
            return;
        }
        let guest = self.request(user_id).map(|request| &request.name);
        let guest = guest.map_or_else(|| user_id.to_string(), ToString::to_string);
        let by = by_name
            .as_ref()
            .map_or_else(|| by.to_string(), ToString::to_string);
        let did = if *accept { "accepted" } else { "declined" };
        self.say(Ok(format!("{by} {did} {guest} first.")), now);
    }

    /// A sentence for the person: what was done, or why not.
    pub fn say(&mut self, said: Result<String, String>, now: u64) {
        self.said = Some((said, now));
    }

    pub fn said(&self, now: u64) -> Option<&Result<String, String>> {
        let (said, at) = self.said.as_ref()?;
        (now.saturating_sub(*at) < SAID_MS).then_some(said)
    }

    pub fn left_ms(&self, request: &PendingRequest, now: u64) -> u64 {
        request
            .expires_in_ms
            .saturating_sub(now.saturating_sub(self.pending_at))
    }

    pub fn connected_ms(&self, guest: &GuestState, now: u64) -> u64 {
        guest.connected_ms + now.saturating_sub(self.room_at)
    }

    pub fn meter(&self, seat: u8, now: u64) -> Option<&Meter> {
        let fresh = now.saturating_sub(self.meters_at) < METERS_MS;
        self.meters.iter().find(|m| fresh && m.seat == seat)
    }

    pub fn guest_on(&self, seat: u8) -> Option<&GuestState> {
        let room = self.room.as_ref()?;
        room.guests.iter().find(|g| g.seat.get() == seat)
    }

    pub fn is_locked(&self, seat: u8) -> bool {
        let locked = |room: &RoomSnapshot| room.locked_seats.iter().any(|s| s.get() == seat);
        self.room.as_ref().is_some_and(locked)
    }

    pub fn request(&self, user: &Id) -> Option<&PendingRequest> {
        self.pending.requests.iter().find(|r| r.user_id == *user)
    }

    /// Whom this console speaks to off air.
    pub fn talks_to(&self) -> Option<&Id> {
        let talkback = self.pending.talkback.as_ref()?;
        (self.own.as_ref() == Some(&talkback.by)).then_some(&talkback.user_id)
    }

    /// All lines, from top to bottom.
    pub fn items(&self) -> Vec<Item> {
        let requests = self.pending.requests.iter();
        let outputs = self.outputs.iter().flat_map(|o| &o.outputs);
        requests
            .map(|r| Item::Request(r.user_id.clone()))
            .chain((0..=Seat::MAX).map(Item::Seat))
            .chain([Item::Recording])
            .chain(outputs.map(|o| Item::Output(o.output_id.clone())))
            .collect()
    }

    pub(super) fn step(&mut self, by: isize) {
        let items = self.items();
        let at = self
            .cursor
            .as_ref()
            .and_then(|cursor| items.iter().position(|i| i == cursor));
        let next = match at {
            Some(at) => at.saturating_add_signed(by).min(items.len() - 1),
            None => 0,
        };
        self.cursor = items.get(next).cloned();
        self.vanished_at = None;
    }

    /// Takes the cursor off a line that is gone, and puts it on a request when it rests.
    pub(super) fn settle(&mut self, now: u64) {
        if let Some(cursor) = &self.cursor
            && !self.items().contains(cursor)
        {
            self.cursor = None;
            self.vanished_at = Some(now);
        }
        let rests = self
            .vanished_at
            .is_some_and(|at| now.saturating_sub(at) < REST_MS);
        if self.cursor.is_none() && !rests {
            let first = self.pending.requests.first();
            self.cursor = first.map(|r| Item::Request(r.user_id.clone()));
        }
    }
}
