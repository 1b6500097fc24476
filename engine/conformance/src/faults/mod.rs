//! Components with one fault each: a test that cannot fail proves nothing. They are linked into this test instead of being
//! opened, and tested in this process; the end-to-end tests do it through plugins and children.

mod builtins;
mod description;
mod handlers;
mod losses;
mod metrics;
mod networks;
mod process;
mod transforms;

use std::sync::{Mutex, MutexGuard, PoisonError};

use byoc::{Constructor, Descriptor, Registration};

use crate::given::Given;
use crate::specimen::Specimen;
use crate::suite;
use crate::verdict::{Outcome, Verdict};

/// No arguments.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArgs {}

/// The seed, the folder, the environment and the memory are the process's: one test at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static PROCESS: Mutex<()> = Mutex::new(());
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a test says about a component.
pub(super) fn verdict(test: &str, component: &Registration) -> Verdict {
    verdict_of(test, &component.descriptor(), &component.constructor())
}

fn verdict_of(test: &str, descriptor: &Descriptor, constructor: &Constructor) -> Verdict {
    let _process = alone();
    let test = suite::find(test).unwrap_or_else(|| panic!("there is no test `{test}`"));
    torch_ext::threads::limit_current_thread(1);
    test.on_component(&Specimen::new(descriptor.clone(), constructor.clone(), Given::default(), 0))
}

/// Fails unless a test ends so, and says something of this sort.
#[track_caller]
pub(super) fn finds(test: &str, component: &Registration, outcome: Outcome, part: &str) {
    let verdict = verdict(test, component);
    assert_eq!(verdict.outcome, outcome, "{test} of `{}`: {}", component.name, verdict.detail);
    assert!(verdict.detail.contains(part), "`{part}` is missing in: {}", verdict.detail);
    let says_what_to_do = verdict.help.is_some_and(|help| !help.is_empty());
    assert!(says_what_to_do || matches!(outcome, Outcome::Success | Outcome::Skipped), "{test} gives no help");
}

/// Fails unless every test of a component's kind is content, or does not apply.
#[track_caller]
pub(super) fn is_sound(component: &Registration) {
    let kind = component.descriptor().kind;
    for test in suite::tests().filter(|test| test.is_of(kind)) {
        let verdict = verdict(test.name, component);
        let content = matches!(verdict.outcome, Outcome::Success | Outcome::Skipped);
        assert!(content, "{} of `{}` {}: {}", test.name, component.name, verdict.outcome, verdict.detail);
    }
}
