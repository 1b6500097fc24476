//! Files of a run, whole or not at all, in folders that may not be there yet.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

/// Writes a file; whatever stood in its place survives any failure.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    mmar_files::write(path, bytes)
}

/// Writes a value as indented JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(path, &text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        super::write(&path, b"old").unwrap();
        // a folder in the way of the rename
        let blocked = folder.path().join("blocked");
        std::fs::create_dir_all(blocked.join("x")).unwrap();
        super::write(&blocked, b"new").unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half written stays");
    }
}
