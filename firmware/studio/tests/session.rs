//! Sessions against real peers over loopback, each peer a process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod common;
mod session_peer;

use std::time::{Duration, Instant};

use dais_studio::MediaError;
use dais_studio::api::{Event, IceCandidate, OutputState, SessionKind, SessionSpec};
use serde_json::{Value, json};
use session_peer::bench::{GUEST, PATIENCE, start, start_with};
use session_peer::{Codec, PeerProcess, Setup};

#[test]
#[ignore = "the other side of the tests below, which start it"]
fn peer_process() {
    session_peer::run();
}

async fn both_ways(codec: Codec) {
    let mut b = start();
    let started = Instant::now();
    let mut peer = b
        .join(
            "s1",
            GUEST,
            &Setup {
                codec,
                ..Setup::default()
            },
        )
        .await;
    let alive = started.elapsed();
    b.carry("s1", &mut peer, |seen| {
        seen.is_err_and(|m| m["pictures"].as_u64() > Some(20) && m["sounds"].as_u64() > Some(20))
    })
    .await;
    let health = b.health("s1");
    println!(
        "{codec:?}: open to first decoded picture (process start included) {alive:?}; {health:#}"
    );
    for counted in ["frames_decoded", "sound_packets"] {
        b.until_counted("s1", &mut peer, (counted, 5), started)
            .await;
    }
    let health = b.health("s1");
    assert_eq!(
        (&health["width"], &health["height"]),
        (&json!(320), &json!(240))
    );
    b.studio.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_with_h264_is_decoded_and_gets_the_return() {
    both_ways(Codec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_with_vp8_is_decoded_and_gets_the_return() {
    both_ways(Codec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_fragments_never_end_takes_nobody_down() {
    let mut b = start();
    let setup = Setup {
        endless: true,
        ..Setup::default()
    };
    let offer = b.offer("s1", GUEST).await;
    let mut peer = PeerProcess::start(&setup, &offer);
    let started = Instant::now();
    while b.health("s1")["sound_packets"].as_u64() < Some(100) {
        assert!(started.elapsed() < PATIENCE, "{:#}", b.health("s1"));
        b.carry("s1", &mut peer, |seen| seen.is_err()).await;
    }
    let mut other = b.join("s2", GUEST, &Setup::default()).await;
    b.carry("s2", &mut other, |seen| {
        seen.is_err_and(|m| m["pictures"].as_u64() > Some(5))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_without_camera_is_alive_by_sound_and_sees_the_programme() {
    let mut b = start();
    let mut peer = b
        .join(
            "s1",
            SessionKind::Guest { camera: false },
            &Setup::default(),
        )
        .await;
    b.carry("s1", &mut peer, |seen| {
        seen.is_err_and(|m| m["pictures"].as_u64() > Some(5))
    })
    .await;
    let health = b.health("s1");
    assert_eq!(health["frames_decoded"], 0, "{health:#}");
    assert!(health["sound_packets"].as_u64() > Some(0), "{health:#}");
}

/// After a reload, or when an invitation is accepted without: the camera was promised, and its guest keeps it off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_camera_is_off_is_alive_by_sound() {
    let camera = SessionKind::Guest { camera: true };
    let mut b = start();
    let dark = Setup {
        dark: true,
        ..Setup::default()
    };
    let offer = b.offer("s1", camera.clone()).await;
    let mut peer = PeerProcess::start(&dark, &offer);
    // The picture that was promised may still be on its way.
    let begun = Instant::now();
    while b.health("s1")["sound_packets"].as_u64() < Some(50) {
        assert!(begun.elapsed() < PATIENCE, "{:#}", b.health("s1"));
        b.carry("s1", &mut peer, |seen| {
            assert!(!matches!(seen, Ok(Event::Alive { .. })), "{seen:?}");
            seen.is_err()
        })
        .await;
    }
    b.studio.set_own_mutes("s1", false, true);
    b.carry("s1", &mut peer, |seen| {
        matches!(seen, Ok(Event::Alive { .. }))
    })
    .await;
    let voice_only = Setup {
        voice_only: true,
        ..Setup::default()
    };
    let _second = b.join("s2", camera, &voice_only).await;
    assert_eq!(b.health("s2")["frames_decoded"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_and_hears_the_programme_and_sends_nothing() {
    let mut b = start();
    let mut peer = b.join("w1", SessionKind::Watch, &Setup::default()).await;
    b.carry("w1", &mut peer, |seen| {
        assert!(
            !matches!(seen, Ok(Event::Alive { .. } | Event::Lost { .. })),
            "{seen:?}"
        );
        seen.is_err_and(|m| m["pictures"].as_u64() > Some(5) && m["sounds"].as_u64() > Some(5))
    })
    .await;
    let health = b.health("w1");
    assert_eq!(
        (&health["frames_decoded"], &health["sound_packets"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_past_the_limit_are_refused_and_guests_are_not() {
    let mut b = start_with(|config| config.sessions.max_watchers = 1);
    b.offer("w1", SessionKind::Watch).await;
    let second = b.studio.open(SessionSpec {
        session: "w2".into(),
        kind: SessionKind::Watch,
    });
    assert!(second.unwrap_err().to_string().contains("1 watchers"));
    b.offer("s1", GUEST).await;
    b.studio.close("w1");
    b.offer("w2", SessionKind::Watch).await;
}

fn view(of: &str) -> SessionKind {
    SessionKind::View { of: of.into() }
}

async fn is_viewed_with(codec: Codec) {
    let mut b = start();
    let _guest = b.join("s1", GUEST, &Setup::default()).await;
    let setup = Setup {
        codec,
        ..Setup::default()
    };
    let mut console = b.join("v1", view("s1"), &setup).await;
    // The guest sends a white ball on black and a tone of -10 dB; the programme's host is a test picture, and silent.
    let seen = |m: &Value| (m["brightest"].as_u64(), m["loudest"].as_u64());
    b.carry("v1", &mut console, |m| {
        m.is_err_and(|m| seen(m).0 > Some(180) && seen(m).1 > Some(5_000))
    })
    .await;
    // What the guest mutes is muted here as well, and comes back.
    b.studio.set_own_mutes("s1", true, true);
    b.carry("v1", &mut console, |m| {
        m.is_err_and(|m| seen(m).0 < Some(30) && seen(m).1 < Some(100))
    })
    .await;
    b.studio.set_own_mutes("s1", false, false);
    b.carry("v1", &mut console, |m| {
        m.is_err_and(|m| seen(m).0 > Some(180) && seen(m).1 > Some(5_000))
    })
    .await;
    assert_eq!(b.health("v1")["kind"], "view");
    b.studio.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_seen_and_heard_alone_by_h264() {
    is_viewed_with(Codec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_seen_and_heard_alone_by_vp8() {
    is_viewed_with(Codec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_views_are_few_and_need_a_guest() {
    let mut b = start();
    b.offer("s1", GUEST).await;
    let open = |b: &session_peer::bench::Bench, id: &str, of: &str| {
        b.studio.open(SessionSpec {
            session: id.into(),
            kind: view(of),
        })
    };
    assert!(open(&b, "v0", "nobody").is_err());
    for id in ["v1", "v2", "v3", "v4"] {
        b.offer(id, view("s1")).await;
    }
    let fifth = open(&b, "v5", "s1").unwrap_err().to_string();
    assert!(fifth.contains("4 private views"), "{fifth}");
    b.studio.close("v1");
    b.offer("v5", view("s1")).await;
    // The audience is counted by itself.
    b.offer("w1", SessionKind::Watch).await;
}

async fn answer_of(peer: &mut PeerProcess) -> String {
    loop {
        let message = tokio::time::timeout(PATIENCE, peer.0.messages.recv())
            .await
            .unwrap()
            .expect("the peer lives");
        if let Some(answer) = message["answer"].as_str() {
            return answer.to_owned();
        }
    }
}

fn what_is_bad(result: Result<(), MediaError>) -> String {
    match result {
        Err(MediaError::Bad { what }) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_answers_are_refused_and_the_good_one_after_them_is_taken() {
    let mut b = start();
    let offer = b.offer("s1", GUEST).await;
    let mut peer = PeerProcess::start(&Setup::default(), &offer);
    let good = answer_of(&mut peer).await;
    for bad in [
        String::new(),
        "v=0".into(),
        "\0".into(),
        "x".repeat(70_000),
        offer.clone(),
        good.replace("a=fingerprint", "a=x"),
        good.replace("SAVPF 96", "SAVPF 96 98"),
        good.replace("m=video 9", "m=video 0"),
        good.replace("a=mid:video1", "a=mid:audio0"),
        good.replace("a=setup:active", "a=setup:actpass"),
        good.replace("H264/90000", "H265/90000"),
        good[..good.len() / 2].to_owned(),
    ] {
        let what = what_is_bad(b.studio.answer("s1", &bad).await);
        assert!(what.len() > 10, "{what}");
    }
    let candidate = |text: &str| {
        Some(IceCandidate {
            candidate: text.into(),
            sdp_mid: Some("audio0".into()),
            sdp_m_line_index: Some(0),
        })
    };
    what_is_bad(
        b.studio
            .candidate("s1", candidate("candidate:nonsense"))
            .await,
    );
    b.studio.candidate("s1", None).await.unwrap();
    b.studio.answer("s1", &good).await.unwrap();
    assert!(what_is_bad(b.studio.answer("s1", &good).await).contains("already"));
    b.carry(
        "s1",
        &mut peer,
        |seen| matches!(seen, Ok(Event::Alive { session }) if session == "s1"),
    )
    .await;
    for port in 0..80 {
        let text = format!("candidate:1 1 udp 1 127.0.0.1 {} typ host", 20_000 + port);
        if let Err(error) = b.studio.candidate("s1", candidate(&text)).await {
            assert!(error.to_string().contains("64 candidates"), "{error}");
            assert!(matches!(
                b.studio.answer("s2", &good).await,
                Err(MediaError::NoSuchSession { .. })
            ));
            return;
        }
    }
    panic!("80 candidates were taken");
}

/// Taken or refused, neither may end the process; and a session beside them goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_good_answers_harm_nobody_else() {
    let mut b = start();
    let mut other = b.join("other", GUEST, &Setup::default()).await;
    let offer = b.offer("s1", GUEST).await;
    let mut peer = PeerProcess::start(&Setup::default(), &offer);
    let good = answer_of(&mut peer).await;
    let lines: Vec<_> = good.lines().collect();
    let mut taken = 0;
    for skip in 0..lines.len() {
        let session = format!("m{skip}");
        b.offer(&session, GUEST).await;
        let without: Vec<_> = lines
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != skip)
            .map(|(_, l)| *l)
            .collect();
        if b.studio
            .answer(&session, &without.join("\r\n"))
            .await
            .is_ok()
        {
            taken += 1;
        }
        b.studio.close(&session);
    }
    println!(
        "{taken} of {} answers that lacked one line were taken",
        lines.len()
    );
    let before = b.health("other")["frames_decoded"].as_u64().unwrap();
    let mut looks = 0;
    while b.health("other")["frames_decoded"].as_u64() < Some(before + 15) {
        looks += 1;
        assert!(looks < 150, "the other guest is decoded no more");
        b.carry("other", &mut other, |seen| seen.is_err()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_the_answer_did_not_name_is_never_on_air() {
    let mut b = start();
    let offer = b.offer("s1", GUEST).await;
    let mut peer = PeerProcess::start(&Setup::default(), &offer);
    let good = answer_of(&mut peer).await;
    let (head, digest) = good.split_once("a=fingerprint:sha-256 ").unwrap();
    let digest = &digest[..95];
    let other = if digest.starts_with("00") {
        digest.replacen("00", "11", 1)
    } else {
        format!("00{}", &digest[2..])
    };
    assert!(head.contains("m=audio"));
    b.studio
        .answer("s1", &good.replace(digest, &other))
        .await
        .unwrap();
    let mut reason = None;
    let seen = std::cell::RefCell::new(&mut reason);
    b.carry("s1", &mut peer, |event| match event {
        Ok(Event::Alive { .. }) => panic!("on air with a foreign certificate"),
        Ok(Event::Failed { reason, .. }) => {
            **seen.borrow_mut() = Some(reason.clone());
            true
        }
        _ => false,
    })
    .await;
    let reason = reason.unwrap();
    assert!(
        reason.contains("certificate") || reason.contains("DTLS"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_dies_without_a_word_is_lost_then_failed() {
    let mut b = start();
    let mut peer = b.join("s1", GUEST, &Setup::default()).await;
    peer.0.kill();
    let died = Instant::now();
    let mut lost = None;
    loop {
        match b.next().await {
            Event::Lost { session } if session == "s1" => lost = Some(died.elapsed()),
            Event::Failed { session, reason } if session == "s1" => {
                println!(
                    "lost after {lost:?}, failed after {:?}: {reason}",
                    died.elapsed()
                );
                break;
            }
            Event::Alive { .. } => panic!("a dead guest is alive"),
            _ => {}
        }
    }
    assert!(
        lost.expect("lost before failed") < Duration::from_secs(5),
        "{lost:?}"
    );
    assert_eq!(b.health("s1"), Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_guest_is_lost_and_alive_again_and_the_other_one_misses_nothing() {
    let mut b = start();
    let mut other = b.join("other", GUEST, &Setup::default()).await;
    let frozen = b.join("frozen", GUEST, &Setup::default()).await;
    let pictures = |m: &Value| m["pictures"].as_u64().unwrap();
    let mut before = 0;
    let cell = std::cell::Cell::new(0);
    b.carry("other", &mut other, |seen| {
        seen.is_err_and(|m| {
            cell.set(m["pictures"].as_u64().unwrap_or(0));
            cell.get() > 0
        })
    })
    .await;
    before += cell.get();
    frozen.signal("STOP");
    b.carry(
        "other",
        &mut other,
        |seen| matches!(seen, Ok(Event::Lost { session }) if session == "frozen"),
    )
    .await;
    // The return goes on for the other: 30 a second, and this is far less than a second's worth on an idle machine.
    b.carry("other", &mut other, |seen| {
        seen.is_err_and(|m| m["pictures"].is_u64() && pictures(m) > before + 30)
    })
    .await;
    frozen.signal("CONT");
    b.carry("other", &mut other, |seen| {
        assert!(!matches!(seen, Ok(Event::Lost { session }) if session == "other"));
        matches!(seen, Ok(Event::Alive { session }) if session == "frozen")
    })
    .await;
}

async fn fails_with(setup: Setup, expected: &str) {
    let mut b = start();
    let offer = b.offer("s1", GUEST).await;
    let mut peer = PeerProcess::start(&setup, &offer);
    b.carry("s1", &mut peer, |event| match event {
        Ok(Event::Failed { reason, .. }) => {
            assert!(reason.contains(expected), "{reason}");
            true
        }
        _ => false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_too_large_ends_the_session() {
    fails_with(
        Setup {
            width: 2560,
            height: 1440,
            fps: 5,
            ..Setup::default()
        },
        "2560x1440",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_too_large_ends_the_session_in_vp8_too() {
    fails_with(
        Setup {
            codec: Codec::Vp8,
            width: 2560,
            height: 1440,
            fps: 5,
            ..Setup::default()
        },
        "2560x1440",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pictures_ends_the_session() {
    fails_with(
        Setup {
            width: 64,
            height: 48,
            fps: 600,
            ..Setup::default()
        },
        "floods",
    )
    .await;
}

async fn is_asked_again(codec: Codec) {
    let mut b = start();
    let setup = Setup {
        codec,
        deaf: true,
        ..Setup::default()
    };
    let mut peer = b.join("s1", GUEST, &setup).await;
    b.carry("s1", &mut peer, |seen| {
        seen.is_err_and(|m| m["unheard"] == true)
    })
    .await;
    let stood = b.health("s1")["frames_decoded"].as_u64().unwrap();
    let more = ("frames_decoded", stood + 15);
    b.until_counted("s1", &mut peer, more, Instant::now()).await;
}

/// Packets that are lost on the way, and then the request for a keyframe: the picture would stand for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_that_does_not_come_is_asked_for_again() {
    is_asked_again(Codec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_that_does_not_come_is_asked_for_again_in_vp8_too() {
    is_asked_again(Codec::Vp8).await;
}

/// Until the flood is noticed and its session ended, and after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pictures_costs_the_programme_and_the_other_guest_nothing() {
    const FPS: u32 = 15;
    let mut b = start_with(|config| {
        (config.programme.width, config.programme.height) = (320, 180);
        (config.programme.fps, config.returns.fps) = (FPS, FPS);
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("show.mkv");
    let recording =
        |state| move |event: &Event| matches!(event, Event::Record(r) if r.state == state);
    let mut good = b.join("good", GUEST, &Setup::default()).await;
    b.studio.start_record(file.clone()).unwrap();
    let live = recording(OutputState::Live);
    b.carry("good", &mut good, |seen| seen.is_ok_and(&live))
        .await;
    let (began, before) = (Instant::now(), b.health("good"));
    let offer = b.offer("bad", GUEST).await;
    let flood = Setup {
        width: 64,
        height: 48,
        fps: 600,
        ..Setup::default()
    };
    let mut bad = PeerProcess::start(&flood, &offer);
    let ended = |seen: Result<&Event, &Value>| matches!(seen, Ok(Event::Failed { session, .. }) if session == "bad");
    b.carry("bad", &mut bad, ended).await;
    let (took, after) = (began.elapsed().as_secs_f64(), b.health("good"));
    b.studio.stop_record();
    let whole = recording(OutputState::Stopped);
    b.carry("good", &mut good, |seen| seen.is_ok_and(&whole))
        .await;

    let pictures = common::packets(&file, "v");
    let longest = pictures.windows(2).map(|two| two[1] - two[0]);
    let longest = longest.fold(0.0, f64::max);
    assert!(
        pictures.len() > FPS as usize && longest < 2.1 / f64::from(FPS),
        "the longest step of {} pictures is {longest} s",
        pictures.len()
    );
    let grew = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    assert_eq!(grew("packets_lost"), 0);
    // Opus packets of 20 ms; both peers share the two cores with the box, which has priority, and may send fewer.
    let sounds = grew("sound_packets") as f64;
    assert!(
        sounds > 0.5 * 50.0 * took,
        "{sounds} packets of sound in {took:.1} s"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_made_once_and_its_name_is_free_after_its_end() {
    let mut b = start();
    b.offer("s1", GUEST).await;
    assert!(
        b.studio
            .open(SessionSpec {
                session: "s1".into(),
                kind: GUEST
            })
            .is_err()
    );
    b.studio.close("s1");
    b.studio.close("s1");
    b.offer("s1", GUEST).await;
}
