//! A room with somebody at it who speaks the contract's JSON.

use dais_protocol::{Call, Id, Notification, Reason, RpcError};
use serde_json::{Value, json};

use super::watch::Watch;
use super::*;

pub struct Desk {
    pub room: Room,
    pub now: u64,
    pub effects: Vec<Effect>,
    watch: Watch,
    sent: u64,
}

impl Desk {
    /// A room whose guests `a` to … are there and called by their ids.
    pub fn with(max_guests: u8, guests: &[&str]) -> Self {
        let room = Room::new(opening(max_guests));
        let mut desk = Self {
            room,
            now: 1_000,
            effects: Vec::new(),
            watch: Watch::default(),
            sent: 0,
        };
        guests.iter().for_each(|guest| desk.seen(guest));
        desk
    }

    pub fn apply(&mut self, input: Input) {
        let before = self.room.clone();
        self.effects = self.room.apply(input.clone(), self.now);
        self.watch
            .step(&before, &input, &self.effects, &self.room)
            .unwrap();
    }

    pub fn seen(&mut self, user: &str) {
        self.apply(Input::Seen {
            user: id(user),
            name: name(user),
        });
    }

    pub fn gone(&mut self, user: &str) {
        self.apply(Input::SessionGone { user: id(user) });
    }

    pub fn call(&mut self, from: Caller, method: &str, params: Value) -> Result<Value, RpcError> {
        self.sent += 1;
        let call = Call::parse(method, Some(params)).unwrap();
        self.apply(Input::Call {
            from,
            id: self.sent.to_string(),
            call,
        });
        let reply = self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { result, .. } => Some(result.clone()),
            _ => None,
        });
        reply.unwrap()
    }

    pub fn guest(&mut self, user: &str, method: &str, params: Value) -> Result<Value, RpcError> {
        self.call(Caller::Guest(id(user)), method, params)
    }

    pub fn host(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.call(Caller::Host(id("h1")), method, params)
    }

    pub fn respond(&mut self, user: &str, accept: bool) -> Result<Value, RpcError> {
        self.host("mic.respond", json!({"user_id": user, "accept": accept}))
    }

    pub fn media(&mut self, user: &str, event: MediaEvent) {
        let session = self.room.session_of(&id(user)).unwrap().clone();
        self.apply(Input::Media { session, event });
    }

    /// Requests and is accepted.
    pub fn seat(&mut self, user: &str) {
        self.guest(user, "mic.request", json!({})).unwrap();
        self.respond(user, true).unwrap();
    }

    /// … and is decoded.
    pub fn put_on_air(&mut self, user: &str) {
        self.seat(user);
        self.media(user, MediaEvent::Alive);
        assert_eq!(self.state(user), Some("on_air"));
    }

    pub fn later(&mut self, ms: u64) {
        self.now += ms;
        self.apply(Input::Tick);
    }

    /// The box is killed after the last record was written, and comes back `elapsed` later with another clock.
    pub fn kill_and_restart(&mut self, disk: Record, elapsed: u64) {
        let bytes = serde_json::to_vec(&disk).unwrap();
        let record: Record = serde_json::from_slice(&bytes).unwrap();
        self.now = 77;
        let room = Room::restore(record, self.now, elapsed);
        self.watch.restart(&self.room, &room).unwrap();
        self.room = room;
    }

    /// What this guest was told by the last input.
    pub fn told(&self, user: &str) -> Vec<&Notification> {
        self.to(&Recipient::Guest(id(user)))
    }

    pub fn hosts_told(&self) -> Vec<&Notification> {
        self.to(&Recipient::Hosts)
    }

    pub fn all_told(&self) -> Vec<&Notification> {
        self.to(&Recipient::Everyone)
    }

    fn to(&self, whom: &Recipient) -> Vec<&Notification> {
        let told = self.effects.iter().filter_map(|effect| match effect {
            Effect::Tell {
                to, notification, ..
            } if to == whom => Some(notification),
            _ => None,
        });
        told.collect()
    }

    pub fn opened(&self) -> Vec<&Id> {
        let opened = self.effects.iter().filter_map(|effect| match effect {
            Effect::OpenMedia { user, .. } => Some(user),
            _ => None,
        });
        opened.collect()
    }

    pub fn closed(&self) -> usize {
        self.effects
            .iter()
            .filter(|effect| matches!(effect, Effect::CloseMedia { .. }))
            .count()
    }

    /// This guest in the snapshot.
    pub fn shown(&self, user: &str) -> Option<Value> {
        let snapshot = serde_json::to_value(self.room.snapshot(self.now)).unwrap();
        snapshot["guests"]
            .as_array()
            .unwrap()
            .iter()
            .find(|guest| guest["user_id"] == user)
            .cloned()
    }

    pub fn state(&self, user: &str) -> Option<&'static str> {
        self.shown(user).map(|guest| match guest["state"].as_str() {
            Some("connecting") => "connecting",
            Some("on_air") => "on_air",
            Some("reconnecting") => "reconnecting",
            other => panic!("{other:?} is no state of a seat"),
        })
    }

    pub fn seat_of(&self, user: &str) -> Option<u64> {
        self.shown(user).and_then(|guest| guest["seat"].as_u64())
    }

    pub fn pending(&self) -> Vec<(String, u64)> {
        let requests = self.room.pending(self.now).requests;
        requests
            .into_iter()
            .map(|request| (request.user_id.to_string(), request.expires_in_ms))
            .collect()
    }
}

#[track_caller]
pub fn refused(result: Result<Value, RpcError>, reason: Reason) {
    assert_eq!(result.unwrap_err().reason(), reason);
}

/// Notifications as the JSON that goes out, without `rev`.
pub fn json_of(told: &[&Notification]) -> Vec<Value> {
    told.iter()
        .map(|notification| serde_json::to_value(notification).unwrap())
        .collect()
}
