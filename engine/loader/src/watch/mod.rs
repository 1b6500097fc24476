//! Plugin files that change while they are in use. A thread follows them, waits until a new build is whole, and puts it
//! through everything that does not touch the running process: inspection, staging, the probe in a child. What passed is
//! handed over to whoever may open it, between two steps.
//!
//! Folders are watched, not files: a file's watch dies with the file, and both cargo and `mmar plugin install` put a new
//! file into its place. Nothing waits for a file to be closed: cargo makes hard links, which nobody closes.

mod pending;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};

use self::pending::Pending;
use crate::inspect::{Inspection, inspect};
use crate::{LoadCode, LoadError, probe, stage};

/// How often a file system that tells nothing is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long a file that is not whole yet is given, quietly.
const UNFINISHED: Duration = Duration::from_secs(2);

/// Between two looks at a file that may still grow.
const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// What became of a plugin file.
#[derive(Debug)]
pub enum Sighting {
    /// A new build is there and is being checked.
    Checking {
        /// The plugin's file.
        file: PathBuf,
        /// Identity of the build.
        sha256: String,
    },
    /// A new build passed every check outside of this process.
    Ready {
        /// The plugin's file.
        file: PathBuf,
        /// Identity of the build.
        sha256: String,
        /// From the first sign of the new file.
        seen: Instant,
    },
    /// A new build was refused; told once for each.
    Rejected {
        /// The plugin's file.
        file: PathBuf,
        /// Why.
        error: LoadError,
    },
    /// The file is gone; what is loaded of it works on.
    Removed {
        /// The plugin's file.
        file: PathBuf,
    },
}

/// Follows plugin files until it is dropped.
pub struct Watcher {
    sightings: Receiver<Sighting>,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Event(notify::Result<Event>),
    Stop,
}

/// Where changes are told.
type Notifier = Box<dyn notify::Watcher + Send>;

impl Watcher {
    /// Follows these files, whose builds are in use. With `poll`, the folders are looked at again and again: network
    /// file systems and some containers tell nothing.
    ///
    /// # Errors
    /// The system has no more watches to give, or a folder cannot be watched.
    pub fn start(files: &[(PathBuf, String)], poll: bool) -> Result<Self, LoadError> {
        let (messages, received) = mpsc::channel();
        let (tell, sightings) = mpsc::channel();
        let failed = |file: &Path, error: &notify::Error| {
            LoadError::new(LoadCode::Unreadable, file, format!("changes of it cannot be followed: {error}"))
                .help("`--poll` looks at the file again and again instead")
        };
        let notes = messages.clone();
        let handler = move |event| {
            // nobody listens only when the watch has ended
            let _ = notes.send(Message::Event(event));
        };
        let first = files.first().map_or(Path::new(""), |(file, _)| file.as_path());
        // by their content: two builds may be made within the resolution of a file's time
        let config = Config::default().with_poll_interval(POLL_INTERVAL).with_compare_contents(true);
        let notifier = if poll {
            PollWatcher::new(handler, config).map(|watcher| Box::new(watcher) as Notifier)
        } else {
            RecommendedWatcher::new(handler, config).map(|watcher| Box::new(watcher) as Notifier)
        };
        let mut notifier = notifier.map_err(|error| failed(first, &error))?;
        let watched: Vec<Watched> = files.iter().map(|(file, sha256)| Watched::new(file, sha256)).collect();
        let mut folders = BTreeSet::new();
        for file in &watched {
            for (folder, _) in &file.places {
                if folders.insert(folder.clone()) {
                    notifier.watch(folder, RecursiveMode::NonRecursive).map_err(|error| failed(&file.file, &error))?;
                }
            }
        }
        let thread = thread::Builder::new().name("plugin watch".into()).spawn(move || {
            // dropped with the thread, which ends the events
            let _notifier = notifier;
            follow(watched, &received, &tell);
        });
        let thread = thread.map_err(|error| {
            LoadError::new(LoadCode::Unreadable, first, format!("no thread to follow it with: {error}"))
        })?;
        Ok(Self { sightings, messages, thread: Some(thread) })
    }

