//! Who may come in: consoles and guests with their credentials, invites, and the pairing code.
//!
//! Passwords are random 122-bit tokens, so one SHA-256 hides them as well as a slow hash would. Nothing here reads
//! the wall clock: what ends, ends after time that the box has counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};

use dais_broker::Authenticate;
use dais_protocol::{Id, Name, Token};
use dais_room::access::{Identity, Role};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::{BootTime, Clock};
use crate::patches::Patches;
use crate::store::StoreError;

/// A guest's credential ends after a day.
const GUEST_TTL_MS: u64 = 24 * 3600 * 1000;
/// An invite's lifetime if its maker names none.
const INVITE_TTL_MS: u64 = 24 * 3600 * 1000;
/// More consoles than a studio has, and few enough to keep the file small.
const MAX_HOSTS: usize = 64;
/// Guests known at once: the most clients that the benchmark connects.
const MAX_GUESTS: usize = 2000;
const MAX_INVITES: usize = 200;
/// Wrong pairing codes in a minute; the next is answered without a look at it. Six digits last for months then.
const WRONG_CODES: usize = 5;
const MINUTE_MS: u64 = 60_000;

pub struct Book {
    state: RwLock<State>,
    wrong: Mutex<VecDeque<u64>>,
    pairing_code: String,
    box_password: String,
    file: Mutex<Patches>,
    clock: Clock,
    presence: tokio::sync::mpsc::UnboundedSender<Presence>,
}

