//! The room on disk: every change that must survive is there before anybody is told of it.
//!
//! A file of [`Lines`]: the whole room, then what each change changed in it, with the replies that are new. It is begun
//! anew at each start, and when it is full. A last line that a power cut tore is left out, which is right: nobody was told
//! of it. A disk that cannot be written keeps no box from starting, and ends no show: each change tries again.

use std::io;
use std::path::{Path, PathBuf};

use dais_room::room::{Opening, Record, Room};
use json_patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{BootTime, Clock};
use crate::lines::Lines;

#[derive(Debug, thiserror::Error)]
#[error(
    "The journal {path} cannot be {what}: {source}. Check the free space and the rights of that folder."
)]
pub struct JournalError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Whole<R> {
    at: BootTime,
    record: R,
}

/// Each of the others.
#[derive(Serialize, Deserialize)]
struct Change {
    at: BootTime,
    /// The record's own time.
    ms: Value,
    /// Of the record's `core`, which holds everything but replies.
    core: Patch,
    replies: Value,
}

pub struct Journal {
    path: PathBuf,
    /// The file, and what its lines make of `core`; none while it cannot be written.
    kept: Option<(Lines, Value)>,
    /// All of it folded together, to begin the file anew with.
    whole: Record,
}

impl Journal {
    /// Opens the journal in `folder` and restores the room of before, or begins with a new one.
    pub fn open(
        folder: &Path,
        clock: Clock,
        opening: Opening,
    ) -> Result<(Self, Room), JournalError> {
        let path = folder.join("room.jsonl");
        let now = clock.now_ms();
        let mut room = match read(&path)? {
            Some(last) => {
                let elapsed = BootTime::now().since_ms(&last.at);
                Room::restore(last.record, now, elapsed)
            }
            None => Room::new(opening),
        };
        let whole = room.whole_record();
        let kept = begin(&path, &whole).inspect_err(|error| {
            tracing::error!(%error, file = %path.display(), "the journal cannot be written; the room is kept in memory alone");
        });
        let kept = kept.ok();
        Ok((Self { path, kept, whole }, room))
    }

