//! Component code is foreign code: whatever it does, the run ends with a sentence, not with a panic.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use byoc::{Error, ErrorCode, Result};

use crate::Failure;

/// How many runs are going on in this process.
static RUNS: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

thread_local! {
    static LAST_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls a component; a panic in it becomes an error with the panic's message and place.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let message = byoc::panic_message(&*payload);
        let location = LAST_LOCATION.with_borrow_mut(Option::take).filter(|place| !place.contains("tch-"));
        Err(Error::from_parts(ErrorCode::PANICKED, message, Vec::new(), location))
    })
}

/// Runs a whole training or evaluation. Panics inside are not printed by Rust's hook: those of components end in
/// [`guarded`], and one of the engine's own is reported as such.
pub(crate) fn run<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if RUNS.load(Ordering::Relaxed) == 0 {
                return previous(info);
            }
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            tracing::debug!(place = place.as_deref().unwrap_or("?"), "panic: {}", byoc::panic_message(info.payload()));
            LAST_LOCATION.set(place);
        }));
    });
    RUNS.fetch_add(1, Ordering::Relaxed);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    RUNS.fetch_sub(1, Ordering::Relaxed);
    result.unwrap_or_else(|payload| {
        let place = LAST_LOCATION.with_borrow_mut(Option::take).unwrap_or_default();
        Err(Failure::bug(format!("the engine itself failed: {}", byoc::panic_message(&*payload))).note(place))
    })
}

#[cfg(test)]
mod tests {
    use byoc::ErrorCode;

    use super::{guarded, run};
    use crate::Failure;

    #[test]
    fn a_panic_becomes_an_error_with_its_place() {
        let error = run(|| Ok(guarded::<()>(|| panic!("no {}", "luck")).unwrap_err())).unwrap();
        assert_eq!((error.code(), error.message()), (ErrorCode::PANICKED, "no luck"));
        assert!(error.location().is_some_and(|place| place.contains("guard.rs:")), "{:?}", error.location());
    }

    #[test]
    fn a_bug_of_the_engine_exits_with_101() {
        let failure = run::<()>(|| panic!("index out of bounds")).unwrap_err();
        assert_eq!((failure.exit_code(), failure.code()), (101, "internal-error"));
        assert_eq!(run(|| Err::<(), _>(Failure::new("x", "y"))).unwrap_err().exit_code(), 1);
    }
}
