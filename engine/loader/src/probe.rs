//! Opening an unknown build in a child process first: a plugin that crashes, aborts or hangs while it is loaded takes the
//! child with it, and not a training run.
//!
//! The child is this program again with the hidden argument [`ARGUMENT`] and the file; it calls [`main`]. What became of
//! a build is kept by its hash and the host's version, so that a build is probed once.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use byoc::host::{ABI, LIBTORCH, Manifest};
use serde::{Deserialize, Serialize};

use crate::inspect::Inspection;
use crate::{LoadCode, LoadError, cache, inspect, open};

/// The hidden argument that makes the program a probe: `mmar __probe FILE`.
pub const ARGUMENT: &str = "__probe";

/// The variable with the seconds that a plugin may take to load; 30 if it is not set.
pub const TIMEOUT_VARIABLE: &str = "MMAR_PROBE_TIMEOUT";

/// How the line with the outcome begins; a plugin's constructors may print, too.
const MARK: &str = "mmar-probe: ";

static PROGRAM: LazyLock<Mutex<Option<PathBuf>>> = LazyLock::new(|| {
    // a test or a tool that happens to link this crate is no program that knows the argument
    let program = std::env::current_exe().ok().filter(|program| program.file_stem().is_some_and(|it| it == "mmar"));
    Mutex::new(program)
});

/// Says which program to start as a probe. The engine's own binary needs not: it is known by its name. Other programs
/// open plugins without a probe unless they call this.
pub fn set_program(program: PathBuf) {
    *PROGRAM.lock().unwrap_or_else(PoisonError::into_inner) = Some(program);
}

/// What a probe found out, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// The host that probed.
    host: String,
    /// `None` if the build loads; else why it does not.
    refused: Option<LoadError>,
}

/// The child's side: opens a staged file, prints the outcome as a line of JSON, and gives the exit code.
pub fn main(file: &Path) -> i32 {
    quiet_death();
    let outcome = inspect::inspect(file).and_then(|plugin| {
        plugin.check()?;
        open::open(file, &plugin.manifest, file)
    });
    let refused = outcome.err();
    let code = i32::from(refused.is_some());
    let line = serde_json::to_string(&refused).unwrap_or_default();
    #[expect(clippy::print_stdout, reason = "the line that the parent reads")]
    {
        println!("\n{MARK}{line}");
    }
    code
}

/// No core file of a crash that is expected, and no life after the parent's.
fn quiet_death() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct; failure would only leave a core file.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // SAFETY: this form takes plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Makes sure that a staged build loads: from what is known about it, or from a child process.
pub(crate) fn probe(plugin: &Inspection, staged: &Path) -> Result<(), LoadError> {
    let program = PROGRAM.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(program) = program else {
        tracing::debug!(file = %plugin.file.display(), "this program has no probe: the plugin is opened unprobed");
        return Ok(());
    };
    let record = record_file(&plugin.sha256);
    if let Some(known) = record.as_deref().and_then(read_record) {
        return match known.refused {
            None => Ok(()),
            Some(refused) => Err(quarantined(LoadError { file: plugin.file.clone(), ..refused }, record.as_deref())),
        };
    }
    let outcome = run(&program, plugin, staged);
    let keep = match &outcome {
        Ok(()) => true,
        // what the linker or the plugin refuse in words may be other tomorrow: a library installed, a variable set
        Err(refused) => matches!(refused.code, LoadCode::CrashesAtLoad | LoadCode::HangsAtLoad),
    };
    if let Some(file) = record.filter(|_| keep) {
        write_record(&file, &Record { host: host(), refused: outcome.clone().err() });
    }
    outcome
}

fn quarantined(refused: LoadError, record: Option<&Path>) -> LoadError {
    let message = format!("{} (found when this build was first seen)", refused.message);
    let record = record.map(|file| format!("; to try this build again, delete `{}`", file.display()));
    let help = format!("{}{}", refused.help.as_deref().unwrap_or_default(), record.unwrap_or_default());
    LoadError { message, help: Some(help), ..refused }
}

fn run(program: &Path, plugin: &Inspection, staged: &Path) -> Result<(), LoadError> {
    let file = &plugin.file;
    let failed = |error: &std::io::Error| {
        LoadError::new(LoadCode::ProbeFailed, file, format!("the process that should probe it failed: {error}"))
    };
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(staged);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    // both pipes are emptied while the child runs, or it would block on a full one
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let limit = timeout();
    let Some(status) = wait(&mut child, limit).map_err(|error| failed(&error))? else {
        let message = format!("it hangs while it is loaded: nothing came back in {} seconds", limit.as_secs_f64());
        return Err(LoadError::new(LoadCode::HangsAtLoad, file, message).help(format!(
            "look at what its constructors do (statics, `ctor`s); `{TIMEOUT_VARIABLE}` gives it more seconds"
        )));
    };
    let said = stdout.join().unwrap_or_default();
    let line = said.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let outcome = line.and_then(|line| serde_json::from_str::<Option<LoadError>>(line).ok());
    match outcome {
        Some(None) if status.success() => Ok(()),
        Some(Some(refused)) => Err(LoadError { file: file.clone(), ..refused }),
        // no line, or a process that told of success and then died while it left
        _ => Err(crashed(file, status, &plugin.manifest, &stderr.join().unwrap_or_default())),
    }
}

fn crashed(file: &Path, status: ExitStatus, manifest: &Manifest, stderr: &str) -> LoadError {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it crashed with {} while it was loaded", signal_name(signal)),
        (None, Some(code)) => format!("it ended the process with code {code} while it was loaded"),
        (None, None) => "it ended the process while it was loaded".to_owned(),
    };
    let refused = LoadError::new(LoadCode::CrashesAtLoad, file, how).help(format!(
        "link `{}` into a test of its own and run that under a debugger: the crash is in its constructors or statics",
        manifest.plugin.name
    ));
    let last: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &last[last.len().saturating_sub(5)..];
    if last.is_empty() { refused } else { refused.detail(last.join("\n")) }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // what could be read before an error is what there is
            let _ = pipe.by_ref().take(1 << 20).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the child; kills it when the time is up, and gives `None` then.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn timeout() -> Duration {
    let set = std::env::var(TIMEOUT_VARIABLE).ok().and_then(|text| text.parse::<f64>().ok());
    Duration::try_from_secs_f64(set.unwrap_or(30.0)).unwrap_or(Duration::from_secs(30))
}

/// What a record is good for: another ABI or libtorch may find something else.
fn host() -> String {
    format!("mmar {} abi {ABI} libtorch {LIBTORCH}", env!("CARGO_PKG_VERSION"))
}

fn record_file(sha256: &str) -> Option<PathBuf> {
    let folder = cache::folder().ok()?.join("probes");
    cache::private_folder(&folder).ok()?;
    Some(folder.join(format!("{sha256}.json")))
}

fn read_record(file: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (record.host == host()).then_some(record)
}

fn write_record(file: &Path, record: &Record) {
    let bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
    if let Err(error) = cache::write_whole(file, &bytes, 0o600) {
        // the next start probes again, that is all
        tracing::debug!("the outcome of a probe could not be kept: {error}");
    }
}

fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGTERM, "SIGTERM"),
    ];
    let name = known.iter().find(|(number, _)| *number == signal).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("signal {signal}"))
}
