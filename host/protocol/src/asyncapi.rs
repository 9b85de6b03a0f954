//! The published description, generated from the types: AsyncAPI 3.0 and one JSON Schema of all types.
//!
//! The operations that start with `box.` are the box's, in its own direction; those of `host.` and `guest.` say the same from the
//! client's side. `tests/published.rs` keeps the committed files equal to what is generated here.

mod examples;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    Call, Callers, Credential, Health, HttpError, JoinRequest, MAX_PAYLOAD, Meters, Notification,
    Online, Outputs, PairRequest, Pending, Reason, RoomSnapshot, RpcError, rpc::MAX_ID,
};

pub use examples::{CALLS, DOORS, NOTIFICATIONS, SNAPSHOTS};

/// The version of the contract, not of the program.
const VERSION: &str = "1.0.0";
const MQTT: &str = "0.2.0";
const HTTP: &str = "0.3.0";

/// Name, type, who may read it, retained, QoS, what it is.
struct Topic {
    name: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    readers: &'static [&'static str],
    retain: bool,
    qos: u8,
    about: &'static str,
}

const ALL: &[&str] = &["host", "guest"];
const HOSTS: &[&str] = &["host"];

const TOPICS: &[Topic] = &[
    Topic {
        name: "online",
        schema: of::<Online>,
        readers: ALL,
        retain: true,
        qos: 1,
        about: "Whether the box runs. Its will is the same with `online: false`.",
    },
    Topic {
        name: "room",
        schema: of::<RoomSnapshot>,
        readers: ALL,
        retain: true,
        qos: 1,
        about: "The room, after each change.",
    },
    Topic {
        name: "pending",
        schema: of::<Pending>,
        readers: HOSTS,
        retain: true,
        qos: 1,
        about: "The open requests.",
    },
    Topic {
        name: "outputs",
        schema: of::<Outputs>,
        readers: HOSTS,
        retain: true,
        qos: 1,
        about: "Every destination and the recording.",
    },
    Topic {
        name: "health",
        schema: of::<Health>,
        readers: HOSTS,
        retain: true,
        qos: 0,
        about: "How the box does, once a second.",
    },
    Topic {
        name: "meters",
        schema: of::<Meters>,
        readers: ALL,
        retain: false,
        qos: 0,
        about: "The sound levels, ten times a second.",
    },
];

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The AsyncAPI 3.0 document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut description = Description {
        schemas: settings.into_generator(),
        ..Default::default()
    };
    description.topics();
    description.calls();
    description.notifications();
    description.session_gone();
    description.doors();
    description.finish()
}

/// All types in one JSON Schema (draft 2020-12), by name under `$defs`.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    for topic in TOPICS {
        (topic.schema)(&mut generator);
    }
    for method in Call::METHODS {
        (method.params)(&mut generator);
        (method.result)(&mut generator);
    }
    of::<Notification>(&mut generator);
    of::<RpcError>(&mut generator);
    doors(&mut generator);
    let methods = methods(&mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Methods".into(), methods);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The types of the Dais control contract",
        "$defs": definitions,
    })
}

/// What each method takes and answers, by name: a program that is typed by the schema finds both there.
fn methods(generator: &mut SchemaGenerator) -> Value {
    let properties: Map<String, Value> = Call::METHODS
        .iter()
        .map(|method| {
            let pair = json!({
                "type": "object",
                "properties": {"params": (method.params)(generator), "result": (method.result)(generator)},
                "required": ["params", "result"],
            });
            (method.name.to_owned(), pair)
        })
        .collect();
    let names: Vec<&str> = Call::METHODS.iter().map(|method| method.name).collect();
    json!({
        "description": "Every method: its parameters and its result.",
        "type": "object",
        "properties": properties,
        "required": names,
    })
}

fn doors(generator: &mut SchemaGenerator) -> [Schema; 4] {
    [
        of::<PairRequest>(generator),
        of::<JoinRequest>(generator),
        of::<Credential>(generator),
        of::<HttpError>(generator),
    ]
}

#[derive(Default)]
struct Description {
    schemas: SchemaGenerator,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

/// `guestUp`, `hostDown`, …
fn user_channel(role: &str, way: &str) -> String {
    format!("{role}{way}")
}

fn parsed(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or(Value::Null)
}

fn to_channel(channel: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}")})
}

fn to_message(channel: &str, message: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}/messages/{message}")})
}

fn roles(callers: Callers) -> &'static [&'static str] {
    match callers {
        Callers::Guests => &["guest"],
        Callers::Hosts => HOSTS,
        Callers::Both => ALL,
    }
}