/// What the embedded broker knows of who is there. An external broker tells nothing: there only wills and requests do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Has a new connection.
    Arrived(Identity),
    /// A connection has ended; so many are left.
    Departed(Identity, usize),
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    hosts: BTreeMap<Id, Entry>,
    guests: BTreeMap<Id, Entry>,
    invites: BTreeMap<Token, Open>,
    /// When it was written: by the clock that the ends are of, and by one that survives the process.
    at_ms: u64,
    saved: Option<BootTime>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    name: Name,
    hash: [u8; 32],
    /// By the clock; in the file, by that of the process that wrote it.
    ends_ms: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Open {
    uses_left: Option<u32>,
    ends_ms: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("This pairing code is wrong. The box shows the right one.")]
    WrongCode,
    #[error("Too many wrong pairing codes. Wait a minute, then try again.")]
    TooManyWrong,
    #[error("This invite is unknown, used up or expired. Ask the host for a new one.")]
    BadInvite,
    #[error(
        "This box knows too many {0} already. Remove some, or wait until the credentials of others end."
    )]
    Full(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new credential, shown once.
pub struct Admission {
    pub who: Identity,
    pub id: Id,
    pub password: String,
}

impl Book {
    /// Opens the book of `file`. Who logs in and who goes is told to `presence`.
    pub fn open(
        file: Patches,
        clock: Clock,
        presence: tokio::sync::mpsc::UnboundedSender<Presence>,
    ) -> Result<Self, StoreError> {
        let mut state: State = file.load()?.unwrap_or_default();
        let away = state
            .saved
            .take()
            .map_or(0, |then| BootTime::now().since_ms(&then));
        let now = clock.now_ms();
        let written = state.at_ms;
        let resume = |end: u64| {
            let left = end.saturating_sub(written).checked_sub(away)?;
            Some(now + left)
        };
        state
            .guests
            .retain(|_, guest| match guest.ends_ms.and_then(resume) {
                Some(end) => {
                    guest.ends_ms = Some(end);
                    true
                }
                None => false,
            });
        state.invites.retain(|_, invite| {
            resume(invite.ends_ms)
                .map(|end| invite.ends_ms = end)
                .is_some()
        });
        Ok(Self {
            state: RwLock::new(state),
            wrong: Mutex::default(),
            pairing_code: format!("{:06}", rand::random_range(0..1_000_000)),
            box_password: token(),
            file: Mutex::new(file),
            clock,
            presence,
        })
    }

    /// The code of this start, six digits.
    pub fn pairing_code(&self) -> &str {
        &self.pairing_code
    }

    /// The box's own password at its embedded broker, new at each start.
    pub fn box_password(&self) -> &str {
        &self.box_password
    }

    /// A new console, for whoever reads the code off the box.
    pub fn pair(&self, code: &str, name: Name) -> Result<Admission, BookError> {
        {
            let now = self.clock.now_ms();
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            while wrong.front().is_some_and(|at| at + MINUTE_MS <= now) {
                wrong.pop_front();
            }
            // Even a right code waits then: an answer would tell the guesser that it is right.
            if wrong.len() >= WRONG_CODES {
                return Err(BookError::TooManyWrong);
            }
            if !same(
                &digest(code.trim().as_bytes()),
                &digest(self.pairing_code.as_bytes()),
            ) {
                wrong.push_back(now);
                return Err(BookError::WrongCode);
            }
        }
        self.change(|state, _| {
            if state.hosts.len() >= MAX_HOSTS {
                return Err(BookError::Full("consoles"));
            }
            Ok(admit(&mut state.hosts, Role::Host, name, None))
        })
    }

    /// A new guest, for whoever holds an invite.
    pub fn join(&self, invite: &Token, name: Name) -> Result<Admission, BookError> {
        self.change(|state, now| {
            state
                .guests
                .retain(|_, guest| guest.ends_ms.is_none_or(|end| end > now));
            state.invites.retain(|_, open| open.ends_ms > now);
            let open = state
                .invites
                .get_mut(invite)
                .filter(|open| open.uses_left != Some(0))
                .ok_or(BookError::BadInvite)?;
            if state.guests.len() >= MAX_GUESTS {
                return Err(BookError::Full("guests"));
            }
            open.uses_left = open.uses_left.map(|left| left - 1);
            Ok(admit(
                &mut state.guests,
                Role::Guest,
                name,
                Some(now + GUEST_TTL_MS),
            ))
        })
    }

    pub fn invite(&self, uses: Option<u32>, ttl_s: Option<u32>) -> Result<Token, BookError> {
        self.change(|state, now| {
            state
                .invites
                .retain(|_, open| open.ends_ms > now && open.uses_left != Some(0));
            if state.invites.len() >= MAX_INVITES {
                return Err(BookError::Full("invites"));
            }
            let invite = Token::random();
            let ends_ms = now + ttl_s.map_or(INVITE_TTL_MS, |s| u64::from(s) * 1000);
            state.invites.insert(
                invite.clone(),
                Open {
                    uses_left: uses,
                    ends_ms,
                },
            );
            Ok(invite)
        })
    }

    /// Whether there was such an invite.
    pub fn revoke_invite(&self, invite: &Token) -> Result<bool, BookError> {
        self.change(|state, _| Ok(state.invites.remove(invite).is_some()))
    }

    /// Ends a guest's credential; the broker must be told too.
    pub fn ban(&self, guest: &Id) -> Result<(), BookError> {
        self.change(|state, _| {
            state.guests.remove(guest);
            Ok(())
        })
    }

    /// Every paired console.
    pub fn hosts(&self) -> Vec<(Id, Name)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = state.hosts.iter();
        hosts
            .map(|(id, entry)| (id.clone(), entry.name.clone()))
            .collect()
    }

    /// Ends a console's credential; the broker must be told too. Whether there was such a console.
    pub fn unpair(&self, host: &Id) -> Result<bool, BookError> {
        self.change(|state, _| Ok(state.hosts.remove(host).is_some()))
    }

    pub fn name_of(&self, who: &Identity) -> Option<Name> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .of(who.role)?
            .get(who.id.as_str())
            .map(|entry| entry.name.clone())
    }

    fn change<T>(
        &self,
        act: impl FnOnce(&mut State, u64) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        let done = act(&mut state, now)?;
        (state.at_ms, state.saved) = (now, Some(BootTime::now()));
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .save(&*state)?;
        Ok(done)
    }
}

impl State {
    fn of(&self, role: Role) -> Option<&BTreeMap<Id, Entry>> {
        match role {
            Role::Host => Some(&self.hosts),
            Role::Guest => Some(&self.guests),
            Role::Box => None,
        }
    }
}

fn admit(
    entries: &mut BTreeMap<Id, Entry>,
    role: Role,
    name: Name,
    ends_ms: Option<u64>,
) -> Admission {
    let (id, password) = (Id::random(), token());
    entries.insert(
        id.clone(),
        Entry {
            name,
            hash: digest(password.as_bytes()),
            ends_ms,
        },
    );
    Admission {
        who: Identity {
            role,
            id: id.to_string(),
        },
        id,
        password,
    }
}

fn token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

