//! The control contract against a whole box, one behaviour a test, with a client that may be rude; with the embedded
//! broker, and with a mosquitto that the box was given.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::time::Duration;

use dais_protocol::Credential;
use house::wire::Wire;
use house::{House, SMALL};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, PublishProperties, SubscribeReasonCode};
use serde_json::json;

struct Pair {
    house: House,
    host: Wire,
    guest: Wire,
    guest_id: String,
    credential: Credential,
    external: bool,
}

macro_rules! with_both_brokers {
    ($($behaviour:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                super::$behaviour(super::pair(false).await).await;
            })*
        }
        mod mosquitto {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                super::$behaviour(super::pair(true).await).await;
            })*
        }
    };
}

with_both_brokers! {
    every_bad_message_is_answered_with_its_error
    a_method_of_the_other_role_is_not_allowed
    a_repeated_id_acts_once_and_is_answered_alike
    a_refused_id_does_not_act_when_it_is_repeated
    destinations_and_the_recording_change_the_revision_of_every_snapshot
    a_retained_request_does_not_act
    a_reply_goes_to_the_response_topic_with_its_correlation_data
    snapshots_are_kept_and_meters_are_not
    the_broker_enforces_who_may_say_and_hear_what
    more_than_twenty_requests_in_a_second_are_told_to_wait
    ask_cancel_decline_invite_and_ban_tell_both_sides
    a_guest_who_vanishes_takes_the_request_along
    a_bad_answer_to_an_offer_says_what_is_wrong
    the_box_says_good_bye_when_it_stops
}

impl Pair {
    /// The guest has a request open, and the host listens.
    async fn ask_to_join(&mut self) {
        self.host.subscribe("dais/v1/dev/host/events").await;
        self.guest.ask("mic.request", json!({})).await;
        self.host.notification("mic.requested").await;
    }
}

/// A box with one console and one guest, both connected.
async fn pair(external: bool) -> Pair {
    let house = if external {
        House::start_with_mosquitto(SMALL).await
    } else {
        House::start(SMALL)
    };
    let console = house.console().await;
    let guest = house.join(&console, "Ana").await;
    let host = Wire::connect(&house, &house.pair().await).await;
    let wire = Wire::connect(&house, &guest).await;
    Pair {
        house,
        host,
        guest: wire,
        guest_id: guest.user_id.to_string(),
        credential: guest,
        external,
    }
}

async fn every_bad_message_is_answered_with_its_error(mut p: Pair) {
    let bad: [(&str, i64, &str); 7] = [
        ("not json", -32700, "parse_error"),
        ("[]", -32600, "invalid_request"),
        (
            r#"[{"jsonrpc":"2.0","id":"1","method":"mic.request"}]"#,
            -32600,
            "invalid_request",
        ),
        (
            r#"{"id":"1","method":"mic.request"}"#,
            -32600,
            "invalid_request",
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"mic.request"}"#,
            -32600,
            "invalid_request",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x2","method":"mic.fly"}"#,
            -32601,
            "method_not_found",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x3","method":"mic.request","params":{"timeout_s":0}}"#,
            -32602,
            "invalid_params",
        ),
    ];
    for (payload, code, reason) in bad {
        p.guest.send(payload).await;
        let came = p
            .guest
            .came(payload, |came| came.body["error"].is_object())
            .await;
        assert_eq!(
            (
                came.body["error"]["code"].as_i64(),
                came.body["error"]["data"]["reason"].as_str()
            ),
            (Some(code), Some(reason)),
            "{payload}"
        );
    }
    let reply = p
        .guest
        .ask("mic.request", json!({"timeout_s": "long"}))
        .await;
    assert_eq!(reply["error"]["data"]["field"], "timeout_s");
    let reply = p.host.ask("mic.respond", json!({"accept": true})).await;
    assert_eq!(reply["error"]["data"]["field"], "user_id");
}

