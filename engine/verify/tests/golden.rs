//! The reference cases beside this repository, against the engine's own components.

use std::path::{Path, PathBuf};

use mmar_components as _;
use mmar_loader::Registry;
use mmar_verify::{Outcome, run};

#[test]
fn every_component_of_the_reference_cases_exists_and_agrees() {
    let Some(golden) = golden() else {
        eprintln!(
            "left out: there are no reference cases beside this repository (`../shared/golden`, or `MMAR_SHARED`)"
        );
        return;
    };
    let filter = std::env::var("MMAR_VERIFY").unwrap_or_default();
    let mut paths = vec![golden.clone()];
    if !filter.is_empty() {
        let cases = mmar_verify::case::find(&golden).unwrap();
        paths = cases.into_iter().filter(|(id, _)| id.contains(&filter)).map(|(_, file)| file).collect();
    }
    let report = run(&paths, &mut Registry::with_builtins());
    eprintln!("{}", report.to_table());

    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.outcome != Outcome::Passed)
        .map(|case| format!("{} {}: {}", case.outcome.name(), case.case, case.detail))
        .collect();
    assert!(wrong.is_empty(), "cases that must pass:\n{}", wrong.join("\n"));
}

fn golden() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("MMAR_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    Some(shared.join("golden")).filter(|golden| golden.is_dir())
}
