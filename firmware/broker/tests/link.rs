//! The box's own client, against both brokers, through their deaths.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{BOX, Dial, Kind, PATIENCE, Rig, guest, host, topic};
use dais_broker::{Endpoint, Incoming, Link, LinkConfig, Publish, Qos, Request};
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

macro_rules! on_both_brokers {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::Rig::start(super::Kind::Embedded).await).await; })*
        }
        mod mosquitto {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::Rig::start(super::Kind::Mosquitto).await).await; })*
        }
    };
}

on_both_brokers!(
    requests_come_in_and_replies_go_out,
    online_is_true_while_the_box_is_there_and_false_after_it_stops,
    online_turns_false_when_the_box_dies,
    after_the_broker_was_killed_requests_come_again_and_snapshots_are_back,
    a_storm_of_meters_costs_no_reply,
);

async fn next(incoming: &mut Receiver<Incoming>) -> Incoming {
    timeout(PATIENCE, incoming.recv())
        .await
        .expect("nothing came in")
        .expect("the link ended")
}

async fn connected(incoming: &mut Receiver<Incoming>) {
    while next(incoming).await != Incoming::Connected {}
}

async fn request(incoming: &mut Receiver<Incoming>) -> Request {
    loop {
        if let Incoming::Request(request) = next(incoming).await {
            return request;
        }
    }
}

fn message(rest: &str, payload: &str, qos: Qos, retain: bool) -> Publish {
    Publish {
        topic: topic(rest),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain,
        expiry_s: None,
        correlation_data: None,
    }
}

async fn requests_come_in_and_replies_go_out(rig: Rig) {
    let (link, mut incoming) = Link::start(rig.link_config());
    connected(&mut incoming).await;
    let mut ana = rig.join(&guest("ana")).await;
    ana.subscribe(&topic("guest/ana/down/#")).await;
    let properties = PublishProperties {
        message_expiry_interval: Some(30),
        response_topic: Some(topic("guest/ana/down/r")),
        correlation_data: Some(Bytes::from_static(b"c7")),
        ..PublishProperties::default()
    };
    ana.send(&topic("guest/ana/up"), "{\"id\":\"1\"}", true, properties)
        .await;
    let got = request(&mut incoming).await;
    assert_eq!(got.from, guest("ana"));
    assert_eq!(got.payload, "{\"id\":\"1\"}");
    assert!(got.retain && !got.is_expired() && got.expires_at.is_some());
    assert_eq!(got.response_topic, Some(topic("guest/ana/down/r")));
    link.publish(Publish {
        correlation_data: got.correlation_data,
        expiry_s: Some(20),
        ..message("guest/ana/down/r", "reply", Qos::AtLeastOnce, false)
    });
    let reply = ana.next_message().await;
    let properties = reply.properties.unwrap();
    assert_eq!(reply.payload, "reply");
    assert_eq!(properties.correlation_data.unwrap(), "c7");
    assert_eq!(properties.payload_format_indicator, Some(1));
    assert_eq!(properties.content_type.unwrap(), "application/json");
    assert!((1..=20).contains(&properties.message_expiry_interval.unwrap()));
    link.stop().await;
}

async fn online_is_true_while_the_box_is_there_and_false_after_it_stops(rig: Rig) {
    let (link, mut incoming) = Link::start(rig.link_config());
    connected(&mut incoming).await;
    let mut h1 = rig.join(&host("h1")).await;
    h1.subscribe(&topic("online")).await;
    assert_eq!(h1.next().await.1, r#"{"online":true}"#);
    link.publish(message("room", "the last word", Qos::AtLeastOnce, true));
    let began = Instant::now();
    link.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "stopping an idle link took {:?}",
        began.elapsed()
    );
    assert_eq!(h1.next().await.1, r#"{"online":false}"#);
    // Retained, for whoever comes later; and nothing that was published before the stop is lost.
    let mut h2 = rig.join(&host("h2")).await;
    h2.subscribe(&topic("online")).await;
    assert_eq!(h2.next().await.1, r#"{"online":false}"#);
    h2.subscribe(&topic("room")).await;
    assert_eq!(h2.next().await.1, "the last word");
}

async fn online_turns_false_when_the_box_dies(rig: Rig) {
    let (link, mut incoming) = Link::start(rig.link_config());
    connected(&mut incoming).await;
    let mut h1 = rig.join(&host("h1")).await;
    h1.subscribe(&topic("online")).await;
    assert_eq!(h1.next().await.1, r#"{"online":true}"#);
    // Nobody takes what arrives, and the handle is gone: the tasks end with the runtime they are on.
    let dying = std::thread::spawn({
        let config = rig.link_config();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (_link, mut incoming) = Link::start(config);
                connected(&mut incoming).await;
            });
        }
    });
    dying.join().unwrap();
    // The second link has taken the first one's place, and died: false comes, and then true of the first again.
    while h1.next().await.1 != r#"{"online":false}"# {}
    link.stop().await;
}

