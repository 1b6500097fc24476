//! Where `tracing` events of the engine and its plugins go: to the run's log file, and warnings to the terminal.

use std::io::IsTerminal as _;

use mmar_train::RunLog;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging; the log file gets everything from `info` up. `MMAR_LOG` (as `RUST_LOG`) chooses for the terminal.
pub(crate) fn start(log: &RunLog, verbosity: u8) {
    let standard = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let terminal = EnvFilter::try_from_env("MMAR_LOG").unwrap_or_else(|_| EnvFilter::new(standard));
    let colour = std::io::stderr().is_terminal();
    let terminal = fmt::layer()
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(verbosity > 0)
        .with_filter(terminal);
    let log = log.clone();
    let file = fmt::layer().with_ansi(false).with_writer(move || log.clone()).with_filter(EnvFilter::new("info"));
    // A second start, in a test, keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(terminal).with(file).try_init();
}
