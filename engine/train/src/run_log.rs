//! The log file of a run.
//!
//! The subscriber that formats log lines is installed before a run folder exists; this writer holds lines back until
//! then and hands them on from there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is held back at most while no run folder exists.
const BUFFER_LIMIT: usize = 1 << 20;

/// A writer whose lines end up in the `log.txt` of the run folder. Clones write into the same file.
#[derive(Debug, Clone, Default)]
pub struct RunLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    held_back: Vec<u8>,
}

impl RunLog {
    /// A log without a file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to this file from now on, what was held back first.
    pub(crate) fn open(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(path)?;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&std::mem::take(&mut inner.held_back))?;
        inner.file = Some(file);
        Ok(())
    }
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut inner.file {
            return file.write(bytes);
        }
        if inner.held_back.len() + bytes.len() <= BUFFER_LIMIT {
            inner.held_back.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::RunLog;

    #[test]
    fn lines_written_before_the_file_exists_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let log = RunLog::new();
        log.clone().write_all(b"before\n").unwrap();
        log.open(&path).unwrap();
        log.clone().write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "before\nafter\n");
    }
}
