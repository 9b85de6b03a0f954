//! Each bad input of the contract is answered with its own error, and none is fatal.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use dais_protocol::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The error of a request with these parameters, which must have a good envelope.
fn refused(method: &str, params: Value) -> RpcError {
    let message = json!({"jsonrpc": "2.0", "id": "7", "method": method, "params": params});
    let request = Request::parse(message.to_string().as_bytes())
        .unwrap_or_else(|bad| panic!("{message}: {}", bad.error));
    assert_eq!(request.id, "7");
    match request.call {
        Err(error) => error,
        Ok(call) => panic!("{message} was taken as {call:?}"),
    }
}

fn taken(method: &str, params: Value) -> Call {
    Call::parse(method, Some(params.clone()))
        .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
}

#[track_caller]
fn names_the_field(method: &str, params: Value, field: &str) {
    let error = refused(method, params.clone());
    assert_eq!(
        (error.code, error.reason()),
        (-32602, Reason::InvalidParams),
        "{method} {params}: {error}"
    );
    assert_eq!(
        error.data.more.get("field"),
        Some(&json!(field)),
        "{method} {params}: {error}"
    );
}

#[test]
fn a_missing_parameter_is_named() {
    for method in Call::METHODS {
        let (_, params, _) = asyncapi::CALLS
            .iter()
            .find(|(name, ..)| *name == method.name)
            .expect("an example of each");
        let params: Value = serde_json::from_str(params).unwrap();
        let mut needed = 0;
        for field in params.as_object().unwrap().keys() {
            let mut without = params.clone();
            without.as_object_mut().unwrap().remove(field);
            if Call::parse(method.name, Some(without.clone())).is_err() {
                names_the_field(method.name, without, field);
                needed += 1;
            }
        }
        if Call::parse(method.name, None).is_err() {
            assert!(
                needed > 0,
                "{} needs parameters, and names none",
                method.name
            );
        }
    }
    names_the_field("mic.respond", json!({"user_id": "b7"}), "accept");
    names_the_field("mic.respond", json!({"accept": true}), "user_id");
    names_the_field("media.candidate", json!({"session": "s"}), "candidate");
    names_the_field(
        "media.candidate",
        json!({"session": "s", "candidate": {}}),
        "candidate.candidate",
    );
}

#[test]
fn an_unknown_parameter_is_named_for_every_method() {
    for (method, params, _) in asyncapi::CALLS {
        let mut params: Value = serde_json::from_str(params).unwrap();
        params["no_such"] = json!(1);
        names_the_field(method, params, "no_such");
    }
}

#[test]
fn a_parameter_of_the_wrong_type_is_named_for_every_method() {
    for (method, params, _) in asyncapi::CALLS {
        let params: Value = serde_json::from_str(params).unwrap();
        for field in params.as_object().unwrap().keys() {
            for wrong in [
                json!([]),
                json!({"a": 1}),
                if params[field].is_string() {
                    json!(1)
                } else {
                    json!("x")
                },
            ] {
                let mut bad = params.clone();
                bad[field] = wrong;
                let error = refused(method, bad.clone());
                let named = error.data.more["field"].as_str().unwrap().to_owned();
                assert!(named.starts_with(field.as_str()), "{method} {bad}: {named}");
            }
        }
    }
}

