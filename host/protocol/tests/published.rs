//! The committed description says what the types say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use dais_protocol::{asyncapi, *};
use serde_json::{Value, json};

fn here(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Keys in order of the alphabet, whichever map another crate of the build makes `serde_json` use.
fn sorted(value: &Value) -> Sorted {
    match value {
        Value::Object(map) => Sorted::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect(),
        ),
        Value::Array(list) => Sorted::Array(list.iter().map(sorted).collect()),
        other => Sorted::Leaf(other.clone()),
    }
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Sorted {
    Object(BTreeMap<String, Sorted>),
    Array(Vec<Sorted>),
    Leaf(Value),
}

#[test]
fn the_published_description_equals_the_types() {
    let document = asyncapi::document();
    let schema = asyncapi::schema();
    if std::env::var_os("UPDATE").is_some() {
        let head =
            "# Generated from the types: UPDATE=1 cargo test -p dais-protocol --test published\n";
        fs::write(
            here("asyncapi.yaml"),
            head.to_owned() + &serde_saphyr::to_string(&sorted(&document)).unwrap(),
        )
        .unwrap();
        fs::create_dir_all(here("schemas")).unwrap();
        fs::write(
            here("schemas/dais-v1.json"),
            serde_json::to_string_pretty(&sorted(&schema)).unwrap() + "\n",
        )
        .unwrap();
    }
    let committed: Value =
        serde_saphyr::from_str(&fs::read_to_string(here("asyncapi.yaml")).unwrap()).unwrap();
    let hint =
        "run UPDATE=1 cargo test -p dais-protocol --test published, and look at the difference";
    for part in ["info", "servers", "channels", "operations", "components"] {
        assert!(
            committed[part] == document[part],
            "{part} of asyncapi.yaml is not what the types say: {hint}"
        );
    }
    assert!(
        committed == document,
        "asyncapi.yaml is not what the types say: {hint}"
    );
    let committed: Value =
        serde_json::from_str(&fs::read_to_string(here("schemas/dais-v1.json")).unwrap()).unwrap();
    assert!(
        committed == schema,
        "schemas/dais-v1.json is not what the types say: {hint}"
    );
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = asyncapi::document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 300, "{} references", found.len());
    for reference in found {
        let pointer = reference
            .strip_prefix('#')
            .expect("a reference within the document");
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

/// The examples stand in the description, and everybody copies from them.
#[test]
fn every_example_is_what_the_types_read_and_the_schemas_allow() {
    let document = asyncapi::document();
    for (method, params, result) in asyncapi::CALLS {
        let params: Value = serde_json::from_str(params).unwrap();
        let call = Call::parse(method, Some(params.clone()))
            .unwrap_or_else(|error| panic!("{method}: {error}"));
        assert_eq!(call.method(), *method);
        assert_eq!(
            call.params(),
            params,
            "{method} does not come back as it went in"
        );
        let bytes = Request::encode("1", &call);
        assert_eq!(
            Request::parse(&bytes).unwrap(),
            Request {
                id: "1".into(),
                method: (*method).into(),
                call: Ok(call)
            }
        );
        serde_json::from_str::<Value>(result).unwrap();
    }
    let mut schemas = document["components"].clone();
    schemas = json!({"components": schemas});
    let mut checked = 0;
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let mut schema = schemas.clone();
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        // Beside `$ref`, draft 7 reads nothing.
        schema["allOf"] = json!([message["payload"]]);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let example = &message["examples"][0]["payload"];
        assert!(!example.is_null(), "{name} has no example");
        if let Err(error) = validator.validate(example) {
            panic!("the example of {name} is not what its schema allows: {error}");
        }
        checked += 1;
    }
    assert!(checked > 80, "{checked} messages");
}

#[test]
fn every_notification_goes_to_somebody_and_has_an_example_that_comes_back() {
    let document = asyncapi::document();
    let messages = document["components"]["messages"].as_object().unwrap();
    let mut described: Vec<&str> = messages
        .keys()
        .filter_map(|name| name.strip_prefix("notify."))
        .collect();
    described.sort_unstable();
    let mut addressed: Vec<&str> = [
        Notification::TO_GUESTS,
        Notification::TO_ONE_HOST,
        Notification::TO_HOSTS,
    ]
    .concat();
    addressed.sort_unstable();
    addressed.dedup();
    assert_eq!(described, addressed);
    let mut examples: Vec<&str> = asyncapi::NOTIFICATIONS
        .iter()
        .map(|(name, _)| *name)
        .collect();
    examples.sort_unstable();
    assert_eq!(described, examples);
    for (method, params) in asyncapi::NOTIFICATIONS {
        let params: Value = serde_json::from_str(params).unwrap();
        let notification: Notification =
            serde_json::from_value(json!({"method": method, "params": params})).unwrap();
        let wire = notification.encode(7);
        assert_eq!(wire["params"]["rev"], 7, "{method}");
        let heard = Outbound::parse(wire.to_string().as_bytes());
        assert_eq!(
            heard,
            Some(Outbound::Notification {
                rev: 7,
                notification
            }),
            "{method}"
        );
    }
}

#[test]
fn every_snapshot_comes_back_as_it_went_out() {
    fn there_and_back<T: serde::de::DeserializeOwned + serde::Serialize>(text: &str) {
        let value: Value = serde_json::from_str(text).unwrap();
        let typed: T = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), value);
    }
    for (topic, text) in asyncapi::SNAPSHOTS {
        match *topic {
            "online" => there_and_back::<Online>(text),
            "room" => there_and_back::<RoomSnapshot>(text),
            "pending" => there_and_back::<Pending>(text),
            "outputs" => there_and_back::<Outputs>(text),
            "health" => there_and_back::<Health>(text),
            "meters" => there_and_back::<Meters>(text),
            other => panic!("{other} is no topic"),
        }
    }
    for (path, body, answer) in asyncapi::DOORS {
        match *path {
            "/api/pair" => there_and_back::<PairRequest>(body),
            _ => there_and_back::<JoinRequest>(body),
        }
        there_and_back::<Credential>(answer);
    }
}
