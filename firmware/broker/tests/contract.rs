//! What the control contract asks of a broker, on the embedded one and on a real mosquitto.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{BOX, Client, Dial, Kind, Rig, guest, host, topic};
use dais_room::access::{may_publish, may_subscribe};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Filter, PubAckReason, PublishProperties, SubscribeReasonCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    a_wrong_password_or_user_is_refused_at_connect,
    everybody_reads_what_the_table_says_and_no_more,
    a_publish_outside_the_own_up_is_refused_and_not_delivered,
    a_request_arrives_at_the_box_with_its_properties,
    a_client_that_vanishes_leaves_its_will_on_its_up,
    a_client_that_says_goodbye_leaves_no_will,
    a_goodbye_that_asks_for_the_will_leaves_it,
    a_will_on_somebody_elses_topic_never_comes,
    a_message_that_expired_while_its_reader_was_away_is_not_delivered,
    a_message_still_wanted_reaches_a_reader_who_comes_back,
    retained_snapshots_come_on_a_wildcard_subscription,
    what_a_client_retains_reaches_the_box_flagged_and_never_again,
    a_revoked_guest_is_cut_off_at_once_and_cannot_come_back,
    another_users_client_id_takes_nothing_over,
    the_same_user_takes_over_its_own_session,
    a_reloaded_page_can_reconnect_at_once,
    a_payload_of_64_kib_passes,
);

fn granted(code: SubscribeReasonCode) -> bool {
    matches!(code, SubscribeReasonCode::Success(_))
}

fn accepted(reason: PubAckReason) -> bool {
    matches!(
        reason,
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers
    )
}

async fn a_wrong_password_or_user_is_refused_at_connect(rig: Rig) {
    let ana = guest("ana");
    rig.grant(&ana).await;
    for dial in [
        Dial::new(&ana).password("wrong"),
        Dial::new(&guest("nobody")),
        Dial::new(&ana).password(""),
    ] {
        let code = dial
            .to(rig.endpoint())
            .connect()
            .await
            .err()
            .expect("refused");
        assert!(
            matches!(
                code,
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized
            ),
            "{code:?}"
        );
    }
}

async fn everybody_reads_what_the_table_says_and_no_more(rig: Rig) {
    let (h1, g1) = (host("h1"), guest("g1"));
    rig.grant(&host("h2")).await;
    let mut the_box = rig.the_box().await;
    for who in [&h1, &g1] {
        rig.grant(who).await;
        for rest in [
            "online",
            "room",
            "pending",
            "outputs",
            "health",
            "meters",
            "host/events",
            "host/h1/up",
            "host/h1/down",
            "host/h1/down/r",
            "host/h2/up",
            "host/h2/down",
            "guest/g1/up",
            "guest/g1/down",
            "guest/g1/down/r",
            "guest/g2/up",
            "guest/g2/down",
            "nothing",
            "+",
            "#",
            "host/+",
            "host/#",
            "guest/+/down",
            "+/+/down",
            "room/#",
        ] {
            let mut client = Dial::new(who).to(rig.endpoint()).connect().await.unwrap();
            let filter = topic(rest);
            let allowed = may_subscribe(who, BOX, &filter);
            let code = client.subscribe(&filter).await;
            let wildcard = rest.contains(['+', '#']);
            if allowed && !(wildcard && rig.kind.may_refuse_readable_wildcards()) {
                assert!(granted(code), "{who} reads {rest}: {code:?}");
            } else if !allowed && !rig.kind.may_grant_and_filter() {
                assert_eq!(
                    code,
                    SubscribeReasonCode::NotAuthorized,
                    "{who} must not read {rest}"
                );
            } else if !allowed && granted(code) {
                // A foreign broker may say yes if it delivers nothing that this client may not read.
                for secret in ["pending", "host/h2/down", "guest/g2/down", "host/events"] {
                    if !may_subscribe(who, BOX, &topic(secret)) {
                        the_box.publish(&topic(secret), "secret").await;
                    }
                }
                assert!(
                    client.hears_nothing().await,
                    "{who} heard secrets on {rest}"
                );
            }
        }
    }
    // Beyond the box, and the broker's own topics.
    let mut client = Dial::new(&h1).to(rig.endpoint()).connect().await.unwrap();
    for filter in [
        "#",
        "dais/v1/other/online",
        "$share/g/dais/v1/studio-a/pending",
        "$SYS/#",
        "$CONTROL/#",
    ] {
        let code = client.subscribe(filter).await;
        if rig.kind == Kind::Embedded {
            assert_eq!(code, SubscribeReasonCode::NotAuthorized, "{filter}");
        } else if granted(code) {
            assert!(client.hears_nothing().await, "{filter}");
        }
    }
}

