//! Small files that are old or new after a power cut, never half.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use dais_studio::disk::replace;
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One JSON file that only the box may read.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{path} cannot be written: {source}. Check the free space and the rights of that folder."
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be read: {source}.")]
    Read { path: PathBuf, source: io::Error },
}

impl StoreError {
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }
}

impl Store {
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            path: folder.join(name),
        }
    }

    /// The content; `None` if there is none yet. A file that does not parse is set aside as `NAME.bad`, with an error
    /// in the log, because a box that does not start helps nobody.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let Some(bytes) = read(&self.path).map_err(StoreError::read(&self.path))? else {
            return Ok(None);
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => set_aside(&self.path, &error.to_string()).map(|()| None),
        }
    }

    /// As [`replace`] does.
    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), StoreError> {
        serde_json::to_vec(value)
            .map_err(io::Error::from)
            .and_then(|bytes| replace(&self.path, &bytes))
            .map(drop)
            .map_err(StoreError::write(&self.path))
    }
}

/// The bytes of a file; none if there is no such file, or if the medium has lost them: then it is set aside.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            if let Err(error) = set_aside(path, &error.to_string()) {
                tracing::error!(%error, "and it cannot be set aside");
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Out of the way, as `NAME.bad`, with an error in the log: a box that does not start helps nobody.
pub fn set_aside(path: &Path, why: &str) -> Result<(), StoreError> {
    let aside = path.with_extension("bad");
    tracing::error!(file = %path.display(), error = why, "this file cannot be used; it is set aside as {} and the box starts without it", aside.display());
    fs::rename(path, &aside).map_err(StoreError::write(&aside))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_does_not_parse_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "x.json");
        assert_eq!(store.load::<Vec<u8>>().unwrap(), None);
        store.save(&vec![1u8, 2]).unwrap();
        assert_eq!(store.load::<Vec<u8>>().unwrap(), Some(vec![1, 2]));
        fs::write(folder.path().join("x.json"), "[1,").unwrap();
        assert_eq!(store.load::<Vec<u8>>().unwrap(), None);
        assert!(folder.path().join("x.bad").exists());
    }

    #[test]
    fn a_file_that_the_medium_has_lost_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        // Its first page is mapped in no process: reading it is an error of the medium's kind.
        std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("x.json")).unwrap();
        let store = Store::new(folder.path(), "x.json");
        assert_eq!(store.load::<Vec<u8>>().unwrap(), None);
        assert!(folder.path().join("x.bad").is_symlink());
        store.save(&vec![1u8]).unwrap();
        assert_eq!(store.load::<Vec<u8>>().unwrap(), Some(vec![1]));
    }

    #[test]
    fn only_the_box_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        Store::new(folder.path(), "x.json").save(&1).unwrap();
        assert_eq!(
            fs::metadata(folder.path().join("x.json"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
    }
}