#[test]
fn every_bound_holds_on_both_sides() {
    let user = |more: Value| {
        let mut params = json!({"user_id": "b7"});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        params
    };
    for (good, bad) in [
        (json!(1), json!(0)),
        (json!(300), json!(301)),
        (json!(60.0), json!(1.5)),
        (json!(2), json!(-2)),
    ] {
        taken("mic.request", json!({"timeout_s": good}));
        names_the_field("mic.request", json!({"timeout_s": bad}), "timeout_s");
        taken("mic.invite", user(json!({"timeout_s": good})));
        names_the_field("mic.invite", user(json!({"timeout_s": bad})), "timeout_s");
    }
    for (good, bad) in [
        (json!(-60), json!(-60.1)),
        (json!(12), json!(12.01)),
        (json!(-3.3), json!(1e300)),
        (json!(0.5), json!("0")),
    ] {
        taken("mic.set", user(json!({"gain_db": good})));
        names_the_field("mic.set", user(json!({"gain_db": bad})), "gain_db");
    }
    for (good, bad) in [
        (json!(1), json!(0)),
        (json!(9), json!(10)),
        (json!(5), json!(4.5)),
        (json!(7), json!(-7)),
    ] {
        taken("mic.move", user(json!({"seat": good})));
        names_the_field("mic.move", user(json!({"seat": bad})), "seat");
        names_the_field(
            "mic.respond",
            user(json!({"accept": true, "seat": bad})),
            "seat",
        );
        names_the_field("mic.invite", user(json!({"seat": bad})), "seat");
        names_the_field("seat.lock", json!({"seat": bad, "locked": true}), "seat");
        taken("room.set", json!({"max_guests": good}));
        names_the_field("room.set", json!({"max_guests": bad}), "max_guests");
    }
    for (good, bad) in [(json!(1), json!(0)), (json!(1000), json!(1001))] {
        taken("invite.create", json!({"uses": good}));
        names_the_field("invite.create", json!({"uses": bad}), "uses");
    }
    for (good, bad) in [(json!(1), json!(0)), (json!(2_592_000), json!(2_592_001))] {
        taken("invite.create", json!({"ttl_s": good}));
        names_the_field("invite.create", json!({"ttl_s": bad}), "ttl_s");
    }
    // Characters, not bytes: a name of forty umlauts is good.
    for (good, bad) in [
        ("x".repeat(40), "x".repeat(41)),
        ("ü".repeat(40), "ü".repeat(41)),
        ("a".into(), String::new()),
        ("a b".into(), "  ".into()),
        ("🎙".into(), "a\nb".into()),
        ("דנה".into(), "a\u{202e}b".into()),
    ] {
        taken("room.set", json!({"title": good}));
        names_the_field("room.set", json!({"title": bad}), "title");
        taken("host.set", json!({"name": good}));
        names_the_field("host.set", json!({"name": bad}), "name");
        let output = |name: &str| json!({"kind": "srt", "url": "srt://h:1", "name": name});
        taken("output.start", output(&good));
        names_the_field("output.start", output(&bad), "name");
        assert!(
            serde_json::from_value::<JoinRequest>(json!({"invite": "i", "name": good})).is_ok()
        );
        assert!(
            serde_json::from_value::<JoinRequest>(json!({"invite": "i", "name": bad})).is_err()
        );
    }
    for (good, bad) in [
        ("a".to_owned(), String::new()),
        ("0-z".into(), "A".into()),
        ("a".repeat(32), "a".repeat(33)),
        ("b7".into(), "b/7".into()),
        ("c".into(), "+".into()),
    ] {
        taken("guest.ban", json!({"user_id": good}));
        names_the_field("guest.ban", json!({"user_id": bad}), "user_id");
    }
    let key =
        |length: usize| json!({"kind": "rtmp", "url": "rtmp://h/a", "key": "ü".repeat(length)});
    taken("output.start", key(1024));
    names_the_field("output.start", key(1025), "key");
    names_the_field("layout.set", json!({"layout": "mosaic"}), "layout");
    names_the_field(
        "output.start",
        json!({"kind": "carrier-pigeon", "url": "x"}),
        "kind",
    );
    names_the_field(
        "media.restart",
        json!({"session": "a".repeat(65)}),
        "session",
    );
}

#[test]
fn what_is_left_out_has_the_value_of_the_contract() {
    assert!(
        matches!(taken("mic.request", json!({})), Call::MicRequest(p) if p.timeout_s.get() == 60 && p.camera)
    );
    assert!(
        matches!(taken("mic.invite", json!({"user_id": "b7", "seat": null})), Call::MicInvite(p) if p.timeout_s.get() == 60 && p.seat.is_none())
    );
    assert!(
        matches!(taken("mic.request", json!({"timeout_s": null, "camera": null})), Call::MicRequest(p) if p.timeout_s.get() == 60 && p.camera)
    );
    for message in [json!(null), json!("")] {
        assert!(
            matches!(taken("mic.disconnect", json!({"user_id": "b7", "message": message})), Call::MicDisconnect(p) if p.message.is_none())
        );
        assert!(
            matches!(taken("mic.respond", json!({"user_id": "b7", "accept": false, "message": message})), Call::MicRespond(p) if p.message.is_none())
        );
    }
    assert!(
        matches!(taken("media.candidate", json!({"session": "s", "candidate": null})), Call::MediaCandidate(p) if p.candidate.is_none())
    );
    assert_eq!(Call::parse("mic.leave", None), Ok(Call::MicLeave(Empty {})));
}

#[test]
fn parameters_are_an_object_or_left_out() {
    for params in [
        json!([]),
        json!([{"user_id": "b7"}]),
        json!("x"),
        json!(1),
        Value::Null,
    ] {
        names_the_field("mic.cancel", params.clone(), "params");
        names_the_field("mic.respond", params, "params");
    }
}

