//! Calls into plugins, watched while a run goes on. Nothing can be caught of a plugin that crashes or never returns, but
//! it can be named: one that crashed at the next start, one that hangs while it does.

mod record;
mod statistics;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use byoc::host::{Call, CallObserver, observe_calls};

use self::record::Record;
pub(crate) use self::record::crashed;
use self::statistics::Statistics;

/// The seconds that a call may take before anybody is told, whatever its calls took before.
const PATIENCE_VARIABLE: &str = "MMAR_WATCHDOG_SECONDS";
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches the calls of this process into plugins until it is dropped.
#[derive(Debug)]
pub(crate) struct CallWatch {
    calls: Arc<Calls>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Calls {
    epoch: AtomicU64,
    step: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    statistics: Statistics,
    running: Vec<Running>,
    record: Option<Record>,
}

/// A call that has not come back.
#[derive(Debug)]
struct Running {
    /// Its place in the statistics.
    site: usize,
    thread: ThreadId,
    since: Instant,
    told: bool,
}

impl CallWatch {
    /// Begins to watch.
    pub(crate) fn start() -> Self {
        let calls = Arc::new(Calls::default());
        observe_calls(Some(Arc::clone(&calls) as Arc<dyn CallObserver>));
        let patience = std::env::var(PATIENCE_VARIABLE).ok().and_then(|seconds| seconds.parse().ok());
        let patience = patience.map_or(PATIENCE, Duration::from_secs);
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&calls);
        let rounds = (patience / 4).clamp(Duration::from_millis(100), Duration::from_secs(1));
        let thread = thread::Builder::new().name("watchdog".into()).spawn(move || {
            while stopped.recv_timeout(rounds) == Err(RecvTimeoutError::Timeout) {
                watched.tell_of_long_calls(patience);
            }
        });
        // a run without its watchdog is a run all the same
        Self { calls, stop: Some(stop), thread: thread.ok() }
    }

    /// Notes each call in a file of the run's folder from now on.
    pub(crate) fn record_in(&self, run_folder: &Path) {
        match Record::create(run_folder) {
            Ok(record) => self.calls.state().record = Some(record),
            Err(error) => tracing::debug!("calls into plugins are not recorded: {error}"),
        }
    }

    /// Says where the run stands.
    pub(crate) fn at(&self, epoch: u64, step: u64) {
        self.calls.epoch.store(epoch, Ordering::Relaxed);
        self.calls.step.store(step, Ordering::Relaxed);
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        observe_calls(None);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(record) = self.calls.state().record.take() {
            record.remove();
        }
    }
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_of_long_calls(&self, patience: Duration) {
        let mut state = self.state();
        let State { statistics, running, .. } = &mut *state;
        for call in running.iter_mut().filter(|call| !call.told) {
            let elapsed = call.since.elapsed();
            if elapsed > statistics.limit(call.site, patience) {
                call.told = true;
                tracing::warn!(
                    "{}, for {} s so far; {}; the run waits for it, Ctrl-C twice ends it",
                    statistics.describe(call.site),
                    elapsed.as_secs(),
                    statistics.history(call.site)
                );
            }
        }
    }
}

impl CallObserver for Calls {
    fn entered(&self, call: &Call<'_>) {
        let mut state = self.state();
        let site = state.statistics.site(call);
        state.running.push(Running { site, thread: thread::current().id(), since: Instant::now(), told: false });
        let State { statistics, running, record } = &mut *state;
        if let Some(record) = record {
            let calls = running.iter().map(|call| statistics.name(call.site));
            record.write(calls, self.epoch.load(Ordering::Relaxed), self.step.load(Ordering::Relaxed));
        }
    }

    fn left(&self, call: &Call<'_>) {
        let mut state = self.state();
        let (site, thread) = (state.statistics.site(call), thread::current().id());
        if let Some(index) = state.running.iter().rposition(|call| call.site == site && call.thread == thread) {
            let call = state.running.swap_remove(index);
            state.statistics.took(site, call.since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use byoc::host::{Call, CallObserver};

    use super::{Calls, Record, crashed};

    const CALL: Call<'static> = Call { module: "mine", component: "Slow", function: "forward" };

    #[test]
    fn a_call_that_takes_too_long_is_told_once() {
        let calls = Calls::default();
        calls.entered(&CALL);
        calls.tell_of_long_calls(Duration::from_secs(30));
        assert!(!calls.state().running[0].told, "not yet");
        calls.state().running[0].since = Instant::now().checked_sub(Duration::from_secs(31)).expect("a while ago");
        calls.tell_of_long_calls(Duration::from_secs(30));
        assert!(calls.state().running[0].told);
        calls.left(&CALL);
        assert!(calls.state().running.is_empty());
    }

    #[test]
    fn what_a_dead_process_was_calling_is_told() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("run-0007");
        std::fs::create_dir(&run).unwrap();
        let calls = Calls::default();
        calls.state().record = Some(Record::create(&run).unwrap());
        calls.epoch.store(2, std::sync::atomic::Ordering::Relaxed);
        calls.step.store(31, std::sync::atomic::Ordering::Relaxed);
        calls.entered(&Call { module: "m", component: "AVeryLongNameThatIsThenOverwritten", function: "apply" });
        calls.left(&Call { module: "m", component: "AVeryLongNameThatIsThenOverwritten", function: "apply" });
        calls.entered(&CALL);
        assert_eq!(crashed(runs.path()), None, "this process is alive");
        let file = run.join("last_call.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        // no Linux process has a number as high as that
        record["process"] = u32::MAX.into();
        std::fs::write(&file, record.to_string()).unwrap();
        let told = crashed(runs.path()).unwrap();
        assert!(told.contains("run-0007") && told.contains("`mine.Slow` in `forward` at step 31 (epoch 2)"), "{told}");
        std::fs::create_dir(runs.path().join("run-0008")).unwrap();
        assert_eq!(crashed(runs.path()), None, "a later run was told already");
    }
}
