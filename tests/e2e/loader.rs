//! Plugins that are broken in every way we know: each is refused with its code and a sentence that says what to do, and
//! no process but the one that probes ever dies of it. Fixtures: `tests/fixtures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use tempfile::TempDir;

/// An archive and a cache of its own.
struct Bench {
    mmar: TempDir,
    cache: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench =
            Self { mmar: tempfile::tempdir().expect("a folder"), cache: tempfile::tempdir().expect("a folder") };
        fs::create_dir(bench.mmar.path().join("BYOC")).expect("made");
        fs::create_dir(bench.mmar.path().join("custom")).expect("made");
        bench
    }

    /// Puts a file into the archive.
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.mmar.path().join(name);
        fs::write(&file, bytes).expect("written");
        file
    }

    /// Runs the small engine; it must come back, and says what it found.
    fn run(&self, command: &str, arguments: &[&str]) -> Json {
        self.run_with_log(command, arguments).0
    }

    fn run_with_log(&self, command: &str, arguments: &[&str]) -> (Json, String) {
        let output = Command::new(built("fixture_host"))
            .arg(command)
            .arg(self.mmar.path())
            .args(arguments)
            .env("MMAR_CACHE_DIR", self.cache.path())
            .env("MMAR_PROBE_TIMEOUT", "5")
            .env_remove("MMAR_PLUGIN_PATH")
            .output()
            .expect("the host runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command} {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
        (serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}")), stderr.into_owned())
    }

    /// Why a file is refused by its bytes alone. Nothing is opened, so this process can look for itself.
    fn flaw(&self, library: &[u8]) -> Refusal {
        let file = self.put("BYOC/libgood.so", library);
        let error = mmar_loader::inspect(&file).and_then(|plugin| plugin.check()).expect_err("it has a flaw");
        Refusal(serde_json::json!({"code": error.code.name(), "message": error.to_string(), "help": error.help}))
    }

    /// Why the loss of `libgood.so` in `BYOC` is not found.
    fn refusal(&self, library: &[u8]) -> Refusal {
        self.put("BYOC/libgood.so", library);
        Refusal(self.run("find", &["loss", "BYOC.good.AbsoluteLoss"]))
    }
}

struct Refusal(Json);

impl Refusal {
    #[track_caller]
    fn is(&self, code: &str, parts: &[&str]) {
        assert_eq!(self.0["code"], code, "{:#}", self.0);
        let text = self.0.to_string();
        for part in parts {
            assert!(text.contains(part), "`{part}` is missing in {:#}", self.0);
        }
    }
}

/// A file that cargo built beside this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    profile.join("examples").join(name)
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let file = built(&format!("libfixture_{name}.so"));
    fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}; cargo builds it with the tests", file.display()))
}

/// Where the header stands in a plugin's file.
fn header(bytes: &[u8]) -> usize {
    // the code that checks for the magic holds it, too; a header says its length behind it
    let start = b"BYOCPLG\0\x20\0\0\0";
    bytes.windows(start.len()).position(|window| window == start).expect("a header")
}

/// A copy of the good plugin with other bytes at a place of its header.
pub(crate) fn patched(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut plugin = fixture("good");
    let at = header(&plugin) + offset;
    plugin[at..at + bytes.len()].copy_from_slice(bytes);
    plugin
}

/// A copy of the good plugin with another text of the same length in its manifest.
pub(crate) fn reworded(old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut plugin = fixture("good");
    let start = header(&plugin);
    let place = plugin[start..].windows(old.len()).position(|window| window == old.as_bytes()).expect("there");
    plugin[start + place..start + place + new.len()].copy_from_slice(new.as_bytes());
    plugin
}

/// A library compiled from C that has the good plugin's header.
pub(crate) fn from_c(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let good = fixture("good");
    let start = header(&good);
    let list: Vec<String> = good[start..start + 2048].iter().map(u8::to_string).collect();
    let inc = folder.path().join("header.inc");
    fs::write(&inc, list.join(",")).expect("written");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).with_extension("c");
    let library = folder.path().join("out.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O0", "-o"])
        .arg(&library)
        .arg(format!("-DHEADER=\"{}\"", inc.display()))
        .arg(source)
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{name}.c does not compile");
    fs::read(library).expect("read")
}

