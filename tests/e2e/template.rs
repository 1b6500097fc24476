//! `mmar plugin new` and `build`: what the template gives for each kind, with and without cargo-generate.
//!
//! Building a plugin compiles tch once more, in its release profile: minutes. So this is left out unless
//! `MMAR_TEMPLATE_TESTS` is set, as `cargo xtask test` does after all other tests.

#![expect(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value as Json;

use crate::reload::Watched;
use crate::support::{Archive, Finished, mmar, profile_folder, python, root, run};

const KINDS: [&str; 5] = ["loss", "network", "metric", "transform", "handler"];

/// Makes a plugin of a kind, with `byoc` from this checkout.
fn new(kind: &str, folder: &Path) -> PathBuf {
    let name = format!("my-{kind}");
    let folder = folder.display().to_string();
    let made = run(&["plugin", "new", &name, "--kind", kind, "--folder", &folder, "--byoc", &plugin_api()]).success();
    PathBuf::from(made.stdout.trim())
}

fn plugin_api() -> String {
    root().join("plugin-api").display().to_string()
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in current.read_dir().expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_owned();
                found.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

#[test]
fn a_plugin_is_made_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    let made = run(&["plugin", "new", "add_noise", "--kind", "transform", "--folder", &at]).success();
    let crate_folder = folder.path().join("add_noise");
    assert_eq!(made.stdout.trim(), crate_folder.display().to_string());
    assert!(made.stderr.contains("`BYOC.add_noise.AddNoised`"), "{}", made.stderr);
    let manifest = fs::read_to_string(crate_folder.join("Cargo.toml")).expect("made");
    assert!(manifest.contains("name = \"add_noise\"") && manifest.contains("plugin-api\" }"), "{manifest}");

    fs::write(crate_folder.join("README.md"), "mine").expect("written");
    let again = ["plugin", "new", "add_noise", "--kind", "loss", "--folder", &at];
    run(&again).failure(1, &["is there already", "choose another name"]);
    assert_eq!(fs::read_to_string(crate_folder.join("README.md")).expect("kept"), "mine");

    for (arguments, part) in [
        (["plugin", "new", "a/b", "--kind", "loss"], "letters, digits"),
        (["plugin", "new", "match", "--kind", "loss"], "a word of Rust"),
        (["plugin", "new", "mine", "--kind", "lottery"], "`handler`"),
    ] {
        run(&arguments).failure(2, &[part]);
    }
    run(&["plugin", "new", "mine", "--kind", "loss", "--byoc", "no/such/folder"])
        .failure(2, &["no/such/folder", "version"]);
    assert!(!Path::new("mine").exists());
}

#[test]
fn byoc_can_come_from_a_repository_or_a_registry() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    for (name, byoc, line) in [
        (
            "one",
            "https://example.org/mmar.git#v0.1.0",
            r#"byoc = { git = "https://example.org/mmar.git", rev = "v0.1.0" }"#,
        ),
        ("two", "0.1", r#"byoc = "0.1""#),
    ] {
        run(&["plugin", "new", name, "--kind", "metric", "--folder", &at, "--byoc", byoc]).success();
        let manifest = fs::read_to_string(folder.path().join(name).join("Cargo.toml")).expect("made");
        assert!(manifest.lines().any(|it| it == line), "{manifest}");
    }
}

fn is_asked_for() -> bool {
    let asked = std::env::var_os("MMAR_TEMPLATE_TESTS").is_some();
    if !asked {
        println!("left out: MMAR_TEMPLATE_TESTS is not set; `cargo xtask test` sets it after all other tests");
    }
    asked
}

/// Lets a command of the engine build plugins into a folder that stays from run to run.
fn in_the_templates_target(command: &mut Command) {
    command.env("CARGO_TARGET_DIR", profile_folder().parent().expect("a target folder").join("template"));
    // what this test was built with is not for the plugins
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
}

/// Runs a command of the engine in which plugins are built.
fn build(arguments: &[&str]) -> Finished {
    let mut command = mmar();
    command.args(arguments);
    in_the_templates_target(&mut command);
    command.output().expect("the engine starts").into()
}

#[test]
fn every_kind_builds_tests_verifies_checks_and_installs() {
    if !is_asked_for() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let archive = tempfile::tempdir().expect("a folder");
    let mmar_root = archive.path().display().to_string();
    for kind in KINDS {
        let crate_folder = new(kind, folder.path());
        let path = crate_folder.display().to_string();
        let built = build(&["plugin", "build", &path, "--test", "-m", &mmar_root]).success();
        assert!(!built.stderr.contains("warning: unused") && !built.stderr.contains("generated "), "{}", built.stderr);
        assert!(built.stderr.contains("test result: ok. ") && built.stderr.contains("cargo took"), "{}", built.stderr);
        let library = PathBuf::from(built.stdout.trim());
        assert_eq!(library, archive.path().join(format!("BYOC/libmy_{kind}.so")));
        assert!(crate_folder.join(".libtorch/lib").is_dir(), "plain cargo finds libtorch there");

        let cases = crate_folder.join("cases").display().to_string();
        let verified = run(&["verify", &cases, "-m", &mmar_root, "--json"]).success();
        let report: Json = serde_json::from_str(&verified.stdout).expect("JSON");
        assert_eq!(report["cases"][0]["outcome"], "passed", "{report:#}");
        assert_eq!(report["cases"].as_array().map(Vec::len), Some(1));

        let checked = run(&["plugin", "check", &library.display().to_string(), "--json"]).success();
        let report: Json = serde_json::from_str(&checked.stdout).expect("JSON");
        let bad: Vec<&Json> = report["tests"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|test| !matches!(test["outcome"].as_str(), Some("success" | "skipped")))
            .collect();
        assert!(bad.is_empty(), "{kind}: {bad:#?}");

        let listed = run(&["components", kind, "-m", &mmar_root, "--json"]).success();
        let listed: Json = serde_json::from_str(&listed.stdout).expect("JSON");
        let components = listed["components"].as_array().expect("a list");
        let mine =
            components.iter().find(|it| it["origin"]["module"] == format!("my_{kind}").as_str()).expect("listed");
        let properties = mine["args"]["properties"].as_object().expect("arguments");
        assert!(!properties.is_empty() && properties.values().all(|it| it["description"].is_string()), "{mine:#}");

        the_snippet_gives_the_case(kind, &crate_folder, &mmar_root);
    }
}

