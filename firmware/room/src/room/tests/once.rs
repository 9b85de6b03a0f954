//! Once only, and what survives a kill.

use dais_protocol::Call;
use serde_json::{Value, json};

use super::desk::{Desk, json_of};
use super::*;

fn send(
    desk: &mut Desk,
    from: &Caller,
    id: &str,
    method: &str,
    params: Value,
) -> Result<Value, RpcError> {
    let call = Call::parse(method, Some(params)).unwrap();
    let effects = desk.room.apply(
        Input::Call {
            from: from.clone(),
            id: id.to_owned(),
            call,
        },
        desk.now,
    );
    desk.effects = effects;
    match &desk.effects[..] {
        [Effect::Reply { result, .. }, ..] => result.clone(),
        other => panic!("no reply comes first in {other:?}"),
    }
}

fn guest(user: &str) -> Caller {
    Caller::Guest(id(user))
}

fn host(user: &str) -> Caller {
    Caller::Host(id(user))
}

#[test]
fn a_repeated_id_gets_the_first_reply_and_does_nothing() {
    let mut desk = Desk::with(9, &["a"]);
    let first = send(&mut desk, &guest("a"), "1", "mic.request", json!({})).unwrap();
    send(&mut desk, &guest("a"), "2", "mic.cancel", json!({})).unwrap();
    let before = desk.room.clone();
    assert_eq!(
        send(&mut desk, &guest("a"), "1", "mic.request", json!({})).unwrap(),
        first
    );
    assert_eq!(desk.effects.len(), 1);
    // With other content it is still the first request.
    assert_eq!(
        send(&mut desk, &guest("a"), "1", "mic.leave", json!({})).unwrap(),
        first
    );
    assert_eq!(desk.room, before);
}

#[test]
fn ids_are_each_senders_own() {
    let mut desk = Desk::with(9, &["a", "b"]);
    send(&mut desk, &guest("a"), "1", "mic.request", json!({})).unwrap();
    send(&mut desk, &guest("b"), "1", "mic.request", json!({})).unwrap();
    send(
        &mut desk,
        &host("a"),
        "1",
        "layout.set",
        json!({"layout": "solo"}),
    )
    .unwrap();
    assert_eq!(desk.pending().len(), 2);
}

#[test]
fn refusals_are_repeated_too() {
    let mut desk = Desk::with(9, &["a"]);
    let first = send(&mut desk, &guest("a"), "x", "mic.leave", json!({})).unwrap_err();
    desk.put_on_air("a");
    assert_eq!(
        send(&mut desk, &guest("a"), "x", "mic.leave", json!({})).unwrap_err(),
        first
    );
    assert_eq!(desk.state("a"), Some("on_air"));
}

#[test]
fn the_last_256_ids_are_remembered_for_ten_minutes() {
    let mut desk = Desk::with(9, &["a"]);
    let lock = |locked: bool| json!({"seat": 1, "locked": locked});
    send(&mut desk, &host("h1"), "first", "seat.lock", lock(true)).unwrap();
    send(&mut desk, &host("h1"), "unlock", "seat.lock", lock(false)).unwrap();
    for n in 0..254 {
        send(
            &mut desk,
            &host("h1"),
            &n.to_string(),
            "room.people",
            json!({}),
        )
        .unwrap();
    }
    send(&mut desk, &host("h1"), "first", "seat.lock", lock(true)).unwrap();
    assert!(
        desk.room.snapshot(desk.now).locked_seats.is_empty(),
        "the 256th is remembered"
    );
    send(&mut desk, &host("h1"), "one-more", "room.people", json!({})).unwrap();
    send(&mut desk, &host("h1"), "first", "seat.lock", lock(true)).unwrap();
    assert_eq!(desk.room.snapshot(desk.now).locked_seats, [seat(1)]);

    desk.now += 10 * 60 * 1000 - 1;
    send(&mut desk, &host("h1"), "first", "seat.lock", lock(false)).unwrap();
    assert_eq!(desk.room.snapshot(desk.now).locked_seats, [seat(1)]);
    desk.now += 1;
    send(&mut desk, &host("h1"), "first", "seat.lock", lock(false)).unwrap();
    assert!(desk.room.snapshot(desk.now).locked_seats.is_empty());
}

#[test]
fn senders_past_the_bound_push_out_the_one_silent_longest() {
    let mut replies = replies::Replies::default();
    for n in 0..replies::SENDERS + 1 {
        replies.finish(&guest(&format!("g{n}")), "1", Ok(json!({})), n as u64);
    }
    let last = replies::SENDERS as u64;
    assert_eq!(
        replies.begin(&guest("g1"), "1", last),
        Once::Answered(Ok(json!({})))
    );
    assert_eq!(replies.begin(&guest("g0"), "1", last), Once::New);
    assert_eq!(replies.all_kept().len(), replies::SENDERS - 1);
}

#[test]
fn what_the_appliance_carries_out_is_once_only_too() {
    let mut desk = Desk::with(9, &[]);
    let (room, from) = (&mut desk.room, host("h1"));
    room.take_record();
    assert_eq!(room.begin(&from, "7", 5), Once::New);
    assert_eq!(room.begin(&from, "7", 6), Once::Underway);
    room.finish(&from, "7", Ok(json!({"output_id": "o1"})), true, 9);
    assert_eq!(
        room.begin(&from, "7", 10),
        Once::Answered(Ok(json!({"output_id": "o1"})))
    );
    let record = room.take_record().unwrap();
    let mut back = Room::restore(record, 0, 0);
    assert_eq!(
        back.begin(&from, "7", 1),
        Once::Answered(Ok(json!({"output_id": "o1"})))
    );
}