#[test]
fn a_good_plugin_is_found_by_its_path_and_by_clara_s_short_one() {
    let bench = Bench::new();
    bench.put("BYOC/libgood.so", &fixture("good"));
    for (kind, id) in [("loss", "BYOC.good.AbsoluteLoss"), ("loss", "BYOC.good.L1Loss"), ("network", "BYOC.good.Scale")]
    {
        let found = bench.run("find", &[kind, id]);
        assert_eq!(found["origin"]["module"], "good", "{id}: {found:#}");
        assert_eq!(found["origin"]["generation"], 1);
        assert_eq!(found["origin"]["sha256"].as_str().map(str::len), Some(64));
    }
    Refusal(bench.run("find", &["loss", "good.AbsoluteLoss"])).is("plugin-not-found", &["custom", "MMAR_PLUGIN_PATH"]);
    bench.put("custom/libgood.so", &fixture("good"));
    assert_eq!(bench.run("find", &["loss", "good.AbsoluteLoss"])["found"], "AbsoluteLoss");
    let called = bench.run("call", &["good.AbsoluteLoss"]);
    assert_eq!(called["calls"][0]["value"], 0.5, "{called:#}");
    assert_eq!(called["calls"][1]["code"], "tensor-error");
    assert_eq!(called["calls"][2]["value"], 0.0, "an error poisons nothing");
}

#[test]
fn what_a_plugin_logs_arrives_at_the_host() {
    let bench = Bench::new();
    bench.put("BYOC/libgood.so", &fixture("good"));
    let (_, log) = bench.run_with_log("call", &["BYOC.good.AbsoluteLoss"]);
    for part in ["INFO", "a loss was made", "factor=1.0", "ready=true", "DEBUG good::forward: computing voxels=2"] {
        assert!(log.contains(part), "`{part}` is missing in {log}");
    }
}

#[test]
fn bad_bytes_are_refused_before_anything_is_opened() {
    let bench = Bench::new();
    bench.refusal(b"#!/bin/sh\n").is("plugin-not-a-library", &["no shared library"]);
    bench.refusal(&patched(12, &[2, 0, 0, 0])).is("plugin-wrong-abi", &["plugin ABI 2.0", "speaks 1.0"]);
    bench.flaw(&patched(0, b"XYOC")).is("plugin-bad-header", &["58 59 4f 43", "rebuild"]);
    bench
        .refusal(&patched(12, &[2, 0, 0, 0]))
        .is("plugin-wrong-abi", &["plugin ABI 2.0", "speaks 1.0", "cargo update -p byoc"]);
    bench.flaw(&patched(16, &[99, 0, 0, 0])).is("plugin-wrong-abi", &["plugin ABI 1.99", "update the engine"]);
    bench.flaw(&patched(20, &[1, 0, 0, 0])).is("plugin-panic-aborts", &["panic", "Cargo.toml"]);
    bench.flaw(&patched(24, &[255, 255, 255, 0])).is("plugin-bad-header", &["cut off"]);
    bench.flaw(&patched(32, b"]")).is("plugin-bad-header", &["manifest is damaged"]);
    bench
        .flaw(&reworded("\"libtorch\":\"2.11.0\"", "\"libtorch\":\"2.13.0\""))
        .is("plugin-wrong-libtorch", &["libtorch 2.13.0", "libtorch 2.11.0", "rebuild"]);
    bench.flaw(&reworded("linux-gnu", "linux-abc")).is("plugin-wrong-target", &["linux-abc"]);
    bench.flaw(&reworded("\"module\":\"good\"", "\"module\":\"go d\"")).is("plugin-bad-header", &["go d"]);
    let mut other_machine = fixture("good");
    other_machine[18..20].copy_from_slice(&183u16.to_le_bytes());
    bench.flaw(&other_machine).is("plugin-wrong-target", &["aarch64"]);
    assert!(fs::read_dir(bench.cache.path()).expect("listed").next().is_none(), "nothing was staged or probed");
}

#[test]
fn a_cut_file_is_refused_at_every_length() {
    let bench = Bench::new();
    let good = fixture("good");
    bench.refusal(&good[..good.len() / 2]).is("plugin-incomplete", &["half a file"]);
    for permille in [1, 100, 300, 500, 700, 900, 950, 990, 999] {
        let length = good.len() * permille / 1000;
        bench.flaw(&good[..length]).is("plugin-incomplete", &[&format!("{length} bytes are there"), "finish"]);
    }
    bench.flaw(&good[..good.len() - 1]).is("plugin-incomplete", &[]);
    bench.flaw(&good[..63]).is("plugin-incomplete", &[]);
    bench.flaw(&good[..3]).is("plugin-not-a-library", &[]);
    bench.flaw(b"").is("plugin-not-a-library", &[]);
}