impl Description {
    fn topics(&mut self) {
        for topic in TOPICS {
            let payload = (topic.schema)(&mut self.schemas);
            let example = SNAPSHOTS
                .iter()
                .find(|(name, _)| *name == topic.name)
                .map(|(_, example)| parsed(example));
            self.message(topic.name, topic.about, json!(payload), example);
            self.channel(topic.name, topic.name, topic.about);
            self.carries(topic.name, topic.name);
            let bindings =
                json!({"mqtt": {"qos": topic.qos, "retain": topic.retain, "bindingVersion": MQTT}});
            self.operation(
                &format!("box.{}", topic.name),
                "send",
                topic.name,
                &[topic.name],
                topic.about,
                &bindings,
                None,
            );
            for role in topic.readers {
                self.operation(
                    &format!("{role}.{}", topic.name),
                    "receive",
                    topic.name,
                    &[topic.name],
                    topic.about,
                    &bindings,
                    None,
                );
            }
        }
        for (role, who) in [("host", "A console"), ("guest", "A guest")] {
            for (way, about) in [
                (
                    "Up",
                    format!(
                        "{who}'s requests to the box. Its will here is the notification `session.gone`."
                    ),
                ),
                (
                    "Down",
                    format!("The box's replies and notifications to this {role}."),
                ),
            ] {
                self.channel(
                    &user_channel(role, way),
                    &format!("{role}/{{id}}/{}", way.to_lowercase()),
                    &about,
                );
            }
        }
        self.channel(
            "hostEvents",
            "host/events",
            "Notifications for every console.",
        );
    }

