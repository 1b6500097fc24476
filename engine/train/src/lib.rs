//! Training and evaluation: from a checked plan to objects, steps, events and files.

mod failure;
mod interrupt;
mod observer;
mod request;
mod run_log;
mod session;
mod summary;

pub use failure::Failure;
pub use interrupt::Interrupt;
pub use observer::{Banner, Level, Observer, PluginUse, Progress, Silent};
pub use request::{Resume, RunRequest};
pub use run_log::RunLog;
pub use session::Session;
pub use summary::Summary;

/// Trains as the request says.
pub fn train(request: &RunRequest, _observer: &mut dyn Observer, _interrupt: &Interrupt) -> Result<Summary, Failure> {
    Session::open(request)?;
    Err(Failure::new("unsupported", "training is not wired up yet"))
}

/// Runs a validation or inference config.
pub fn evaluate(
    request: &RunRequest,
    _observer: &mut dyn Observer,
    _interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    Session::open(request)?;
    Err(Failure::new("unsupported", "evaluation is not wired up yet"))
}
