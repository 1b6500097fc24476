//! Training and evaluation: from a checked plan to objects, steps, events and files.
//!
//! A run's way: [`session`] (config and registry, checked) → [`build`] (plan to objects) → [`run`] (folder, records) →
//! [`workflow`] (trainer and evaluator: steps, post transforms, metrics, events) → [`handlers`], one file each →
//! [`checkpoint`], [`tensorboard`], [`files`]. Nothing here prints: an [`Observer`] hears what happens.

mod build;
mod calls;
mod catalog;
mod checkpoint;
mod codes;
mod failure;
mod files;
mod handlers;
mod interrupt;
mod observer;
mod reload;
mod request;
mod run;
mod run_log;
mod session;
mod summary;
mod tensorboard;
mod workflow;

pub use codes::FAILURES;
pub use failure::Failure;
pub use interrupt::Interrupt;
pub use observer::{Banner, Level, Observer, PluginUse, Progress, ReloadState, Silent};
pub use request::{Resume, RunRequest, SafePoint, WatchRequest};
pub use run_log::RunLog;
pub use session::Session;
pub use summary::Summary;

/// Trains as the request says.
///
/// # Errors
///
/// Whatever keeps the run from its end, with what was saved where; an interrupted run is one of them.
pub fn train(request: &RunRequest, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Summary, Failure> {
    byoc::host::cancel_by(interrupt.flag());
    workflow::guard::run(|| run::train(request, observer, interrupt))
}

/// Runs a validation or inference config.
///
/// # Errors
///
/// As [`train`].
pub fn evaluate(request: &RunRequest, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Summary, Failure> {
    byoc::host::cancel_by(interrupt.flag());
    workflow::guard::run(|| run::evaluate(request, observer, interrupt))
}
