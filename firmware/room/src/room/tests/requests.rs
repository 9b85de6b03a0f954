//! Requests and invitations: every way to open and to end one.

use dais_protocol::Reason;
use serde_json::json;

use super::desk::{Desk, json_of, refused};
use super::*;

#[test]
fn consoles_hear_of_a_request_and_its_guest_gets_its_name() {
    let mut desk = Desk::with(9, &["a"]);
    let reply = desk
        .guest(
            "a",
            "mic.request",
            json!({"timeout_s": 30, "camera": false}),
        )
        .unwrap();
    assert_eq!(reply["expires_in_ms"], 30_000);
    let told = json_of(&desk.hosts_told());
    let expected = json!({"method": "mic.requested", "params": {"request_id": reply["request_id"], "user_id": "a",
        "name": "a", "camera": false, "expires_in_ms": 30_000}});
    assert_eq!(told, [expected]);
    desk.later(1_000);
    assert_eq!(desk.pending(), [("a".to_owned(), 29_000)]);
}

#[test]
fn an_accept_gives_the_lowest_free_seat_and_tells_everybody_once() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.put_on_air("a");
    desk.guest("b", "mic.request", json!({})).unwrap();
    let request_id = desk.room.pending(desk.now).requests[0].request_id.clone();
    assert_eq!(desk.respond("b", true).unwrap(), json!({"seat": 2}));
    assert_eq!(
        json_of(&desk.told("b")),
        [json!({"method": "mic.accepted", "params": {"seat": 2}})]
    );
    let answered = json!({"method": "mic.request_answered",
        "params": {"request_id": request_id, "user_id": "b", "by": "h1", "accept": true}});
    assert_eq!(json_of(&desk.hosts_told()), [answered]);
    let users =
        json!([{"user_id": "a", "name": "a", "seat": 1}, {"user_id": "b", "name": "b", "seat": 2}]);
    let updated = json!({"method": "room.users_updated", "params": {"users": users, "joined": ["b"], "left": []}});
    assert_eq!(json_of(&desk.all_told()), [updated]);
    assert!(desk.pending().is_empty());
}

#[test]
fn a_reject_carries_the_hosts_words() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    let params = json!({"user_id": "a", "accept": false, "message": "Later."});
    assert_eq!(desk.host("mic.respond", params).unwrap(), json!({}));
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.rejected", "params": {"message": "Later."}})]
    );
    assert_eq!(desk.closed(), 1);
}

#[test]
fn a_cancel_is_told_to_the_guest_and_the_consoles() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    desk.guest("a", "mic.cancel", json!({})).unwrap();
    assert_eq!(json_of(&desk.told("a"))[0]["method"], "mic.cancelled");
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_cancelled"
    );
}

#[test]
fn a_request_ends_with_its_guests_session() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    desk.gone("a");
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_cancelled"
    );
    assert!(desk.pending().is_empty());
}

#[test]
fn a_request_runs_out_at_its_time_and_not_before() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    assert_eq!(desk.room.deadline(), Some(desk.now + 60_000));
    desk.later(59_999);
    assert!(desk.effects.is_empty());
    desk.later(1);
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.timed_out", "params": {}})]
    );
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_timed_out"
    );
    assert_eq!(desk.room.deadline(), None);
}

#[test]
fn an_accept_that_comes_with_the_timeout_is_too_late() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    desk.now += 60_000;
    refused(desk.respond("a", true), Reason::RequestExpired);
    assert_eq!(json_of(&desk.told("a"))[0]["method"], "mic.timed_out");
}

#[test]
fn accepting_into_a_full_room_leaves_the_request_open_until_it_times_out() {
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut desk = Desk::with(9, &nine);
    nine.iter().for_each(|guest| desk.put_on_air(guest));
    desk.seen("j");
    desk.guest("j", "mic.request", json!({"timeout_s": 20}))
        .unwrap();
    refused(desk.respond("j", true), Reason::RoomFull);
    assert_eq!(desk.pending(), [("j".to_owned(), 20_000)]);
    refused(
        desk.host("mic.invite", json!({"user_id": "k"})),
        Reason::InvalidParams,
    );
    desk.seen("k");
    refused(
        desk.host("mic.invite", json!({"user_id": "k"})),
        Reason::RoomFull,
    );
    desk.guest("a", "mic.leave", json!({})).unwrap();
    assert_eq!(desk.respond("j", true).unwrap(), json!({"seat": 1}));
}

#[test]
fn a_second_request_is_refused_whatever_the_first_became() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.guest("a", "mic.request", json!({})).unwrap();
    refused(
        desk.guest("a", "mic.request", json!({})),
        Reason::AlreadyPending,
    );
    refused(
        desk.host("mic.invite", json!({"user_id": "a"})),
        Reason::AlreadyPending,
    );
    desk.respond("a", true).unwrap();
    refused(
        desk.guest("a", "mic.request", json!({})),
        Reason::AlreadyConnected,
    );
    refused(
        desk.host("mic.invite", json!({"user_id": "a"})),
        Reason::AlreadyConnected,
    );
    desk.host("mic.invite", json!({"user_id": "b"})).unwrap();
    refused(
        desk.guest("b", "mic.request", json!({})),
        Reason::AlreadyPending,
    );
}

