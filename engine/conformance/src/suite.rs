//! The list of tests. The command line, the reports and the documentation are made from it.

use byoc::Kind;

use crate::families;
use crate::plugin::Plugin;
use crate::specimen::Specimen;
use crate::verdict::{Found, Verdict};

/// A test of the suite.
pub struct Test {
    /// Its name: `loss-gradient`.
    pub name: &'static str,
    /// What is tested, one line.
    pub description: &'static str,
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    File(fn(&Plugin) -> Found),
    /// A component of one of these kinds; of any kind if there is none.
    Component(&'static [Kind], fn(&Specimen) -> Found),
}

impl Test {
    pub(crate) const fn of_file(name: &'static str, description: &'static str, run: fn(&Plugin) -> Found) -> Self {
        Self { name, description, run: Run::File(run) }
    }

    pub(crate) const fn of_component(
        name: &'static str,
        description: &'static str,
        kinds: &'static [Kind],
        run: fn(&Specimen) -> Found,
    ) -> Self {
        Self { name, description, run: Run::Component(kinds, run) }
    }

    /// Whether the test is about the file as a whole.
    pub fn is_of_file(&self) -> bool {
        matches!(self.run, Run::File(_))
    }

    /// Whether the test is about components of this kind.
    pub fn is_of(&self, kind: Kind) -> bool {
        matches!(self.run, Run::Component(kinds, _) if kinds.is_empty() || kinds.contains(&kind))
    }

    /// Runs a test of the file.
    pub(crate) fn on_file(&self, plugin: &Plugin) -> Verdict {
        match self.run {
            Run::File(run) => either(run(plugin)),
            Run::Component(..) => Verdict::skipped("a test of components"),
        }
    }

    /// Runs a test of a component.
    pub(crate) fn on_component(&self, specimen: &Specimen) -> Verdict {
        match self.run {
            Run::Component(_, run) => either(run(specimen)),
            Run::File(_) => Verdict::skipped("a test of the file"),
        }
    }
}

fn either(found: Found) -> Verdict {
    found.unwrap_or_else(|verdict| verdict)
}

/// The first test: nothing else can be tried with a plugin that does not load.
pub(crate) const LOADS: &str = "loads";

/// All tests, in the order in which they are run: those of the file first.
pub fn tests() -> impl Iterator<Item = &'static Test> {
    use families::{
        description, file, global_state, handler, lifecycle, loss, metric, network, refusals, threads, transform,
    };
    [
        file::TESTS,
        description::TESTS,
        lifecycle::TESTS,
        loss::TESTS,
        network::TESTS,
        transform::TESTS,
        metric::TESTS,
        handler::TESTS,
        refusals::TESTS,
        global_state::TESTS,
        threads::TESTS,
    ]
    .into_iter()
    .flatten()
}

/// The test of this name.
pub(crate) fn find(name: &str) -> Option<&'static Test> {
    tests().find(|test| test.name == name)
}

#[cfg(test)]
mod tests {
    use super::{LOADS, find, tests};

    #[test]
    fn names_are_unique_and_tests_of_the_file_come_first() {
        let names: Vec<&str> = tests().map(|test| test.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
        assert_eq!(names[0], LOADS);
        assert!(tests().is_sorted_by_key(|test| !test.is_of_file()));
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(find(name).is_some_and(|test| !test.description.ends_with('.')), "{name}");
        }
    }
}
