//! What the embedded broker adds to the contract: limits, take-overs, and an end that is whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{BOX, Book, Client, Dial, PATIENCE, Told, embedded, guest, host, password_of, topic};
use dais_broker::{Broker, BrokerError, EmbeddedBroker, EmbeddedConfig, Limits, start_embedded};
use dais_room::access::Identity;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn small(limits: Limits) -> (EmbeddedBroker, Arc<Book>) {
    let book = Arc::new(Book::default());
    for who in [
        Identity::the_box(),
        host("h1"),
        guest("ana"),
        guest("ben"),
        guest("eve"),
    ] {
        book.add(&who, &password_of(&who));
    }
    (
        embedded(&book, ([127, 0, 0, 1], 0).into(), limits).await,
        book,
    )
}

async fn dial(broker: &EmbeddedBroker, who: &Identity) -> Result<Client, ConnectReturnCode> {
    Dial::new(who).to(broker.endpoint()).connect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_brokers_in_one_process_share_nothing_and_stop_clean() {
    let (one, _) = small(Limits::default()).await;
    let (two, _) = small(Limits::default()).await;
    assert_ne!(one.local_addr(), two.local_addr());
    let mut boxes = [
        dial(&one, &Identity::the_box()).await.unwrap(),
        dial(&two, &Identity::the_box()).await.unwrap(),
    ];
    boxes[0].retain(&topic("room"), "of one").await;
    let mut h1 = dial(&two, &host("h1")).await.unwrap();
    h1.subscribe(&topic("room")).await;
    assert!(h1.hears_nothing().await);

    let port = one.local_addr().port();
    let began = Instant::now();
    one.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "stopping took {:?}",
        began.elapsed()
    );
    one.stop().await;
    assert!(
        TcpStream::connect(("127.0.0.1", port)).await.is_err(),
        "the port is still open"
    );
    let [gone, _] = boxes;
    gone.ended().await;
    assert!(matches!(
        one.revoke(&guest("ana")).await,
        Err(BrokerError::Stopped)
    ));
    assert!(h1.is_connected());
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_who_goes_is_told_in_that_order() {
    use Told::{Arrived, Departed};
    let (broker, book) = small(Limits::default()).await;
    let (ana, ben, eve) = (guest("ana"), guest("ben"), guest("eve"));
    let first = dial(&broker, &ana).await.unwrap();
    // Another page of hers: when the first one goes, she is still there.
    let other = |id: &'static str| Dial::new(&ana).to(broker.endpoint()).client_id(id);
    let second = other("second").connect().await.unwrap();
    first.disconnect().await;
    book.told(3).await;
    dial(&broker, &ben).await.unwrap().disconnect().await;
    let mut all = vec![
        Arrived(ana.clone()),
        Arrived(ana.clone()),
        Departed(ana.clone(), 1),
        Arrived(ben.clone()),
        Departed(ben, 0),
    ];
    assert_eq!(book.told(5).await, all);

    // A page that is loaded anew may be back before its old connection has ended: it has gone, and is there again.
    let reloaded = other("second").connect().await.unwrap();
    second.ended().await;
    all.extend([Departed(ana.clone(), 0), Arrived(ana.clone())]);
    assert_eq!(book.told(7).await, all);

    dial(&broker, &eve).await.unwrap().vanish().await;
    all.extend([Arrived(eve.clone()), Departed(eve, 0)]);
    assert_eq!(book.told(9).await, all);
    reloaded.disconnect().await;
    all.push(Departed(ana, 0));
    assert_eq!(book.told(10).await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_and_stopping_leaves_no_sockets_and_no_threads() {
    let count = |dir: &str| {
        std::fs::read_dir(format!("/proc/self/{dir}"))
            .unwrap()
            .count()
    };
    let round = || async {
        let (broker, _) = small(Limits::default()).await;
        let ana = dial(&broker, &guest("ana")).await.unwrap();
        broker.stop().await;
        ana.ended().await;
    };
    round().await;
    let before = (count("fd"), count("task"));
    for _ in 0..10 {
        round().await;
    }
    let after = (count("fd"), count("task"));
    assert!(
        after.0 <= before.0 + 2 && after.1 <= before.1 + 2,
        "fds and threads: {before:?} then {after:?}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let (broker, book) = small(Limits::default()).await;
    let config = EmbeddedConfig {
        bind: broker.local_addr(),
        box_id: BOX.to_owned(),
        limits: Limits::default(),
    };
    let e = start_embedded(config, book)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains(&broker.local_addr().to_string()) && e.contains("Choose another"),
        "{e}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_say_nothing_lose_their_place() {
    let limits = Limits {
        max_connections: 8,
        handshake_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let (broker, _) = small(limits).await;
    let mut silent = Vec::new();
    for n in 0..8 {
        let mut socket = TcpStream::connect(broker.local_addr()).await.unwrap();
        // Some say nothing, some begin and stop, some speak something else.
        let opening: &[u8] = [
            &b""[..],
            b"\x10",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05\x02\x00\x0a",
        ][n % 4];
        socket.write_all(opening).await.unwrap();
        silent.push(socket);
    }
    for mut socket in silent {
        let mut scrap = [0_u8; 64];
        let closed = timeout(PATIENCE, async {
            while !matches!(socket.read(&mut scrap).await, Ok(0) | Err(_)) {}
        })
        .await;
        assert!(closed.is_ok(), "a silent stranger keeps its place");
    }
    timeout(PATIENCE, async {
        loop {
            let mut answer = [0_u8; 1];
            if raw_connect(&broker, 5, 30)
                .await
                .read_exact(&mut answer)
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("no place became free");
    broker.stop().await;
}

/// Ana connects byte by byte, without a library that would keep to the rules.
async fn raw_connect(broker: &EmbeddedBroker, version: u8, keep_alive: u8) -> TcpStream {
    let mut socket = TcpStream::connect(broker.local_addr()).await.unwrap();
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([version, 0xc2, 0, keep_alive]);
    if version == 5 {
        body.push(0);
    }
    for text in ["raw", "guest-ana", &password_of(&guest("ana"))] {
        body.extend([0, u8::try_from(text.len()).unwrap()]);
        body.extend(text.bytes());
    }
    socket
        .write_all(&[&[0x10, u8::try_from(body.len()).unwrap()][..], &body].concat())
        .await
        .unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_3_is_refused() {
    let (broker, _) = small(Limits::default()).await;
    let mut socket = raw_connect(&broker, 4, 30).await;
    let mut answer = [0_u8; 4];
    timeout(PATIENCE, socket.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((answer[0], answer[3]), (0x20, 5), "CONNACK, not authorized");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_past_the_limit_are_refused() {
    let (broker, _) = small(Limits {
        max_sessions: 2,
        ..Limits::default()
    })
    .await;
    let _one = dial(&broker, &guest("ana")).await.unwrap();
    let _two = dial(&broker, &guest("ben")).await.unwrap();
    assert_eq!(
        dial(&broker, &guest("eve")).await.err(),
        Some(ConnectReturnCode::ServerUnavailable)
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_that_floods_slows_only_itself() {
    let (broker, _) = small(Limits::default()).await;
    let mut the_box = dial(&broker, &Identity::the_box()).await.unwrap();
    the_box.subscribe(&topic("guest/ben/up")).await;
    let eve = dial(&broker, &guest("eve")).await.unwrap();
    let flood = tokio::spawn(async move {
        loop {
            eve.fling(&topic("guest/eve/up"), vec![b'x'; 8000], QoS::AtMostOnce)
                .await;
        }
    });
    let mut ben = dial(&broker, &guest("ben")).await.unwrap();
    let began = Instant::now();
    for n in 0..100 {
        assert_eq!(
            ben.publish(&topic("guest/ben/up"), &n.to_string()).await,
            PubAckReason::Success
        );
        assert_eq!(the_box.next().await.1, n.to_string());
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "100 round trips took {:?}",
        began.elapsed()
    );
    flood.abort();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_messages_than_allowed_are_answered_with_quota_exceeded() {
    let (broker, _) = small(Limits {
        publishes_per_s: 5,
        ..Limits::default()
    })
    .await;
    let mut eve = dial(&broker, &guest("eve")).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(eve.publish(&topic("guest/eve/up"), "x").await);
    }
    assert_eq!(answers[..5], [PubAckReason::Success; 5]);
    assert!(
        answers.contains(&PubAckReason::QuotaExceeded),
        "{answers:?}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_over_the_limit_ends_that_connection_only() {
    let (broker, _) = small(Limits::default()).await;
    // The client library keeps to the limit in the CONNACK, so this is done by hand.
    let mut socket = raw_connect(&broker, 5, 30).await;
    let mut answer = [0_u8; 4];
    timeout(PATIENCE, socket.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((answer[0], answer[3]), (0x20, 0));
    let ben = dial(&broker, &guest("ben")).await.unwrap();
    // PUBLISH with 1 MiB announced.
    let _ = socket.write_all(b"\x30\x80\x80\x40").await;
    let chunk = vec![0_u8; 64 * 1024];
    let ended = timeout(PATIENCE, async {
        for _ in 0..32 {
            if socket.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let mut scrap = [0_u8; 512];
        while !matches!(socket.read(&mut scrap).await, Ok(0) | Err(_)) {}
    })
    .await;
    assert!(ended.is_ok(), "the connection should have ended");
    assert!(ben.is_connected());
    broker.stop().await;
}

/// A client that stops reading blocks its session in a write; it must be possible to throw it out all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_does_not_read_can_be_revoked() {
    let (broker, book) = small(Limits::default()).await;
    let mut the_box = dial(&broker, &Identity::the_box()).await.unwrap();
    let mut socket = raw_connect(&broker, 5, 30).await;
    let filter = topic("room");
    let len = u8::try_from(filter.len()).unwrap();
    let subscribe = [
        &[0x82, 6 + len, 0, 1, 0, 0, len][..],
        filter.as_bytes(),
        &[0],
    ]
    .concat();
    socket.write_all(&subscribe).await.unwrap();
    let mut answers = [0_u8; 64];
    let mut n = 0;
    while !answers[..n].windows(1).any(|w| w[0] == 0x90) {
        n += timeout(PATIENCE, socket.read(&mut answers[n..]))
            .await
            .unwrap()
            .unwrap();
    }
    // QoS 0, and more than all socket buffers on the way can hold, so that the session blocks in a write.
    for _ in 0..700 {
        the_box.publish(&topic("room"), &"x".repeat(60_000)).await;
    }
    book.remove(&guest("ana"));
    let began = Instant::now();
    broker.revoke(&guest("ana")).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        began.elapsed()
    );
    // What was under way may still come; then the end.
    let mut scrap = vec![0_u8; 64 * 1024];
    timeout(PATIENCE, async {
        while !matches!(socket.read(&mut scrap).await, Ok(0) | Err(_)) {}
    })
    .await
    .unwrap();
    no_more_sessions_than(1, &broker).await;
    broker.stop().await;
}

/// The library does not tell of a session's end, so it is asked until it is so.
async fn no_more_sessions_than(most: usize, broker: &EmbeddedBroker) {
    timeout(PATIENCE, async {
        while broker.session_count().await > most {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the session is still there");
}

/// Between the password check and the session's first packet there is a gap; a ban in it must hold. The guest is refused, is
/// let in and then kicked, or finds the connection closed without an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_revoked_while_connecting_does_not_stay() {
    let (broker, book) = small(Limits::default()).await;
    let ana = guest("ana");
    for _ in 0..50 {
        book.add(&ana, &password_of(&ana));
        let connecting = tokio::spawn(Dial::new(&ana).to(broker.endpoint()).dial());
        tokio::task::yield_now().await;
        book.remove(&ana);
        broker.revoke(&ana).await.unwrap();
        if let Ok(client) = connecting.await.unwrap() {
            client.ended().await;
        }
    }
    no_more_sessions_than(0, &broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_of_zero_is_replaced_by_the_brokers() {
    let (broker, _) = small(Limits::default()).await;
    let mut socket = raw_connect(&broker, 5, 0).await;
    let mut answer = vec![0_u8; 2];
    timeout(PATIENCE, socket.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let mut rest = vec![0_u8; usize::from(answer[1])];
    socket.read_exact(&mut rest).await.unwrap();
    // Property 0x13, Server Keep Alive: 60 s.
    assert!(rest.windows(3).any(|w| w == [0x13, 0, 60]), "{rest:?}");
    broker.stop().await;
}
