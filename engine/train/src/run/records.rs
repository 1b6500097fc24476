//! What a run folder says about its run: `config.resolved.json`, `environment.json`, `run.json`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mmar_config::Plan;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::files::{RunFolder, atomic};
use crate::{Banner, Failure, RunRequest, Summary};

/// Writes the records of a run that is about to start.
pub(super) fn begin(folder: &RunFolder, plan: &Plan, request: &RunRequest, banner: &Banner) -> Result<(), Failure> {
    request.log.open(&folder.file("log.txt")).map_err(|error| not_written(folder.path(), &error))?;
    let environment: Map<String, Json> =
        plan.variables.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
    write(folder, "config.resolved.json", &plan.conf)?;
    write(folder, "environment.json", &Json::Object(environment))?;
    let mut run = json!({
        "schema": 1,
        "mmar": env!("CARGO_PKG_VERSION"),
        "status": "running",
        "started": seconds(),
        "overrides": request.overrides,
        "mmar_root": plan.mmar_root,
    });
    if let (Json::Object(run), Ok(Json::Object(facts))) = (&mut run, serde_json::to_value(banner)) {
        run.extend(facts);
    }
    write(folder, "run.json", &run)
}

/// Adds to `run.json` how the run ended.
pub(super) fn end(folder: &RunFolder, result: Result<&Summary, &Failure>) {
    let path = folder.file("run.json");
    let text = std::fs::read(&path).unwrap_or_default();
    let Ok(Json::Object(mut run)) = serde_json::from_slice(&text) else { return };
    let status = match result {
        Ok(_) => "completed",
        Err(failure) if failure.is_interrupted() => "interrupted",
        Err(_) => "failed",
    };
    run.insert("status".into(), status.into());
    run.insert("finished".into(), seconds().into());
    match result {
        Ok(summary) => {
            run.insert("summary".into(), serde_json::to_value(summary).unwrap_or_default());
        }
        Err(failure) => {
            run.insert("failure".into(), json!({ "code": failure.code(), "text": failure.render(false) }));
        }
    }
    // the run's own result matters more than that its record is complete
    if let Err(error) = atomic::write_json(&path, &run) {
        tracing::warn!("cannot complete `{}`: {error}", path.display());
    }
}

/// SHA-256 of the resolved config.
pub(super) fn config_hash(plan: &Plan) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(plan.conf.to_string().as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // writing into a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write(folder: &RunFolder, name: &str, value: &Json) -> Result<(), Failure> {
    atomic::write_json(&folder.file(name), value).map_err(|error| not_written(&folder.file(name), &error))
}

fn not_written(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new("cannot-write", format!("cannot write `{}`: {error}", path.display()))
}

/// Seconds since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
