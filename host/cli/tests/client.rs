//! The client against a real mosquitto, over TCP and over WebSocket, with a scripted box on the other side.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use dais_cli::client::{Client, ClientConfig, ConnectError, Heard, Role};
use dais_protocol::{Call, Empty, LayoutSet, Notification, Reason, RpcError, Secret};
use serde_json::json;
use support::{Broker, ScriptedBox, room};
use tokio::{sync::mpsc, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);

fn host(url: String) -> ClientConfig {
    ClientConfig {
        url,
        username: "host-c1".into(),
        password: Secret("right".into()),
        box_id: "dev".parse().unwrap(),
        role: Role::Host,
        user_id: "c1".parse().unwrap(),
        ca: None,
        meters: false,
    }
}

async fn next(heard: &mut mpsc::Receiver<Heard>, wanted: impl Fn(&Heard) -> bool) -> Heard {
    let search = async {
        loop {
            let heard = heard.recv().await.expect("the connection lives");
            if wanted(&heard) {
                return heard;
            }
        }
    };
    timeout(PATIENCE, search)
        .await
        .expect("it was not heard in time")
}

fn people() -> Call {
    Call::RoomPeople(Empty {})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_over_tcp_and_over_websocket() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    for url in [broker.tcp(), broker.websocket()] {
        let (client, mut heard) = Client::connect(host(url.clone())).await.unwrap();
        assert!(
            matches!(next(&mut heard, |heard| matches!(heard, Heard::Room(_))).await, Heard::Room(room) if room.rev == 41),
            "{url}"
        );
        let call = client.call(people());
        let reply = async {
            let request = scripted.request().await;
            assert_eq!(request.topic, "dais/v1/dev/host/c1/up");
            assert_eq!(request.body["method"], "room.people");
            assert!(!request.retain);
            assert_eq!(
                request.expiry,
                Some(10),
                "the broker must not keep a request past the time its caller waits"
            );
            assert_eq!(
                request.response_topic.as_deref(),
                Some("dais/v1/dev/host/c1/down")
            );
            assert!(request.correlation.is_some());
            scripted.reply(&request, json!({"people": []})).await;
        };
        let (result, ()) = tokio::join!(call, reply);
        assert_eq!(result.unwrap(), json!({"people": []}), "{url}");
        client.leave().await;
        assert_eq!(
            scripted.request().await.body,
            json!({"jsonrpc": "2.0", "method": "session.gone"}),
            "{url}: no good-bye"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_find_their_calls_in_whatever_order_they_come() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let (client, _heard) = Client::connect(host(broker.tcp())).await.unwrap();
    let script = async {
        let first = scripted.request().await;
        let second = scripted.request().await;
        assert_ne!(first.body["id"], second.body["id"]);
        for request in [&second, &first] {
            scripted
                .reply(request, json!({"of": request.body["method"]}))
                .await;
        }
    };
    let layout = Call::LayoutSet(LayoutSet {
        layout: Default::default(),
    });
    let (people, layout, ()) = tokio::join!(client.call(people()), client.call(layout), script);
    assert_eq!(people.unwrap()["of"], "room.people");
    assert_eq!(layout.unwrap()["of"], "layout.set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_box_keeps_its_code_and_reason() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let (client, _heard) = Client::connect(host(broker.tcp())).await.unwrap();
    let script = async {
        let request = scripted.request().await;
        scripted
            .refuse(
                &request,
                RpcError::new(Reason::RoomFull, "All nine seats are taken."),
            )
            .await;
    };
    let (result, ()) = tokio::join!(client.call(people()), script);
    let error = result.unwrap_err();
    assert_eq!(
        error.rpc().map(|error| (error.code, error.reason())),
        Some((-32010, Reason::RoomFull))
    );
    assert!(
        error.to_string().contains("All nine seats are taken."),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_one_too_many_is_asked_again_when_the_box_takes_it() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let (client, _heard) = Client::connect(host(broker.tcp())).await.unwrap();
    let script = async {
        let first = scripted.request().await;
        let error = RpcError::new(Reason::RateLimited, "Too many requests.");
        let refused_at = std::time::Instant::now();
        scripted
            .refuse(&first, error.with("retry_after_ms", json!(30)))
            .await;
        let second = scripted.request().await;
        assert!(refused_at.elapsed().as_millis() >= 30, "asked too early");
        scripted.reply(&second, json!({"people": []})).await;
    };
    let (result, ()) = tokio::join!(client.call(people()), script);
    assert_eq!(result.unwrap(), json!({"people": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_offer_comes_through_and_notifications_carry_their_rev() {
    let broker = Broker::start();
    let scripted = ScriptedBox::start(&broker).await;
    let (_client, mut heard) = Client::connect(host(broker.websocket())).await.unwrap();
    let sdp = "a=x\r\n".repeat(10_000);
    let offer: Notification = serde_json::from_value(json!({"method": "media.offer", "params": {
        "session": "s", "sdp": sdp, "ice_servers": [], "video": {"width": 640, "height": 360, "max_fps": 30, "max_kbps": 900}}}))
    .unwrap();
    scripted
        .publish("dais/v1/dev/host/c1/down", &offer.encode(44))
        .await;
    let heard = next(&mut heard, |heard| {
        matches!(heard, Heard::Notification { .. })
    })
    .await;
    assert_eq!(
        heard,
        Heard::Notification {
            rev: 44,
            notification: offer
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_broker_restarts_the_client_is_back_with_its_subscriptions() {
    let mut broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let (client, mut heard) = Client::connect(host(broker.tcp())).await.unwrap();
    // What waits for an answer asks once more: the box knows by the id whether it has acted.
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call(people()).await }
    });
    let first = scripted.request().await;
    broker.restart();
    next(&mut heard, |heard| matches!(heard, Heard::Lost { .. })).await;
    next(&mut heard, |heard| *heard == Heard::Connected).await;
    let mut scripted = ScriptedBox::start(&broker).await;
    scripted
        .publish_retained("dais/v1/dev/room", &room(50))
        .await;
    next(
        &mut heard,
        |heard| matches!(heard, Heard::Room(room) if room.rev == 50),
    )
    .await;
    let again = scripted.request().await;
    assert_eq!(again.body, first.body);
    scripted.reply(&again, json!({"people": []})).await;
    let answer = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(answer.unwrap(), json!({"people": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_is_announced_by_its_will() {
    let broker = Broker::start();
    let mut scripted = ScriptedBox::start(&broker).await;
    let (client, _heard) = Client::connect(host(broker.tcp())).await.unwrap();
    drop(client);
    let gone = scripted.request().await;
    assert_eq!(
        (gone.topic.as_str(), gone.body),
        (
            "dais/v1/dev/host/c1/up",
            json!({"jsonrpc": "2.0", "method": "session.gone"})
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_with_a_connection_is_told() {
    let broker = Broker::start();
    let wrong = ClientConfig {
        password: Secret("wrong".into()),
        ..host(broker.tcp())
    };
    let error = Client::connect(wrong)
        .await
        .err()
        .expect("a wrong password was taken");
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("wrong password: wrong"));
    let nobody = Client::connect(host("mqtt://127.0.0.1:9".into()))
        .await
        .err()
        .expect("nobody listens there");
    assert!(
        nobody.to_string().contains("mqtt://127.0.0.1:9"),
        "{nobody}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_is_found_by_what_it_shows() {
    let broker = Broker::start();
    let _scripted = ScriptedBox::start(&broker).await;
    for url in [broker.tcp(), broker.websocket()] {
        let found = dais_cli::discover::find_box(&url, "host-c1", &Secret("right".into()), None)
            .await
            .unwrap();
        assert_eq!(&*found, "dev");
    }
}
