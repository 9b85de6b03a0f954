//! Twelve guests for nine seats, three consoles, and anything in any order.

use dais_protocol::{
    Call, Empty, HostSet, Layout, LayoutSet, MediaRestart, MediaSet, MicAnswer, MicDisconnect,
    MicInvite, MicMove, MicRequest, MicRespond, MicSet, OfUser, RoomSet, SeatLock, TalkbackSet,
};
use proptest::prelude::*;

use super::watch::Watch;
use super::*;

const GUESTS: u8 = 12;
const CONSOLES: u8 = 3;

#[derive(Clone, Debug)]
enum Event {
    Seen(u8),
    Gone(u8),
    Guest(u8, Call),
    /// A guest restarts whichever session it has.
    Restart(u8),
    Host(u8, Call),
    HostGone(u8),
    Media(u8, MediaEvent),
    Speaking(u8, bool),
    /// The network delivers a request once more.
    Again(prop::sample::Index),
    Later(u32),
    /// The box is killed, with this much time until it is back.
    Kill(u32),
    Shutdown,
}

fn user(number: u8) -> Id {
    id(&format!("g{number}"))
}

fn any_seat() -> impl Strategy<Value = Seat> {
    (1..=9u8).prop_map(seat)
}

fn guest_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        5 => (1..=300u32, any::<bool>())
            .prop_map(|(timeout, camera)| Call::MicRequest(MicRequest { timeout_s: seconds(timeout), camera })),
        1 => Just(Call::MicCancel(Empty {})),
        2 => any::<bool>().prop_map(|accept| Call::MicAnswer(MicAnswer { accept })),
        1 => Just(Call::MicLeave(Empty {})),
        1 => (any::<Option<bool>>(), any::<Option<bool>>())
            .prop_map(|(audio_muted, video_muted)| Call::MediaSet(MediaSet { audio_muted, video_muted })),
        1 => Just(Call::RoomPeople(Empty {})),
    ]
}

