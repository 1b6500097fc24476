//! The engine's own components: nothing that a test finds wrong in a plugin may be wrong in them, and where one of them
//! fails, the component or the test is wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use byoc::{Kind, Registration};
use mmar_components as _;

use super::verdict;
use crate::suite;
use crate::verdict::Outcome;

/// What a test is right to find, and what is meant so.
const MEANT: [(&str, &str, &str); 1] =
    [("RandCoarseShuffled", "transform-geometry", "shuffled voxels have no place that an affine could tell")];

/// Every component of a kind through every test of it, but those of these names. What is skipped, because nobody can guess
/// a component's arguments or inputs, does not count.
fn pass(kind: Kind, left_out: &[&str], at_least: usize) {
    let mut failed = Vec::new();
    let mut tried = 0;
    for component in Registration::all() {
        if component.descriptor().kind != kind {
            continue;
        }
        // the other tests of this process allocate meanwhile
        let countable = |name: &str| !name.ends_with("-leak") && !left_out.contains(&name);
        for test in suite::tests().filter(|test| test.is_of(kind) && countable(test.name)) {
            if MEANT.iter().any(|(meant, of, _)| *meant == component.name && *of == test.name) {
                continue;
            }
            let what = format!("{} of {kind} `{}`", test.name, component.name);
            match catch_unwind(AssertUnwindSafe(|| verdict(test.name, component))) {
                Ok(found) if found.outcome.is_bad() => failed.push(format!("{what}: {}", found.detail)),
                Ok(found) => tried += usize::from(found.outcome != Outcome::Skipped),
                Err(_) => failed.push(format!("{what}: it panics")),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tried >= at_least, "{tried} tests were tried");
}

#[test]
fn losses_pass() {
    pass(Kind::LOSS, &[], 500);
}

#[test]
fn metrics_pass() {
    pass(Kind::METRIC, &[], 500);
}

#[test]
fn transforms_pass() {
    // it waits for a second
    pass(Kind::TRANSFORM, &["transform-seed"], 1000);
}
