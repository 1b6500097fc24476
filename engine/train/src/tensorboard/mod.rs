//! TensorBoard event files.
//!
//! A file is a row of records ([`record`]), each an `Event` message ([`message`]). Only scalars are written, and only
//! the handful of fields that they need, so the protobuf encoding is a few lines of our own.

mod message;
mod record;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Two files that one process opens in the same second in the same folder.
static FILES: AtomicU32 = AtomicU32::new(0);

/// An event file that is being written.
#[derive(Debug)]
pub(crate) struct EventFile {
    writer: BufWriter<File>,
}

impl EventFile {
    /// Starts a new file in a folder, which is made if need be. TensorBoard finds it by its name.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = wall_time();
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("events.out.tfevents.{:010}.mmar.{}.{number}", now as u64, std::process::id());
        let mut file = Self { writer: BufWriter::new(File::create_new(folder.join(name))?) };
        file.append(&message::file_version(now))?;
        file.flush()?;
        Ok(file)
    }

    /// Adds a value to the curve of a tag.
    pub(crate) fn scalar(&mut self, tag: &str, value: f64, step: u64) -> io::Result<()> {
        self.append(&message::scalar(wall_time(), step, tag, value as f32))
    }

    /// Hands everything to the file system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn append(&mut self, event: &[u8]) -> io::Result<()> {
        self.writer.write_all(&record::frame(event))
    }
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::EventFile;

    #[test]
    fn a_file_holds_its_version_and_each_scalar_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path()).unwrap();
        file.scalar("train_loss", 0.5, 1).unwrap();
        file.scalar("train_loss", 0.25, 2).unwrap();
        file.flush().unwrap();
        let bytes = std::fs::read(std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path()).unwrap();
        let events = super::record::frames(&bytes);
        assert_eq!(events.len(), 3);
        assert!(events[0].windows(13).any(|part| part == b"brain.Event:2"));
        for (event, value) in events[1..].iter().zip([0.5f32, 0.25]) {
            assert!(event.windows(10).any(|part| part == b"train_loss"));
            assert!(event.ends_with(&value.to_le_bytes()));
        }
    }
}
