//! The files of the flight recorder: `flight-0001.jsonl.gz`, whole or not there, few, and seldom.
//!
//! Flash wears. At most [`KEPT`] files stay; of each kind of fault the n-th file of a boot comes no sooner than n minutes
//! after the one before (an hour at most), so that a box which fails all day writes some fifty, 5 to 10 MB, however often
//! it is restarted. The kinds do not wait for each other: an alarm often comes just before what it warns of.
//! The first line is a header: when, why, by which version.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::clock::BootTime;
use crate::store;

/// Files that stay: the newest of them, and what led to it.
const KEPT: usize = 8;
const MINUTE_MS: u64 = 60_000;
const LONGEST_PAUSE: u64 = 60;
/// A file is on a slow medium in half a second.
const TURN: Duration = Duration::from_secs(2);
/// After this many numbers they would need a fifth digit, and still sort by value.
const DIGITS: usize = 4;

/// What kind of fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    Panic,
    /// No programme frame left the encoder for half of the watchdog's time.
    Stalled,
    Alarm,
    /// SIGUSR1: a person wants to see it.
    Asked,
}

#[derive(Serialize, Deserialize)]
struct Header {
    fault: Fault,
    why: String,
    at: BootTime,
    /// Which file of this boot it is, of its kind.
    nth: u64,
    /// What the wall clock believed.
    unix_s: u64,
    version: String,
    pid: u32,
    /// Lines that were younger than ten minutes and had no room.
    crowded_out: u64,
}

/// The newest file of each kind: its time, and its number in its boot.
type Newest = BTreeMap<Fault, (BootTime, u64)>;

pub struct Folder {
    path: PathBuf,
    /// `None` until they were looked for.
    last: Mutex<Option<Newest>>,
}

impl Folder {
    pub fn new(data: &Path) -> Self {
        Self {
            path: data.join("flight"),
            last: Mutex::default(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, if it was time for one.
    pub fn write(
        &self,
        fault: Fault,
        why: &str,
        lines: &[Arc<str>],
        crowded_out: u64,
    ) -> io::Result<Option<PathBuf>> {
        self.write_at(BootTime::now(), fault, why, lines, crowded_out)
    }

    fn write_at(
        &self,
        at: BootTime,
        fault: Fault,
        why: &str,
        lines: &[Arc<str>],
        crowded_out: u64,
    ) -> io::Result<Option<PathBuf>> {
        // One file at a time: an alarm is often written out while what it warned of happens. It comes to all but the thread that
        // panicked while it was writing.
        let Some(mut last) = super::lock_within(&self.last, TURN) else {
            return Ok(None);
        };
        let last = last.get_or_insert_with(|| self.newest());
        let nth = match last.get(&fault) {
            Some((then, _)) if !then.same_boot(&at) => 1,
            Some((then, nth)) => {
                let pause = (*nth).min(LONGEST_PAUSE);
                if at.since_ms(then) < pause * MINUTE_MS {
                    return Ok(None);
                }
                *nth + 1
            }
            None => 1,
        };
        let header = Header {
            fault,
            why: why.chars().take(1000).collect(),
            at: at.clone(),
            nth,
            unix_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| now.as_secs()),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            crowded_out,
        };
        let path = self.put(&header, lines)?;
        last.insert(fault, (at, nth));
        Ok(Some(path))
    }

    fn put(&self, header: &Header, lines: &[Arc<str>]) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.path)?;
        let mut numbers = self.numbers();
        let number = numbers.last().map_or(1, |last| last + 1);
        let path = self.file(number);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut packed, header)?;
        for line in lines {
            packed.write_all(b"\n")?;
            packed.write_all(line.as_bytes())?;
        }
        packed.write_all(b"\n")?;
        store::replace(&path, &packed.finish()?)?;
        numbers.push(number);
        for old in numbers.iter().rev().skip(KEPT) {
            let _ = fs::remove_file(self.file(*old));
        }
        Ok(path)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("flight-{number:0DIGITS$}.jsonl.gz"))
    }

    /// The numbers of the files that are there, ascending.
    fn numbers(&self) -> Vec<u64> {
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let digits = name
                .to_str()?
                .strip_prefix("flight-")?
                .strip_suffix(".jsonl.gz")?;
            digits.parse().ok()
        };
        let mut numbers: Vec<u64> = fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(number)
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// The newest of each kind that can be read; others are as if they were not there.
    fn newest(&self) -> Newest {
        let read = |number: u64| {
            let file = File::open(self.file(number)).ok()?;
            let mut first = String::new();
            BufReader::new(GzDecoder::new(file))
                .read_line(&mut first)
                .ok()?;
            let header: Header = serde_json::from_str(&first).ok()?;
            Some((header.fault, (header.at, header.nth)))
        };
        self.numbers().into_iter().filter_map(read).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(boot: &str, minutes: u64) -> BootTime {
        serde_json::from_value(serde_json::json!({"boot": boot, "ms": minutes * MINUTE_MS}))
            .unwrap()
    }

    fn faults(data: &Path, times: impl IntoIterator<Item = BootTime>) -> Vec<bool> {
        // A folder of its own for each: as after a restart of the process.
        times
            .into_iter()
            .map(|at| {
                Folder::new(data)
                    .write_at(at, Fault::Alarm, "test", &["{}".into()], 0)
                    .unwrap()
                    .is_some()
            })
            .collect()
    }

    #[test]
    fn a_box_that_fails_again_and_again_writes_ever_more_seldom_across_restarts() {
        let data = tempfile::tempdir().unwrap();
        let minutes = faults(data.path(), (0..12).map(|minute| at("a", minute)));
        let written: Vec<usize> = (0..12).filter(|minute| minutes[*minute]).collect();
        assert_eq!(written, [0, 1, 3, 6, 10]);
        assert_eq!(faults(data.path(), [at("b", 0), at("b", 0)]), [true, false]);
        let other = Folder::new(data.path()).write_at(at("b", 0), Fault::Panic, "", &[], 0);
        assert!(other.unwrap().is_some());
        let day = faults(data.path(), (0..1440).map(|minute| at("c", minute)));
        assert!(day.iter().filter(|written| **written).count() < 55);
    }

    #[test]
    fn a_fault_that_comes_while_another_is_written_out_waits_its_turn() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::new(data.path());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let turn = folder.last.lock().unwrap();
            scope.spawn(|| {
                let written = folder.write_at(at("a", 0), Fault::Stalled, "", &[], 0);
                tell.send(written.unwrap().is_some()).unwrap();
            });
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
            drop(turn);
            assert!(told.recv().unwrap());
        });
    }

    #[test]
    fn only_the_newest_files_stay_and_they_read_as_they_were_written() {
        let data = tempfile::tempdir().unwrap();
        faults(data.path(), (0..12).map(|n| at(&n.to_string(), 0)));
        let folder = Folder::new(data.path());
        assert_eq!(folder.numbers(), (5..=12).collect::<Vec<_>>());
        let file = File::open(folder.file(12)).unwrap();
        let text = io::read_to_string(GzDecoder::new(file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains(r#""why":"test""#) && lines[1] == "{}");
    }

    #[test]
    fn a_file_that_a_power_cut_tore_is_no_hindrance() {
        let data = tempfile::tempdir().unwrap();
        faults(data.path(), [at("a", 0)]);
        fs::write(
            data.path().join("flight/flight-0002.jsonl.gz"),
            [0x1f, 0x8b],
        )
        .unwrap();
        assert_eq!(faults(data.path(), [at("a", 0), at("a", 5)]), [false, true]);
        assert_eq!(Folder::new(data.path()).numbers(), [1, 2, 3]);
    }
}