fn host_call() -> impl Strategy<Value = Call> {
    let user_id = || (0..GUESTS).prop_map(user);
    let maybe_seat = || prop::option::weighted(0.3, any_seat());
    prop_oneof![
        12 => (user_id(), prop::bool::weighted(0.8), maybe_seat())
            .prop_map(|(user_id, accept, seat)| Call::MicRespond(MicRespond { user_id, accept, seat, message: None })),
        1 => user_id().prop_map(|user_id| Call::MicDisconnect(MicDisconnect { user_id, message: None })),
        3 => (user_id(), 1..=300u32, maybe_seat()).prop_map(|(user_id, timeout, seat)| {
            Call::MicInvite(MicInvite { user_id, timeout_s: seconds(timeout), seat })
        }),
        1 => user_id().prop_map(|user_id| Call::MicWithdraw(OfUser { user_id })),
        2 => (user_id(), any_seat()).prop_map(|(user_id, seat)| Call::MicMove(MicMove { user_id, seat })),
        1 => (user_id(), any::<Option<bool>>(), any::<Option<bool>>()).prop_map(|(user_id, audio_muted, video_muted)| {
            Call::MicSet(MicSet { user_id, audio_muted, video_muted, gain_db: None })
        }),
        3 => prop::option::weighted(0.8, user_id())
            .prop_map(|user_id| Call::TalkbackSet(TalkbackSet { user_id })),
        1 => (any_seat(), any::<bool>()).prop_map(|(seat, locked)| Call::SeatLock(SeatLock { seat, locked })),
        1 => (prop::bool::weighted(0.9), 1..=9u8).prop_map(|(accepting, most)| {
            Call::RoomSet(RoomSet { title: None, accepting: Some(accepting), max_guests: Some(max(most)) })
        }),
        1 => any::<bool>().prop_map(|muted| {
            Call::HostSet(HostSet { audio_muted: Some(muted), video_muted: None, name: None })
        }),
        1 => prop::sample::select(Layout::ALL.to_vec()).prop_map(|layout| Call::LayoutSet(LayoutSet { layout })),
        1 => Just(Call::RoomPeople(Empty {})),
        1 => (0..2 * GUESTS).prop_map(|number| Call::GuestBan(OfUser { user_id: user(number) })),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let guest = || 0..GUESTS;
    let media = prop_oneof![4 => Just(MediaEvent::Alive), 1 => Just(MediaEvent::Lost), 1 => Just(MediaEvent::Failed)];
    prop_oneof![
        2 => guest().prop_map(Event::Seen),
        1 => guest().prop_map(Event::Gone),
        8 => (guest(), guest_call()).prop_map(|(guest, call)| Event::Guest(guest, call)),
        1 => guest().prop_map(Event::Restart),
        10 => (0..CONSOLES, host_call()).prop_map(|(console, call)| Event::Host(console, call)),
        1 => (0..CONSOLES).prop_map(Event::HostGone),
        8 => (guest(), media).prop_map(|(guest, event)| Event::Media(guest, event)),
        1 => (1..=9u8, any::<bool>()).prop_map(|(seat, speaking)| Event::Speaking(seat, speaking)),
        4 => any::<prop::sample::Index>().prop_map(Event::Again),
        4 => (0..6_000u32).prop_map(Event::Later),
        1 => (0..6_000u32).prop_map(Event::Kill),
    ]
}

/// A box and its disk.
struct Life {
    room: Room,
    disk: Record,
    watch: Watch,
    now: u64,
    sent: Vec<Sent>,
    ids: u32,
}

#[derive(Clone, Debug)]
struct Sent {
    at: u64,
    from: Caller,
    id: String,
    call: Call,
    reply: Effect,
}

impl Life {
    fn new() -> Self {
        let mut room = Room::new(opening(9));
        let disk = room.whole_record();
        Self {
            room,
            disk,
            watch: Watch::default(),
            now: 0,
            sent: Vec::new(),
            ids: 0,
        }
    }

    fn apply(&mut self, input: Input) -> Result<Vec<Effect>, TestCaseError> {
        let before = self.room.clone();
        let effects = self.room.apply(input.clone(), self.now);
        self.watch
            .step(&before, &input, &effects, &self.room)
            .map_err(TestCaseError::fail)?;
        let shown = |room: &Room| {
            let mut snapshot = room.snapshot(self.now);
            snapshot.rev = 0;
            let pending = room.pending(self.now);
            (snapshot, pending.requests, pending.talkback)
        };
        let changed = shown(&before) != shown(&self.room);
        prop_assert!(
            !changed || self.room.rev() > before.rev(),
            "a change without a rev"
        );
        prop_assert!(
            self.room.deadline().is_none_or(|at| at > self.now),
            "something is overdue"
        );
        if let Some(record) = self.room.take_record() {
            self.disk.absorb(record);
        }
        self.check_disk()?;
        Ok(effects)
    }

    /// What is on disk brings back what is in memory.
    fn check_disk(&self) -> Result<(), TestCaseError> {
        let from_disk = Room::restore(self.disk.clone(), 0, self.now - self.disk.at());
        let from_memory = Room::restore(self.room.clone().whole_record(), 0, 0);
        let shown = |room: &Room| {
            let mut snapshot = room.snapshot(0);
            snapshot.rev = 0;
            (
                snapshot,
                room.pending(0).requests,
                room.core.banned.clone(),
                room.core.number,
            )
        };
        prop_assert_eq!(shown(&from_disk), shown(&from_memory));
        prop_assert!(from_disk.rev() > self.room.rev());
        Ok(())
    }

    fn call(&mut self, from: Caller, call: Call) -> Result<(), TestCaseError> {
        self.ids += 1;
        let id = self.ids.to_string();
        let effects = self.apply(Input::Call {
            from: from.clone(),
            id: id.clone(),
            call: call.clone(),
        })?;
        let reply = effects
            .into_iter()
            .find(|effect| matches!(effect, Effect::Reply { .. }))
            .unwrap();
        self.sent.push(Sent {
            at: self.now,
            from,
            id,
            call,
            reply,
        });
        Ok(())
    }

    /// Within the memory of the box a repetition gets the first reply, and nothing else happens.
    fn again(&mut self, which: prop::sample::Index) -> Result<(), TestCaseError> {
        self.sent.retain(|sent| self.now - sent.at < RECENT_MS);
        if self.sent.is_empty() {
            return Ok(());
        }
        let Sent {
            from,
            id,
            call,
            reply,
            ..
        } = which.get(&self.sent).clone();
        let before = self.room.clone();
        let effects = self.room.apply(Input::Call { from, id, call }, self.now);
        prop_assert_eq!(effects, vec![reply]);
        prop_assert_eq!(&self.room.core, &before.core);
        Ok(())
    }

    fn kill(&mut self, elapsed: u64) -> Result<(), TestCaseError> {
        let bytes = serde_json::to_vec(&self.disk).unwrap();
        let disk: Record = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&disk, &self.disk);
        let idle = self.now - disk.at();
        let mut room = Room::restore(disk, self.now, idle + elapsed);
        self.watch
            .restart(&self.room, &room)
            .map_err(TestCaseError::fail)?;
        self.disk = room.whole_record();
        self.room = room;
        // A refusal need not be remembered across a kill: nothing of it acted. What did act must be.
        let (room, now) = (&self.room, self.now);
        self.sent.retain(|sent| now + elapsed - sent.at < RECENT_MS);
        for sent in self
            .sent
            .extract_if(.., |sent| room.replies.kept(&sent.from, &sent.id).is_none())
        {
            let acts = matches!(
                sent.call,
                Call::MicRequest(_) | Call::MicRespond(_) | Call::MicLeave(_)
            );
            let acted = acts && matches!(sent.reply, Effect::Reply { result: Ok(_), .. });
            prop_assert!(!acted, "{sent:?} acted and is forgotten");
        }
        // What was lost of the memory's time is lost to those who repeat, too.
        self.sent
            .iter_mut()
            .for_each(|sent| sent.at = sent.at.saturating_sub(elapsed));
        self.apply(Input::Tick)?;
        Ok(())
    }

    fn live(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Seen(guest) => self
                .apply(Input::Seen {
                    user: user(guest),
                    name: name("Someone"),
                })
                .map(drop),
            Event::Gone(guest) => self
                .apply(Input::SessionGone { user: user(guest) })
                .map(drop),
            Event::Guest(guest, call) => self.call(Caller::Guest(user(guest)), call),
            Event::Host(console, call) => self.call(Caller::Host(id(&format!("h{console}"))), call),
            Event::HostGone(console) => self
                .apply(Input::HostGone {
                    user: id(&format!("h{console}")),
                })
                .map(drop),
            Event::Restart(guest) => match self.room.session_of(&user(guest)).cloned() {
                Some(session) => self.call(
                    Caller::Guest(user(guest)),
                    Call::MediaRestart(MediaRestart { session }),
                ),
                None => Ok(()),
            },
            Event::Media(guest, event) => match self.room.session_of(&user(guest)).cloned() {
                Some(session) => self.apply(Input::Media { session, event }).map(drop),
                None => Ok(()),
            },
            Event::Speaking(at, speaking) => self
                .apply(Input::Speaking {
                    seat: seat(at),
                    speaking,
                })
                .map(drop),
            Event::Again(which) => self.again(which),
            Event::Later(ms) => {
                self.now += u64::from(ms);
                self.apply(Input::Tick).map(drop)
            }
            Event::Kill(elapsed) => self.kill(elapsed.into()),
            Event::Shutdown => {
                self.apply(Input::Shutdown)?;
                prop_assert_eq!(
                    self.room.on_programme().count() + self.room.pending(self.now).requests.len(),
                    0
                );
                prop_assert!(self.watch.sessions.is_empty(), "media outlives the show");
                Ok(())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nine_seats_and_any_order_break_no_promise(events in prop::collection::vec(event(), 1..300)) {
        let mut life = Life::new();
        for guest in 0..GUESTS {
            life.live(Event::Seen(guest))?;
        }
        for event in events {
            life.live(event)?;
        }
        life.live(Event::Shutdown)?;
    }
}
