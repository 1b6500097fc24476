//! The reference cases that were made with MONAI and PyTorch.

use crate::support::{run, shared};

#[test]
fn every_case_whose_component_is_built_passes() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("golden").display().to_string();
    let finished = run(&["verify", &folder, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(report["schema"], 1);
    let cases = report["cases"].as_array().expect("a list");
    let count = |outcome: &str| cases.iter().filter(|case| case["outcome"] == outcome).count();
    println!("{} passed, {} not built yet", count("passed"), count("missing"));
    let missed: Vec<String> = cases
        .iter()
        .filter(|case| case["outcome"] == "failed" || case["outcome"] == "error")
        .map(|case| format!("{}: {}", case["case"], case["detail"]))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(count("passed") > 100, "{} cases passed", count("passed"));
    // Missing components are no success of the command.
    assert_eq!(finished.code, Some(i32::from(count("missing") > 0)));
}
