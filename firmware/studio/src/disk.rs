//! What a power cut must not halve.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes beside the old file, syncs, and puts the new one in its place. Only the box may read it. The new file is
/// returned, open for writing.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("new");
    // One that was left by a power cut may have been made with other rights.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_data()) {
        // On a full disk it would take what is left.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    fs::rename(&beside, path)?;
    // The name itself is on the disk only when its folder is.
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}