/// Runs the README's Python, which makes the reference case anew, and replays it.
fn the_snippet_gives_the_case(kind: &str, crate_folder: &Path, mmar_root: &str) {
    let Some(python) = python() else { return };
    let readme = fs::read_to_string(crate_folder.join("README.md")).expect("a README");
    let script = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a snippet");
    let case = crate_folder.join(format!("cases/{kind}.json"));
    let tensors = case.with_extension("safetensors");
    let before = fs::read_to_string(&case).expect("a case");
    fs::remove_file(&case).expect("removed");
    fs::remove_file(&tensors).expect("removed");
    let mut command = Command::new(python);
    command.args(["-W", "ignore", "-c", script]).current_dir(crate_folder).env_remove("LD_LIBRARY_PATH");
    let output = command.output().expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    assert_eq!(fs::read_to_string(&case).expect("made anew"), before);
    run(&["verify", &crate_folder.join("cases").display().to_string(), "-m", mmar_root]).success();
}

#[test]
fn a_crate_is_built_when_it_is_saved_and_takes_over() {
    if !is_asked_for() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let crate_folder = new("loss", folder.path());
    // the first build takes minutes, and nobody is to wait for that in vain below
    build(&["plugin", "build", &crate_folder.display().to_string()]).success();
    let archive = Archive::new();
    let loss = format!("train.loss={{\"path\": \"BYOC.my_loss.{}\"}}", made_component(&crate_folder));
    let overrides = ["epochs=100000", "num_interval_per_valid=100000", &loss];
    let mut command = archive.training(&overrides);
    command.arg("--watch").arg("--source").arg(&crate_folder);
    in_the_templates_target(&mut command);
    let mut run = Watched::spawn(command);
    run.hear("epoch 1/");
    let source = crate_folder.join("src/loss.rs");
    let text = fs::read_to_string(&source).expect("a source");
    fs::write(&source, format!("{text}\nnot Rust")).expect("saved");
    run.hear("[watch] my_loss building: ");
    run.hear("[watch] my_loss rejected: ");
    let saved = Instant::now();
    // the documentation of arguments is part of a plugin
    fs::write(&source, text.replacen("\n/// ", "\n/// By now: ", 1)).expect("saved");
    run.hear("[watch] my_loss active: generation 2");
    let took = saved.elapsed();
    // a comment behind everything is not
    let changed = fs::read_to_string(&source).expect("a source");
    fs::write(&source, format!("{changed}// nothing new\n")).expect("saved");
    run.hear("[watch] my_loss active: the same build as before");
    println!("{:.1} s from the save to the new build in use", took.as_secs_f64());
    run.end();
}

#[test]
fn real_cargo_generate_gives_the_same_files() {
    let Some(cargo_generate) = std::env::var_os("MMAR_CARGO_GENERATE") else {
        println!("left out: MMAR_CARGO_GENERATE does not name a cargo-generate; `cargo xtask test` installs one");
        return;
    };
    // outside any repository and workspace, as a user has it
    let folder = tempfile::tempdir().expect("a folder");
    let byoc = format!("byoc={{ path = \"{}\" }}", root().join("plugin-api").canonicalize().expect("there").display());
    for kind in KINDS {
        let theirs = folder.path().join("theirs").join(kind);
        let ours = folder.path().join("ours").join(kind);
        fs::create_dir_all(&theirs).expect("made");
        fs::create_dir_all(&ours).expect("made");
        let made = new(kind, &ours);
        let mut command = Command::new(&cargo_generate);
        command.args(["generate", "--silent", "--vcs", "none", "--name", &format!("my-{kind}"), "--path"]);
        command.arg(root().join("byoc-template")).args(["--define", &format!("kind={kind}")]);
        let component = made_component(&made);
        command.args(["--define", &format!("component={component}"), "--define", &byoc, "--destination"]).arg(&theirs);
        command.env("CARGO_HOME", folder.path()).env("USER", "somebody").current_dir(&theirs);
        let finished = Finished::from(command.output().expect("cargo-generate starts")).success();
        let (theirs, ours) = (files(&theirs.join(format!("my-{kind}"))), files(&made));
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&theirs), names(&ours), "{kind}: {}", finished.stderr);
        for (name, content) in &theirs {
            let same = content == &ours[name];
            assert!(same, "{kind}: `{}` differs: {}", name.display(), String::from_utf8_lossy(content));
        }
    }
}

/// The component's name, from the line that exports it.
fn made_component(crate_folder: &Path) -> String {
    let source = fs::read_to_string(crate_folder.join("src/lib.rs")).expect("a library");
    let list = source.split(": [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list of components");
    list.to_owned()
}
