//! The folder of a run: `run-0001`, `run-0002` … below the checkpoint folder (`MMAR_CKPT_DIR`) of a training, below
//! the output folder (`MMAR_EVAL_OUTPUT_PATH`) of an evaluation.
//!
//! What Clara's users look for (`model.pt`, `final_model.pt`, TensorBoard's events, CSV files, segmentations) lies
//! where the config says, and the next run replaces it. The run folder holds what belongs to this one run and is never
//! reused: `config.resolved.json`, `environment.json`, `run.json`, `metrics.jsonl`, `log.txt`, `last.pt`, and a hard
//! link to each checkpoint that the run wrote, so that a later run with a worse model destroys nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;

/// The file that a run is resumed from.
pub(crate) const LAST_CHECKPOINT: &str = "last.pt";

const PREFIX: &str = "run-";

/// The folder of the run that is going on.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Of a dry run: gone when the run is.
    _temporary: Option<TempDir>,
}

impl RunFolder {
    /// The next free folder below `base`, or the one that was asked for.
    pub(crate) fn create(base: &Path, requested: Option<&Path>) -> Result<Self, Failure> {
        let path = match requested {
            Some(path) => claim(path)?,
            None => next(base).map_err(|error| not_writable(base, &error))?,
        };
        Ok(Self { path, _temporary: None })
    }

    /// The folder of a run that goes on.
    pub(crate) fn reopen(path: &Path) -> Self {
        Self { path: path.to_owned(), _temporary: None }
    }

    /// A folder that vanishes with the value.
    pub(crate) fn temporary() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| not_writable(&std::env::temp_dir(), &error))?;
        Ok(Self { path: folder.path().to_owned(), _temporary: Some(folder) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The checkpoint that the run is resumed from.
    pub(crate) fn last_checkpoint(&self) -> PathBuf {
        self.file(LAST_CHECKPOINT)
    }

    /// Keeps what a checkpoint is about to replace, if no run folder holds it already.
    pub(crate) fn keep_replaced(&self, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if !metadata.is_file() || links(&metadata) > 1 {
            return;
        }
        let kept = self.path.join("replaced");
        if let (Some(name), Ok(())) = (path.file_name(), fs::create_dir_all(&kept))
            && let Err(error) = fs::hard_link(path, kept.join(name))
            && error.kind() != ErrorKind::AlreadyExists
        {
            tracing::debug!(%error, file = %path.display(), "the file that is replaced could not be kept");
        }
    }

    /// Holds on to a checkpoint that was just written, under the same name. File systems without hard links do without.
    pub(crate) fn keep(&self, path: &Path) {
        let Some(name) = path.file_name() else { return };
        let kept = self.path.join(name);
        if kept == path {
            return;
        }
        let beside = self.path.join(format!(".linking-{}", name.display()));
        let _ = fs::remove_file(&beside);
        if let Err(error) = fs::hard_link(path, &beside).and_then(|()| fs::rename(&beside, &kept)) {
            let _ = fs::remove_file(&beside);
            tracing::debug!(%error, file = %path.display(), "no link to the checkpoint in the run folder");
        }
    }
}

/// The newest run below `base`.
pub(crate) fn newest(base: &Path) -> Option<PathBuf> {
    runs(base).pop()
}

/// The newest run below `base` that can be resumed.
pub(crate) fn latest(base: &Path) -> Option<PathBuf> {
    runs(base).into_iter().rfind(|path| path.join(LAST_CHECKPOINT).is_file())
}

/// The runs below `base`, the newest last.
fn runs(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().filter_map(Result::ok);
    let mut runs: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((number(&entry.file_name().to_string_lossy())?, entry.path()))).collect();
    runs.sort();
    runs.into_iter().map(|(_, path)| path).collect()
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

fn next(base: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(base)?;
    let names = fs::read_dir(base)?.filter_map(Result::ok).map(|entry| entry.file_name());
    let mut candidate = names.filter_map(|name| number(&name.to_string_lossy())).max().unwrap_or(0);
    loop {
        candidate += 1;
        let path = base.join(format!("{PREFIX}{candidate:04}"));
        match fs::create_dir(&path) {
            // another run was faster
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|()| path),
        }
    }
}

fn claim(path: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(path).map_err(|error| not_writable(path, &error))?;
    let mut entries = fs::read_dir(path).map_err(|error| not_writable(path, &error))?;
    if entries.next().is_some() {
        return Err(Failure::usage(
            "run-folder-not-empty",
            format!("the run folder `{}` is not empty", path.display()),
        )
        .note("a run folder is never reused: each run keeps its own config, log and checkpoints")
        .help("name an empty folder, or go on with the run in it: `--resume FOLDER`"));
    }
    Ok(path.to_owned())
}

fn not_writable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("cannot-write", format!("cannot make a run folder in `{}`: {error}", path.display()))
        .help("check the permissions and the free space, or set `MMAR_CKPT_DIR` (training) or `MMAR_EVAL_OUTPUT_PATH`")
}

#[cfg(unix)]
fn links(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink()
}

#[cfg(not(unix))]
fn links(_: &fs::Metadata) -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LAST_CHECKPOINT, RunFolder, latest};

    #[test]
    fn each_run_gets_a_folder_of_its_own_and_only_empty_ones_can_be_claimed() {
        let base = tempfile::tempdir().unwrap();
        let names = [(); 2].map(|()| RunFolder::create(base.path(), None).unwrap().path().to_owned());
        assert!(names[0].ends_with("run-0001") && names[1].ends_with("run-0002"));
        fs::create_dir(base.path().join("run-0009")).unwrap();
        assert!(RunFolder::create(base.path(), None).unwrap().path().ends_with("run-0010"));
        let error = RunFolder::create(base.path(), Some(base.path())).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("run-folder-not-empty", 2));
    }

    #[test]
    fn the_latest_run_is_the_newest_with_a_checkpoint() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(latest(base.path()), None);
        for name in ["run-0002", "run-0010", "run-0011"] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        for name in ["run-0002", "run-0010"] {
            fs::write(base.path().join(name).join(LAST_CHECKPOINT), "").unwrap();
        }
        assert_eq!(latest(base.path()), Some(base.path().join("run-0010")));
    }

    #[test]
    fn a_replaced_checkpoint_survives_in_a_run_folder() {
        let base = tempfile::tempdir().unwrap();
        let model = base.path().join("model.pt");
        fs::write(&model, "by hand").unwrap();
        for content in ["first run", "second run"] {
            let run = RunFolder::create(base.path(), None).unwrap();
            run.keep_replaced(&model);
            crate::files::atomic::write(&model, content.as_bytes()).unwrap();
            run.keep(&model);
        }
        let read = |name: &str| fs::read_to_string(base.path().join(name)).ok();
        assert_eq!(read("run-0001/replaced/model.pt").as_deref(), Some("by hand"));
        assert_eq!(read("run-0001/model.pt").as_deref(), Some("first run"));
        assert_eq!(read("run-0002/model.pt").as_deref(), Some("second run"));
        assert_eq!(read("run-0002/replaced/model.pt"), None, "the first run's folder has it already");
    }
}
