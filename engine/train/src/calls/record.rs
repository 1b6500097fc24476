//! `last_call.json`: the calls into plugins that were going on when the latest one began. It survives the process, and
//! is gone when the run ends in order.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::run_folder;

const NAME: &str = "last_call.json";

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Content<'a> {
    schema: u32,
    process: u32,
    epoch: u64,
    step: u64,
    /// Module, component and function, the latest last.
    #[serde(borrow)]
    calls: Vec<(&'a str, &'a str, &'a str)>,
}

/// The file, open.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: File,
    process: u32,
    /// How long its content was.
    length: usize,
}

impl Record {
    pub(super) fn create(run_folder: &Path) -> io::Result<Self> {
        let path = run_folder.join(NAME);
        let file = File::create(&path)?;
        Ok(Self { path, file, process: std::process::id(), length: 0 })
    }

    /// Writes over what is there, in one go: this happens in every call, and a file written beside and renamed would
    /// cost more than most calls. Blanks cover the rest of a longer content, so that it is JSON at any time.
    pub(super) fn write<'a>(
        &mut self,
        calls: impl Iterator<Item = (&'a str, &'a str, &'static str)>,
        epoch: u64,
        step: u64,
    ) {
        let content = Content { schema: 1, process: self.process, epoch, step, calls: calls.collect() };
        let Ok(mut text) = serde_json::to_vec(&content) else { return };
        let length = text.len();
        text.resize(length.max(self.length), b' ');
        self.length = text.len();
        // a full disk must not end the run for the sake of a note
        let _ = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&text));
    }

    /// The run is over.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(self.path);
    }
}

/// What the latest run below a folder was calling, if its process died without a word.
pub(crate) fn crashed(runs: &Path) -> Option<String> {
    let run = run_folder::newest(runs)?;
    let text = fs::read_to_string(run.join(NAME)).ok()?;
    let content: Content<'_> = serde_json::from_str(&text).ok()?;
    let (module, component, function) = content.calls.last()?;
    if Path::new("/proc").join(content.process.to_string()).exists() {
        return None;
    }
    Some(format!(
        "the run in `{}` ended without a word; its last call into a plugin was `{module}.{component}` in `{function}` at \
         step {} (epoch {}). If that crashed (a segmentation fault, say), call it from a test of the plugin's crate under \
         a debugger",
        run.display(),
        content.step,
        content.epoch
    ))
}
