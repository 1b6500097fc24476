//! What keeps a panic on the plugin's side.
//!
//! Every function that the host calls runs under [`call`] or [`catch`]. A panic becomes an error with the message, the
//! place in the author's source and a backtrace; the object is poisoned and answers every later call with an error. The
//! panic's payload never crosses: the two sides have a standard library each.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::ptr::NonNull;
use std::sync::Once;

use abi_stable::std_types::{ROption, RResult};

use super::types::{Fallible, FfiError, Opaque};
use crate::{Error, ErrorCode, Result, torch_message};

thread_local! {
    /// How many trampolines are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The last panic within one of them.
    static REPORT: RefCell<Option<Report>> = const { RefCell::new(None) };
}

struct Report {
    location: Option<String>,
    backtrace: String,
}

/// A component behind an [`Opaque`] pointer.
pub(crate) struct Guarded<T: ?Sized> {
    name: &'static str,
    /// The message of the panic that poisoned it.
    poison: RefCell<Option<String>>,
    component: ManuallyDrop<Box<T>>,
}

impl<T: ?Sized> Guarded<T> {
    /// Puts a component behind a pointer; [`release`] takes it down again.
    pub(crate) fn leak(name: &'static str, component: Box<T>) -> Opaque {
        let guarded = Self { name, poison: RefCell::new(None), component: ManuallyDrop::new(component) };
        Opaque(NonNull::from(Box::leak(Box::new(guarded))).cast())
    }
}

/// Calls a component that is behind a pointer of [`Guarded::leak`].
///
/// # Safety
/// `object` came from `Guarded::<T>::leak`, was not released, and no other call of it is running.
pub(crate) unsafe fn call<T: ?Sized, R>(object: Opaque, body: impl FnOnce(&mut T) -> Result<R>) -> Fallible<R> {
    // SAFETY: the caller's promise.
    let guarded = unsafe { object.0.cast::<Guarded<T>>().as_mut() };
    if let Some(message) = &*guarded.poison.borrow() {
        let message = format!("`{}` cannot be used any more: it panicked before ({message})", guarded.name);
        return RResult::RErr(Error::new(ErrorCode::POISONED, message).into());
    }
    let component = &mut **guarded.component;
    match run(|| body(component)) {
        Ok(outcome) => outcome.map_err(FfiError::from).into(),
        Err(panic) => {
            *guarded.poison.borrow_mut() = Some(panic.message.to_string());
            RResult::RErr(panic)
        }
    }
}

/// Runs what belongs to no object yet: creation, description, initialisation.
pub(crate) fn catch<R>(body: impl FnOnce() -> Result<R>) -> Fallible<R> {
    match run(body) {
        Ok(outcome) => outcome.map_err(FfiError::from).into(),
        Err(panic) => RResult::RErr(panic),
    }
}

/// Takes a component down. A panic in its `Drop` is logged and swallowed: the host may be unwinding itself.
///
/// # Safety
/// As [`call`]; the pointer is used up.
pub(crate) unsafe fn release<T: ?Sized>(object: Opaque) {
    // SAFETY: the caller's promise; `leak` leaked the box.
    let mut guarded = unsafe { Box::from_raw(object.0.cast::<Guarded<T>>().as_ptr()) };
    let outcome = run(|| {
        // SAFETY: the component is dropped only here, and `guarded` ends right after.
        unsafe { ManuallyDrop::drop(&mut guarded.component) };
        Ok(())
    });
    if let Err(panic) = outcome {
        tracing::warn!(component = guarded.name, "the component panicked while it was dropped: {}", panic.message);
    }
}

/// Makes panics inside trampolines quiet: the hook keeps what is known about them for the error instead of printing it.
/// Panics elsewhere, in an author's threads say, go to the hook that was there before.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                previous(info);
            } else {
                let report = Report::of(info);
                REPORT.with(|slot| *slot.borrow_mut() = Some(report));
            }
        }));
    });
}

#[expect(clippy::result_large_err, reason = "it goes across by value as it is")]
fn run<R>(body: impl FnOnce() -> Result<R>) -> Result<Result<R>, FfiError> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|payload| {
        let message = message_of(&*payload);
        // dropping a stranger's payload could panic once more
        std::mem::forget(payload);
        let report = REPORT.with(|slot| slot.borrow_mut().take());
        let (location, backtrace) = match report {
            Some(report) => (report.location, ROption::RSome(report.backtrace.into())),
            None => (None, ROption::RNone),
        };
        FfiError {
            code: ErrorCode::PANICKED.0,
            message: message.into(),
            chain: Vec::new().into(),
            location: location.map(Into::into).into(),
            backtrace,
        }
    })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(|| "a panic without a message".to_owned(), plain_message)
}

/// tch panics with the debug form of its error: what libtorch said is all that counts.
fn plain_message(message: &str) -> String {
    let Some((_, quoted)) = message.split_once("Err` value: Torch(\"") else { return message.to_owned() };
    let quoted = quoted.trim_end().trim_end_matches("\")");
    let unescaped = quoted.replace("\\n", "\n").replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
    torch_message(&unescaped)
}

