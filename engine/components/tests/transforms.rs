//! The reference cases of the transforms: voxels, affines, metadata and saved files against MONAI's.

use std::path::PathBuf;

// links the built-in components
use mmar_components as _;
use mmar_loader::Registry;
use mmar_verify::Outcome;

/// The shared folder beside the workspace, if there is one.
fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MMAR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    Some(root.join(part)).filter(|path| path.is_dir())
}

#[test]
fn transforms_agree_with_monai() {
    let Some(cases) = shared("golden/transform") else {
        eprintln!("left out: no reference cases (`../shared/golden`, or set MMAR_SHARED)");
        return;
    };
    let report = mmar_verify::run(&[cases], &mut Registry::with_builtins());
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|case| !matches!(case.outcome, Outcome::Passed | Outcome::Missing))
        .map(|case| format!("{} ({}): {:?}, {}", case.case, case.name, case.outcome, case.detail))
        .collect();
    let missing = report.missing_components();
    if !missing.is_empty() {
        eprintln!("not built in: {}", missing.join(", "));
    }
    eprintln!("{} of {} cases pass", report.count(Outcome::Passed), report.cases.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), report.cases.len(), wrong.join("\n"));
    assert!(report.count(Outcome::Passed) >= 149, "all cases but those of Deepgrow pass");
}
