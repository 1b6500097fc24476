//! What a run folder says about its run: `config.resolved.json`, `environment.json`, `run.json`, and `plugins/` with the
//! builds that took part, under the paths that they have in the archive: a run can be repeated with exactly these.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mmar_config::Plan;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::files::{RunFolder, atomic};
use crate::{Banner, Failure, PluginUse, RunRequest, Summary};

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
    for plugin in &banner.plugins {
        keep_build(folder, &plan.mmar_root, plugin);
    }
    write(folder, "run.json", &run)
}

/// Notes a build that took over while the run was going on.
pub(crate) fn add_build(folder: &RunFolder, mmar_root: &Path, plugin: &PluginUse) {
    keep_build(folder, mmar_root, plugin);
    change(folder, |run| {
        if let (Some(Json::Array(builds)), Ok(build)) = (run.get_mut("plugins"), serde_json::to_value(plugin))
            && !builds.contains(&build)
        {
            builds.push(build);
        }
    });
}

/// Keeps a build in the run folder. Nothing depends on it: a full disk is a line in the log.
fn keep_build(folder: &RunFolder, mmar_root: &Path, plugin: &PluginUse) {
    let root = std::path::absolute(mmar_root).unwrap_or_else(|_| mmar_root.to_owned());
    let file = std::path::absolute(&plugin.file).unwrap_or_else(|_| plugin.file.clone());
    let name = file.strip_prefix(root).ok().or_else(|| file.file_name().map(Path::new)).unwrap_or(&file);
    let mut kept = folder.file("plugins").join(name).into_os_string();
    if plugin.generation > 1 {
        kept.push(format!(".generation-{}", plugin.generation));
    }
    let kept = std::path::PathBuf::from(kept);
    let copied = kept.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        // no link: whoever writes to the file here would write to the code that runs
        std::fs::copy(&plugin.staged, &kept).map(drop)
    });
    if let Err(error) = copied {
        tracing::info!("the plugin `{}` is not kept in the run folder: {error}", plugin.name);
    }
}

/// Adds to `run.json` how the run ended.
pub(super) fn end(folder: &RunFolder, result: Result<&Summary, &Failure>) {
    let status = match result {
        Ok(_) => "completed",
        Err(failure) if failure.is_interrupted() => "interrupted",
        Err(_) => "failed",
    };
    change(folder, |run| {
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
    });
}

/// Changes `run.json`.
fn change(folder: &RunFolder, change: impl FnOnce(&mut Map<String, Json>)) {
    let path = folder.file("run.json");
    let text = std::fs::read(&path).unwrap_or_default();
    let Ok(Json::Object(mut run)) = serde_json::from_slice(&text) else { return };
    change(&mut run);
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
