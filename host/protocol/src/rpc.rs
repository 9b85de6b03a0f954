//! JSON-RPC 2.0 as the contract uses it: one object a message, string ids, no batches.

use serde_json::{Value, json};

use crate::{Call, MAX_PAYLOAD, Notification, Reason, RpcError};

/// A request whose envelope is good; its call may still be bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: String,
    /// As the sender wrote it; [`Call::callers_of`] knows whose it is, whatever the parameters.
    pub method: String,
    pub call: Result<Call, RpcError>,
}

/// What a client sent on its `up`.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    Request(Request),
    /// The notification `session.gone`; a client's will, or its good-bye.
    SessionGone,
    /// Another notification. JSON-RPC has no reply to one; it is counted and dropped.
    UnknownNotification(String),
}

/// A message without a usable envelope. `id` is the sender's, where it could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct BadEnvelope {
    pub id: Option<String>,
    pub error: RpcError,
}

/// The longest `id`, in bytes.
pub const MAX_ID: usize = 64;

impl Inbound {
    pub fn parse(payload: &[u8]) -> Result<Self, BadEnvelope> {
        let bad = |id: Option<String>, reason, why: &str| {
            Err(BadEnvelope {
                id,
                error: RpcError::new(reason, why),
            })
        };
        if payload.len() > MAX_PAYLOAD {
            return bad(
                None,
                Reason::InvalidRequest,
                "The message is larger than 64 KiB.",
            );
        }
        let Ok(value) = serde_json::from_slice::<Value>(payload) else {
            return bad(
                None,
                Reason::ParseError,
                "The message is not JSON in UTF-8.",
            );
        };
        let Value::Object(mut message) = value else {
            let why = if value.is_array() {
                "Batches are not taken: send one request a message."
            } else {
                "The message is not a JSON object."
            };
            return bad(None, Reason::InvalidRequest, why);
        };
        let id = message.remove("id");
        let text_id = match &id {
            Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_ID => Some(id.clone()),
            _ => None,
        };
        if message.get("jsonrpc") != Some(&json!("2.0")) {
            return bad(
                text_id,
                Reason::InvalidRequest,
                "The member \"jsonrpc\" is not \"2.0\".",
            );
        }
        let Some(Value::String(method)) = message.remove("method") else {
            return bad(
                text_id,
                Reason::InvalidRequest,
                "The member \"method\" is missing or no string.",
            );
        };
        match (id, text_id) {
            (None, _) if method == "session.gone" => Ok(Self::SessionGone),
            (None, _) => Ok(Self::UnknownNotification(
                method.chars().take(MAX_ID).collect(),
            )),
            (Some(_), None) => bad(
                None,
                Reason::InvalidRequest,
                "The member \"id\" is not a string of 1 to 64 bytes.",
            ),
            (Some(_), Some(id)) => Ok(Self::Request(Request {
                id,
                call: Call::parse(&method, message.remove("params")),
                method,
            })),
        }
    }
}

impl Request {
    /// Parses a message that must be a request.
    pub fn parse(payload: &[u8]) -> Result<Self, BadEnvelope> {
        match Inbound::parse(payload)? {
            Inbound::Request(request) => Ok(request),
            _ => Err(BadEnvelope {
                id: None,
                error: RpcError::new(
                    Reason::InvalidRequest,
                    "The message is a notification, not a request.",
                ),
            }),
        }
    }

    /// A request as its sender writes it.
    pub fn encode(id: &str, call: &Call) -> Vec<u8> {
        json!({"jsonrpc": "2.0", "id": id, "method": call.method(), "params": call.params()})
            .to_string()
            .into_bytes()
    }
}

/// A reply. `id` is `null` where the request's could not be read.
pub fn reply(id: Option<&str>, result: &Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

/// What a client hears on its `down` or on `host/events`.
#[derive(Clone, Debug, PartialEq)]
pub enum Outbound {
    Reply {
        id: Option<String>,
        result: Result<Value, RpcError>,
    },
    Notification {
        rev: u64,
        notification: Notification,
    },
}

impl Outbound {
    /// Parses what the box sent, for the side that receives; `None` for what this version does not know.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(payload) else {
            return None;
        };
        if let Some(Value::String(method)) = message.remove("method") {
            let params = message.remove("params")?;
            let rev = params.get("rev").and_then(Value::as_u64)?;
            let notification =
                serde_json::from_value(json!({"method": method, "params": params})).ok()?;
            return Some(Self::Notification { rev, notification });
        }
        let id = message.remove("id")?.as_str().map(str::to_owned);
        let result = match (message.remove("result"), message.remove("error")) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(serde_json::from_value(error).ok()?),
            _ => return None,
        };
        Some(Self::Reply { id, result })
    }
}
