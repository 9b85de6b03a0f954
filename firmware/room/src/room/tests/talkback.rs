//! A host speaks to one guest off air, and is never left there by accident.

use dais_protocol::Reason;
use serde_json::json;

use super::desk::{Desk, refused};
use super::*;

/// Ana has asked and Bo is on air; the media of both are decoded.
fn show() -> Desk {
    let mut desk = Desk::with(9, &["ana", "bo"]);
    desk.guest("ana", "mic.request", json!({})).unwrap();
    desk.media("ana", MediaEvent::Alive);
    desk.seat("bo");
    desk.media("bo", MediaEvent::Alive);
    desk
}

fn talk(desk: &mut Desk, user: &str) -> Result<serde_json::Value, dais_protocol::RpcError> {
    desk.host("talkback.set", json!({"user_id": user}))
}

/// `pending` as consoles read it.
fn shown(desk: &Desk) -> serde_json::Value {
    serde_json::to_value(desk.room.pending(desk.now)).unwrap()["talkback"].clone()
}

#[test]
fn consoles_see_who_is_spoken_to_by_whom_and_nothing_when_nobody_is() {
    let mut desk = show();
    let quiet = serde_json::to_value(desk.room.pending(desk.now)).unwrap();
    assert!(!quiet.as_object().unwrap().contains_key("talkback"));
    for user in ["ana", "bo"] {
        let rev = desk.room.rev();
        talk(&mut desk, user).unwrap();
        assert_eq!(shown(&desk), json!({"user_id": user, "by": "h1"}));
        assert_eq!(desk.room.rev(), rev + 1);
    }
    let rev = desk.room.rev();
    desk.host("talkback.set", json!({})).unwrap();
    assert_eq!(shown(&desk), json!(null));
    assert_eq!(desk.room.rev(), rev + 1);
    desk.host("talkback.set", json!({})).unwrap();
    assert_eq!(desk.room.rev(), rev + 1, "nothing changed");
}

#[test]
fn a_second_console_takes_over_and_any_may_put_the_host_back_on_air() {
    let mut desk = show();
    talk(&mut desk, "ana").unwrap();
    let second = Caller::Host(id("h2"));
    desk.call(second, "talkback.set", json!({"user_id": "bo"}))
        .unwrap();
    assert_eq!(shown(&desk), json!({"user_id": "bo", "by": "h2"}));
    // The first one going away takes nothing from the second.
    desk.apply(Input::HostGone { user: id("h1") });
    assert_eq!(shown(&desk)["by"], "h2");
    desk.host("talkback.set", json!({})).unwrap();
    assert_eq!(shown(&desk), json!(null));
}

#[test]
fn only_who_is_there_and_hears_can_be_spoken_to() {
    let mut desk = show();
    for nobody in ["x", "zoe"] {
        desk.seen("zoe");
        refused(talk(&mut desk, nobody), Reason::NoSuchRequest);
    }
    // Invited, and nothing of them is connected.
    desk.host("mic.invite", json!({"user_id": "zoe"})).unwrap();
    refused(talk(&mut desk, "zoe"), Reason::NoSuchRequest);
    desk.seen("carl");
    desk.guest("carl", "mic.request", json!({})).unwrap();
    refused(talk(&mut desk, "carl"), Reason::Unavailable);
    assert!(
        desk.room.off_air(&id("carl")).is_ok(),
        "a look may wait for the picture"
    );
    desk.media("carl", MediaEvent::Alive);
    talk(&mut desk, "carl").unwrap();
    let guest = desk.guest("bo", "talkback.set", json!({}));
    refused(guest, Reason::NotAllowed);
}

#[test]
fn it_ends_with_whatever_held_it() {
    type End = fn(&mut Desk);
    let ends: [(&str, &str, End); 9] = [
        ("ana", "the request is declined", |d| {
            d.respond("ana", false).unwrap();
        }),
        ("ana", "it is cancelled", |d| {
            d.guest("ana", "mic.cancel", json!({})).unwrap();
        }),
        ("ana", "the guest's session goes", |d| d.gone("ana")),
        ("bo", "the seat is left", |d| {
            d.guest("bo", "mic.leave", json!({})).unwrap();
        }),
        ("bo", "the guest is sent away", |d| {
            d.host("mic.disconnect", json!({"user_id": "bo"})).unwrap();
        }),
        ("bo", "the guest is banned", |d| {
            d.host("guest.ban", json!({"user_id": "bo"})).unwrap();
        }),
        ("bo", "the guest's phone is lost", |d| {
            d.media("bo", MediaEvent::Lost)
        }),
        ("bo", "the guest's session is replaced", |d| {
            d.guest("bo", "media.restart", json!({"session": "x"}))
                .unwrap_err();
            d.media("bo", MediaEvent::Failed);
        }),
        ("bo", "the console is gone", |d| {
            d.apply(Input::HostGone { user: id("h1") });
        }),
    ];
    for (user, what, end) in ends {
        let mut desk = show();
        talk(&mut desk, user).unwrap();
        let rev = desk.room.rev();
        end(&mut desk);
        assert_eq!(desk.room.talkback(), None, "{what}");
        assert!(desk.room.rev() > rev, "{what}");
    }
}

#[test]
fn an_accept_does_not_put_the_host_back_on_air_by_itself() {
    let mut desk = show();
    talk(&mut desk, "ana").unwrap();
    desk.respond("ana", true).unwrap();
    assert_eq!(desk.state("ana"), Some("on_air"));
    assert_eq!(shown(&desk), json!({"user_id": "ana", "by": "h1"}));
}

#[test]
fn a_console_that_says_no_more_that_it_speaks_is_back_on_air_after_ten_seconds() {
    let mut desk = show();
    talk(&mut desk, "bo").unwrap();
    let rev = desk.room.rev();
    for _ in 0..5 {
        desk.later(HELD_MS - 1);
        talk(&mut desk, "bo").unwrap();
    }
    assert_eq!(desk.room.rev(), rev, "that it is held is no news");
    assert_eq!(shown(&desk)["user_id"], "bo");
    assert!(
        desk.room
            .deadline()
            .is_some_and(|at| at <= desk.now + HELD_MS),
        "a tick is due"
    );
    desk.later(HELD_MS - 1);
    assert!(desk.room.talkback().is_some());
    desk.later(1);
    assert_eq!(desk.room.talkback(), None);
}

#[test]
fn after_a_restart_the_host_is_on_air() {
    let mut desk = show();
    talk(&mut desk, "bo").unwrap();
    let record = desk.room.take_record().expect("the reply is kept");
    let written = serde_json::to_string(&record).unwrap();
    assert!(!written.contains("talkback"), "{written}");
    let bytes = serde_json::to_vec(&desk.room.whole_record()).unwrap();
    let room = Room::restore(serde_json::from_slice(&bytes).unwrap(), 0, 0);
    assert_eq!(room.talkback(), None);
}

#[test]
fn what_a_guest_has_muted_is_muted_off_air_too() {
    let mut desk = show();
    assert_eq!(desk.room.own_mutes(&id("ana")), (false, false));
    desk.guest("ana", "media.set", json!({"video_muted": true}))
        .unwrap();
    assert_eq!(desk.room.own_mutes(&id("ana")), (false, true));
    // A host who has muted a guest in the programme may still listen to them.
    desk.host("mic.set", json!({"user_id": "bo", "audio_muted": true}))
        .unwrap();
    assert_eq!(desk.room.own_mutes(&id("bo")), (false, false));
    assert_eq!(desk.room.own_mutes(&id("nobody")), (true, true));
}