async fn a_method_of_the_other_role_is_not_allowed(mut p: Pair) {
    assert_eq!(
        p.guest
            .refused(
                "mic.respond",
                json!({"user_id": p.guest_id, "accept": true})
            )
            .await,
        "not_allowed"
    );
    assert_eq!(
        p.guest.refused("record.start", json!({})).await,
        "not_allowed"
    );
    assert_eq!(
        p.host.refused("mic.request", json!({})).await,
        "not_allowed"
    );
    // Whose it is comes before what it is called with.
    for method in ["mic.respond", "seat.lock", "guest.ban", "output.start"] {
        assert_eq!(
            p.guest.refused(method, json!({"wrong": 1})).await,
            "not_allowed",
            "{method}"
        );
    }
    assert_eq!(p.host.refused("mic.answer", json!({})).await, "not_allowed");
}

async fn a_refused_id_does_not_act_when_it_is_repeated(mut p: Pair) {
    for (id, method, params) in [
        ("params", "mic.request", json!({"timeout_s": 0})),
        ("method", "mic.fly", json!({})),
        ("role", "record.start", json!({})),
    ] {
        let first = p.guest.ask_as(id, method, params).await;
        assert!(first["error"].is_object(), "{first}");
        let again = p.guest.ask_as(id, "mic.request", json!({})).await;
        assert_eq!(first, again);
    }
    let first = p.guest.ask_as("good", "mic.request", json!({})).await;
    let again = p
        .guest
        .ask_as("good", "mic.request", json!({"timeout_s": 0}))
        .await;
    assert!(first["result"]["request_id"].is_string(), "{first}");
    assert_eq!(first, again);
}

async fn destinations_and_the_recording_change_the_revision_of_every_snapshot(mut p: Pair) {
    for topic in ["room", "outputs", "host/events"] {
        p.host.subscribe(&format!("dais/v1/dev/{topic}")).await;
    }
    let start = json!({"kind": "srt", "url": "srt://127.0.0.1:9", "key": "short"});
    let reply = p.host.ask("output.start", start).await;
    assert_eq!(reply["error"]["data"]["field"], "key", "{reply}");
    let start = json!({"kind": "srt", "url": "srt://127.0.0.1:9"});
    let none = json!({});
    let (mut rev, mut output_id) = (0, json!(null));
    for (method, params, told, state) in [
        ("output.start", &start, "output.changed", "connecting"),
        ("output.stop", &none, "output.changed", "stopped"),
        ("record.start", &none, "record.changed", "connecting"),
        // A recording that is stopped before it holds a picture has failed.
        ("", &none, "record.changed", "live"),
        ("record.stop", &none, "record.changed", "stopped"),
    ] {
        let mut params = params.clone();
        if method == "output.stop" {
            params = json!({"output_id": output_id});
        }
        let request = json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params});
        if !method.is_empty() {
            p.host.send(request.to_string()).await;
        }
        // The notification comes before the reply, which is not waited for.
        let came = p
            .host
            .came(state, |came| {
                came.body["method"] == told && came.body["params"]["state"] == state
            })
            .await;
        let body = &came.body["params"];
        output_id = body["output_id"].clone();
        let told = body["rev"].as_u64().unwrap();
        assert!(told > rev, "{state} was told with rev {told}, after {rev}");
        rev = told;
        for topic in ["room", "outputs"] {
            let topic = format!("dais/v1/dev/{topic}");
            p.host
                .came("a snapshot that is no older", |came| {
                    came.topic == topic && came.body["rev"].as_u64().is_some_and(|r| r >= rev)
                })
                .await;
        }
    }
}

async fn a_repeated_id_acts_once_and_is_answered_alike(mut p: Pair) {
    let first = p.guest.ask_as("same", "mic.request", json!({})).await;
    let again = p.guest.ask_as("same", "mic.request", json!({})).await;
    assert_eq!(first, again);
    assert!(first["result"]["request_id"].is_string());
    assert_eq!(
        p.guest.refused("mic.request", json!({})).await,
        "already_pending"
    );
}

async fn a_retained_request_does_not_act(mut p: Pair) {
    let request = |id: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "mic.request", "params": {}}).to_string()
    };
    p.guest
        .send_with(request("r"), true, PublishProperties::default())
        .await;
    let reply = p.guest.reply("r").await;
    assert_eq!(
        (
            reply["error"]["code"].as_i64(),
            reply["error"]["data"]["reason"].as_str()
        ),
        (Some(-32600), Some("retained"))
    );
    assert_eq!(
        p.guest.refused("mic.cancel", json!({})).await,
        "no_such_request"
    );
}

