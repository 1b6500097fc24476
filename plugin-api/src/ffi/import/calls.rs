//! The one place where the host sees every call into a plugin: what may crash or hang can be named there.

use std::sync::{Arc, PoisonError, RwLock};

/// Hears of each call into a plugin, on the thread that makes it. Must be quick: it is part of every call.
pub trait CallObserver: Send + Sync {
    /// A call is about to be made.
    fn entered(&self, call: &Call<'_>);

    /// The call is over, well or not.
    fn left(&self, call: &Call<'_>);
}

/// A call of a plugin's component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call<'a> {
    /// The plugin's module.
    pub module: &'a str,
    /// The component's name.
    pub component: &'a str,
    /// The function: `forward`, `apply` …
    pub function: &'static str,
}

static OBSERVER: RwLock<Option<Arc<dyn CallObserver>>> = RwLock::new(None);

/// Lets an observer hear of the calls from now on, or nobody.
pub fn observe_calls(observer: Option<Arc<dyn CallObserver>>) {
    *OBSERVER.write().unwrap_or_else(PoisonError::into_inner) = observer;
}

/// Who a proxy calls.
#[derive(Debug, Clone)]
pub(super) struct Callee {
    pub(super) module: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Callee {
    /// Tells that a call begins; it ends with the value.
    pub(super) fn enter(&self, function: &'static str) -> Entered<'_> {
        let observer = OBSERVER.read().unwrap_or_else(PoisonError::into_inner).clone();
        let call = Call { module: &self.module, component: &self.name, function };
        if let Some(observer) = &observer {
            observer.entered(&call);
        }
        Entered { observer, call }
    }
}

/// A call that is being made.
pub(super) struct Entered<'a> {
    /// Who heard of its beginning.
    observer: Option<Arc<dyn CallObserver>>,
    call: Call<'a>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.left(&self.call);
        }
    }
}
