//! Which run to go on with, and whether its state fits this config.

use std::path::{Path, PathBuf};

use mmar_config::Plan;
use serde_json::Value as Json;

use crate::checkpoint::last::Point;
use crate::files::run_folder::{self, LAST_CHECKPOINT};
use crate::{Failure, Level, Observer, PluginUse, Resume};

/// How many differences a message lists.
const LISTED: usize = 8;

/// Reads the state of the run that was asked for.
pub(super) fn find(resume: &Resume, output_folder: &Path) -> Result<Point, Failure> {
    let path = match resume {
        Resume::Latest => match run_folder::latest(output_folder) {
            Some(run) => run.join(LAST_CHECKPOINT),
            None => {
                return Err(Failure::usage(
                    "cannot-resume",
                    format!("there is no run to go on with in `{}`", output_folder.display()),
                )
                .note("a run can be resumed when its folder (`run-0001` …) holds a `last.pt`")
                .help("leave `--resume` out to start a new run, or name the run: `--resume PATH`"));
            }
        },
        Resume::Path(path) if path.is_dir() => path.join(LAST_CHECKPOINT),
        Resume::Path(path) => path.clone(),
    };
    if !path.is_file() {
        return Err(Failure::usage("cannot-resume", format!("there is no checkpoint `{}`", path.display())));
    }
    Point::read(&path)
}

/// The folder that the resumed run goes on in.
pub(super) fn folder_of(point: &Point) -> PathBuf {
    point.path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Refuses a config whose network or optimizer is another one, unless that is meant, and lists other differences.
pub(super) fn check(
    point: &Point,
    plan: &Plan,
    allow_changed: bool,
    observer: &mut dyn Observer,
) -> Result<(), Failure> {
    let mut differences = point.differences(&plan.conf);
    if allow_changed {
        differences.listed.splice(0..0, differences.refused.drain(..));
    }
    if !differences.refused.is_empty() {
        let failure = Failure::new(
            "cannot-resume",
            "the network, optimizer or schedule of the config is not that of the run",
        )
        .notes_from(differences.refused.iter().take(LISTED).map(ToString::to_string))
        .help(
            "set these back, go on all the same with `--allow-changed`, or start a new run from the weights: `--set \
             dont_load_ckpt_model=false MMAR_CKPT=…`",
        );
        return Err(failure);
    }
    if !differences.listed.is_empty() {
        let lines: Vec<String> = differences.listed.iter().take(LISTED).map(ToString::to_string).collect();
        let more = differences.listed.len().saturating_sub(LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        observer.message(
            Level::Warning,
            &format!("the config differs from that of the run so far: {}{more}", lines.join("; ")),
        );
    }
    Ok(())
}

/// Tells of plugins that are not those of the run so far: its numbers may change with them.
pub(super) fn compare_plugins(point: &Point, plugins: &[PluginUse], observer: &mut dyn Observer) {
    let record = std::fs::read(folder_of(point).join("run.json")).unwrap_or_default();
    let Ok(record) = serde_json::from_slice::<Json>(&record) else { return };
    let before = record["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    for plugin in plugins {
        let known = before.iter().find(|known| known["name"] == *plugin.name);
        if let Some(sha256) = known.and_then(|known| known["sha256"].as_str())
            && sha256 != plugin.sha256
        {
            let short = |hash: &str| hash.chars().take(8).collect::<String>();
            let text = format!(
                "the plugin `{}` is another build than that of the run so far ({} was {}): the run does not go on \
                 exactly as it would have",
                plugin.name,
                short(&plugin.sha256),
                short(sha256)
            );
            observer.message(Level::Warning, &text);
        }
    }
}