#[test]
fn an_unknown_method_is_told_and_not_echoed_at_length() {
    let error = refused("mic.shout", json!({}));
    assert_eq!(
        (error.code, error.reason()),
        (-32601, Reason::MethodNotFound)
    );
    assert!(error.message.contains("mic.shout"));
    assert!(refused(&"m".repeat(60_000), json!({})).to_string().len() < 300);
    let long = refused("mic.cancel", json!({"k".repeat(60_000): 1}));
    assert!(
        serde_json::to_string(&long).unwrap().len() < 600,
        "an error carries the payload back"
    );
}

#[track_caller]
fn bad_envelope(payload: impl AsRef<[u8]>, code: i32, reason: Reason, id: Option<&str>) {
    let payload = payload.as_ref();
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(100)]).into_owned();
    let bad = Inbound::parse(payload).expect_err(&shown);
    assert_eq!(
        (bad.error.code, bad.error.reason(), bad.id.as_deref()),
        (code, reason, id),
        "{shown}"
    );
}

#[test]
fn a_bad_envelope_is_told_with_the_id_where_there_is_one() {
    use Reason::{InvalidRequest, ParseError};
    for garbage in [
        "",
        "hello",
        "{",
        "{\"jsonrpc\":\"2.0\",}",
        "\u{0}",
        "{}}",
        "NaN",
    ] {
        bad_envelope(garbage, -32700, ParseError, None);
    }
    bad_envelope([0xff, 0xfe, b'{', b'}'], -32700, ParseError, None);
    bad_envelope("[".repeat(10_000), -32700, ParseError, None);
    for no_object in [
        "1",
        "null",
        "\"x\"",
        "true",
        "[]",
        r#"[{"jsonrpc":"2.0","id":"1","method":"mic.leave"}]"#,
    ] {
        bad_envelope(no_object, -32600, InvalidRequest, None);
    }
    bad_envelope(
        r#"{"id":"1","method":"mic.leave"}"#,
        -32600,
        InvalidRequest,
        Some("1"),
    );
    bad_envelope(
        r#"{"jsonrpc":"1.0","id":"1","method":"mic.leave"}"#,
        -32600,
        InvalidRequest,
        Some("1"),
    );
    bad_envelope(
        r#"{"jsonrpc":2.0,"id":"1","method":"mic.leave"}"#,
        -32600,
        InvalidRequest,
        Some("1"),
    );
    bad_envelope(
        r#"{"jsonrpc":"2.0","id":"1"}"#,
        -32600,
        InvalidRequest,
        Some("1"),
    );
    bad_envelope(
        r#"{"jsonrpc":"2.0","id":"1","method":5}"#,
        -32600,
        InvalidRequest,
        Some("1"),
    );
    for id in ["1", "null", "\"\"", "[]", "1.5"] {
        bad_envelope(
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"mic.leave"}}"#),
            -32600,
            InvalidRequest,
            None,
        );
    }
    let with_id = |length: usize| {
        json!({"jsonrpc": "2.0", "id": "x".repeat(length), "method": "mic.leave"}).to_string()
    };
    bad_envelope(with_id(65), -32600, InvalidRequest, None);
    assert!(Request::parse(with_id(64).as_bytes()).is_ok());
    let with_size = |size: usize| {
        let frame = json!({"jsonrpc": "2.0", "id": "1", "method": "media.answer", "params": {"session": "s", "sdp": ""}}).to_string();
        frame.replace(
            "\"sdp\":\"\"",
            &format!("\"sdp\":\"{}\"", "v".repeat(size - frame.len())),
        )
    };
    assert!(
        Request::parse(with_size(MAX_PAYLOAD).as_bytes())
            .unwrap()
            .call
            .is_ok()
    );
    bad_envelope(with_size(MAX_PAYLOAD + 1), -32600, InvalidRequest, None);
}