#[test]
fn a_library_that_is_no_plugin_is_passed_over_unless_it_is_named() {
    let bench = Bench::new();
    let plain = bench.put("plain.c", b"int answer(void) { return 42; }\n");
    let library = bench.mmar.path().join("BYOC/libplain.so");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(plain).status();
    assert!(status.expect("a C compiler").success());
    Refusal(bench.run("find", &["loss", "BYOC.plain.X"])).is("plugin-not-a-plugin", &["export_plugin!"]);
    let all = bench.run("load-all", &[]);
    assert_eq!(all["reports"], serde_json::json!({}), "{all:#}");
}

#[test]
fn what_dies_while_it_is_loaded_takes_only_the_probe_with_it() {
    for (name, code, parts) in [
        ("aborts", "plugin-crashes-at-load", ["SIGABRT", "terminate called without"].as_slice()),
        ("crashes", "plugin-crashes-at-load", &["SIGSEGV", "debugger"]),
        ("exits", "plugin-crashes-at-load", &["ended the process with code 3"]),
        ("hangs", "plugin-hangs-at-load", &["in 5 seconds", "MMAR_PROBE_TIMEOUT"]),
    ] {
        let bench = Bench::new();
        let library = from_c(name);
        bench.refusal(&library).is(code, parts);
        // the second time nothing is run: the build is known
        let start = std::time::Instant::now();
        bench.refusal(&library).is(code, &["when this build was first seen", "delete `", parts[0]]);
        assert!(start.elapsed().as_secs() < 5, "a known build is not probed again");
    }
}

#[test]
fn what_the_linker_refuses_is_told_in_words() {
    let bench = Bench::new();
    bench.refusal(&from_c("missing_symbol")).is("plugin-link-failed", &["`no_such_function` is missing"]);
    bench.refusal(&from_c("no_entry")).is("plugin-link-failed", &["does not export `byoc_plugin_good`"]);
}