async fn a_publish_outside_the_own_up_is_refused_and_not_delivered(rig: Rig) {
    let (h1, g1) = (host("h1"), guest("g1"));
    let mut the_box = rig.the_box().await;
    for filter in ["online", "room", "host/+/up", "guest/+/up"] {
        assert!(granted(the_box.subscribe(&topic(filter)).await));
    }
    for who in [&h1, &g1] {
        let mut client = rig.join(who).await;
        for rest in [
            "online",
            "room",
            "pending",
            "meters",
            "host/events",
            "host/h1/up",
            "host/h2/up",
            "host/h1/down",
            "guest/g1/up",
            "guest/g2/up",
            "guest/g1/down",
            "guest/h1/up",
            "host/g1/up",
            "nothing",
            "host/h1/up/x",
        ] {
            if may_publish(who, BOX, &topic(rest)) {
                continue;
            }
            assert_eq!(
                client.publish(&topic(rest), "spoof").await,
                PubAckReason::NotAuthorized,
                "{who} to {rest}"
            );
        }
        // The connection has survived all of that, and the box heard nothing before this.
        let up = who.up_topic(BOX).unwrap();
        assert_eq!(client.publish(&up, "mine").await, PubAckReason::Success);
        assert_eq!(the_box.next().await, (up, "mine".to_owned()));
    }
}

async fn a_request_arrives_at_the_box_with_its_properties(rig: Rig) {
    let mut the_box = rig.the_box().await;
    the_box.subscribe(&topic("guest/+/up")).await;
    let mut ana = rig.join(&guest("ana")).await;
    let properties = PublishProperties {
        message_expiry_interval: Some(60),
        response_topic: Some(topic("guest/ana/down/r")),
        correlation_data: Some("7".into()),
        ..PublishProperties::default()
    };
    ana.send(&topic("guest/ana/up"), "{}", false, properties)
        .await;
    let p = the_box.next_message().await.properties.unwrap();
    assert!((1..=60).contains(&p.message_expiry_interval.unwrap()));
    assert_eq!(p.response_topic, Some(topic("guest/ana/down/r")));
    assert_eq!(p.correlation_data.unwrap(), "7");
    // And back, below the own `down`.
    ana.subscribe(&topic("guest/ana/down/#")).await;
    the_box.publish(&topic("guest/ana/down/r"), "reply").await;
    assert_eq!(
        ana.next().await,
        (topic("guest/ana/down/r"), "reply".to_owned())
    );
}

async fn with_will(rig: &Rig, id: &str) -> Client {
    let who = guest(id);
    rig.grant(&who).await;
    Dial::new(&who)
        .to(rig.endpoint())
        .will(&who.up_topic(BOX).unwrap(), "session.gone")
        .connect()
        .await
        .unwrap()
}

async fn a_client_that_vanishes_leaves_its_will_on_its_up(rig: Rig) {
    let mut the_box = rig.the_box().await;
    the_box.subscribe(&topic("guest/+/up")).await;
    with_will(&rig, "ana").await.vanish().await;
    assert_eq!(
        the_box.next().await,
        (topic("guest/ana/up"), "session.gone".to_owned())
    );
}

async fn a_client_that_says_goodbye_leaves_no_will(rig: Rig) {
    let mut the_box = rig.the_box().await;
    the_box.subscribe(&topic("guest/+/up")).await;
    with_will(&rig, "ana").await.disconnect().await;
    assert!(the_box.hears_nothing().await);
}

