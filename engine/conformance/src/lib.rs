//! Tests a plugin for everything that the engine relies on, and for what authors get wrong: `mmar plugin check`.
//!
//! [`suite`] lists the tests, a family of them to a file of `families`: those of the file, then those of each component.
//! [`run()`] starts a child process for each, with a time limit, because the plugin may crash, hang, leak or change the
//! state of the process; the child calls [`child::main`]. Nothing needs to be known about a component: its arguments are
//! guessed from its schema (`arguments`), its inputs by trying (`stimulus`), unless the user gives them ([`GivenFile`]).
//!
//! Every [`Verdict`] that is not good says what was found and what to change.

mod arguments;
pub mod child;
mod families;
#[cfg(test)]
mod faults;
mod given;
mod memory;
mod numbers;
mod object;
mod plugin;
mod report;
mod run;
mod specimen;
mod stimulus;
pub mod suite;
mod verdict;

pub use given::{Given, GivenFile};
pub use report::{ComponentName, Report, TestResult};
pub use run::{Request, run};
pub use suite::Test;
pub use verdict::{Outcome, Verdict};
