//! A run from its request to its summary.

mod dry;
mod evaluating;
pub(crate) mod records;
mod resuming;
mod training;

pub(crate) use evaluating::evaluate;
pub(crate) use training::train;

use std::path::{Path, PathBuf};

use mmar_config::Plan;

use crate::calls::{self, CallWatch};
use crate::{Failure, Level, Observer, RunRequest, Session};

/// The session, its warnings told.
fn open(request: &RunRequest, observer: &mut dyn Observer) -> Result<Session, Failure> {
    let session = Session::open(request)?;
    let warnings = &session.plan().warnings;
    if !warnings.is_empty() {
        observer.message(Level::Warning, warnings.render(&mmar_config::RenderOptions::default()).trim_end());
    }
    Ok(session)
}

/// Watches the calls into plugins; tells first if the run before this one crashed in one.
fn watch(output_folder: &Path, observer: &mut dyn Observer) -> CallWatch {
    if let Some(crash) = calls::crashed(output_folder) {
        observer.message(Level::Warning, &crash);
    }
    CallWatch::start()
}

/// A folder that a variable of the archive names, absolute.
fn folder(plan: &Plan, variable: &str, default: &str) -> PathBuf {
    let folder = plan.path(plan.variable(variable).and_then(|value| value.as_str()).unwrap_or(default));
    // only an empty path has no absolute form
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The seed of a run: the config's, or one that no other run has.
fn seed(plan: &Plan) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // 53 bits: JSON and the people who read it take every such number as it is
    plan.settings.random_seed.unwrap_or_else(|| RandomState::new().hash_one(0u8) >> 11)
}
