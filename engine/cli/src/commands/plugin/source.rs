//! `mmar train --watch --source CRATE`: a crate that is built and installed each time one of its files is saved. What the
//! run does with the new build is its own affair.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mmar_train::ReloadState;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::build::Cargo;
use super::failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress;

/// How long nothing may be saved before the build starts: editors write several files, and each several times.
const QUIET: Duration = Duration::from_millis(150);

/// Builds a crate whenever it changes, until it is dropped.
pub(crate) struct SourceWatch {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Changed,
    Stop,
}

impl SourceWatch {
    /// Builds and installs the crate, so that the run starts with what is written now, and follows it from then on.
    pub(crate) fn start(folder: &Path, mmar: &Path, printer: &mut Printer) -> Result<Self, Exit> {
        let mut source = Source::new(folder, mmar)?;
        source.build_and_install(printer)?;
        let (messages, received) = mpsc::channel();
        let notes = messages.clone();
        let failed = |error: &notify::Error| {
            Exit::failed("cannot-watch", format!("changes in `{}` cannot be followed: {error}", folder.display()))
        };
        let handler = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(&event)) {
                // nobody listens only when the watch has ended
                let _ = notes.send(Message::Changed);
            }
        };
        let mut watcher =
            RecommendedWatcher::new(handler, notify::Config::default()).map_err(|error| failed(&error))?;
        // the sources, and the manifest and build script beside them; never a target folder
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| failed(&error))?;
        let sources = folder.join("src");
        if sources.is_dir() {
            watcher.watch(&sources, RecursiveMode::Recursive).map_err(|error| failed(&error))?;
        }
        let mut printer = printer.another();
        let thread = thread::Builder::new().name("source watch".into()).spawn(move || {
            let _watcher = watcher;
            source.follow(&received, &mut printer);
        });
        let thread = thread.map_err(|error| Exit::failed("cannot-watch", format!("no thread to build in: {error}")))?;
        Ok(Self { messages, thread: Some(thread) })
    }
}

impl Drop for SourceWatch {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // a build that is going on is not waited for
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// The crate and where its library goes.
struct Source {
    cargo: Cargo,
    folder: PathBuf,
    mmar: PathBuf,
    /// The name in messages: the module once it is known, the folder before.
    name: String,
}

impl Source {
    fn new(folder: &Path, mmar: &Path) -> Result<Self, Exit> {
        let cargo = Cargo::of(folder)?;
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { cargo, folder: folder.to_owned(), mmar: mmar.to_owned(), name })
    }

    /// Says whether the library became another one.
    fn build_and_install(&mut self, printer: &mut Printer) -> Result<bool, Exit> {
        let library = self.cargo.build(printer)?;
        let plugin = mmar_loader::inspect(&library).map_err(|error| failure(&error))?;
        self.name.clone_from(&plugin.manifest.plugin.module);
        // where the archive has it already, or where most configs look for it
        let file = library.file_name().unwrap_or_default();
        let place = ["BYOC", "custom"].into_iter().find(|place| self.mmar.join(place).join(file).exists());
        let place = Path::new(place.unwrap_or("BYOC"));
        let former = mmar_loader::inspect(&self.mmar.join(place).join(file)).ok();
        if former.is_some_and(|former| former.sha256 == plugin.sha256) {
            return Ok(false);
        }
        mmar_loader::install(&library, &self.mmar, place).map_err(|error| failure(&error))?;
        Ok(true)
    }

    fn follow(&mut self, messages: &Receiver<Message>, printer: &mut Printer) {
        while let Ok(Message::Changed) = messages.recv() {
            loop {
                match messages.recv_timeout(QUIET) {
                    Ok(Message::Changed) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            let text = format!("`{}` was saved", self.folder.display());
            printer.note(&progress::reload_line(&self.name, ReloadState::Building, &text));
            let (state, text) = match self.build_and_install(printer) {
                // the run tells the rest
                Ok(true) => continue,
                Ok(false) => (ReloadState::Active, "the same build as before".to_owned()),
                // cargo has said what is wrong; the run has the former build
                Err(Exit::Failure(failure)) => (ReloadState::Rejected, failure.to_string()),
                Err(_) => (ReloadState::Rejected, "it could not be built".to_owned()),
            };
            printer.note(&progress::reload_line(&self.name, state, &text));
        }
    }
}

/// Whether a file of the crate was changed, rather than looked at, or the lock file or a link written by the build.
fn is_change(event: &Event) -> bool {
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.extension().is_some_and(|it| it == "rs" || it == "cpp" || it == "h") || name == "Cargo.toml"
    };
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(is_source)
}
