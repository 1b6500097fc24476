//! Opening an unknown build in a child process first: a plugin that crashes, aborts or hangs while it is loaded takes the
//! child with it, and not a training run.
//!
//! The child is this program again with the hidden argument [`ARGUMENT`] and the file; it calls [`main`]. What became of
//! a build is kept by its hash and the host's version, so that a build is probed once.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use byoc::host::{ABI, LIBTORCH, Manifest};
use serde::{Deserialize, Serialize};

use crate::inspect::Inspection;
use crate::{LoadCode, LoadError, cache, child, inspect, open};

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
    child::end_quietly();
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
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(staged);
    let limit = timeout();
    let ended = child::run(command, limit).map_err(|error| {
        LoadError::new(LoadCode::ProbeFailed, file, format!("the process that should probe it failed: {error}"))
    })?;
    let Some(status) = ended.status else {
        let message = format!("it hangs while it is loaded: nothing came back in {} seconds", limit.as_secs_f64());
        return Err(LoadError::new(LoadCode::HangsAtLoad, file, message).help(format!(
            "look at what its constructors do (statics, `ctor`s); `{TIMEOUT_VARIABLE}` gives it more seconds"
        )));
    };
    let line = ended.stdout.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let outcome = line.and_then(|line| serde_json::from_str::<Option<LoadError>>(line).ok());
    match outcome {
        Some(None) if status.success() => Ok(()),
        Some(Some(refused)) => Err(LoadError { file: file.clone(), ..refused }),
        // no line, or a process that told of success and then died while it left
        _ => Err(crashed(file, status, &plugin.manifest, &ended.stderr)),
    }
}

fn crashed(file: &Path, status: ExitStatus, manifest: &Manifest, stderr: &str) -> LoadError {
    let how = format!("it {} while it was loaded", child::how(status));
    let refused = LoadError::new(LoadCode::CrashesAtLoad, file, how).help(format!(
        "link `{}` into a test of its own and run that under a debugger: the crash is in its constructors or statics",
        manifest.plugin.name
    ));
    match child::last_lines(stderr, 5) {
        Some(last) => refused.detail(last),
        None => refused,
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
