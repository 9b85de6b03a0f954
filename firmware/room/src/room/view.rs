//! What others see of the room.

use std::cmp::Reverse;

use dais_protocol::{
    GainDb, GuestState, HostState, Id, Layout, Name, Pending, PendingRequest, People, Person,
    RoomSnapshot, Seat, SeatState, Talkback, Token, UserOnAir,
};

use super::guest::{Guest, Stage, Stay};
use super::{Core, Room};

/// The people of `room.people` that fit into a message of 64 KiB, whose envelope needs some of that.
const PEOPLE_BYTES: usize = 60_000;

/// A seat as the studio draws and mixes it. Whoever is not listed contributes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct OnProgramme<'a> {
    pub seat: Seat,
    pub user: &'a Id,
    pub name: &'a Name,
    /// On air: live picture and sound. Reconnecting: the last picture, dimmed. Connecting: a name card.
    pub state: SeatState,
    /// `None` until the guest is seen again after a restart, or when sessions failed too often.
    pub session: Option<&'a Token>,
    pub camera: bool,
    /// Silent, by the guest's or the host's will.
    pub audio_muted: bool,
    pub video_muted: bool,
    pub gain_db: GainDb,
}

impl Core {
    /// Everyone with a seat, by seat.
    pub fn users(&self) -> Vec<UserOnAir> {
        let user = |(id, guest): (&Id, &Guest)| {
            Some(UserOnAir {
                seat: guest.stay()?.seat,
                user_id: id.clone(),
                name: guest.name.clone(),
            })
        };
        let mut users: Vec<UserOnAir> = self.guests.iter().filter_map(user).collect();
        users.sort_by_key(|user| user.seat);
        users
    }

    fn stays(&self) -> Vec<(&Id, &Guest, &Stay)> {
        let mut stays: Vec<_> = self
            .guests
            .iter()
            .filter_map(|(id, guest)| Some((id, guest, guest.stay()?)))
            .collect();
        stays.sort_by_key(|(_, _, stay)| stay.seat);
        stays
    }

    /// Everyone with a live session. Where they are too many for one message, those who want or have a seat come first.
    pub fn people(&self) -> People {
        let mut live: Vec<(&Id, &Guest)> =
            self.guests.iter().filter(|(_, guest)| guest.live).collect();
        live.sort_by_key(|(_, guest)| Reverse(!matches!(guest.stage, Stage::Idle)));
        let mut left = PEOPLE_BYTES;
        let mut people = Vec::new();
        for (id, guest) in live {
            let person = Person {
                user_id: id.clone(),
                name: guest.name.clone(),
                state: guest.person_state(),
            };
            let bytes = serde_json::to_vec(&person).map_or(PEOPLE_BYTES, |bytes| bytes.len() + 1);
            let Some(rest) = left.checked_sub(bytes) else {
                break;
            };
            left = rest;
            people.push(person);
        }
        People { people }
    }
}

impl Room {
    pub fn rev(&self) -> u64 {
        self.core.rev
    }

    /// The retained `room`.
    pub fn snapshot(&self, now: u64) -> RoomSnapshot {
        let guest = |(id, guest, stay): (&Id, &Guest, &Stay)| GuestState {
            seat: stay.seat,
            user_id: id.clone(),
            name: guest.name.clone(),
            state: stay.phase.seat_state(),
            camera: stay.camera,
            audio_muted: guest.muted().audio,
            video_muted: guest.muted().video,
            muted_by_host: stay.by_host.audio,
            hidden_by_host: stay.by_host.video,
            gain_db: stay.gain,
            speaking: stay.speaking,
            connected_ms: stay
                .before_ms
                .saturating_add(now.saturating_sub(stay.since)),
        };
        RoomSnapshot {
            rev: self.core.rev,
            title: self.core.title.clone(),
            accepting: self.core.accepting,
            max_guests: self.core.max_guests,
            layout: self.core.layout,
            host: self.core.host.clone(),
            guests: self.core.stays().into_iter().map(guest).collect(),
            locked_seats: self.core.locked.iter().copied().collect(),
        }
    }

    /// The retained `pending`, oldest request first.
    pub fn pending(&self, now: u64) -> Pending {
        let mut open: Vec<_> = self
            .core
            .guests
            .iter()
            .filter_map(|(id, guest)| Some((guest.request()?, id, guest)))
            .collect();
        open.sort_by_key(|(request, _, _)| request.number);
        let requests = open.into_iter().map(|(request, id, guest)| PendingRequest {
            request_id: self.core.token('r', request.number),
            user_id: id.clone(),
            name: guest.name.clone(),
            camera: request.camera,
            expires_in_ms: request.expires_at.saturating_sub(now),
        });
        Pending {
            rev: self.core.rev,
            requests: requests.collect(),
            talkback: self.core.talkback.as_ref().map(|talkback| Talkback {
                user_id: talkback.user.clone(),
                by: talkback.by.clone(),
                by_name: None,
            }),
        }
    }

    /// The seats for the studio, by seat.
    pub fn on_programme(&self) -> impl Iterator<Item = OnProgramme<'_>> {
        self.core
            .stays()
            .into_iter()
            .map(|(user, guest, stay)| OnProgramme {
                seat: stay.seat,
                user,
                name: &guest.name,
                state: stay.phase.seat_state(),
                session: guest.media.as_ref().map(|media| &media.session),
                camera: stay.camera,
                audio_muted: guest.muted().audio,
                video_muted: guest.muted().video,
                gain_db: stay.gain,
            })
    }

    pub fn layout(&self) -> Layout {
        self.core.layout
    }

    pub fn host(&self) -> &HostState {
        &self.core.host
    }

    /// When something ends by itself, and [`super::Input::Tick`] is due.
    pub fn deadline(&self) -> Option<u64> {
        let guests = self.core.guests.values().filter_map(Guest::deadline);
        guests
            .chain(self.core.talkback.as_ref().map(|talkback| talkback.until))
            .min()
    }

    /// Guests with a live session.
    pub fn live_guests(&self) -> impl Iterator<Item = &Id> {
        self.core
            .guests
            .iter()
            .filter(|(_, guest)| guest.live)
            .map(|(id, _)| id)
    }

    /// Guests with a seat, a request or an invitation whose session is not known to be live: those of before a restart.
    pub fn awaited_guests(&self) -> impl Iterator<Item = &Id> {
        let awaited = |guest: &Guest| !guest.live && !matches!(guest.stage, Stage::Idle);
        self.core
            .guests
            .iter()
            .filter(move |(_, guest)| awaited(guest))
            .map(|(user, _)| user)
    }

    /// Every guest's media session.
    pub fn sessions(&self) -> impl Iterator<Item = (&Id, &Token)> {
        let guests = self.core.guests.iter();
        guests.filter_map(|(user, guest)| Some((user, &guest.media.as_ref()?.session)))
    }

    /// The media session that the room opened for this guest.
    pub fn session_of(&self, user: &Id) -> Option<&Token> {
        self.core
            .guests
            .get(user)?
            .media
            .as_ref()
            .map(|media| &media.session)
    }

    /// Whose media session this is.
    pub fn user_of(&self, session: &Token) -> Option<&Id> {
        let of = |guest: &Guest| {
            guest
                .media
                .as_ref()
                .is_some_and(|media| media.session == *session)
        };
        self.core
            .guests
            .iter()
            .find(|(_, guest)| of(guest))
            .map(|(id, _)| id)
    }

    /// Whether this guest was banned.
    pub fn is_banned(&self, user: &Id) -> bool {
        self.core.banned.contains_key(user)
    }
}