impl Report {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::force_capture().to_string();
        let location = info.location().map(|it| (it.file().to_owned(), it.line()));
        let location = match location {
            // a panic in the standard library or in tch is the author's at the nearest frame that is
            Some((file, line)) if is_authors(&file) => Some(format!("{file}:{line}")),
            other => author_frame(&backtrace).or_else(|| other.map(|(file, line)| format!("{file}:{line}"))),
        };
        Self { location, backtrace }
    }
}

fn is_authors(file: &str) -> bool {
    let foreign =
        ["/rustc/", "/.cargo/registry/", "/.cargo/git/", "/rustlib/src/", "src/ffi/guard.rs", "src/ffi/export/"];
    !foreign.iter().any(|part| file.contains(part))
}

/// The first `at FILE:LINE:COLUMN` of a backtrace that lies in the author's source.
fn author_frame(backtrace: &str) -> Option<String> {
    let mut frames = backtrace.lines().filter_map(|line| line.trim().strip_prefix("at "));
    let mine = frames.find(|place| is_authors(place))?;
    let without_column = mine.rsplit_once(':').map_or(mine, |(place, _)| place);
    Some(without_column.trim_start_matches("./").to_owned())
}

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().0,
            message: error.message().into(),
            chain: error.chain().iter().map(|cause| cause.as_str().into()).collect(),
            location: error.location().map(Into::into).into(),
            backtrace: ROption::RNone,
        }
    }
}

impl From<FfiError> for Error {
    fn from(error: FfiError) -> Self {
        if let ROption::RSome(backtrace) = &error.backtrace {
            tracing::debug!(target: "byoc::plugin", "backtrace of a panic in a plugin ({}):\n{backtrace}", error.message);
        }
        let chain = error.chain.into_iter().map(Into::into).collect();
        let location = error.location.into_option().map(Into::into);
        Self::from_parts(ErrorCode(error.code), error.message.into(), chain, location)
    }
}

#[cfg(test)]
mod tests {
    use super::{Guarded, author_frame, call, catch, install_panic_hook, plain_message, release};
    use crate::{Error, ErrorCode};
    use abi_stable::std_types::RResult;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_panic_poisons_and_says_where() {
        install_panic_hook();
        let object = Guarded::leak("Thing", Box::new(7));
        // SAFETY: made above, one thread.
        let first = unsafe { call::<i32, ()>(object, |_| panic!("number {}", 7)) };
        let error = Error::from(first.into_result().expect_err("panicked"));
        assert_eq!((error.code(), error.message()), (ErrorCode::PANICKED, "number 7"));
        // the test's own source lies where the boundary's does, so the frame above it is taken
        assert!(error.location().is_some());
        // SAFETY: as above.
        let second = unsafe { call::<i32, i32>(object, |value| Ok(*value)) };
        let error = Error::from(second.into_result().expect_err("poisoned"));
        assert_eq!(error.code(), ErrorCode::POISONED);
        assert!(error.message().contains("number 7"), "{error}");
        // SAFETY: used up here.
        unsafe { release::<i32>(object) };
    }

    #[test]
    fn a_panicking_drop_stays_inside() {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::Relaxed);
                panic!("in drop");
            }
        }
        let object = Guarded::leak("Bomb", Box::new(Bomb));
        // SAFETY: made above, used up here.
        unsafe { release::<Bomb>(object) };
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn errors_cross_whole() {
        let error = Error::data("no label").context("while loading");
        let crossed = Error::from(catch::<()>(|| Err(error.clone())).into_result().expect_err("an error"));
        assert_eq!(format!("{error:?}"), format!("{crossed:?}"));
        assert!(matches!(catch(|| Ok(3)), RResult::ROk(3)));
    }

    #[test]
    fn what_libtorch_said_is_unwrapped() {
        let wrapped = "called `Result::unwrap()` on an `Err` value: Torch(\"The size of tensor a (3) must match the size of tensor b (4)\\nException raised from infer\")";
        assert_eq!(plain_message(wrapped), "The size of tensor a (3) must match the size of tensor b (4)");
        assert_eq!(plain_message("index out of bounds"), "index out of bounds");
    }

    #[test]
    fn the_authors_frame_is_the_first_that_is_nobody_elses() {
        let backtrace = "   0: std::panicking\n             at /rustc/abc/library/std/src/panicking.rs:1:2\n   1: tch::f\n             at /u/.cargo/registry/src/index/tch-0.24.0/src/x.rs:3:4\n   2: my::forward\n             at ./src/lib.rs:41:9\n   3: byoc\n             at /x/plugin-api/src/ffi/guard.rs:1:1";
        assert_eq!(author_frame(backtrace).as_deref(), Some("src/lib.rs:41"));
    }
}
