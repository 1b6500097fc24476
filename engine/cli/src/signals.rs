//! Ctrl-C and SIGTERM: the first finishes the step and saves, the second ends the process at once.

use mmar_train::Interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// What a shell reports for a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Catches the signals for a run.
pub(crate) fn catch() -> Result<Interrupt, Exit> {
    let interrupt = Interrupt::new();
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag of the first signal is what makes the second one end the process.
        flag::register_conditional_shutdown(signal, INTERRUPTED, interrupt.flag())
            .and_then(|_| flag::register(signal, interrupt.flag()))
            .map_err(|error| Exit::failed("signals", format!("cannot catch signal {signal}: {error}")))?;
    }
    Ok(interrupt)
}
