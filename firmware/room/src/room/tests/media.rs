//! Media: offered early, on air when decoded, lost, replaced, and back.

use dais_protocol::Reason;
use serde_json::json;

use super::desk::{Desk, json_of, refused};
use super::*;

#[test]
fn media_is_offered_with_the_request_and_on_air_only_after_the_accept() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({"camera": false}))
        .unwrap();
    assert!(matches!(
        &desk.effects[..],
        [.., Effect::OpenMedia { camera: false, .. }]
    ));
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.room.on_programme().count(), 0);
    desk.respond("a", true).unwrap();
    assert!(desk.opened().is_empty());
    assert_eq!(
        desk.state("a"),
        Some("on_air"),
        "decoded already: the accept only opened the seat"
    );
    assert!(
        json_of(&desk.hosts_told())
            .contains(&json!({"method": "mic.on_air", "params": {"user_id": "a", "seat": 1}}))
    );
}

#[test]
fn a_few_sessions_are_early_and_the_next_in_line_gets_one_that_is_free() {
    let mut desk = Desk::with(9, &[]);
    for user in ["f", "e", "d", "c", "b", "a"] {
        desk.guest(user, "mic.request", json!({})).unwrap();
    }
    let early = |desk: &Desk| {
        ["a", "b", "c", "d", "e", "f"].map(|user| desk.room.session_of(&id(user)).is_some())
    };
    assert_eq!(early(&desk), [false, false, true, true, true, true]);
    desk.guest("d", "mic.cancel", json!({})).unwrap();
    assert_eq!(desk.opened(), [&id("b")]);
    desk.respond("a", true).unwrap();
    assert_eq!(
        desk.opened(),
        [&id("a")],
        "whoever had none gets one with the seat"
    );
}

#[test]
fn fifteen_seconds_without_decoded_media_end_the_stay() {
    let mut desk = Desk::with(9, &["a"]);
    desk.seat("a");
    desk.later(CONNECT_MS - 1);
    assert_eq!(desk.state("a"), Some("connecting"));
    desk.later(1);
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.terminated", "params": {"reason": "media_timeout"}})]
    );
    assert_eq!(
        json_of(&desk.hosts_told()),
        [json!({"method": "mic.exited", "params": {"user_id": "a", "reason": "media_timeout"}})]
    );
    assert_eq!(desk.closed(), 1);
}

#[test]
fn lost_media_that_comes_back_within_the_grace_is_on_air_again() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.media("a", MediaEvent::Lost);
    assert_eq!(desk.state("a"), Some("reconnecting"));
    desk.later(GRACE_MS - 1);
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("on_air"));
    assert_eq!(desk.room.deadline(), None);
    assert!(desk.all_told().is_empty(), "the seats are the same");
}

#[test]
fn ten_seconds_without_media_or_session_free_the_seat() {
    for lose in [
        |desk: &mut Desk| desk.media("a", MediaEvent::Lost),
        |desk: &mut Desk| desk.gone("a"),
    ] {
        let mut desk = Desk::with(9, &["a"]);
        desk.put_on_air("a");
        lose(&mut desk);
        assert_eq!(desk.state("a"), Some("reconnecting"));
        desk.later(GRACE_MS);
        assert_eq!(json_of(&desk.told("a"))[0]["params"]["reason"], "lost");
        assert_eq!(json_of(&desk.hosts_told())[0]["params"]["reason"], "lost");
        assert_eq!(desk.room.on_programme().count(), 0);
    }
}

#[test]
fn a_lost_session_must_be_seen_again_even_if_media_flows() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.gone("a");
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("reconnecting"));
    desk.seen("a");
    assert_eq!(desk.state("a"), Some("on_air"));
    assert!(
        desk.opened().is_empty(),
        "the media session outlived the MQTT session"
    );
}

#[test]
fn a_request_is_a_sign_of_life() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.gone("a");
    desk.guest("a", "media.set", json!({"audio_muted": false}))
        .unwrap();
    assert_eq!(desk.state("a"), Some("on_air"));
}

#[test]
fn a_media_restart_replaces_the_session_and_keeps_the_seat() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    let old = desk.room.session_of(&id("a")).unwrap().clone();
    desk.guest("a", "media.restart", json!({"session": old}))
        .unwrap();
    let new = desk.room.session_of(&id("a")).unwrap().clone();
    assert_ne!(old, new);
    let media: Vec<_> = desk
        .effects
        .iter()
        .filter(|e| matches!(e, Effect::OpenMedia { .. } | Effect::CloseMedia { .. }))
        .collect();
    let expected = [
        &Effect::CloseMedia {
            session: old.clone(),
        },
        &Effect::OpenMedia {
            user: id("a"),
            session: new,
            camera: true,
        },
    ];
    assert_eq!(media, expected);
    assert_eq!(
        (desk.state("a"), desk.seat_of("a")),
        (Some("reconnecting"), Some(1))
    );
    desk.apply(Input::Media {
        session: old.clone(),
        event: MediaEvent::Alive,
    });
    assert_eq!(
        desk.state("a"),
        Some("reconnecting"),
        "the old session speaks for nobody"
    );
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("on_air"));
    refused(
        desk.guest("a", "media.restart", json!({"session": old})),
        Reason::InvalidParams,
    );
}

#[test]
fn a_guest_who_missed_the_offer_may_restart_without_its_name() {
    let mut desk = Desk::with(9, &["a"]);
    desk.seat("a");
    let missed = desk.room.session_of(&id("a")).unwrap().clone();
    desk.guest("a", "media.restart", json!({"session": "unknown"}))
        .unwrap();
    assert_ne!(desk.room.session_of(&id("a")), Some(&missed));
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("on_air"));
}

#[test]
fn restarts_do_not_stretch_the_time_to_come_on_air() {
    let mut desk = Desk::with(9, &["a"]);
    desk.seat("a");
    desk.later(CONNECT_MS - 1);
    let session = desk.room.session_of(&id("a")).unwrap().clone();
    desk.guest("a", "media.restart", json!({"session": session}))
        .unwrap();
    desk.later(1);
    assert_eq!(desk.state("a"), None);
}

#[test]
fn a_failed_session_is_replaced_and_not_for_ever() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    for _ in 0..FAILURES {
        desk.media("a", MediaEvent::Failed);
        assert_eq!((desk.closed(), desk.opened()), (1, vec![&id("a")]));
    }
    desk.media("a", MediaEvent::Failed);
    assert_eq!((desk.closed(), desk.opened().len()), (1, 0));
    assert_eq!(desk.state("a"), Some("reconnecting"));
    desk.gone("a");
    desk.seen("a");
    assert_eq!(desk.opened(), [&id("a")]);
}

#[test]
fn an_accepted_guest_whose_session_went_waits_for_both() {
    let mut desk = Desk::with(9, &["a"]);
    desk.seat("a");
    desk.gone("a");
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("connecting"));
    desk.later(CONNECT_MS);
    assert_eq!(json_of(&desk.told("a"))[0]["params"]["reason"], "lost");
}

#[test]
fn the_snapshot_counts_the_time_on_the_seat() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.later(2_500);
    let disk = desk.room.whole_record();
    desk.kill_and_restart(disk, 500);
    desk.later(1_000);
    assert_eq!(desk.shown("a").unwrap()["connected_ms"], 4_000);
}