async fn after_the_broker_was_killed_requests_come_again_and_snapshots_are_back(mut rig: Rig) {
    let (link, mut incoming) = Link::start(rig.link_config());
    connected(&mut incoming).await;
    link.publish(message("room", "1", Qos::AtLeastOnce, true));
    link.publish(message("pending", "1", Qos::AtLeastOnce, true));
    link.publish(message("room", "2", Qos::AtLeastOnce, true));
    let h1 = host("h1");
    let mut console = rig.join(&h1).await;
    console.subscribe(&topic("room")).await;
    while console.next().await.1 != "2" {}

    rig.kill_and_restart().await;
    console.ended().await;
    link.publish(message("room", "3", Qos::AtLeastOnce, true));
    connected(&mut incoming).await;
    let mut console = Dial::new(&h1).to(rig.endpoint()).connect().await.unwrap();
    console.subscribe(&topic("+")).await;
    let mut seen = std::collections::BTreeMap::new();
    while seen.get("room").map(String::as_str) != Some("3") || seen.len() < 3 {
        let (t, payload) = console.next().await;
        seen.insert(t.rsplit('/').next().unwrap().to_owned(), payload);
    }
    assert_eq!(seen["pending"], "1");
    assert_eq!(seen["online"], r#"{"online":true}"#);
    console
        .publish(&h1.up_topic(BOX).unwrap(), "still heard")
        .await;
    assert_eq!(request(&mut incoming).await.payload, "still heard");
    assert!(link.counters().connects >= 2);
    link.stop().await;
}

async fn a_storm_of_meters_costs_no_reply(rig: Rig) {
    let (link, mut incoming) = Link::start(rig.link_config());
    connected(&mut incoming).await;
    let mut ana = rig.join(&guest("ana")).await;
    ana.subscribe(&topic("guest/ana/down")).await;
    for n in 0..500 {
        for _ in 0..20 {
            link.publish(message("meters", &"m".repeat(500), Qos::AtMostOnce, false));
        }
        link.publish(message(
            "guest/ana/down",
            &n.to_string(),
            Qos::AtLeastOnce,
            false,
        ));
    }
    for n in 0..500 {
        assert_eq!(
            ana.next().await.1,
            n.to_string(),
            "replies come all, and in order"
        );
    }
    assert_eq!(link.counters().dropped_qos1, 0);
    link.stop().await;
}

/// A server that takes connections and never answers, or answers with rubbish.
async fn bad_server(answer: Option<&'static [u8]>) -> (Endpoint, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            if let Some(answer) = answer {
                let mut scrap = [0_u8; 256];
                let _ = socket.read(&mut scrap).await;
                let _ = socket.write_all(answer).await;
            }
            held.push(socket);
        }
    });
    (endpoint, task)
}

fn link_to(endpoint: Endpoint) -> LinkConfig {
    LinkConfig {
        endpoint,
        username: "box".to_owned(),
        password: "p".to_owned(),
        box_id: BOX.to_owned(),
        will_payload: Bytes::from_static(b"0"),
        birth_payload: Bytes::from_static(b"1"),
    }
}

#[tokio::test]
async fn a_server_that_talks_rubbish_is_reported_and_tried_again() {
    // Another protocol; a CONNACK and then a PUBACK that nobody asked for; a refusal.
    for (answer, times) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], 1),
        (b"\x20\x03\x00\x00\x00\x40\x02\x00\x07", 3),
        (b"\x20\x03\x00\x87\x00", 3),
    ] {
        let (endpoint, server) = bad_server(Some(answer)).await;
        let (link, mut incoming) = Link::start(link_to(endpoint));
        for _ in 0..times {
            assert!(
                matches!(next(&mut incoming).await, Incoming::Disconnected { why } if !why.is_empty())
            );
        }
        let began = Instant::now();
        link.stop().await;
        assert!(began.elapsed() < Duration::from_secs(2));
        server.abort();
    }
}

#[tokio::test]
async fn a_link_that_never_connected_stops_at_once() {
    let (endpoint, server) = bad_server(None).await;
    let (link, _incoming) = Link::start(link_to(endpoint));
    link.publish(message("room", "1", Qos::AtLeastOnce, true));
    let began = Instant::now();
    link.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        began.elapsed()
    );
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_never_acknowledges_does_not_end_the_link_for_ever() {
    let rig = Rig::start(Kind::Embedded).await;
    let (through, proxy) = proxy_that_drops_pubacks(rig.endpoint()).await;
    let (link, mut incoming) = Link::start(LinkConfig {
        endpoint: through,
        ..rig.link_config()
    });
    connected(&mut incoming).await;
    for n in 0..200 {
        link.publish(message(
            "guest/ana/down",
            &n.to_string(),
            Qos::AtLeastOnce,
            false,
        ));
    }
    // Without acknowledgements it comes to a stand; when the connection ends, a fresh one carries on.
    proxy.abort();
    let why = loop {
        if let Incoming::Disconnected { why } = next(&mut incoming).await {
            break why;
        }
    };
    assert!(!why.is_empty());
    link.stop().await;
}

async fn proxy_that_drops_pubacks(to: Endpoint) -> (Endpoint, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut broker = to.connect().await.unwrap();
            let mut acknowledgements = 0;
            let (mut up, mut down) = ([0_u8; 4096], [0_u8; 4096]);
            loop {
                tokio::select! {
                    n = client.read(&mut up) => match n {
                        Ok(n) if n > 0 => broker.write_all(&up[..n]).await.unwrap(),
                        _ => break,
                    },
                    n = broker.read(&mut down) => match n {
                        Ok(n) if n > 0 => {
                            // The CONNACK and the SUBACK pass; what comes after is lost.
                            acknowledgements += 1;
                            if acknowledgements <= 2 {
                                client.write_all(&down[..n]).await.unwrap();
                            }
                        }
                        _ => break,
                    },
                }
            }
        }
    });
    (endpoint, task)
}
