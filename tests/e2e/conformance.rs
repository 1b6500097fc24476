//! `mmar plugin check` on plugins with known faults, on the first-party ones, and on what is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::support::{Finished, profile_folder, run};

fn fixture(name: &str) -> String {
    let file = profile_folder().join("examples").join(format!("libfixture_{name}.so"));
    assert!(file.is_file(), "`{}` is built with the tests", file.display());
    file.display().to_string()
}

/// Runs `mmar plugin check FILE --json …`.
fn check(file: &str, arguments: &[&str]) -> (Finished, Json) {
    let mut all = vec!["plugin", "check", file, "--json"];
    all.extend(arguments);
    let finished = run(&all);
    let report = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", finished.stdout, finished.stderr));
    (finished, report)
}

fn tests(report: &Json) -> &[Json] {
    report["tests"].as_array().expect("a list")
}

/// The names of the tests with such an outcome, by component; those of the file under `file`.
fn with_outcome(report: &Json, outcome: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tests(report).iter().filter(|test| test["outcome"] == outcome) {
        let component = test["component"]["name"].as_str().unwrap_or("file");
        found.entry(component.to_owned()).or_default().push(test["test"].as_str().expect("a name").to_owned());
    }
    found
}

fn expected(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    list.iter().map(|(name, tests)| ((*name).to_owned(), tests.iter().map(|&test| test.to_owned()).collect())).collect()
}

fn one<'a>(report: &'a Json, component: &str, test: &str) -> &'a Json {
    let found = tests(report).iter().find(|it| it["component"]["name"] == component && it["test"] == test);
    found.unwrap_or_else(|| panic!("`{component}` has no test `{test}`: {report:#}"))
}

const FAULTY_LOSSES: [(&str, &[&str]); 6] = [
    ("Detaches", &["loss-gradient"]),
    ("HasAHiddenGlobal", &["deterministic"]),
    ("IsNotThreadSafe", &["threads-apart"]),
    ("Leaks", &["call-leak"]),
    ("MutatesItsInput", &["input-unchanged", "loss-gradient"]),
    ("SetsTheSeed", &["global-seed"]),
];

const FAULTY_OTHERS: [(&str, &[&str]); 4] = [
    ("ForgetsTheAffined", &["transform-geometry"]),
    ("HasAnUnregisteredParameter", &["network-registered", "network-state"]),
    ("HasItsOwnClockd", &["deterministic", "transform-seed"]),
    ("NeverResets", &["metric-reset"]),
];

/// All in one process, which is quicker than a child for each: nothing else may be found wrong.
#[test]
fn each_fault_is_found_and_nothing_beside_it() {
    for (plugin, faults) in [("faulty_losses", &FAULTY_LOSSES[..]), ("faulty_others", &FAULTY_OTHERS[..])] {
        let kinds: &[&str] = if plugin == "faulty_losses" { &["loss"] } else { &["network", "transform", "metric"] };
        let mut failed = BTreeMap::new();
        for kind in kinds {
            let (finished, report) = check(&fixture(plugin), &["--in-process", "--kind", kind]);
            assert_eq!(finished.code, Some(1), "{}", finished.stderr);
            assert_eq!(with_outcome(&report, "crashed"), BTreeMap::new());
            failed.extend(with_outcome(&report, "failed"));
            for test in tests(&report).iter().filter(|test| test["outcome"] == "failed") {
                let help = test["help"].as_str().unwrap_or_default();
                assert!(help.len() > 20, "a sentence says what to change: {test:#}");
            }
        }
        assert_eq!(failed, expected(faults), "{plugin}");
    }
}

#[test]
fn each_fault_is_found_in_a_child_of_its_own() {
    for (plugin, faults) in [("faulty_losses", &FAULTY_LOSSES[..]), ("faulty_others", &FAULTY_OTHERS[..])] {
        let filters: Vec<String> =
            faults.iter().flat_map(|(name, tests)| tests.iter().map(move |test| format!("{name}/{test}"))).collect();
        let mut arguments = Vec::new();
        for filter in &filters {
            arguments.extend(["--filter", filter.as_str()]);
        }
        let (finished, report) = check(&fixture(plugin), &arguments);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert_eq!(with_outcome(&report, "failed"), expected(faults), "{report:#}");
        assert_eq!(tests(&report).len(), filters.len());
    }
}

#[test]
fn the_first_party_plugins_pass() {
    // a narrow network, so that its forty tests take seconds
    let folder = tempfile::tempdir().expect("a folder");
    let narrow = folder.path().join("args.json");
    let args = json!({ "args": { "features": [4, 4, 4, 4, 4, 4], "norm": "batch" } });
    fs::write(&narrow, args.to_string()).expect("written");
    for plugin in ["myLoss", "myNetworkArch", "myTransformation"] {
        // `run` builds them with the engine
        let library = profile_folder().join(format!("lib{plugin}.so")).display().to_string();
        let narrow = narrow.display().to_string();
        let arguments: &[&str] = if plugin == "myNetworkArch" { &["--args", &narrow] } else { &[] };
        let (finished, report) = check(&library, arguments);
        assert_eq!(finished.code, Some(0), "{report:#}");
        assert_eq!(report["module"], plugin);
        // only what a debug build on a machine without a GPU explains
        assert_eq!(with_outcome(&report, "warning"), expected(&[("file", &["versions"])]), "{report:#}");
        let success = report["counts"]["success"].as_u64().expect("a number");
        assert!(success > 25, "{success} tests: {:#}", report["counts"]);
    }
}

