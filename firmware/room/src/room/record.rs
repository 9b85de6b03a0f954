//! What goes on disk, and how a room comes back from there.

use serde::{Deserialize, Serialize};

use super::guest::{Phase, Stage};
use super::replies::{Kept, Replies};
use super::{Core, GRACE_MS, REV_LEAP, Room};

/// The room at one moment, with replies to remember.
///
/// A journal of one life of the process is a [`Room::whole_record`] followed by the records of [`Room::take_record`]:
/// each holds the whole small state and the replies that are new since the one before. [`Record::absorb`] folds them
/// together, on reading and whenever the journal is written anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, by the clock of the life that wrote it. All times within are of that clock.
    at: u64,
    core: Core,
    replies: Vec<Kept>,
}

impl Record {
    /// When it was made, in the time that [`Room::apply`] was given.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Adds a later record of the same life.
    pub fn absorb(&mut self, later: Record) {
        self.at = later.at;
        self.core = later.core;
        self.replies.retain(|old| old.forget_at > later.at);
        self.replies.extend(later.replies);
    }

    /// Moves a time of the life that wrote this to the new one, in which it is `now`, `elapsed` after the record.
    fn shift(&self, time: u64, now: u64, elapsed: u64) -> u64 {
        now.saturating_add(time.saturating_sub(self.at).saturating_sub(elapsed))
    }
}

impl Room {
    /// What must be on disk before the effects of the last [`Room::apply`] are carried out; `None` if nothing that has to
    /// survive changed. A refused request is not worth a write: nothing of it acted, so it may be asked again.
    pub fn take_record(&mut self) -> Option<Record> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let new = std::mem::take(&mut self.unrecorded);
        let replies = new
            .iter()
            .filter_map(|(from, id)| self.replies.kept(from, id))
            .collect();
        self.recorded_rev = self.core.rev;
        Some(Record {
            at: self.clock,
            core: self.lasting(),
            replies,
        })
    }

    /// Everything, to begin a journal with.
    pub fn whole_record(&mut self) -> Record {
        self.dirty = false;
        self.unrecorded.clear();
        self.recorded_rev = self.core.rev;
        Record {
            at: self.clock,
            core: self.lasting(),
            replies: self.replies.all_kept(),
        }
    }

    /// The state without those who only watch: they are seen again when they come again.
    fn lasting(&self) -> Core {
        let mut core = self.core.clone();
        core.talkback = None;
        core.guests.retain(|_, guest| {
            !matches!(guest.stage, Stage::Idle)
                || guest.closed_request.is_some()
                || guest.closed_invitation.is_some()
        });
        core
    }

    /// The room after a restart of the box: the same guests on the same seats, `reconnecting`, and open requests with
    /// what was left of their time. `elapsed` is the time since [`Record::at`] in milliseconds, as far as it is known.
    /// Nobody counts as live until they are seen; a media session is opened for each when they are.
    pub fn restore(record: Record, now: u64, elapsed: u64) -> Self {
        let shift = |time: u64| record.shift(time, now, elapsed);
        let mut core = record.core.clone();
        core.rev += REV_LEAP + 1;
        for guest in core.guests.values_mut() {
            guest.live = false;
            guest.media = None;
            guest.closed_request = guest.closed_request.map(shift);
            guest.closed_invitation = guest.closed_invitation.map(shift);
            match &mut guest.stage {
                Stage::Idle => {}
                Stage::Requested(request) => {
                    request.expires_at = shift(request.expires_at);
                    request.offered = false;
                }
                Stage::Invited(invitation) => invitation.expires_at = shift(invitation.expires_at),
                Stage::Seated(stay) => {
                    stay.phase = Phase::Reconnecting {
                        until: now.saturating_add(GRACE_MS),
                    };
                    stay.speaking = false;
                    stay.failures = 0;
                    let stayed = record.at.saturating_sub(stay.since).saturating_add(elapsed);
                    stay.before_ms = stay.before_ms.saturating_add(stayed);
                    stay.since = now;
                }
            }
        }
        for until in core.banned.values_mut() {
            *until = shift(*until);
        }
        let kept = record.replies.iter().map(|kept| Kept {
            forget_at: shift(kept.forget_at),
            ..kept.clone()
        });
        let replies = Replies::restore(kept);
        Self {
            core,
            replies,
            clock: now,
            dirty: true,
            recorded_rev: 0,
            unrecorded: Vec::new(),
        }
    }
}