    /// What was seen since the last call; never waits.
    pub fn sightings(&self) -> impl Iterator<Item = Sighting> {
        self.sightings.try_iter()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A file that is followed.
struct Watched {
    /// As the user knows it.
    file: PathBuf,
    /// Folder and name under which changes are told: its own and, of a link, those of what it leads to.
    places: Vec<(PathBuf, OsString)>,
    /// When it changed, unless that is dealt with.
    pending: Option<Pending>,
    /// The builds that need no second look: the one in use, and those that were judged.
    known: BTreeSet<String>,
    is_gone: bool,
}

impl Watched {
    fn new(file: &Path, sha256: &str) -> Self {
        let parent = file.parent().unwrap_or(Path::new("."));
        let own = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        let mut places = vec![(own, file.file_name().unwrap_or_default().to_owned())];
        if let Ok(target) = file.canonicalize()
            && let (Some(folder), Some(name)) = (target.parent(), target.file_name())
        {
            let place = (folder.to_owned(), name.to_owned());
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let known = BTreeSet::from([sha256.to_owned()]);
        Self { file: file.to_owned(), places, pending: None, known, is_gone: false }
    }

    fn is_at(&self, path: &Path) -> bool {
        let (folder, name) = (path.parent(), path.file_name());
        self.places.iter().any(|(own, file)| folder == Some(own) && name == Some(file))
    }

    /// Looks at the file that has come to rest.
    fn settle(&mut self, seen: Instant, tell: &Sender<Sighting>) {
        let send = |sighting| {
            let _ = tell.send(sighting);
        };
        let file = || self.file.clone();
        let plugin = match whole(&self.file) {
            Some(Ok(plugin)) => plugin,
            Some(Err((content, error))) => {
                self.is_gone = false;
                if self.known.insert(content) {
                    send(Sighting::Rejected { file: file(), error });
                }
                return;
            }
            None => {
                if !std::mem::replace(&mut self.is_gone, true) {
                    send(Sighting::Removed { file: file() });
                }
                return;
            }
        };
        self.is_gone = false;
        if !self.known.insert(plugin.sha256.clone()) {
            return;
        }
        // only what is in use now or was just refused is old news: going back to an earlier build is a change
        self.known.retain(|known| *known == plugin.sha256);
        let sha256 = plugin.sha256.clone();
        send(Sighting::Checking { file: file(), sha256: sha256.clone() });
        let checked =
            plugin.check().and_then(|_| stage::stage(&plugin)).and_then(|staged| probe::probe(&plugin, &staged));
        send(match checked {
            Ok(()) => Sighting::Ready { file: file(), sha256, seen },
            Err(error) => Sighting::Rejected { file: file(), error },
        });
    }
}

/// The thread's work: collects changes and looks at each file when it has come to rest.
fn follow(mut watched: Vec<Watched>, messages: &Receiver<Message>, tell: &Sender<Sighting>) {
    loop {
        let now = Instant::now();
        let next = watched.iter().filter_map(|file| Some(file.pending.as_ref()?.due_in(now))).min();
        let message = match next {
            Some(wait) => messages.recv_timeout(wait),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Event(Ok(event))) => note(&mut watched, &event),
            Ok(Message::Event(Err(error))) => tracing::warn!("a change of a plugin may have been missed: {error}"),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        for file in &mut watched {
            if let Some(pending) = file.pending.take_if(|pending| pending.due_in(now).is_zero()) {
                file.settle(pending.since(), tell);
            }
        }
    }
}

/// Marks the files that an event is about.
fn note(watched: &mut [Watched], event: &Event) {
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    let now = Instant::now();
    for file in watched {
        if event.need_rescan() || event.paths.iter().any(|path| file.is_at(path)) {
            file.pending.get_or_insert_with(|| Pending::new(now)).again(now);
        }
    }
}

/// The plugin in a file, once the file does not grow any more and is whole. What is wrong with one that stays broken
/// comes with the hash of its content; nothing if there is no file.
fn whole(file: &Path) -> Option<Result<Inspection, (String, LoadError)>> {
    let start = Instant::now();
    loop {
        let size = || std::fs::metadata(file).ok().map(|metadata| (metadata.len(), metadata.modified().ok()));
        let before = size();
        let inspected = inspect(file);
        thread::sleep(LOOK_AGAIN);
        let rests = before.is_some() && size() == before;
        let patient = start.elapsed() < UNFINISHED;
        match inspected {
            Ok(plugin) if rests => return Some(Ok(plugin)),
            Ok(_) if patient => {}
            Ok(plugin) => return Some(Ok(plugin)),
            Err(error) => {
                let may_change =
                    matches!(error.code, LoadCode::Incomplete | LoadCode::NotALibrary | LoadCode::Unreadable);
                if may_change && patient {
                    continue;
                }
                let content = std::fs::read(file).ok()?;
                return Some(Err((format!("{:x}", Sha256::digest(&content)), error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::{Sighting, Watcher};
    use crate::LoadCode;

    fn next(watcher: &Watcher) -> Option<Sighting> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(sighting) = watcher.sightings().next() {
                return Some(sighting);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// What a broken build, the same again, another one and a removal lead to, with either way of watching.
    fn sightings(poll: bool) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liba.so");
        fs::write(&file, "the build in use").unwrap();
        let watcher = Watcher::start(&[(file.clone(), String::new())], poll).unwrap();
        fs::write(folder.path().join("other.so"), "not ours").unwrap();
        for name in [".tmp1", ".tmp2"] {
            fs::write(folder.path().join(name), "broken").unwrap();
            fs::rename(folder.path().join(name), &file).unwrap();
        }
        let Some(Sighting::Rejected { file: told, error }) = next(&watcher) else { panic!("nothing was seen") };
        assert_eq!((told, error.code), (file.clone(), LoadCode::NotALibrary));
        fs::remove_file(&file).unwrap();
        assert!(matches!(next(&watcher), Some(Sighting::Removed { file: told }) if told == file));
        fs::write(&file, "#! broken once more").unwrap();
        assert!(matches!(next(&watcher), Some(Sighting::Rejected { .. })));
        assert!(watcher.sightings().next().is_none(), "each build is told once");
    }

    #[test]
    fn changes_are_told_once_for_each_build() {
        sightings(false);
    }

    #[test]
    fn so_they_are_where_the_file_system_tells_nothing() {
        sightings(true);
    }
}