#[test]
fn a_panic_in_create_or_forward_is_an_error_with_its_place() {
    let bench = Bench::new();
    bench.put("BYOC/libpanics.so", &fixture("panics"));
    let made = bench.run("call", &["BYOC.panics.InCreate"]);
    Refusal(made).is("component-panicked", &["`InCreate` panicked: no licence was found", "panics.rs:19"]);
    let called = bench.run("call", &["BYOC.panics.InForward"]);
    assert_eq!(called["calls"][0]["value"], 0.5, "{called:#}");
    let panicked = &called["calls"][1];
    assert_eq!(panicked["code"], "component-panicked");
    let message = panicked["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("`InForward` panicked: The size of tensor a (2) must match"), "{message}");
    assert!(message.contains("`target` [3] Float Cpu"), "{message}");
    assert!(panicked["location"].as_str().is_some_and(|place| place.contains("panics.rs:")), "{panicked:#}");
    assert_eq!(called["calls"][2]["code"], "component-poisoned");
    assert_eq!(called["again"], "found", "a new object is not poisoned");
    let (dropped, log) = bench.run_with_log("call", &["BYOC.panics.InDrop"]);
    assert_eq!(dropped["calls"][0]["value"], 3.0);
    assert!(log.contains("panicked while it was dropped: dropped in anger"), "{log}");
}

#[test]
fn errors_and_undefined_tensors_of_a_loss_arrive() {
    let bench = Bench::new();
    bench.put("BYOC/libmisbehaves.so", &fixture("misbehaves"));
    let said = bench.run("call", &["BYOC.misbehaves.SaysNo"]);
    assert_eq!(said["calls"][0]["message"], "no loss for 2 voxels");
    assert!(said["calls"][0]["location"].as_str().is_some_and(|place| place.contains("misbehaves.rs")), "{said:#}");
    let undefined = bench.run("call", &["BYOC.misbehaves.Undefined"]);
    assert_eq!(undefined["calls"][0]["code"], "tensor-error", "{undefined:#}");
    let detached = bench.run("call", &["BYOC.misbehaves.Detached"]);
    assert_eq!(detached["calls"][0]["requires_grad"], false);
}

#[test]
fn names_are_unique_within_a_plugin_and_among_plugins() {
    let bench = Bench::new();
    bench.put("BYOC/libtwice.so", &fixture("twice"));
    Refusal(bench.run("find", &["loss", "BYOC.twice.Twin"]))
        .is("plugin-duplicate-component", &["lists the loss `Twin` twice"]);
    let bench = Bench::new();
    bench.put("BYOC/libgood.so", &fixture("good"));
    bench.put("custom/libgood.so", &fixture("rival"));
    let all = bench.run("load-all", &[]);
    Refusal(all["reports"]["libgood.so"].clone())
        .is("plugin-duplicate-component", &["`good.AbsoluteLoss`", "BYOC/libgood.so", "remove one of the two files"]);
    assert_eq!(all["entries"], 2, "all or nothing: {all:#}");
}

#[test]
fn a_plugin_that_cannot_describe_itself_is_refused_whole() {
    let bench = Bench::new();
    bench.put("BYOC/libundescribable.so", &fixture("undescribable"));
    let all = bench.run("load-all", &[]);
    Refusal(all["reports"]["libundescribable.so"].clone())
        .is("plugin-describe-failed", &["no schema today", "undescribable.rs"]);
    Refusal(all["unknown"].clone()).is("unknown-component", &["could not be loaded", "no schema today"]);
}

#[test]
fn a_misspelt_component_or_module_is_told_what_there_is() {
    let bench = Bench::new();
    bench.put("BYOC/libgood.so", &fixture("good"));
    let unknown = bench.run("find", &["loss", "BYOC.good.AbsolutLoss"]);
    assert_eq!(unknown["suggestions"][0], "BYOC.good.AbsoluteLoss");
    Refusal(unknown).is("unknown-component", &["`good` has no loss `AbsolutLoss`", "`Scale` (network)"]);
    Refusal(bench.run("find", &["loss", "BYOC.good.Scale"])).is("wrong-kind", &["is a network, but a loss"]);
    Refusal(bench.run("find", &["loss", "BYOC.goood.AbsoluteLoss"]))
        .is("plugin-not-found", &["libgoood.so", "\"good\""]);
    Refusal(bench.run("find", &["loss", "BYOC.good.AbsoluteLoss extra"])).is("bad-path", &[]);
    bench.put("BYOC/libother.so", &fixture("good"));
    Refusal(bench.run("find", &["loss", "BYOC.other.AbsoluteLoss"]))
        .is("plugin-wrong-module", &["holds the module `good`, not `other`", "libgood.so"]);
    fs::remove_file(bench.mmar.path().join("BYOC/libgood.so")).expect("removed");
    Refusal(bench.run("find", &["loss", "BYOC.good.AbsoluteLoss"]))
        .is("plugin-not-found", &["libother.so` holds the module `good`: name it `libgood.so`"]);
}

#[test]
fn a_loaded_plugin_survives_what_happens_to_its_file() {
    for (command, log_part) in
        [("call-after-writing-over", ""), ("call-after-removing", "was removed; generation 1 stays")]
    {
        let bench = Bench::new();
        let file = bench.put("BYOC/libgood.so", &fixture("good"));
        let (found, log) = bench.run_with_log(command, &["BYOC.good.AbsoluteLoss", file.to_str().expect("a path")]);
        assert_eq!(found["calls"][0]["value"], 0.5, "{found:#}");
        assert_eq!(found["again"], "found");
        assert!(log.contains(log_part), "{log}");
    }
}

#[test]
fn a_newer_build_becomes_a_second_generation_beside_the_first() {
    let bench = Bench::new();
    let file = bench.put("BYOC/libgood.so", &fixture("good"));
    let newer = built("libfixture_rival.so");
    let arguments = ["BYOC.good.AbsoluteLoss", file.to_str().expect("a path"), newer.to_str().expect("a path")];
    let found = bench.run("reload", &arguments);
    assert_eq!((&found["same"], &found["number"]), (&1.into(), &2.into()), "{found:#}");
    assert_eq!((&found["sum"], &found["gradient"]), (&22.0.into(), &11.0.into()), "{found:#}");
    assert_eq!(found["broken"]["code"], "plugin-not-a-library");
    assert_eq!(found["kept"], "found", "a broken build leaves the former one in place");
}
