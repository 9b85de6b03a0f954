//! Seats: choosing, moving, locking, muting, leaving.

use dais_protocol::Reason;
use serde_json::json;

use super::desk::{Desk, json_of, refused};
use super::*;

#[test]
fn a_given_seat_must_be_free_and_unlocked() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.seat("a");
    desk.host("seat.lock", json!({"seat": 2, "locked": true}))
        .unwrap();
    desk.guest("b", "mic.request", json!({})).unwrap();
    let at = |seat: u8| json!({"user_id": "b", "accept": true, "seat": seat});
    refused(desk.host("mic.respond", at(1)), Reason::SeatTaken);
    refused(desk.host("mic.respond", at(2)), Reason::SeatLocked);
    assert_eq!(
        desk.pending().len(),
        1,
        "a refused seat leaves the request open"
    );
    assert_eq!(desk.respond("b", true).unwrap(), json!({"seat": 3}));
}

#[test]
fn an_invitation_to_a_seat_that_cannot_be_had_is_refused() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.seat("a");
    desk.host("seat.lock", json!({"seat": 2, "locked": true}))
        .unwrap();
    refused(
        desk.host("mic.invite", json!({"user_id": "b", "seat": 1})),
        Reason::SeatTaken,
    );
    refused(
        desk.host("mic.invite", json!({"user_id": "b", "seat": 2})),
        Reason::SeatLocked,
    );
}

#[test]
fn a_guest_moves_to_free_unlocked_seats_only() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.put_on_air("a");
    desk.put_on_air("b");
    desk.host("seat.lock", json!({"seat": 3, "locked": true}))
        .unwrap();
    refused(
        desk.host("mic.move", json!({"user_id": "a", "seat": 2})),
        Reason::SeatTaken,
    );
    refused(
        desk.host("mic.move", json!({"user_id": "a", "seat": 3})),
        Reason::SeatLocked,
    );
    desk.host("mic.move", json!({"user_id": "a", "seat": 9}))
        .unwrap();
    let users =
        json!([{"user_id": "b", "name": "b", "seat": 2}, {"user_id": "a", "name": "a", "seat": 9}]);
    let updated = json!({"method": "room.users_updated", "params": {"users": users, "joined": [], "left": []}});
    assert_eq!(json_of(&desk.all_told()), [updated]);
    assert_eq!(desk.state("a"), Some("on_air"));
    let rev = desk.room.rev();
    desk.host("mic.move", json!({"user_id": "a", "seat": 9}))
        .unwrap();
    assert_eq!(
        desk.room.rev(),
        rev,
        "a move to one's own seat changes nothing"
    );
}

#[test]
fn locking_an_occupied_seat_bites_when_its_guest_leaves() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.put_on_air("a");
    desk.host("seat.lock", json!({"seat": 1, "locked": true}))
        .unwrap();
    assert_eq!(desk.state("a"), Some("on_air"));
    desk.guest("a", "mic.leave", json!({})).unwrap();
    desk.seat("b");
    assert_eq!(desk.seat_of("b"), Some(2));
    desk.host("seat.lock", json!({"seat": 1, "locked": false}))
        .unwrap();
    desk.seat("a");
    assert_eq!(desk.seat_of("a"), Some(1));
}

#[test]
fn a_room_whose_free_seats_are_all_locked_is_full() {
    let mut desk = Desk::with(9, &["a"]);
    for seat in 1..=9 {
        desk.host("seat.lock", json!({"seat": seat, "locked": true}))
            .unwrap();
    }
    desk.guest("a", "mic.request", json!({})).unwrap();
    refused(desk.respond("a", true), Reason::RoomFull);
}