#[test]
fn what_dies_or_hangs_is_told_and_the_rest_goes_on() {
    let filters =
        ["--filter", "Aborts/loss-forward", "--filter", "Aborts/schema", "--filter", "HangsForever/loss-forward"];
    let mut arguments = filters.to_vec();
    arguments.extend(["--time-limit", "5"]);
    let (finished, report) = check(&fixture("faulty_others"), &arguments);
    assert_eq!(finished.code, Some(1));
    assert_eq!(one(&report, "Aborts", "schema")["outcome"], "success");
    let aborted = one(&report, "Aborts", "loss-forward");
    assert_eq!(aborted["outcome"], "crashed", "{aborted:#}");
    assert!(aborted["detail"].as_str().is_some_and(|text| text.contains("crashed with SIGABRT")), "{aborted:#}");
    let help = aborted["help"].as_str().expect("says how to repeat it");
    assert!(help.contains("--filter Aborts/loss-forward --seed 0 --in-process"), "{help}");
    let hung = one(&report, "HangsForever", "loss-forward");
    assert_eq!(hung["outcome"], "crashed", "{hung:#}");
    assert!(hung["detail"].as_str().is_some_and(|text| text.contains("did not come back in 5 seconds")), "{hung:#}");
}

#[test]
fn panics_are_told_where_they_come_from() {
    let arguments = ["--filter", "InCreate/made", "--filter", "InForward/wrong-shape", "--filter", "InDrop/schema"];
    let (_, report) = check(&fixture("panics"), &arguments);
    let made = one(&report, "InCreate", "made");
    assert_eq!(made["outcome"], "failed", "{made:#}");
    let detail = made["detail"].as_str().expect("a text");
    assert!(detail.contains("no licence was found") && detail.contains("panics.rs:"), "{detail}");
    assert_eq!(one(&report, "InForward", "wrong-shape")["outcome"], "warning");
    assert_eq!(one(&report, "InDrop", "schema")["outcome"], "success");
}

#[test]
fn arguments_and_shapes_can_be_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |content: Json| {
        let path = folder.path().join("args.json");
        fs::write(&path, content.to_string()).expect("written");
        path.display().to_string()
    };
    let library = profile_folder().join("libmyLoss.so").display().to_string();
    let args = file(json!({ "MyDiceLoss": {
        "args": { "to_onehot_y": true, "softmax": true },
        "shapes": { "input": [1, 3, 6, 6], "target": [1, 1, 6, 6] },
    }}));
    let arguments =
        ["--filter", "MyDiceLoss/loss-forward", "--filter", "MyDiceLoss/made", "--args", &args, "--seed", "5"];
    let (finished, report) = check(&library, &arguments);
    assert_eq!(finished.code, Some(0), "{report:#}");
    assert_eq!(report["seed"], 5);
    let detail = one(&report, "MyDiceLoss", "loss-forward")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.contains("[1, 3, 6, 6]") && detail.contains("[1, 1, 6, 6]"), "{detail}");

    let wrong = file(json!({ "args": { "sigmoid": true, "softmax": true } }));
    let (finished, report) = check(&library, &["--filter", "/made", "--args", &wrong]);
    assert_eq!(finished.code, Some(1));
    let detail = one(&report, "MyDiceLoss", "made")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.contains("exclude each other"), "{detail}");

    let unknown = file(json!({ "NoSuchLoss": { "args": {} } }));
    run(&["plugin", "check", &library, "--args", &unknown]).failure(2, &["`NoSuchLoss`", "`MyDiceLoss`"]);
    let misspelt = file(json!({ "MyDiceLoss": { "arg": {} } }));
    run(&["plugin", "check", &library, "--args", &misspelt]).failure(2, &["unknown field `arg`", "args"]);
}

#[test]
fn what_is_no_plugin_fails_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("libnothing.so");
    fs::write(&file, "no library").expect("written");
    let (finished, report) = check(&file.display().to_string(), &[]);
    assert_eq!(finished.code, Some(1));
    let loads = tests(&report).iter().find(|test| test["test"] == "loads").expect("tried");
    assert_eq!(loads["outcome"], "failed");
    assert!(loads["detail"].as_str().is_some_and(|text| text.contains("plugin-not-a-library")), "{loads:#}");

    run(&["plugin", "check", "no/such/file.so"]).failure(2, &["no/such/file.so"]);
    let library = profile_folder().join("libmyLoss.so").display().to_string();
    run(&["plugin", "check", &library, "--filter", "no-such-test"]).failure(2, &["--list"]);
}

#[test]
fn the_table_reads_well_and_the_tests_can_be_listed() {
    let library: PathBuf = profile_folder().join("libmyLoss.so");
    let arguments =
        ["plugin", "check", &library.display().to_string(), "--filter", "file/header", "--filter", "/schema"];
    let table = run(&arguments).success().stdout;
    let expected = "the file\n  success  header  myLoss 0.1.0 of crate `myLoss`\n\nloss MyDiceLoss\n  success  schema  11 \
                    arguments\n\n2 succeeded, 0 warnings, 0 skipped, 0 failed, 0 crashed (seed 0)\n";
    assert_eq!(table, expected);
    let list = run(&["plugin", "check", "--list", "--kind", "metric"]).success().stdout;
    assert!(list.contains("metric-reset ") && !list.contains("loss-gradient"), "{list}");
}