async fn a_reply_goes_to_the_response_topic_with_its_correlation_data(mut p: Pair) {
    let request =
        |id: &str| json!({"jsonrpc": "2.0", "id": id, "method": "mic.cancel"}).to_string();
    let to = |topic: String| PublishProperties {
        response_topic: Some(topic),
        correlation_data: Some("c-7".into()),
        ..Default::default()
    };
    let below = format!("{}/replies", p.guest.down);
    p.guest
        .send_with(request("a"), false, to(below.clone()))
        .await;
    let came = p.guest.came("a reply", |came| came.body["id"] == "a").await;
    assert_eq!(
        (came.topic, came.correlation),
        (below, Some(b"c-7".to_vec()))
    );
    let foreign = p.host.down.clone();
    p.guest.send_with(request("b"), false, to(foreign)).await;
    let came = p
        .guest
        .came("a refusal", |came| came.body["id"] == "b")
        .await;
    assert_eq!(
        (came.topic, came.body["error"]["code"].as_i64()),
        (p.guest.down.clone(), Some(-32600))
    );
}

async fn the_broker_enforces_who_may_say_and_hear_what(mut p: Pair) {
    let spoofed = p.host.up.clone();
    assert_eq!(
        p.guest.publish(&spoofed, "{}").await,
        PubAckReason::NotAuthorized
    );
    assert_eq!(
        p.guest.publish("dais/v1/dev/room", "{}").await,
        PubAckReason::NotAuthorized
    );
    for filter in [
        "dais/v1/dev/pending",
        "dais/v1/dev/host/events",
        "dais/v1/dev/+",
        "#",
        "dais/v1/dev/guest/+/down",
    ] {
        let granted = p.guest.subscribe(filter).await;
        // Mosquitto grants what it then does not deliver, which the contract allows of a foreign broker.
        assert!(
            p.external || granted == SubscribeReasonCode::NotAuthorized,
            "{filter}: {granted:?}"
        );
    }
    for filter in [
        "dais/v1/dev/room",
        "dais/v1/dev/online",
        "dais/v1/dev/meters",
    ] {
        assert_eq!(
            p.guest.subscribe(filter).await,
            SubscribeReasonCode::Success(QoS::AtLeastOnce),
            "{filter}"
        );
    }
    assert_eq!(
        p.host.subscribe("dais/v1/dev/+").await,
        SubscribeReasonCode::Success(QoS::AtLeastOnce)
    );
}

async fn more_than_twenty_requests_in_a_second_are_told_to_wait(mut p: Pair) {
    for n in 0..60 {
        p.guest
            .send(
                json!({"jsonrpc": "2.0", "id": format!("f{n}"), "method": "mic.cancel"})
                    .to_string(),
            )
            .await;
    }
    let came = p
        .guest
        .came("a rate limit", |came| {
            came.body["error"]["data"]["reason"] == "rate_limited"
        })
        .await;
    assert_eq!(came.body["error"]["code"], -32019);
    assert!(
        came.body["error"]["data"]["retry_after_ms"]
            .as_u64()
            .unwrap()
            <= 1000
    );
}