#[test]
fn the_number_of_guests_is_not_lowered_below_those_present() {
    let mut desk = Desk::with(9, &["a", "b", "c"]);
    desk.put_on_air("a");
    desk.put_on_air("b");
    desk.guest("c", "mic.request", json!({})).unwrap();
    let before = desk.room.snapshot(0);
    let error = desk
        .host("room.set", json!({"title": "Late", "max_guests": 1}))
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.data.more["field"].as_str()),
        (Reason::InvalidParams, Some("max_guests"))
    );
    assert_eq!(desk.room.snapshot(0), before, "half of it was done");
    desk.guest("a", "mic.leave", json!({})).unwrap();
    desk.host("room.set", json!({"max_guests": 1})).unwrap();
    refused(desk.respond("c", true), Reason::RoomFull);
    desk.guest("b", "mic.leave", json!({})).unwrap();
    desk.respond("c", true).unwrap();
}

#[test]
fn without_a_seat_there_is_nothing_to_leave_move_mute_or_disconnect() {
    let mut desk = Desk::with(9, &["a"]);
    let user = json!({"user_id": "a"});
    refused(
        desk.guest("a", "mic.leave", json!({})),
        Reason::NotConnected,
    );
    refused(
        desk.guest("a", "media.set", json!({"audio_muted": true})),
        Reason::NotConnected,
    );
    refused(
        desk.guest("a", "media.restart", json!({"session": "x"})),
        Reason::NotConnected,
    );
    refused(
        desk.host("mic.disconnect", user.clone()),
        Reason::NotConnected,
    );
    refused(desk.host("mic.set", user), Reason::NotConnected);
    refused(
        desk.host("mic.move", json!({"user_id": "a", "seat": 2})),
        Reason::NotConnected,
    );
}

#[test]
fn a_guest_who_leaves_is_not_told_and_the_consoles_are() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.guest("a", "mic.leave", json!({})).unwrap();
    assert!(desk.told("a").is_empty());
    assert_eq!(
        json_of(&desk.hosts_told()),
        [json!({"method": "mic.exited", "params": {"user_id": "a", "reason": "left"}})]
    );
    assert_eq!(json_of(&desk.all_told())[0]["params"]["left"], json!(["a"]));
    assert_eq!(desk.closed(), 1);
}

#[test]
fn a_disconnected_guest_hears_why() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    desk.host(
        "mic.disconnect",
        json!({"user_id": "a", "message": "Thanks!"}),
    )
    .unwrap();
    let terminated =
        json!({"method": "mic.terminated", "params": {"reason": "host", "message": "Thanks!"}});
    assert_eq!(json_of(&desk.told("a")), [terminated]);
    assert_eq!(json_of(&desk.hosts_told())[0]["params"]["reason"], "host");
}

#[test]
fn the_room_shows_whether_the_host_turned_a_picture_off() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    let dark = |desk: &Desk| {
        let shown = desk.shown("a").unwrap();
        (
            shown["video_muted"] == true,
            shown["hidden_by_host"] == true,
        )
    };
    let host = |muted: bool| json!({"user_id": "a", "video_muted": muted});
    desk.told("a");
    desk.host("mic.set", host(true)).unwrap();
    assert_eq!(dark(&desk), (true, true));
    let told = json!({"audio_muted": false, "video_muted": true, "muted_by_host": false, "hidden_by_host": true});
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "media.state", "params": told})],
        "the guest is told the same"
    );
    desk.guest("a", "media.set", json!({"video_muted": true}))
        .unwrap();
    desk.host("mic.set", host(false)).unwrap();
    assert_eq!(dark(&desk), (true, false), "the guest's own stays");
}