    fn calls(&mut self) {
        let error = of::<RpcError>(&mut self.schemas);
        let reply = |key: &str, schema: Value, id: Value| {
            json!({"type": "object", "required": ["jsonrpc", "id", key],
                   "properties": {"jsonrpc": {"const": "2.0"}, "id": id, key: schema}})
        };
        let refused = RpcError::new(Reason::RoomFull, "All nine seats are taken.");
        self.message(
            "error",
            "A refusal. `id` is null where the request's could not be read.",
            reply("error", json!(error), json!({"type": ["string", "null"]})),
            Some(crate::reply(Some("42"), &Err(refused))),
        );
        for method in Call::METHODS {
            let (name, answer) = (method.name, format!("{}.reply", method.name));
            let params = json!((method.params)(&mut self.schemas));
            let result = json!((method.result)(&mut self.schemas));
            let example = CALLS.iter().find(|(example, ..)| *example == name);
            let mut envelope = json!({"type": "object", "required": ["jsonrpc", "id", "method"], "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": "string", "minLength": 1, "maxLength": MAX_ID, "description": "New for each request; a repeated one is answered with the same reply, without acting twice."},
                "method": {"const": name},
                "params": params.clone(),
            }});
            // Parameters may be left out only where `{}` would do.
            if Call::parse(name, None).is_err() {
                envelope["required"] = json!(["jsonrpc", "id", "method", "params"]);
            }
            let request = example.map(|(_, params, _)| json!({"jsonrpc": "2.0", "id": "42", "method": name, "params": parsed(params)}));
            let done = example.map(
                |(_, _, result)| json!({"jsonrpc": "2.0", "id": "42", "result": parsed(result)}),
            );
            self.message(name, &format!("The request `{name}`."), envelope, request);
            self.message(
                &answer,
                &format!("What `{name}` answers."),
                reply("result", result, json!({"type": "string"})),
                done,
            );
            let bindings = json!({"mqtt": {"qos": 1, "retain": false, "bindingVersion": MQTT}});
            for role in roles(method.callers) {
                let (up, down) = (user_channel(role, "Up"), user_channel(role, "Down"));
                self.carries(&up, name);
                self.carries(&down, &answer);
                self.carries(&down, "error");
                let answers = json!({
                    "address": {"location": "$message.header#/responseTopic",
                                "description": "The sender's own `down` or a topic below it; `down` itself if left out."},
                    "channel": to_channel(&down),
                    "messages": [to_message(&down, &answer), to_message(&down, "error")],
                });
                let about = format!("A {role} calls `{name}`.");
                self.operation(
                    &format!("box.{role}.{name}"),
                    "receive",
                    &up,
                    &[name],
                    &about,
                    &bindings,
                    Some(answers.clone()),
                );
                self.operation(
                    &format!("{role}.{name}"),
                    "send",
                    &up,
                    &[name],
                    &about,
                    &bindings,
                    Some(answers),
                );
            }
        }
    }

    fn notifications(&mut self) {
        // The types say it once, as an enum; here each of its variants becomes a message of its own.
        of::<Notification>(&mut self.schemas);
        let variants = self
            .schemas
            .definitions()
            .get("Notification")
            .and_then(|all| all["oneOf"].as_array())
            .cloned()
            .unwrap_or_default();
        self.schemas.definitions_mut().remove("Notification");
        for variant in &variants {
            let Some(name) = variant["properties"]["method"]["const"].as_str() else {
                continue;
            };
            let mut params = variant["properties"]["params"].clone();
            params["properties"]["rev"] =
                json!({"type": "integer", "minimum": 0, "description": "The room's revision."});
            let mut required = params["required"].as_array().cloned().unwrap_or_default();
            required.push(json!("rev"));
            params["required"] = json!(required);
            let about = variant["description"]
                .as_str()
                .map_or_else(|| format!("The notification `{name}`."), str::to_owned);
            let envelope = json!({"type": "object", "required": ["jsonrpc", "method", "params"], "properties": {
                "jsonrpc": {"const": "2.0"}, "method": {"const": name}, "params": params}});
            let example = NOTIFICATIONS
                .iter()
                .find(|(example, _)| *example == name)
                .map(|(_, params)| {
                    let mut params = parsed(params);
                    params["rev"] = json!(42);
                    json!({"jsonrpc": "2.0", "method": name, "params": params})
                });
            // A guest's `media.candidate` is a request, the box's a notification: two messages with one method.
            self.message(&notice(name), &about, envelope, example);
        }
        let bindings = json!({"mqtt": {"qos": 1, "retain": false, "bindingVersion": MQTT}});
        for (role, channel, names, whom) in [
            ("guest", "guestDown", Notification::TO_GUESTS, "one guest"),
            (
                "host",
                "hostDown",
                Notification::TO_ONE_HOST,
                "a host who watches",
            ),
            ("host", "hostEvents", Notification::TO_HOSTS, "every host"),
        ] {
            let messages: Vec<String> = names.iter().map(|name| notice(name)).collect();
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            messages
                .iter()
                .for_each(|message| self.carries(channel, message));
            let about = format!("What the box tells {whom} unasked.");
            self.operation(
                &format!("box.{channel}.notify"),
                "send",
                channel,
                &messages,
                &about,
                &bindings,
                None,
            );
            self.operation(
                &format!("{role}.{channel}.hear"),
                "receive",
                channel,
                &messages,
                &about,
                &bindings,
                None,
            );
        }
    }

    fn session_gone(&mut self) {
        let about = "The client's will, and its good-bye. It has no reply.";
        let envelope = json!({"type": "object", "required": ["jsonrpc", "method"], "properties": {
            "jsonrpc": {"const": "2.0"}, "method": {"const": "session.gone"}, "params": {"type": "object"}}});
        self.message(
            "session.gone",
            about,
            envelope,
            Some(json!({"jsonrpc": "2.0", "method": "session.gone"})),
        );
        let bindings = json!({"mqtt": {"qos": 1, "retain": false, "bindingVersion": MQTT}});
        for role in ALL {
            let up = user_channel(role, "Up");
            self.carries(&up, "session.gone");
            self.operation(
                &format!("box.{role}.session.gone"),
                "receive",
                &up,
                &["session.gone"],
                about,
                &bindings,
                None,
            );
            self.operation(
                &format!("{role}.session.gone"),
                "send",
                &up,
                &["session.gone"],
                about,
                &bindings,
                None,
            );
        }
    }

    fn doors(&mut self) {
        let [pair, join, credential, refusal] = doors(&mut self.schemas);
        let refused = "403: the code or the invite is wrong, used up or expired. 429: the sixth wrong code in a minute.";
        self.message(
            "http.refused",
            refused,
            json!(refusal),
            Some(json!({"message": "This invite has expired."})),
        );
        for (name, path, body, about) in [
            (
                "pair",
                "/api/pair",
                pair,
                "A console's credential, for the pairing code that the box shows.",
            ),
            (
                "join",
                "/api/join",
                join,
                "A guest's credential, for an invite.",
            ),
        ] {
            let (asks, answer) = (format!("http.{name}"), format!("http.{name}.reply"));
            let example = DOORS.iter().find(|(door, ..)| *door == path);
            self.message(
                &asks,
                about,
                json!(body),
                example.map(|(_, body, _)| parsed(body)),
            );
            self.message(
                &answer,
                about,
                json!(credential),
                example.map(|(_, _, answer)| parsed(answer)),
            );
            self.channels.insert(
                asks.clone(),
                json!({"address": path, "description": about, "servers": [{"$ref": "#/servers/web"}], "messages": {}}),
            );
            for message in [asks.as_str(), &answer, "http.refused"] {
                self.carries(&asks, message);
            }
            let answers = json!({"channel": to_channel(&asks), "messages": [to_message(&asks, &answer), to_message(&asks, "http.refused")]});
            let bindings = json!({"http": {"method": "POST", "bindingVersion": HTTP}});
            let role = if name == "pair" { "host" } else { "guest" };
            self.operation(
                &format!("box.http.{name}"),
                "receive",
                &asks,
                &[&asks],
                about,
                &bindings,
                Some(answers.clone()),
            );
            self.operation(
                &format!("{role}.http.{name}"),
                "send",
                &asks,
                &[&asks],
                about,
                &bindings,
                Some(answers),
            );
        }
    }

    fn message(&mut self, name: &str, about: &str, payload: Value, example: Option<Value>) {
        let mut message = json!({"name": name, "summary": about, "contentType": "application/json", "payload": payload});
        if !name.starts_with("http.") {
            message["bindings"] = json!({"mqtt": {"payloadFormatIndicator": 1, "contentType": "application/json", "bindingVersion": MQTT}});
        }
        if let Some(example) = example {
            message["examples"] = json!([{"name": "example", "payload": example}]);
        }
        self.messages.insert(name.into(), message);
    }

    fn channel(&mut self, name: &str, topic: &str, about: &str) {
        let mut parameters = json!({"box": {"description": "The box's id: 1 to 32 of a-z 0-9 -.", "examples": ["dev"]}});
        if topic.contains("{id}") {
            parameters["id"] = json!({"description": "The user's bare id: 1 to 32 of a-z 0-9 -.", "examples": ["b7"]});
        }
        let channel = json!({
            "address": format!("dais/v1/{{box}}/{topic}"),
            "description": about,
            "parameters": parameters,
            "servers": [{"$ref": "#/servers/mqtt"}, {"$ref": "#/servers/websocket"}],
            "messages": {},
        });
        self.channels.insert(name.into(), channel);
    }

    fn carries(&mut self, channel: &str, message: &str) {
        self.channels[channel]["messages"][message] =
            json!({"$ref": format!("#/components/messages/{message}")});
    }

    #[allow(clippy::too_many_arguments)] // the parts of one AsyncAPI operation, each once
    fn operation(
        &mut self,
        name: &str,
        action: &str,
        channel: &str,
        messages: &[&str],
        about: &str,
        bindings: &Value,
        reply: Option<Value>,
    ) {
        let side = name.split('.').next().unwrap_or_default();
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| to_message(channel, message))
            .collect();
        let mut operation = json!({
            "action": action, "channel": to_channel(channel), "messages": messages, "summary": about,
            "tags": [{"name": side}], "bindings": bindings,
        });
        if let Some(reply) = reply {
            operation["reply"] = reply;
        }
        self.operations.insert(name.into(), operation);
    }

    fn finish(mut self) -> Value {
        let errors = errors(&mut self.schemas);
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "The Dais control contract",
                "version": VERSION,
                "license": {"name": "MIT OR Apache-2.0"},
                "description": "JSON-RPC 2.0 over MQTT 5, one room a box. Generated from the types of the crate dais-protocol.",
                "tags": [{"name": "box"}, {"name": "host"}, {"name": "guest"}],
                "x-max-payload-bytes": MAX_PAYLOAD,
                "x-errors": errors,
            },
            "defaultContentType": "application/json",
            "servers": {
                "mqtt": {"host": "{host}:1883", "protocol": "mqtt", "protocolVersion": "5", "variables": host(),
                         "security": [{"$ref": "#/components/securitySchemes/credential"}]},
                "websocket": {"host": "{host}", "pathname": "/mqtt", "protocol": "wss", "protocolVersion": "5", "variables": host(),
                              "description": "MQTT 5 over WebSocket, subprotocol `mqtt`.",
                              "security": [{"$ref": "#/components/securitySchemes/credential"}]},
                "web": {"host": "{host}", "protocol": "https", "variables": host()},
            },
            "channels": self.channels,
            "operations": self.operations,
            "components": {
                "messages": self.messages,
                "schemas": self.schemas.take_definitions(true),
                "securitySchemes": {"credential": {
                    "type": "userPassword",
                    "description": "The user name and the password that `/api/pair` or `/api/join` gave out.",
                }},
            },
        })
    }
}

fn notice(name: &str) -> String {
    format!("notify.{name}")
}

fn host() -> Value {
    json!({"host": {"default": "dais.local", "description": "The box's name or address."}})
}

/// Code, reason and when, for each error.
fn errors(generator: &mut SchemaGenerator) -> Value {
    of::<Reason>(generator);
    let documented = generator
        .definitions()
        .get("Reason")
        .cloned()
        .unwrap_or_default();
    let when = |reason: &Reason| {
        let named = documented["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["const"] == reason.as_str());
        named
            .map(|one| one["description"].clone())
            .unwrap_or_default()
    };
    Reason::ALL.iter().map(|reason| json!({"code": reason.code(), "reason": reason.as_str(), "when": when(reason)})).collect()
}
