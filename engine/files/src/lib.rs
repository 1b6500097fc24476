//! Whole files or none.
//!
//! Every result of a run is written beside its place, synced, and renamed into it: a reader never sees half a file, and
//! whatever stood there survives a full disk or any other failure. What goes wrong leaves nothing beside.
//!
//! The loader does not use this: a staged plugin has rights of its own, and must be on the disk before it is opened.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file in the making; dropped before [`Beside::finish`], it leaves no trace.
#[derive(Debug)]
pub struct Beside {
    file: NamedTempFile,
    place: PathBuf,
}

impl Beside {
    /// A hidden file in the folder of `place`, with the rights of any other new file.
    ///
    /// # Errors
    /// A place without a file name, a folder that does not exist or cannot be written to.
    pub fn new(place: &Path) -> io::Result<Self> {
        let name = place.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?.to_string_lossy();
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        // temporary files are private to their owner, which nobody expects of results
        #[cfg(unix)]
        let ordinary = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        #[cfg(unix)]
        builder.permissions(ordinary);
        Ok(Self { file: builder.tempfile_in(folder_of(place))?, place: place.to_owned() })
    }

    /// The file, to write into.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file into its place.
    ///
    /// # Errors
    /// The file cannot be brought onto the disk or renamed; what stood in its place is still there.
    pub fn finish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.place).map_err(|error| error.error)?;
        // the rename itself is on the disk only when its folder is; where folders cannot be synced, it will be soon
        let _ = File::open(folder_of(&self.place)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

/// Writes a whole file.
///
/// # Errors
/// As [`Beside::new`] and [`Beside::finish`], and a disk that is full.
pub fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = Beside::new(place)?;
    beside.file().write_all(bytes)?;
    beside.finish()
}

fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Beside, write};

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.txt");
        write(&place, b"old").unwrap();
        drop(Beside::new(&place).unwrap());
        // a folder in the way of the rename
        let blocked = folder.path().join("blocked");
        fs::create_dir_all(blocked.join("x")).unwrap();
        write(&blocked, b"new").unwrap_err();
        assert_eq!(fs::read(&place).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half written stays");
        assert!(write(&folder.path().join("none/a.txt"), b"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn results_have_the_rights_of_any_other_new_file() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        write(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