#[test]
fn lifting_the_hosts_mute_leaves_the_guests_own_as_it_was() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    let mutes = |desk: &Desk| {
        let shown = desk.shown("a").unwrap();
        (shown["audio_muted"] == true, shown["muted_by_host"] == true)
    };
    let host = |muted: bool| json!({"user_id": "a", "audio_muted": muted});
    desk.host("mic.set", host(true)).unwrap();
    assert_eq!(mutes(&desk), (true, true));
    let state = |audio: bool, by_host: bool| json!({"method": "media.state", "params": {"audio_muted": audio, "video_muted": false, "muted_by_host": by_host, "hidden_by_host": false}});
    assert_eq!(json_of(&desk.told("a")), [state(true, true)]);
    desk.guest("a", "media.set", json!({"audio_muted": false}))
        .unwrap();
    assert_eq!(
        mutes(&desk),
        (true, true),
        "a guest cannot lift the host's mute"
    );
    desk.guest("a", "media.set", json!({"audio_muted": true}))
        .unwrap();
    assert_eq!(json_of(&desk.told("a")), [state(true, true)]);
    desk.host("mic.set", host(false)).unwrap();
    assert_eq!(mutes(&desk), (true, false));
    desk.guest("a", "media.set", json!({"audio_muted": false}))
        .unwrap();
    assert_eq!(mutes(&desk), (false, false));
}

#[test]
fn a_picture_is_dark_for_either_will_and_a_gain_is_kept() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    desk.guest("a", "media.set", json!({"video_muted": true}))
        .unwrap();
    desk.respond("a", true).unwrap();
    desk.host(
        "mic.set",
        json!({"user_id": "a", "video_muted": true, "gain_db": -6.5}),
    )
    .unwrap();
    desk.guest("a", "media.set", json!({"video_muted": false}))
        .unwrap();
    let shown = desk.shown("a").unwrap();
    assert_eq!(
        (&shown["video_muted"], &shown["gain_db"]),
        (&json!(true), &json!(-6.5))
    );
    let seat = desk.room.on_programme().next().unwrap();
    assert!(seat.video_muted && !seat.audio_muted && seat.gain_db.get() == -6.5);
    desk.guest("a", "mic.leave", json!({})).unwrap();
    desk.seat("a");
    assert_eq!(
        desk.shown("a").unwrap()["video_muted"],
        false,
        "mutes end with the stay"
    );
}

#[test]
fn the_room_the_host_and_the_layout_change_as_asked() {
    let mut desk = Desk::with(9, &[]);
    let rev = desk.room.rev();
    desk.host(
        "room.set",
        json!({"title": "Late show", "accepting": false, "max_guests": 4}),
    )
    .unwrap();
    assert_eq!(desk.room.rev(), rev + 1);
    desk.host(
        "host.set",
        json!({"audio_muted": true, "video_muted": true, "name": "B"}),
    )
    .unwrap();
    desk.host("layout.set", json!({"layout": "side-by-side"}))
        .unwrap();
    desk.host("seat.lock", json!({"seat": 3, "locked": true}))
        .unwrap();
    let rev = desk.room.rev();
    desk.host("layout.set", json!({"layout": "side-by-side"}))
        .unwrap();
    let expected = json!({"rev": rev, "title": "Late show", "accepting": false, "max_guests": 4.0,
        "layout": "side-by-side", "host": {"name": "B", "muted": true, "camera": false}, "guests": [], "locked_seats": [3.0]});
    let snapshot = serde_json::to_value(desk.room.snapshot(desk.now)).unwrap();
    assert_eq!(
        snapshot.to_string().replace(".0", ""),
        expected.to_string().replace(".0", "")
    );
}

#[test]
fn a_voice_is_shown_on_air_only() {
    let mut desk = Desk::with(9, &["a"]);
    desk.seat("a");
    desk.apply(Input::Speaking {
        seat: seat(1),
        speaking: true,
    });
    assert_eq!(desk.shown("a").unwrap()["speaking"], false);
    desk.media("a", MediaEvent::Alive);
    desk.apply(Input::Speaking {
        seat: seat(1),
        speaking: true,
    });
    assert_eq!(desk.shown("a").unwrap()["speaking"], true);
    assert!(desk.effects.is_empty());
    desk.media("a", MediaEvent::Lost);
    assert_eq!(desk.shown("a").unwrap()["speaking"], false);
}
