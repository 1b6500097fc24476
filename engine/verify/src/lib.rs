//! Replays reference cases against components: how a port from Python is proved.
//!
//! A case is a pair of files, `NAME.json` (which component, which arguments, which tolerance) and `NAME.safetensors`
//! (inputs, weights, and what the original gave). [`run`] builds the component, feeds it the inputs and compares every
//! expected tensor. Built-ins and plugins are treated alike, so a user who ports a PyTorch loss exports a few cases
//! from Python and has the same proof as the engine's own components.
//!
//! The modules follow a case on its way: [`case`](mod@case) reads it, `replay` (one file per kind) computes,
//! [`compare`] judges, [`report`] tells.

pub mod case;
pub mod compare;
mod components;
pub mod fill;
mod guard;
mod nifti;
pub mod rehearsal;
mod replay;
pub mod report;

use std::path::{Path, PathBuf};

pub use components::Components;
pub use report::{CaseResult, Outcome, Report};

use crate::case::Case;
use crate::replay::Stop;

/// Replays every case below these folders (or the cases of these JSON files), sorted by path.
pub fn run(paths: &[PathBuf], components: &mut dyn Components) -> Report {
    let mut cases = Vec::new();
    for path in paths {
        match case::find(path) {
            Ok(found) if found.is_empty() => {
                cases.push(CaseResult::error(
                    path,
                    "no reference case here: a case is `NAME.json` with `NAME.safetensors`",
                ));
            }
            Ok(found) => cases.extend(found.iter().map(|(id, file)| run_case(id, file, components))),
            Err(error) => cases.push(CaseResult::error(path, error)),
        }
    }
    Report { cases }
}

/// Replays one case; `id` is what the report calls it.
pub fn run_case(id: &str, file: &Path, components: &mut dyn Components) -> CaseResult {
    let mut result = CaseResult {
        case: id.to_owned(),
        kind: String::new(),
        name: String::new(),
        outcome: Outcome::Error,
        detail: String::new(),
    };
    let case = match Case::read(file) {
        Ok(case) => case,
        Err(error) => {
            result.detail = error;
            return result;
        }
    };
    result.kind.clone_from(&case.kind);
    result.name.clone_from(&case.name);
    let (outcome, detail) = match guard::guard(|| replay::replay(&case, components)) {
        Ok(Ok(actual)) => match compare::compare(&case, &actual) {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        },
        Ok(Err(Stop::Missing(detail))) => (Outcome::Missing, detail),
        Ok(Err(Stop::Failed(detail))) => (Outcome::Failed, detail),
        Ok(Err(Stop::Error(detail))) => (Outcome::Error, detail),
        Err(panic) => (Outcome::Error, format!("panicked: {panic}")),
    };
    result.outcome = outcome;
    result.detail = detail;
    result
}