#[test]
fn a_kill_in_the_middle_of_an_accept_keeps_the_seat_and_the_reply() {
    let mut desk = Desk::with(9, &["a"]);
    let mut disk = desk.room.whole_record();
    desk.guest("a", "mic.request", json!({})).unwrap();
    disk.absorb(desk.room.take_record().unwrap());
    let respond = json!({"user_id": "a", "accept": true});
    // Killed before the record: nothing happened, and the console's repetition is the first.
    let mut early = Room::restore(disk.clone(), 0, 0);
    assert_eq!(early.pending(0).requests.len(), 1);
    early.take_record();
    // Killed after the record, before the reply: the seat is given, and the repetition gets the reply.
    let reply = desk.host("mic.respond", respond.clone()).unwrap();
    disk.absorb(desk.room.take_record().unwrap());
    desk.kill_and_restart(disk, 0);
    assert_eq!(
        (desk.state("a"), desk.seat_of("a")),
        (Some("reconnecting"), Some(1))
    );
    assert_eq!(
        send(&mut desk, &host("h1"), "2", "mic.respond", respond).unwrap(),
        reply
    );
    assert_eq!(desk.effects.len(), 1);
    // The guest comes back, and gets a new session.
    desk.seen("a");
    assert_eq!(desk.opened(), [&id("a")]);
    desk.media("a", MediaEvent::Alive);
    assert_eq!(desk.state("a"), Some("on_air"));
}

#[test]
fn nobody_who_comes_back_after_a_restart_loses_the_seat_and_who_does_not_does() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.put_on_air("a");
    desk.put_on_air("b");
    let disk = desk.room.whole_record();
    desk.kill_and_restart(disk, 3_600_000);
    desk.seen("b");
    desk.media("b", MediaEvent::Alive);
    desk.later(GRACE_MS);
    assert_eq!((desk.state("a"), desk.seat_of("b")), (None, Some(2)));
}

#[test]
fn open_requests_keep_what_was_left_of_their_time() {
    let mut desk = Desk::with(9, &["a", "b"]);
    desk.guest("a", "mic.request", json!({"timeout_s": 20}))
        .unwrap();
    desk.host("mic.invite", json!({"user_id": "b", "timeout_s": 30}))
        .unwrap();
    desk.later(5_000);
    let disk = desk.room.whole_record();
    desk.kill_and_restart(disk, 4_000);
    assert_eq!(desk.pending(), [("a".to_owned(), 11_000)]);
    desk.seen("a");
    assert_eq!(
        desk.opened(),
        [&id("a")],
        "an early session again, now that its guest is there"
    );
    desk.later(11_000);
    assert_eq!(json_of(&desk.told("a"))[0]["method"], "mic.timed_out");
    desk.later(10_000);
    assert_eq!(json_of(&desk.told("b"))[0]["method"], "mic.invite_ended");
}

#[test]
fn rev_never_falls_behind_what_clients_saw() {
    let mut desk = Desk::with(9, &["a"]);
    desk.put_on_air("a");
    let mut disk = desk.room.whole_record();
    for n in 0..3_000 {
        desk.apply(Input::Speaking {
            seat: seat(1),
            speaking: n % 2 == 0,
        });
        // The effects of a change go out after its record is on disk: killed there, clients saw the rev before.
        let seen = desk.room.rev() - 1;
        let record = desk.room.take_record();
        assert!(Room::restore(disk.clone(), 0, 0).rev() > seen);
        record.into_iter().for_each(|record| disk.absorb(record));
        assert!(Room::restore(disk.clone(), 0, 0).rev() > desk.room.rev());
    }
}

#[test]
fn every_notification_carries_the_rev_of_the_state_it_tells_of() {
    let mut desk = Desk::with(9, &["a"]);
    let before = desk.room.rev();
    desk.guest("a", "mic.request", json!({})).unwrap();
    assert!(desk.room.rev() > before);
    let rev = desk.room.next_rev();
    assert_eq!(
        (
            desk.room.snapshot(desk.now).rev,
            desk.room.pending(desk.now).rev
        ),
        (rev, rev)
    );
}

#[test]
fn a_clock_that_steps_back_ends_nothing_twice() {
    let mut desk = Desk::with(9, &["a"]);
    desk.guest("a", "mic.request", json!({"timeout_s": 1}))
        .unwrap();
    desk.later(1_000);
    assert_eq!(desk.told("a").len(), 1);
    desk.now = 0;
    desk.apply(Input::Tick);
    assert!(desk.effects.is_empty());
    desk.guest("a", "mic.request", json!({"timeout_s": 1}))
        .unwrap();
    desk.now = 2_001;
    desk.apply(Input::Tick);
    assert!(
        desk.told("a").is_empty(),
        "the second request began at 2,001, not at 0"
    );
}

#[test]
fn refusals_and_reads_are_not_written_to_disk() {
    let mut desk = Desk::with(9, &["a"]);
    desk.room.take_record();
    desk.guest("a", "mic.leave", json!({})).unwrap_err();
    desk.host("room.people", json!({})).unwrap();
    desk.later(1);
    assert_eq!(desk.room.take_record(), None);
}
