//! A value on the disk as a whole and what changed since: a change costs its own size, not that of all the rest.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lines::Lines;
use crate::store::{StoreError, set_aside};

/// One value, in a file that only the box may read.
pub struct Patches {
    path: PathBuf,
    kept: Option<(Lines, Value)>,
}

impl Patches {
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            path: folder.join(name),
            kept: None,
        }
    }

    /// The value of before; `None` if there is none yet. What a power cut tore is left out; a file whose first line does
    /// not parse is set aside as `NAME.bad`, because a box that does not start helps nobody.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let lines = Lines::read(&self.path).map_err(StoreError::read(&self.path))?;
        let Some((first, changes)) = lines.split_first() else {
            return Ok(None);
        };
        match fold(first, changes).and_then(serde_json::from_value) {
            Ok(value) => Ok(Some(value)),
            Err(error) => set_aside(&self.path, &error.to_string()).map(|()| None),
        }
    }

    /// Returns when the value is on the disk.
    pub fn save<T: Serialize>(&mut self, value: &T) -> Result<(), StoreError> {
        self.try_save(value).map_err(StoreError::write(&self.path))
    }

    fn try_save<T: Serialize>(&mut self, value: &T) -> std::io::Result<()> {
        let new = serde_json::to_value(value)?;
        if let Some((lines, old)) = &mut self.kept
            && lines.add(&serde_json::to_vec(&json_patch::diff(old, &new))?)?
        {
            *old = new;
            return Ok(());
        }
        let lines = Lines::begin(&self.path, &serde_json::to_vec(&new)?)?;
        self.kept = Some((lines, new));
        Ok(())
    }
}

fn fold(first: &[u8], changes: &[Vec<u8>]) -> serde_json::Result<Value> {
    let mut value = serde_json::from_slice(first)?;
    for (n, change) in changes.iter().enumerate() {
        let change = serde_json::from_slice::<json_patch::Patch>(change)
            .map_err(|error| error.to_string())
            .and_then(|patch| json_patch::patch(&mut value, &patch).map_err(|e| e.to_string()));
        if let Err(error) = change {
            tracing::warn!(
                line = n + 2,
                error,
                "a line is not whole; it and what follows is left out"
            );
            break;
        }
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type People = BTreeMap<String, Option<u32>>;

    fn people(of: &[(&str, Option<u32>)]) -> People {
        of.iter().map(|(n, age)| ((*n).into(), *age)).collect()
    }

    fn load(folder: &Path) -> Option<People> {
        Patches::new(folder, "x.jsonl").load().unwrap()
    }

    #[test]
    fn the_newest_value_is_read_and_a_torn_change_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), None);
        let mut file = Patches::new(folder.path(), "x.jsonl");
        let steps = [
            people(&[("a", Some(1)), ("b", Some(2))]),
            people(&[("a", None), ("c/~d", Some(3))]),
            people(&[("a", Some(7))]),
        ];
        for step in &steps {
            file.save(step).unwrap();
            assert_eq!(load(folder.path()).as_ref(), Some(step));
        }
        let path = folder.path().join("x.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text.trim_end()[..text.trim_end().len() - 3]).unwrap();
        assert_eq!(load(folder.path()).as_ref(), Some(&steps[1]));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_does_not_parse_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.jsonl"), "[1,").unwrap();
        assert_eq!(load(folder.path()), None);
        assert!(folder.path().join("x.bad").exists());
    }

    #[test]
    fn it_is_begun_anew_when_it_is_full_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Patches::new(folder.path(), "x.jsonl");
        let mut all = People::new();
        for n in 0..50 {
            all.insert(format!("{n:010000}"), Some(n));
            file.save(&all).unwrap();
        }
        assert_eq!(load(folder.path()), Some(all));
        let size = std::fs::metadata(folder.path().join("x.jsonl"))
            .unwrap()
            .len();
        assert!(size < 1 << 20, "{size}");
    }
}