#[test]
fn a_closed_room_takes_no_requests_and_still_invites() {
    let mut desk = Desk::with(9, &["a"]);
    desk.host("room.set", json!({"accepting": false})).unwrap();
    refused(
        desk.guest("a", "mic.request", json!({})),
        Reason::NotAccepting,
    );
    desk.host("mic.invite", json!({"user_id": "a"})).unwrap();
}

#[test]
fn what_was_open_and_ended_is_told_from_what_never_was() {
    let mut desk = Desk::with(9, &["a", "b", "c"]);
    refused(desk.respond("a", true), Reason::NoSuchRequest);
    refused(desk.respond("nobody", false), Reason::NoSuchRequest);
    refused(
        desk.guest("a", "mic.cancel", json!({})),
        Reason::NoSuchRequest,
    );
    refused(
        desk.guest("a", "mic.answer", json!({"accept": true})),
        Reason::NoSuchRequest,
    );
    refused(
        desk.host("mic.withdraw", json!({"user_id": "a"})),
        Reason::NoSuchRequest,
    );
    // Answered by another console.
    desk.guest("a", "mic.request", json!({})).unwrap();
    desk.respond("a", true).unwrap();
    let other = desk.call(
        Caller::Host(id("h2")),
        "mic.respond",
        json!({"user_id": "a", "accept": false}),
    );
    refused(other, Reason::RequestExpired);
    refused(
        desk.guest("a", "mic.cancel", json!({})),
        Reason::RequestExpired,
    );
    // Cancelled; also by a guest who is gone.
    desk.guest("b", "mic.request", json!({})).unwrap();
    desk.guest("b", "mic.cancel", json!({})).unwrap();
    desk.gone("b");
    refused(desk.respond("b", true), Reason::RequestExpired);
    // Withdrawn.
    desk.host("mic.invite", json!({"user_id": "c"})).unwrap();
    desk.host("mic.withdraw", json!({"user_id": "c"})).unwrap();
    refused(
        desk.guest("c", "mic.answer", json!({"accept": true})),
        Reason::RequestExpired,
    );
    refused(
        desk.host("mic.withdraw", json!({"user_id": "c"})),
        Reason::RequestExpired,
    );
    // Ten minutes later nobody remembers.
    desk.later(RECENT_MS);
    refused(desk.respond("b", true), Reason::NoSuchRequest);
}

#[test]
fn an_invited_guest_says_yes_and_sits_where_the_host_wanted() {
    let mut desk = Desk::with(9, &["a"]);
    let opened = desk
        .host(
            "mic.invite",
            json!({"user_id": "a", "seat": 4, "timeout_s": 10}),
        )
        .unwrap();
    assert_eq!(opened["expires_in_ms"], 10_000);
    let invited = json!({"method": "mic.invited", "params": opened});
    assert_eq!(json_of(&desk.told("a")), [invited]);
    assert!(
        desk.opened().is_empty(),
        "nobody's camera is asked for before they agree"
    );
    desk.guest("a", "mic.answer", json!({"accept": true}))
        .unwrap();
    let answered = json!({"method": "mic.invite_answered",
        "params": {"request_id": opened["request_id"], "user_id": "a", "accept": true}});
    assert_eq!(json_of(&desk.hosts_told()), [answered]);
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.accepted", "params": {"seat": 4}})]
    );
    assert_eq!(desk.opened(), [&id("a")]);
}

#[test]
fn an_invitation_ends_by_no_by_time_by_the_host_and_with_the_session() {
    let mut desk = Desk::with(9, &["a"]);
    let invite = json!({"user_id": "a"});
    desk.host("mic.invite", invite.clone()).unwrap();
    desk.guest("a", "mic.answer", json!({"accept": false}))
        .unwrap();
    assert_eq!(json_of(&desk.hosts_told())[0]["params"]["accept"], false);

    desk.host("mic.invite", invite.clone()).unwrap();
    desk.later(60_000);
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.invite_ended", "params": {"reason": "timed_out"}})]
    );
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_timed_out"
    );

    desk.host("mic.invite", invite.clone()).unwrap();
    desk.host("mic.withdraw", invite.clone()).unwrap();
    assert_eq!(json_of(&desk.told("a"))[0]["params"]["reason"], "withdrawn");
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_cancelled"
    );

    desk.host("mic.invite", invite).unwrap();
    desk.gone("a");
    assert_eq!(
        json_of(&desk.hosts_told())[0]["method"],
        "mic.request_cancelled"
    );
}

