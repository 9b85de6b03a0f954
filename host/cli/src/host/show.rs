//! What a console in a terminal prints: one line a message for a person, one object a message for a program.

use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Heard;

/// `{"event":"room",…}`, `{"event":"mic.requested","rev":…,…}`: the message's own members, and what it is.
pub fn to_json(heard: &Heard) -> Value {
    match heard {
        Heard::Connected => json!({"event": "connected"}),
        Heard::Lost { why } => json!({"event": "lost", "why": why}),
        Heard::Refused { why } => json!({"event": "refused", "why": why}),
        Heard::Online(payload) => self::payload("online", payload),
        Heard::Room(payload) => self::payload("room", payload),
        Heard::Pending(payload) => self::payload("pending", payload),
        Heard::Outputs(payload) => self::payload("outputs", payload),
        Heard::Health(payload) => self::payload("health", payload),
        Heard::Meters(payload) => self::payload("meters", payload),
        Heard::Notification { rev, notification } => {
            let mut message = notification.encode(*rev);
            let name = message["method"].take();
            let mut event = message["params"].take();
            event["event"] = name;
            event
        }
    }
}

fn payload(name: &str, payload: &impl Serialize) -> Value {
    let mut event = serde_json::to_value(payload).unwrap_or_default();
    event["event"] = json!(name);
    event
}

/// A call's result for a person.
pub fn result(method: &str, result: &Value) -> String {
    match method {
        "room.people" => lines(&result["people"], "nobody has a live session", |person| {
            format!(
                "{:<18}{:<14}{}",
                text(&person["user_id"]),
                text(&person["state"]),
                text(&person["name"])
            )
        }),
        "room.hosts" => lines(&result["hosts"], "no console is paired", |host| {
            let connected = match host["connected"].as_bool() {
                Some(true) => "connected",
                Some(false) => "away",
                None => "",
            };
            format!(
                "{:<18}{connected:<14}{}",
                text(&host["user_id"]),
                text(&host["name"])
            )
        }),
        "record.list" => lines(&result["recordings"], "nothing was recorded", |recording| {
            let mb = recording["bytes"].as_f64().unwrap_or_default() / 1e6;
            let open = if recording["open"] == true {
                "  being written"
            } else {
                ""
            };
            format!("{:<24}{mb:>10.1} MB{open}", text(&recording["file"]))
        }),
        "invite.create" | "record.link" => text(&result["url"]),
        _ => match members(result) {
            told if told.is_empty() => "done".into(),
            told => told,
        },
    }
}

/// An event, as one or a few lines for a person.
pub fn event(event: &Value) -> String {
    match event["event"].as_str().unwrap_or_default() {
        "pending" => lines(
            &event["requests"],
            "nobody asks to come on air",
            |request| {
                let seconds = request["expires_in_ms"].as_u64().unwrap_or_default() / 1000;
                let camera = if request["camera"] == true {
                    "camera"
                } else {
                    "sound only"
                };
                format!(
                    "{:<18}{:<12}{seconds:>4} s left  {}",
                    text(&request["user_id"]),
                    camera,
                    text(&request["name"])
                )
            },
        ),
        "room" => {
            let open = if event["accepting"] == true {
                "open"
            } else {
                "closed"
            };
            let head = format!(
                "{}: {} layout, requests {open}",
                text(&event["title"]),
                text(&event["layout"])
            );
            let guests = lines(&event["guests"], "no guest", |guest| {
                let muted = if guest["muted_by_host"] == true {
                    "muted by host"
                } else if guest["audio_muted"] == true {
                    "muted"
                } else {
                    ""
                };
                let (seat, id, state) = (
                    text(&guest["seat"]),
                    text(&guest["user_id"]),
                    text(&guest["state"]),
                );
                format!(
                    "  seat {seat}  {id:<18}{state:<14}{muted:<15}{}",
                    text(&guest["name"])
                )
            });
            format!("{head}\n{guests}")
        }
        name => format!("{name}  {}", members(event)),
    }
}

fn lines(list: &Value, none: &str, line: impl Fn(&Value) -> String) -> String {
    match list.as_array().map(Vec::as_slice) {
        None | Some([]) => none.into(),
        Some(all) => all.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

/// `a: 1, b: x`, without what every message has.
fn members(value: &Value) -> String {
    let members = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !matches!(key.as_str(), "event" | "rev"));
    members
        .map(|(key, value)| format!("{key}: {}", text(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
