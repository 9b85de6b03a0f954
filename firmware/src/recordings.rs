//! The recordings on the disk: which there are, and for whom one of them is open to be fetched.
//!
//! A browser downloads by itself, without the credentials of the page that began it, and goes on where a network broke off. So a
//! console asks for a link, which holds a secret of its own and ends by itself.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dais_protocol::{RecordingFile, Token};

use crate::clock::Clock;

/// A recording of some hours over a slow network, with breaks.
const LINK_MS: u64 = 12 * 3600 * 1000;
/// The oldest link ends when there are more.
const MAX_LINKS: usize = 64;
/// As many as fit into a message of 64 KiB, at 70 bytes each and with room to spare.
const MAX_LISTED: usize = 500;

pub struct Recordings {
    folder: PathBuf,
    clock: Clock,
    links: Mutex<VecDeque<Link>>,
}

struct Link {
    secret: Token,
    file: Token,
    ends_ms: u64,
}

impl Recordings {
    pub fn new(folder: PathBuf, clock: Clock) -> Self {
        Self {
            folder,
            clock,
            links: Mutex::default(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest first. `open` is the one that is being written.
    pub fn list(&self, open: Option<&str>) -> Vec<RecordingFile> {
        let mut files: Vec<(u32, RecordingFile)> = self
            .entries()
            .filter_map(|(number, entry)| {
                let file: Token = entry.file_name().to_str()?.parse().ok()?;
                let bytes = entry.metadata().ok().filter(fs::Metadata::is_file)?.len();
                let open = open == Some(file.as_str());
                Some((number, RecordingFile { file, bytes, open }))
            })
            .collect();
        files.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        files
            .into_iter()
            .map(|(_, file)| file)
            .take(MAX_LISTED)
            .collect()
    }

    /// `programme-NNNN.mkv`, one past the highest there: a name by the date would lie on a box that believes it is 1970.
    pub fn free_name(&self) -> PathBuf {
        let last = self.entries().map(|(number, _)| number).max().unwrap_or(0);
        self.folder.join(format!("programme-{:04}.mkv", last + 1))
    }

    /// Whether there was such a recording.
    pub fn remove(&self, file: &Token) -> io::Result<bool> {
        let Some(path) = self.path(file) else {
            return Ok(false);
        };
        self.lock().retain(|link| link.file != *file);
        fs::remove_file(path).map(|()| true)
    }

    /// The secret of a new link; `None` if there is no such recording.
    pub fn link(&self, file: &Token) -> Option<Token> {
        self.path(file)?;
        let secret = Token::random();
        let mut links = self.lock();
        if links.len() >= MAX_LINKS {
            links.pop_front();
        }
        links.push_back(Link {
            secret: secret.clone(),
            file: file.clone(),
            ends_ms: self.clock.now_ms() + LINK_MS,
        });
        Some(secret)
    }

    /// The file that a link opens.
    pub fn linked(&self, secret: &str, file: &str) -> Option<PathBuf> {
        let now = self.clock.now_ms();
        let mut links = self.lock();
        links.retain(|link| link.ends_ms > now);
        let link = links
            .iter()
            .find(|link| link.secret.as_str() == secret && link.file.as_str() == file)?;
        self.path(&link.file)
    }

    /// Only what is named as a recording is one: nothing else in the folder can be fetched or removed.
    fn path(&self, file: &Token) -> Option<PathBuf> {
        number(file.as_str())?;
        Some(self.folder.join(file.as_str())).filter(|path| path.is_file())
    }

    fn entries(&self) -> impl Iterator<Item = (u32, fs::DirEntry)> {
        fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("programme-")?.strip_suffix(".mkv")?;
    digits.parse().ok().filter(|_| !digits.starts_with('+'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder_of(files: &[&str]) -> (tempfile::TempDir, Recordings) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), file).unwrap();
        }
        let recordings = Recordings::new(folder.path().into(), Clock::start());
        (folder, recordings)
    }

    #[test]
    fn they_are_numbered_past_the_last() {
        let (_folder, recordings) = folder_of(&[]);
        assert!(recordings.free_name().ends_with("programme-0001.mkv"));
        let (_folder, recordings) =
            folder_of(&["programme-0007.mkv", "programme-x.mkv", "other.mkv"]);
        assert!(recordings.free_name().ends_with("programme-0008.mkv"));
    }

    #[test]
    fn the_newest_is_listed_first_and_nothing_else_is() {
        let (_folder, recordings) =
            folder_of(&["programme-0002.mkv", "programme-0010.mkv", "notes.txt"]);
        let listed = recordings.list(Some("programme-0010.mkv"));
        let names: Vec<_> = listed
            .iter()
            .map(|r| (r.file.as_str(), r.bytes, r.open))
            .collect();
        assert_eq!(
            names,
            [
                ("programme-0010.mkv", 18, true),
                ("programme-0002.mkv", 18, false)
            ]
        );
    }

    #[test]
    fn a_link_opens_its_recording_and_no_other_file() {
        let (folder, recordings) =
            folder_of(&["programme-0001.mkv", "programme-0002.mkv", "notes.txt"]);
        let name = |name: &str| name.parse::<Token>().unwrap();
        for none in ["notes.txt", "programme-0003.mkv", "../programme-0001.mkv"] {
            assert!(recordings.link(&name(none)).is_none(), "{none}");
            assert!(!recordings.remove(&name(none)).unwrap(), "{none}");
        }
        let secret = recordings.link(&name("programme-0001.mkv")).unwrap();
        let open = |file: &str| recordings.linked(secret.as_str(), file);
        assert_eq!(
            open("programme-0001.mkv"),
            Some(folder.path().join("programme-0001.mkv"))
        );
        assert_eq!(open("programme-0002.mkv"), None);
        assert_eq!(recordings.linked("guess", "programme-0001.mkv"), None);
        assert!(recordings.remove(&name("programme-0001.mkv")).unwrap());
        assert_eq!(open("programme-0001.mkv"), None);
    }

    #[test]
    fn more_links_than_are_kept_end_the_oldest() {
        let (_folder, recordings) = folder_of(&["programme-0001.mkv"]);
        let file: Token = "programme-0001.mkv".parse().unwrap();
        let secrets: Vec<_> = (0..=MAX_LINKS)
            .map(|_| recordings.link(&file).unwrap())
            .collect();
        let opens = |n: usize| {
            recordings
                .linked(secrets[n].as_str(), file.as_str())
                .is_some()
        };
        assert!(!opens(0) && opens(1) && opens(MAX_LINKS));
    }
}
