//! Where this crate keeps what it can make again: private copies of plugins and the outcomes of probes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, io};

/// The variable that moves the cache folder.
pub const CACHE_VARIABLE: &str = "MMAR_CACHE_DIR";

/// The cache folder: `MMAR_CACHE_DIR`, else `mmar` in the user's cache folder.
pub fn folder() -> io::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".cache"));
    match set(CACHE_VARIABLE) {
        Some(folder) => Ok(folder),
        None => set("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("mmar")).ok_or_else(|| {
            io::Error::other(format!("neither `{CACHE_VARIABLE}` nor `XDG_CACHE_HOME` nor `HOME` is set"))
        }),
    }
}

/// Makes a folder that nobody else can write to, or checks that it is one: code is mapped from there.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::metadata(folder)?;
    // SAFETY: it reads a number and cannot fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user {
        return Err(io::Error::other(format!("`{}` belongs to another user", folder.display())));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file beside its place and renames it there: no reader ever sees half of it.
pub(crate) fn write_whole(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    let mut beside = tempfile::Builder::new().prefix(".mmar-").tempfile_in(folder)?;
    beside.write_all(bytes)?;
    beside.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    // the rename is on disk when its folder is
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{private_folder, write_whole};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_private_folder_is_closed_to_others_even_if_it_was_open() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("a/b");
        fs::create_dir_all(&folder).expect("made");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("set");
        private_folder(&folder).expect("private");
        assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn writing_replaces_and_leaves_nothing_beside() {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("x");
        write_whole(&file, b"one", 0o600).expect("written");
        write_whole(&file, b"two", 0o600).expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"two");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1);
        assert!(write_whole(&root.path().join("none/x"), b"", 0o600).is_err());
    }
}