async fn ask_cancel_decline_invite_and_ban_tell_both_sides(mut p: Pair) {
    p.host.subscribe("dais/v1/dev/host/events").await;
    let opened = p.guest.ask("mic.request", json!({"camera": false})).await;
    let asked = p.host.notification("mic.requested").await;
    assert_eq!(
        (&asked["request_id"], &asked["name"], &asked["camera"]),
        (
            &opened["result"]["request_id"],
            &json!("Ana"),
            &json!(false)
        )
    );
    p.guest.ask("mic.cancel", json!({})).await;
    p.guest.notification("mic.cancelled").await;
    p.host.notification("mic.request_cancelled").await;
    assert_eq!(
        p.host
            .refused(
                "mic.respond",
                json!({"user_id": p.guest_id, "accept": true})
            )
            .await,
        "request_expired"
    );

    p.guest.ask("mic.request", json!({})).await;
    p.host
        .ask(
            "mic.respond",
            json!({"user_id": p.guest_id, "accept": false, "message": "Next time"}),
        )
        .await;
    assert_eq!(
        p.guest.notification("mic.rejected").await["message"],
        "Next time"
    );
    let answered = p.host.notification("mic.request_answered").await;
    assert_eq!(answered["accept"], false);

    p.guest.ask("mic.request", json!({"timeout_s": 1})).await;
    p.guest.notification("mic.timed_out").await;
    p.host.notification("mic.request_timed_out").await;

    p.host.ask("room.set", json!({"accepting": false})).await;
    assert_eq!(
        p.guest.refused("mic.request", json!({})).await,
        "not_accepting"
    );
    p.host
        .ask("mic.invite", json!({"user_id": p.guest_id}))
        .await;
    p.guest.notification("mic.invited").await;
    p.guest.ask("mic.answer", json!({"accept": false})).await;
    assert_eq!(
        p.host.notification("mic.invite_answered").await["accept"],
        false
    );

    assert_eq!(
        p.host
            .refused("mic.disconnect", json!({"user_id": p.guest_id}))
            .await,
        "not_connected"
    );
    p.host.ask("room.set", json!({"accepting": true})).await;
    p.guest.ask("mic.request", json!({})).await;
    p.host
        .ask("guest.ban", json!({"user_id": p.guest_id}))
        .await;
    p.guest.notification("mic.rejected").await;
    assert!(p.guest.ended().await, "a banned guest is still connected");
}

async fn a_guest_who_vanishes_takes_the_request_along(mut p: Pair) {
    p.ask_to_join().await;
    p.guest.vanish();
    p.host.notification("mic.request_cancelled").await;
    let people = p.host.ask("room.people", json!({})).await;
    assert_eq!(people["result"]["people"], json!([]));
}

/// A phone that changes its network is here by a new connection while the old one is only found dead a minute later. The client
/// id is a client's own choice, and many MQTT libraries take a new one each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_will_ends_nothing_while_its_user_has_another_connection() {
    let mut p = pair(false).await;
    p.ask_to_join().await;
    let mut second = Wire::connect_as("elsewhere", &p.house, &p.credential).await;
    second.ask("media.set", json!({})).await;
    p.guest
        .send(r#"{"jsonrpc":"2.0","method":"session.gone"}"#)
        .await;
    p.guest.ask("media.set", json!({})).await;
    p.guest.vanish();
    for _ in 0..10 {
        let people = p.host.ask("room.people", json!({})).await;
        assert_eq!(people["result"]["people"][0]["state"], "requested");
    }
    second.vanish();
    p.host.notification("mic.request_cancelled").await;
}

/// An MQTT library that ends with DISCONNECT discards the will; the embedded broker tells the box all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_disconnects_without_a_word_takes_the_request_along() {
    let mut p = pair(false).await;
    p.ask_to_join().await;
    p.guest.mqtt.disconnect().await.unwrap();
    let cancelled = p.host.notification("mic.request_cancelled").await;
    assert_eq!(cancelled["user_id"], json!(p.guest_id));
    let people = p.host.ask("room.people", json!({})).await;
    assert_eq!(people["result"]["people"], json!([]));
}

