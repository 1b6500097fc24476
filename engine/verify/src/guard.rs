//! Panics caught and worded, so that one broken component does not end a run of 300 cases.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// `Some` while this thread runs a guarded call; holds what the panic said and where.
    static GUARDED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `f`; a panic becomes its message with the place in the source, and is not printed.
pub(crate) fn guard<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    install_hook();
    GUARDED.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(f));
    let message = GUARDED.take().unwrap_or_default();
    result.map_err(|_| message)
}

/// The hook is the process's; it keeps silent only for threads within [`guard`] and leaves all others to the hook
/// that was there before.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let guarded = GUARDED.with_borrow_mut(|slot| {
                slot.as_mut().map(|message| {
                    let payload = info.payload();
                    let said = (payload.downcast_ref::<&str>().copied())
                        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                        .unwrap_or("no message");
                    *message = byoc::torch_message(said);
                    if let Some(place) = info.location() {
                        *message = format!("{message} ({}:{})", place.file(), place.line());
                    }
                })
            });
            if guarded.is_none() {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn a_panic_becomes_its_message_with_the_place() {
        assert_eq!(guard(|| 3), Ok(3));
        let message = guard(|| -> i32 { panic!("too {}", "small") }).unwrap_err();
        assert!(message.starts_with("too small (") && message.contains("guard.rs:"), "{message}");
    }
}