async fn a_goodbye_that_asks_for_the_will_leaves_it(rig: Rig) {
    let mut the_box = rig.the_box().await;
    the_box.subscribe(&topic("guest/+/up")).await;
    let ana = guest("ana");
    rig.grant(&ana).await;
    // By hand, because the client library can't say this.
    let mut connect = b"\x00\x04MQTT\x05\xc6\x00\x1e\x00\x00\x03raw\x00".to_vec();
    for text in [
        &ana.up_topic(BOX).unwrap(),
        "session.gone",
        &ana.username(),
        &common::password_of(&ana),
    ] {
        connect.extend([0, u8::try_from(text.len()).unwrap()]);
        connect.extend(text.bytes());
    }
    let mut socket = rig.endpoint().connect().await.unwrap();
    socket
        .write_all(&[&[0x10, u8::try_from(connect.len()).unwrap()][..], &connect].concat())
        .await
        .unwrap();
    let mut connack = [0_u8; 4];
    socket.read_exact(&mut connack).await.unwrap();
    assert_eq!((connack[0], connack[3]), (0x20, 0));
    socket.write_all(&[0xe0, 2, 4, 0]).await.unwrap();
    socket.shutdown().await.unwrap();
    drop(socket);
    assert_eq!(
        the_box.next().await,
        (topic("guest/ana/up"), "session.gone".to_owned())
    );
}

async fn a_will_on_somebody_elses_topic_never_comes(rig: Rig) {
    let mut the_box = rig.the_box().await;
    for filter in ["online", "guest/+/up"] {
        the_box.subscribe(&topic(filter)).await;
    }
    let eve = guest("eve");
    rig.grant(&eve).await;
    for spoofed in ["online", "guest/ana/up"] {
        let dialled = Dial::new(&eve)
            .to(rig.endpoint())
            .will(&topic(spoofed), "spoof")
            .connect()
            .await;
        match dialled {
            Err(code) => assert_eq!(code, ConnectReturnCode::NotAuthorized),
            Ok(client) => {
                assert!(rig.kind.may_accept_foreign_wills());
                client.vanish().await;
            }
        }
    }
    assert!(the_box.hears_nothing().await);
}

/// A guest who subscribed, and whose session outlives the connection.
async fn away(rig: &Rig) -> Dial {
    let ana = guest("ana");
    rig.grant(&ana).await;
    let mut client = Dial::new(&ana)
        .to(rig.endpoint())
        .resume(100)
        .connect()
        .await
        .unwrap();
    client.subscribe(&topic("guest/ana/down")).await;
    client.vanish().await;
    Dial::new(&ana).to(rig.endpoint()).resume(100)
}

async fn a_message_that_expired_while_its_reader_was_away_is_not_delivered(rig: Rig) {
    let mut the_box = rig.the_box().await;
    let ana = away(&rig).await;
    let soon = PublishProperties {
        message_expiry_interval: Some(1),
        ..PublishProperties::default()
    };
    the_box
        .send(&topic("guest/ana/down"), "late", false, soon)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let mut ana = ana.connect().await.unwrap();
    assert!(ana.hears_nothing().await);
}

async fn a_message_still_wanted_reaches_a_reader_who_comes_back(rig: Rig) {
    let mut the_box = rig.the_box().await;
    let ana = away(&rig).await;
    let long = PublishProperties {
        message_expiry_interval: Some(100),
        ..PublishProperties::default()
    };
    the_box
        .send(&topic("guest/ana/down"), "kept", false, long)
        .await;
    let mut ana = ana.connect().await.unwrap();
    assert_eq!(ana.next().await.1, "kept");
}

async fn retained_snapshots_come_on_a_wildcard_subscription(rig: Rig) {
    let mut the_box = rig.the_box().await;
    the_box.retain(&topic("room"), "old").await;
    the_box.retain(&topic("room"), "new").await;
    the_box.retain(&topic("online"), "yes").await;
    the_box.retain(&topic("pending"), "gone").await;
    the_box.retain(&topic("pending"), "").await;
    let mut h1 = rig.join(&host("h1")).await;
    assert!(granted(h1.subscribe(&topic("+")).await));
    let heard = [h1.next_message().await, h1.next_message().await];
    assert!(
        heard.iter().all(|m| m.retain),
        "the flag says that it is a snapshot"
    );
    let mut heard = heard.map(|m| common::client::text(&m.payload));
    heard.sort();
    assert_eq!(heard, ["new", "yes"]);
    assert!(
        h1.hears_nothing().await,
        "an older or a cleared snapshot came"
    );
}