async fn a_bad_answer_to_an_offer_says_what_is_wrong(mut p: Pair) {
    p.guest.ask("mic.request", json!({})).await;
    let offer = p.guest.notification("media.offer").await;
    assert!(
        offer["sdp"].as_str().unwrap().contains("m=audio")
            && offer["video"]["width"].is_u64()
            && offer["rev"].is_u64(),
        "{offer}"
    );
    let session = offer["session"].as_str().unwrap().to_owned();
    for sdp in [
        "",
        "v=0",
        "garbage\r\n",
        &"a".repeat(60_000),
        offer["sdp"]
            .as_str()
            .unwrap()
            .split("m=video")
            .next()
            .unwrap(),
    ] {
        let reply = p
            .guest
            .ask("media.answer", json!({"session": session, "sdp": sdp}))
            .await;
        assert_eq!(reply["error"]["data"]["reason"], "bad_media", "{reply}");
        assert!(reply["error"]["message"].as_str().unwrap().len() > 10);
    }
    let reply = p.guest.ask("media.candidate", json!({"session": session, "candidate": {"candidate": "candidate:nonsense", "sdpMLineIndex": 0}})).await;
    assert_eq!(reply["error"]["data"]["reason"], "bad_media", "{reply}");
    let reply = p
        .guest
        .ask(
            "media.answer",
            json!({"session": "of-someone-else", "sdp": "v=0"}),
        )
        .await;
    assert_eq!(reply["error"]["data"]["field"], "session");
    // The box is alive, and so is the request.
    assert_eq!(
        p.guest.refused("mic.request", json!({})).await,
        "already_pending"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_door_refuses_with_the_right_status() {
    let house = House::start(SMALL);
    let post = |path: &'static str, body: serde_json::Value| {
        let url = format!("{}{path}", house.http);
        async move {
            tokio::task::spawn_blocking(move || {
                let agent: ureq::Agent = ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .build()
                    .into();
                agent.post(url).send_json(body).unwrap().status().as_u16()
            })
            .await
            .unwrap()
        }
    };
    let console = house.console().await;
    let once = console.ask("invite.create", json!({"uses": 1})).await;
    let once = once.unwrap()["invite"].clone();
    let join =
        |invite: &serde_json::Value| post("/api/join", json!({"invite": invite, "name": "Ana"}));
    assert_eq!(join(&once).await, 200);
    assert_eq!(join(&once).await, 403, "it was for one guest");
    let revoked = console.ask("invite.create", json!({})).await.unwrap()["invite"].clone();
    console
        .ask("invite.revoke", json!({"invite": revoked}))
        .await
        .unwrap();
    assert_eq!(join(&revoked).await, 403, "it was taken back");
    for invite in ["unknown", "", "with blanks", "ü", &"x".repeat(65)] {
        assert_eq!(
            post("/api/join", json!({"invite": invite, "name": "Ana"})).await,
            403,
            "{invite:?}"
        );
    }
    assert_eq!(
        post("/api/join", json!({"invite": "unknown", "name": ""})).await,
        422
    );
    for _ in 0..5 {
        assert_eq!(
            post("/api/pair", json!({"code": "wrong", "name": "Ana"})).await,
            403
        );
    }
    assert_eq!(
        post("/api/pair", json!({"code": "wrong", "name": "Ana"})).await,
        429
    );
    for path in [
        "/",
        "/join?invite=x",
        "/watch",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        let url = format!("{}{path}", house.http);
        let status =
            tokio::task::spawn_blocking(move || ureq::get(url).call().unwrap().status().as_u16())
                .await
                .unwrap();
        assert_eq!(status, 200, "{path}");
    }
    for (accept, kind) in [
        ("*/*", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text",
        ),
    ] {
        let url = format!("{}/metrics", house.http);
        let answer = tokio::task::spawn_blocking(move || {
            ureq::get(url).header("Accept", accept).call().unwrap()
        })
        .await
        .unwrap();
        let given = answer.headers()["content-type"].to_str().unwrap();
        assert!(given.starts_with(kind), "{accept}: {given}");
    }
}

/// Rows of the contract's table of topics: what is kept for whoever comes later, and how surely each comes.
async fn snapshots_are_kept_and_meters_are_not(mut p: Pair) {
    for (topic, kept, qos) in [
        ("online", true, QoS::AtLeastOnce),
        ("room", true, QoS::AtLeastOnce),
        ("pending", true, QoS::AtLeastOnce),
        ("outputs", true, QoS::AtLeastOnce),
        ("health", true, QoS::AtMostOnce),
        ("meters", false, QoS::AtMostOnce),
    ] {
        let topic = format!("dais/v1/dev/{topic}");
        p.host.subscribe(&topic).await;
        let wanted = |came: &house::wire::Came| came.topic == topic && (came.retain || !kept);
        let came = p.host.came(&topic, wanted).await;
        assert_eq!((came.retain, came.qos), (kept, qos), "{topic}");
    }
}

async fn the_box_says_good_bye_when_it_stops(mut p: Pair) {
    p.guest.subscribe("dais/v1/dev/online").await;
    p.guest
        .came("online", |came| came.body["online"] == true)
        .await;
    let mut house = p.house;
    let stopped = tokio::task::spawn_blocking(move || house.stop());
    p.guest
        .came("offline", |came| came.body["online"] == false)
        .await;
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(60), stopped)
            .await
            .unwrap()
            .unwrap(),
        Some(0)
    );
}