#[test]
fn a_notification_is_no_request() {
    let gone = br#"{"jsonrpc":"2.0","method":"session.gone"}"#;
    assert_eq!(Inbound::parse(gone), Ok(Inbound::SessionGone));
    assert_eq!(Request::parse(gone).unwrap_err().error.code, -32600);
    assert_eq!(
        Inbound::parse(br#"{"jsonrpc":"2.0","method":"mic.leave"}"#),
        Ok(Inbound::UnknownNotification("mic.leave".into()))
    );
}

#[test]
fn codes_and_reasons_are_those_of_the_contract() {
    let table: Vec<(i32, &str)> = Reason::ALL
        .iter()
        .map(|reason| (reason.code(), reason.as_str()))
        .collect();
    let contract = [
        (-32700, "parse_error"),
        (-32600, "invalid_request"),
        (-32600, "retained"),
        (-32601, "method_not_found"),
        (-32602, "invalid_params"),
        (-32001, "not_allowed"),
        (-32010, "room_full"),
        (-32011, "already_pending"),
        (-32012, "already_connected"),
        (-32013, "not_accepting"),
        (-32014, "no_such_request"),
        (-32015, "request_expired"),
        (-32016, "not_connected"),
        (-32017, "seat_taken"),
        (-32017, "seat_locked"),
        (-32019, "rate_limited"),
        (-32020, "bad_media"),
        (-32021, "unavailable"),
    ];
    assert_eq!(table, contract);
    for reason in Reason::ALL {
        let wire = reply(Some("1"), &Err(RpcError::new(*reason, "Why.")));
        assert_eq!(
            (
                wire["error"]["code"].as_i64(),
                wire["error"]["data"]["reason"].as_str()
            ),
            (Some(reason.code().into()), Some(reason.as_str()))
        );
        let heard = Outbound::parse(wire.to_string().as_bytes()).unwrap();
        assert_eq!(
            heard,
            Outbound::Reply {
                id: Some("1".into()),
                result: Err(RpcError::new(*reason, "Why."))
            }
        );
    }
}

/// A log line is made with Debug; what opens a door must not stand in one.
#[test]
fn no_secret_shows_in_debug() {
    const SECRET: &str = "tr0ub4dor";
    let calls = [
        (
            "output.start",
            json!({"kind": "rtmp", "url": format!("rtmp://h/app/{SECRET}"), "key": SECRET}),
        ),
        ("invite.revoke", json!({"invite": SECRET})),
    ];
    for (method, params) in calls {
        let message =
            json!({"jsonrpc": "2.0", "id": "1", "method": method, "params": params}).to_string();
        let shown = format!("{:?}", Inbound::parse(message.as_bytes()).unwrap());
        assert!(!shown.contains(SECRET), "{shown}");
    }
    let credential = json!({"user_id": "b7", "username": "guest-b7", "password": SECRET, "box": "dev", "ice_servers": [{"urls": ["turn:t"], "username": "u", "credential": SECRET}]});
    let shown = [
        format!(
            "{:?}",
            serde_json::from_value::<Credential>(credential.clone()).unwrap()
        ),
        format!(
            "{:?}",
            serde_json::from_value::<IceServer>(credential["ice_servers"][0].clone()).unwrap()
        ),
        format!(
            "{:?}",
            serde_json::from_value::<PairRequest>(json!({"code": SECRET})).unwrap()
        ),
        format!(
            "{:?}",
            serde_json::from_value::<JoinRequest>(json!({"invite": SECRET, "name": "Ana"}))
                .unwrap()
        ),
        format!(
            "{:?}",
            serde_json::from_value::<Invite>(
                json!({"invite": SECRET, "url": format!("http://h/join?invite={SECRET}")})
            )
            .unwrap()
        ),
        format!("{:?}", Secret(SECRET.into())),
    ];
    for shown in shown {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,50}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let key = prop_oneof![
            "[a-z_]{1,10}",
            Just("user_id".to_owned()),
            Just("seat".into()),
            Just("candidate".into()),
            Just("session".into())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_are_fatal(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Inbound::parse(&bytes);
        let _ = Outbound::parse(&bytes);
    }

    #[test]
    fn no_json_is_fatal_and_every_refusal_is_a_reply_of_bounded_size(
        id in any_json(), params in any_json(), which in 0..Call::METHODS.len(), odd in any_json(), real in any::<bool>(),
    ) {
        let method = if real { json!(Call::METHODS[which].name) } else { odd };
        let message = json!({"jsonrpc": "2.0", "id": if real { json!("1") } else { id }, "method": method, "params": params}).to_string();
        let error = match Inbound::parse(message.as_bytes()) {
            Ok(Inbound::Request(Request { call: Err(error), .. })) => error,
            Ok(Inbound::Request(Request { call: Ok(call), .. })) => {
                // What was taken can be sent on and is taken again as the same.
                prop_assert_eq!(Call::parse(call.method(), Some(call.params())), Ok(call));
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(bad) => bad.error,
        };
        prop_assert!(serde_json::to_string(&error).unwrap().len() < 2000);
        let _ = Outbound::parse(message.as_bytes());
    }
}
