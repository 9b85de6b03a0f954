//! The room on disk: every change that must survive is there before anybody is told of it.
//!
//! A file of JSON lines: the whole room, then what each change added. It is begun anew at each start, and when it has
//! grown. A last line that a power cut tore is left out, which is right: nobody was told of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dais_room::room::{Opening, Record, Room};
use serde::{Deserialize, Serialize};

use crate::clock::{BootTime, Clock};

/// Lines until the file is begun anew: a record is a few kilobytes, so this is a megabyte at most.
const MAX_LINES: usize = 200;

#[derive(Debug, thiserror::Error)]
#[error(
    "The journal {path} cannot be {what}: {source}. Check the free space and the rights of that folder."
)]
pub struct JournalError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
struct Line<R> {
    at: BootTime,
    record: R,
}

pub struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
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
        let file = begin(&path, &whole).map_err(|source| JournalError {
            path: path.clone(),
            what: "written",
            source,
        })?;
        Ok((
            Self {
                path,
                file,
                lines: 1,
                whole,
            },
            room,
        ))
    }

    /// Returns when the record is on disk.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.whole.absorb(record.clone());
        let written = if self.lines >= MAX_LINES {
            begin(&self.path, &self.whole).map(|file| {
                self.file = file;
                self.lines = 1;
            })
        } else {
            self.lines += 1;
            write_line(&mut self.file, record)
        };
        written.map_err(|source| JournalError {
            path: self.path.clone(),
            what: "written",
            source,
        })
    }
}

fn read(path: &Path) -> Result<Option<Line<Record>>, JournalError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(JournalError {
                path: path.into(),
                what: "read",
                source,
            });
        }
    };
    let mut whole: Option<Line<Record>> = None;
    for (n, line) in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
    {
        match serde_json::from_slice::<Line<Record>>(line) {
            Ok(next) => match &mut whole {
                Some(whole) => {
                    whole.record.absorb(next.record);
                    whole.at = next.at;
                }
                None => whole = Some(next),
            },
            Err(error) => {
                tracing::warn!(line = n + 1, %error, "a line of the journal is not whole; it and what follows is left out");
                break;
            }
        }
    }
    Ok(whole)
}

fn begin(path: &Path, whole: &Record) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    write_line(&mut file, whole)?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_data()?;
    Ok(file)
}

fn write_line(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Line {
        at: BootTime::now(),
        record,
    })?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
        journal.append(&room.take_record().unwrap()).unwrap();
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
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 40]).unwrap();
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.pending(0).requests.len(), 1);
    }

    #[test]
    fn a_grown_journal_is_begun_anew_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut room) =
            Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        for n in 0..=MAX_LINES {
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
        assert!(journal.lines < MAX_LINES);
        let (_, room) = Journal::open(folder.path(), Clock::start(), opening()).unwrap();
        assert_eq!(room.snapshot(0).title.as_str(), format!("Show {MAX_LINES}"));
    }
}