    /// Returns when the record is on disk.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.whole.absorb(record.clone());
        self.try_append(record).map_err(|source| JournalError {
            path: self.path.clone(),
            what: "written",
            source,
        })
    }

    fn try_append(&mut self, record: &Record) -> io::Result<()> {
        if let Some((lines, old)) = &mut self.kept {
            let mut record = serde_json::to_value(record)?;
            let core = record["core"].take();
            let change = Change {
                at: BootTime::now(),
                ms: record["at"].take(),
                core: json_patch::diff(old, &core),
                replies: record["replies"].take(),
            };
            if lines.add(&serde_json::to_vec(&change)?)? {
                *old = core;
                return Ok(());
            }
        }
        self.kept = Some(begin(&self.path, &self.whole)?);
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Whole<Record>>, JournalError> {
    let lines = Lines::read(path).map_err(|source| JournalError {
        path: path.into(),
        what: "read",
        source,
    })?;
    let Some((first, changes)) = lines.split_first() else {
        return Ok(None);
    };
    let whole = serde_json::from_slice::<Whole<Value>>(first).and_then(|line| {
        let core = line.record["core"].clone();
        let record = serde_json::from_value(line.record)?;
        Ok((
            Whole {
                at: line.at,
                record,
            },
            core,
        ))
    });
    let (mut whole, mut core) = match whole {
        Ok(whole) => whole,
        Err(error) => {
            tracing::error!(%error, file = %path.display(), "the journal does not parse; the room begins anew");
            return Ok(None);
        }
    };
    for (n, line) in changes.iter().enumerate() {
        if let Err(error) = follow(&mut whole, &mut core, line) {
            tracing::warn!(
                line = n + 2,
                error,
                "a line of the journal is not whole; it and what follows is left out"
            );
            break;
        }
    }
    Ok(Some(whole))
}

/// Adds one change to what was read before it; both stay as they were if it is not whole.
fn follow(whole: &mut Whole<Record>, core: &mut Value, line: &[u8]) -> Result<(), String> {
    let change: Change = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    json_patch::patch(core, &change.core).map_err(|e| e.to_string())?;
    let record = json!({"at": change.ms, "core": core, "replies": change.replies});
    let record = serde_json::from_value(record).map_err(|e| e.to_string())?;
    whole.record.absorb(record);
    whole.at = change.at;
    Ok(())
}

fn begin(path: &Path, whole: &Record) -> io::Result<(Lines, Value)> {
    let mut line = serde_json::to_value(Whole {
        at: BootTime::now(),
        record: whole,
    })?;
    let lines = Lines::begin(path, &serde_json::to_vec(&line)?)?;
    Ok((lines, line["record"]["core"].take()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use dais_protocol::{Call, HostState, Layout, MaxGuests, MicRequest, TimeoutS};
    use dais_room::room::{Caller, Input};

    use super::*;

    fn opening() -> Opening {
        Opening {
            seed: "seed".parse().unwrap(),
            title: "Show".parse().unwrap(),
            max_guests: MaxGuests::default(),
            accepting: true,
            layout: Layout::Auto,
            host: HostState {
                name: "Host".parse().unwrap(),
                muted: false,
                camera: true,
            },
        }
    }

    fn ask(room: &mut Room, journal: &mut Journal, user: &str) {
        try_to_ask(room, journal, user).unwrap();
    }

    fn try_to_ask(room: &mut Room, journal: &mut Journal, user: &str) -> Result<(), JournalError> {
        let user: dais_protocol::Id = user.parse().unwrap();
        room.apply(
            Input::Seen {
                user: user.clone(),
                name: "Ana".parse().unwrap(),
            },
            10,
        );
        let call = Call::MicRequest(MicRequest {
            timeout_s: TimeoutS::default(),
            camera: true,
        });
        room.apply(
            Input::Call {
                from: Caller::Guest(user),
                id: "1".into(),
                call,
            },
            20,
        );
        journal.append(&room.take_record().unwrap())
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut room) =
            Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        ask(&mut room, &mut journal, "ana");
        drop((journal, room));
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.pending(0).requests.len(), 1);
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut room) =
            Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        ask(&mut room, &mut journal, "ana");
        ask(&mut room, &mut journal, "ben");
        let path = folder.path().join("room.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.trim_end();
        fs::write(&path, &text[..text.len() - 40]).unwrap();
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.pending(0).requests.len(), 1);
    }

    #[test]
    fn a_disk_that_cannot_be_written_stops_nothing_and_all_is_kept_once_it_can() {
        let folder = tempfile::tempdir().unwrap();
        // Where the draft would be.
        let wedge = folder.path().join("room.new");
        fs::create_dir(&wedge).unwrap();
        let (mut journal, mut room) =
            Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        for (user, kept) in [("ana", false), ("ben", false), ("cem", true)] {
            if kept {
                fs::remove_dir(&wedge).unwrap();
            }
            assert_eq!(try_to_ask(&mut room, &mut journal, user).is_ok(), kept);
        }
        drop((journal, room));
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.pending(0).requests.len(), 3);
    }

    #[test]
    fn a_full_journal_is_begun_anew_and_loses_nothing() {
        const LAST: usize = 1500;
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut room) =
            Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        let path = folder.path().join("room.jsonl");
        let size = fs::metadata(&path).unwrap().len();
        for n in 0..=LAST {
            let call = Call::parse(
                "room.set",
                Some(serde_json::json!({"title": format!("Show {n}")})),
            )
            .unwrap();
            room.apply(
                Input::Call {
                    from: Caller::Host("h".parse().unwrap()),
                    id: n.to_string(),
                    call,
                },
                20,
            );
            journal.append(&room.take_record().unwrap()).unwrap();
        }
        let lines = Lines::read(&path).unwrap().len();
        assert!(lines < LAST, "{lines} lines: it was never begun anew");
        assert!(fs::metadata(&path).unwrap().len() < 2 * size);
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.snapshot(0).title.as_str(), format!("Show {LAST}"));
    }
}
