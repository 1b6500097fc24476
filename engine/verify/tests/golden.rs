//! The reference cases beside this repository, against the engine's own components.

use std::path::{Path, PathBuf};

use mmar_components as _;
use mmar_loader::Registry;
use mmar_verify::{Outcome, run};

/// Components that must exist. What exists must pass every case, listed here or not.
const EXPECTED: &[&str] = &[
    // inferers
    "SimpleInferer",
    "SlidingWindowInferer",
    // metrics
    "Accuracy",
    "ConfusionMatrix",
    "ConfusionMatrixMetric",
    "DiceMetric",
    "GeneralizedDiceScore",
    "HausdorffDistance",
    "HausdorffDistanceMetric",
    "MeanAbsoluteError",
    "MeanDice",
    "MeanIoU",
    "MeanSquaredError",
    "PeakSignalToNoiseRatio",
    "ROCAUC",
    "RootMeanSquaredError",
    "SurfaceDiceMetric",
    "SurfaceDistance",
    "SurfaceDistanceMetric",
    "compute_average_surface_distance",
    "compute_dice",
    "compute_hausdorff_distance",
    "compute_roc_auc",
    "get_confusion_matrix",
    // losses
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceLoss",
    "FocalLoss",
    "GeneralizedDiceLoss",
    "L1Loss",
    "MSELoss",
    "MaskedDiceLoss",
    "TverskyLoss",
];

/// Kinds of which every component exists.
const COMPLETE: [&str; 3] = ["optimizer", "lr_scheduler", "transform"];

/// How many cases of a kind pass at least: a component that is not registered any more would only be missing.
const AT_LEAST: [(&str, usize); 2] = [("network", 37), ("transform", 170)];

#[test]
fn every_built_component_agrees_with_its_reference_cases() {
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

    let must_exist = |name: &str| EXPECTED.iter().any(|expected| name.rsplit('.').next() == Some(*expected));
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|case| match case.outcome {
            Outcome::Passed => false,
            Outcome::Missing => must_exist(&case.name) || COMPLETE.contains(&case.kind.as_str()),
            _ => true,
        })
        .map(|case| format!("{} {}: {}", case.outcome.name(), case.case, case.detail))
        .collect();
    assert!(wrong.is_empty(), "cases that must pass:\n{}", wrong.join("\n"));
    if !filter.is_empty() {
        return;
    }
    for (kind, expected) in AT_LEAST {
        let passed = report.cases.iter().filter(|case| case.kind == kind && case.outcome == Outcome::Passed).count();
        assert!(passed >= expected, "{passed} cases of the kind `{kind}` pass, {expected} did before");
    }
}

fn golden() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("MMAR_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    Some(shared.join("golden")).filter(|golden| golden.is_dir())
}