async fn what_a_client_retains_reaches_the_box_flagged_and_never_again(rig: Rig) {
    let as_the_link_does = || {
        let mut filter = Filter::new(topic("guest/+/up"), QoS::AtLeastOnce);
        filter.preserve_retain = true;
        filter.retain_forward_rule = rumqttc::v5::mqttbytes::v5::RetainForwardRule::Never;
        filter
    };
    let mut the_box = rig.the_box().await;
    the_box.subscribe_to(as_the_link_does()).await;
    let mut ana = rig.join(&guest("ana")).await;
    ana.retain(&topic("guest/ana/up"), "now and for ever").await;
    assert!(
        the_box.next_message().await.retain,
        "the box must see that it was retained, to refuse it"
    );
    the_box.disconnect().await;
    let mut the_box = rig.the_box().await;
    the_box.subscribe_to(as_the_link_does()).await;
    assert!(the_box.hears_nothing().await);
    if !rig.kind.may_store_clients_retained() {
        the_box.subscribe(&topic("guest/ana/up")).await;
        assert!(the_box.hears_nothing().await);
    }
}

async fn a_revoked_guest_is_cut_off_at_once_and_cannot_come_back(rig: Rig) {
    let (ana, ben) = (guest("ana"), guest("ben"));
    let (mut on_phone, mut other) = (rig.join(&ana).await, rig.join(&ben).await);
    let on_tablet = Dial::new(&ana)
        .to(rig.endpoint())
        .client_id("tablet")
        .resume(100)
        .connect()
        .await
        .unwrap();
    on_phone.subscribe(&topic("room")).await;
    rig.revoke(&ana).await;
    on_phone.ended().await;
    on_tablet.ended().await;
    let code = Dial::new(&ana)
        .to(rig.endpoint())
        .connect()
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(
            code,
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized
        ),
        "{code:?}"
    );
    assert!(other.is_connected());
    assert!(accepted(
        other.publish(&topic("guest/ben/up"), "still here").await
    ));
    // Revoking somebody who is gone is no error, and a new credential works.
    rig.revoke(&ana).await;
    rig.join(&ana).await;
}

async fn another_users_client_id_takes_nothing_over(rig: Rig) {
    let (h1, eve) = (host("h1"), guest("eve"));
    rig.grant(&eve).await;
    let mut victim = rig.join(&h1).await;
    assert!(granted(victim.subscribe(&topic("host/events")).await));
    let stolen = Dial::new(&eve)
        .to(rig.endpoint())
        .client_id("phone of host-h1")
        .resume(100)
        .connect()
        .await;
    let mut the_box = rig.the_box().await;
    the_box.publish(&topic("host/events"), "for hosts").await;
    if let Ok(mut eve) = stolen {
        assert_eq!(rig.kind, Kind::Mosquitto, "the embedded broker must refuse");
        assert!(
            eve.hears_nothing().await,
            "the host's subscription was inherited"
        );
    } else {
        assert_eq!(victim.next().await.1, "for hosts");
    }
}

async fn the_same_user_takes_over_its_own_session(rig: Rig) {
    let ana = guest("ana");
    rig.grant(&ana).await;
    let dial = || Dial::new(&ana).to(rig.endpoint()).resume(100);
    let mut old = dial().connect().await.unwrap();
    old.subscribe(&topic("guest/ana/down")).await;
    let mut new = dial().connect().await.unwrap();
    old.ended().await;
    let mut the_box = rig.the_box().await;
    the_box
        .publish(&topic("guest/ana/down"), "hello again")
        .await;
    assert_eq!(new.next().await.1, "hello again");
    // And again: the take-over must have left the client id to the newer session.
    let _third = dial().connect().await.unwrap();
    new.ended().await;
    let eve = guest("eve");
    rig.grant(&eve).await;
    let stolen = Dial::new(&eve)
        .to(rig.endpoint())
        .client_id("phone of guest-ana")
        .connect()
        .await;
    assert!(stolen.is_err() || rig.kind == Kind::Mosquitto);
}

async fn a_reloaded_page_can_reconnect_at_once(rig: Rig) {
    let ana = guest("ana");
    rig.grant(&ana).await;
    for round in 0..300 {
        let client = Dial::new(&ana).to(rig.endpoint()).connect().await;
        let client = client.unwrap_or_else(|code| panic!("round {round}: {code:?}"));
        if round % 2 == 0 {
            client.vanish().await
        } else {
            drop(client)
        }
    }
}

async fn a_payload_of_64_kib_passes(rig: Rig) {
    let mut the_box = rig.the_box().await;
    let mut h1 = rig.join(&host("h1")).await;
    h1.subscribe(&topic("room")).await;
    let payload = "x".repeat(64 * 1024);
    assert_eq!(
        the_box.publish(&topic("room"), &payload).await,
        PubAckReason::Success
    );
    assert_eq!(h1.next().await.1.len(), payload.len());
}