#[test]
fn a_yes_that_finds_no_seat_leaves_the_invitation_open() {
    let mut desk = Desk::with(2, &["a", "b", "c"]);
    desk.host("mic.invite", json!({"user_id": "a", "seat": 1}))
        .unwrap();
    desk.seat("b");
    refused(
        desk.guest("a", "mic.answer", json!({"accept": true})),
        Reason::SeatTaken,
    );
    desk.seat("c");
    refused(
        desk.guest("a", "mic.answer", json!({"accept": true})),
        Reason::RoomFull,
    );
    desk.guest("b", "mic.leave", json!({})).unwrap();
    desk.guest("a", "mic.answer", json!({"accept": true}))
        .unwrap();
    assert_eq!(desk.seat_of("a"), Some(1));
}

#[test]
fn a_method_of_the_other_role_is_not_allowed() {
    let mut desk = Desk::with(9, &["a"]);
    let ban = json!({"user_id": "a"});
    refused(desk.guest("a", "guest.ban", ban), Reason::NotAllowed);
    refused(
        desk.guest("a", "room.people", json!({})),
        Reason::NotAllowed,
    );
    refused(desk.host("mic.request", json!({})), Reason::NotAllowed);
    refused(desk.host("mic.leave", json!({})), Reason::NotAllowed);
}

#[test]
fn more_open_requests_than_a_host_can_read_are_unavailable() {
    let mut desk = Desk::with(9, &[]);
    for n in 0..OPEN {
        desk.guest(&format!("g{n}"), "mic.request", json!({}))
            .unwrap();
    }
    refused(
        desk.guest("one-more", "mic.request", json!({})),
        Reason::Unavailable,
    );
}

#[test]
fn more_guests_than_the_box_knows_are_unavailable_until_one_goes() {
    let mut desk = Desk::with(9, &[]);
    for n in 0..PEOPLE {
        desk.seen(&format!("g{n}"));
    }
    refused(
        desk.guest("one-more", "mic.request", json!({})),
        Reason::Unavailable,
    );
    let people = desk.host("room.people", json!({})).unwrap();
    assert!(people.to_string().len() < 64 * 1024);
    desk.gone("g7");
    desk.guest("one-more", "mic.request", json!({})).unwrap();
    assert_eq!(
        desk.host("room.people", json!({})).unwrap()["people"][0]["user_id"],
        "one-more"
    );
}

#[test]
fn people_are_those_with_a_live_session_and_their_states() {
    let mut desk = Desk::with(9, &["a", "b", "c", "d"]);
    desk.put_on_air("a");
    desk.guest("b", "mic.request", json!({})).unwrap();
    desk.host("mic.invite", json!({"user_id": "c"})).unwrap();
    desk.gone("d");
    let people = desk.host("room.people", json!({})).unwrap();
    let states: Vec<_> = people["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (&p["user_id"], &p["state"]))
        .collect();
    assert_eq!(
        json!(states),
        json!([["a", "on_air"], ["b", "requested"], ["c", "invited"]])
    );
}

#[test]
fn a_banned_guest_loses_everything_and_is_not_heard_again() {
    let mut desk = Desk::with(9, &["a", "b", "c"]);
    desk.put_on_air("a");
    desk.host("guest.ban", json!({"user_id": "a"})).unwrap();
    assert_eq!(
        json_of(&desk.told("a")),
        [json!({"method": "mic.terminated", "params": {"reason": "banned"}})]
    );
    assert_eq!(
        json_of(&desk.hosts_told()),
        [json!({"method": "mic.exited", "params": {"user_id": "a", "reason": "banned"}})]
    );
    assert!(desk.effects.contains(&Effect::Evict { user: id("a") }));
    assert_eq!(desk.closed(), 1);
    refused(
        desk.guest("a", "mic.request", json!({})),
        Reason::NotAllowed,
    );
    desk.seen("a");
    assert!(desk.room.is_banned(&id("a")) && !desk.room.live_guests().any(|user| *user == id("a")));

    desk.guest("b", "mic.request", json!({})).unwrap();
    desk.host("guest.ban", json!({"user_id": "b"})).unwrap();
    assert_eq!(json_of(&desk.told("b"))[0]["method"], "mic.rejected");
    desk.host("mic.invite", json!({"user_id": "c"})).unwrap();
    desk.host("guest.ban", json!({"user_id": "c"})).unwrap();
    assert_eq!(json_of(&desk.told("c"))[0]["method"], "mic.invite_ended");
}

#[test]
fn the_end_of_the_show_ends_everything_and_tells_everyone() {
    let mut desk = Desk::with(9, &["a", "b", "c"]);
    desk.put_on_air("a");
    desk.guest("b", "mic.request", json!({})).unwrap();
    desk.host("mic.invite", json!({"user_id": "c"})).unwrap();
    desk.apply(Input::Shutdown);
    assert_eq!(json_of(&desk.told("a"))[0]["params"]["reason"], "shutdown");
    assert_eq!(json_of(&desk.told("b"))[0]["method"], "mic.cancelled");
    assert_eq!(json_of(&desk.told("c"))[0]["params"]["reason"], "withdrawn");
    assert_eq!(desk.room.on_programme().count(), 0);
}