impl Authenticate for Book {
    fn authenticate(&self, username: &str, password: &[u8]) -> Option<Identity> {
        let who = Identity::from_username(username)?;
        let given = digest(password);
        if who.role == Role::Box {
            return same(&given, &digest(self.box_password.as_bytes())).then_some(who);
        }
        let known = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let entry = state.of(who.role)?.get(who.id.as_str())?;
            entry.ends_ms.is_none_or(|end| end > self.clock.now_ms()) && same(&given, &entry.hash)
        };
        known.then_some(who)
    }

    fn arrived(&self, who: &Identity) {
        let _ = self.presence.send(Presence::Arrived(who.clone()));
    }

    fn departed(&self, who: &Identity, left: usize) {
        let _ = self.presence.send(Presence::Departed(who.clone(), left));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn book(folder: &std::path::Path) -> Book {
        Book::open(
            Patches::new(folder, "book.jsonl"),
            Clock::start(),
            tokio::sync::mpsc::unbounded_channel().0,
        )
        .unwrap()
    }

    fn name() -> Name {
        "Ana".parse().unwrap()
    }

    #[test]
    fn the_sixth_wrong_code_of_a_minute_is_refused_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let book = book(folder.path());
        let wrong = if book.pairing_code() == "000000" {
            "000001"
        } else {
            "000000"
        };
        for _ in 0..5 {
            assert!(matches!(
                book.pair(wrong, name()),
                Err(BookError::WrongCode)
            ));
        }
        assert!(matches!(
            book.pair(wrong, name()),
            Err(BookError::TooManyWrong)
        ));
        let right = book.pairing_code().to_owned();
        assert!(matches!(
            book.pair(&right, name()),
            Err(BookError::TooManyWrong)
        ));
    }

    #[test]
    fn credentials_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = book(folder.path());
        let host = first.pair(first.pairing_code(), name()).unwrap();
        let invite = first.invite(Some(1), None).unwrap();
        let guest = first.join(&invite, name()).unwrap();
        let second = book(folder.path());
        for admission in [&host, &guest] {
            assert_eq!(
                second.authenticate(&admission.who.username(), admission.password.as_bytes()),
                Some(admission.who.clone())
            );
            assert_eq!(
                second.authenticate(&admission.who.username(), b"guess"),
                None
            );
        }
        assert!(matches!(
            second.join(&invite, name()),
            Err(BookError::BadInvite)
        ));
        assert!(
            !std::fs::read_to_string(folder.path().join("book.jsonl"))
                .unwrap()
                .contains(&host.password)
        );
    }

    #[test]
    fn a_host_cannot_log_in_with_a_guests_password() {
        let folder = tempfile::tempdir().unwrap();
        let book = book(folder.path());
        let guest = book
            .join(&book.invite(None, None).unwrap(), name())
            .unwrap();
        assert_eq!(
            book.authenticate(&format!("host-{}", guest.id), guest.password.as_bytes()),
            None
        );
        assert_eq!(book.authenticate("box", guest.password.as_bytes()), None);
    }

    #[test]
    fn an_unpaired_console_is_gone_after_a_restart_too() {
        let folder = tempfile::tempdir().unwrap();
        let first = book(folder.path());
        let lost = first.pair(first.pairing_code(), name()).unwrap();
        let kept = first.pair(first.pairing_code(), name()).unwrap();
        assert_eq!(first.hosts().len(), 2);
        assert!(first.unpair(&lost.id).unwrap());
        assert!(!first.unpair(&lost.id).unwrap());
        for book in [&first, &book(folder.path())] {
            let login = |a: &Admission| book.authenticate(&a.who.username(), a.password.as_bytes());
            assert_eq!(login(&lost), None);
            assert_eq!(login(&kept), Some(kept.who.clone()));
            assert_eq!(book.hosts(), [(kept.id.clone(), name())]);
        }
    }

    #[test]
    fn a_banned_guest_and_a_revoked_invite_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let book = book(folder.path());
        let invite = book.invite(None, None).unwrap();
        let guest = book.join(&invite, name()).unwrap();
        book.ban(&guest.id).unwrap();
        assert_eq!(
            book.authenticate(&guest.who.username(), guest.password.as_bytes()),
            None
        );
        assert!(book.revoke_invite(&invite).unwrap());
        assert!(!book.revoke_invite(&invite).unwrap());
        assert!(matches!(
            book.join(&invite, name()),
            Err(BookError::BadInvite)
        ));
    }
}
