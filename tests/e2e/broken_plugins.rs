//! What a user sees of a plugin that is broken: `mmar train` says it in one message and leaves no run behind; what breaks
//! while a run goes on does not reach it, or ends it with a checkpoint. The loader's own tests are in `loader`.

use std::fs;
use std::path::Path;

use crate::loader::{fixture, from_c, patched, reworded};
use crate::support::{Archive, Finished};

/// A loss of the archive's plugin folder.
fn loss(id: &str) -> String {
    format!("train.loss={{\"path\": \"{id}\"}}")
}

/// Trains with the loss of a plugin whose file has these bytes.
fn train_with(library: &[u8]) -> Finished {
    let archive = Archive::new();
    archive.put("BYOC/libgood.so", library);
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = archive.training(&[&loss("BYOC.good.AbsoluteLoss")]);
    command.env("MMAR_CACHE_DIR", cache.path()).env("MMAR_PROBE_TIMEOUT", "5");
    let finished = Finished::from(command.output().expect("the engine starts"));
    if finished.code != Some(0) {
        assert!(!archive.path("models").exists(), "a run that never started leaves nothing:\n{}", finished.stderr);
    }
    finished
}

#[test]
fn a_plugin_that_cannot_be_loaded_ends_the_run_before_it_starts() {
    let good = fixture("good");
    let cases: [(&str, Vec<u8>, &[&str]); 10] = [
        ("no library", b"#!/bin/sh\n".to_vec(), &["no shared library"]),
        ("bad magic", patched(0, b"XYOC"), &["does not begin as a plugin's does", "rebuild"]),
        ("wrong ABI", patched(12, &[2, 0, 0, 0]), &["plugin ABI 2.0", "speaks 1.0", "cargo update -p byoc"]),
        (
            "wrong libtorch",
            reworded("\"libtorch\":\"2.11.0\"", "\"libtorch\":\"2.13.0\""),
            &["libtorch 2.13.0", "2.11.0"],
        ),
        ("half", good[..good.len() / 2].to_vec(), &["half a file"]),
        ("nearly whole", good[..good.len() * 99 / 100].to_vec(), &["half a file"]),
        ("aborts", from_c("aborts"), &["SIGABRT"]),
        ("crashes", from_c("crashes"), &["SIGSEGV"]),
        ("hangs", from_c("hangs"), &["in 5 seconds"]),
        ("missing symbol", from_c("missing_symbol"), &["`no_such_function` is missing"]),
    ];
    for (what, library, parts) in cases {
        println!("{what}");
        let finished = train_with(&library).failure(1, parts);
        for part in ["train.loss={\"path\": \"BYOC.good.AbsoluteLoss\"}", "at /train/loss", "libgood.so"] {
            assert!(finished.stderr.contains(part), "{what}: `{part}` is missing in:\n{}", finished.stderr);
        }
    }
}

#[test]
fn two_plugins_with_the_same_components_are_refused() {
    let archive = Archive::new();
    archive.put("BYOC/libtwice.so", &fixture("twice"));
    archive.train(&[&loss("BYOC.twice.Twin")]).failure(1, &["lists the loss `Twin` twice"]);
    archive.put("BYOC/libgood.so", &fixture("good"));
    archive.put("custom/libgood.so", &fixture("rival"));
    let label = "validate.key_metric={\"path\": \"good.AbsoluteLoss\"}";
    let finished = archive.train(&[&loss("BYOC.good.AbsoluteLoss"), label]);
    finished.failure(1, &["`good.AbsoluteLoss`", "remove one of the two files"]);
}

#[test]
fn a_panic_names_component_step_and_place() {
    let archive = Archive::new();
    archive.put("BYOC/libpanics.so", &fixture("panics"));
    let made = archive.train(&[&loss("BYOC.panics.InCreate")]);
    made.failure(1, &["`BYOC.panics.InCreate` cannot be made", "no licence was found", "panics.rs:19"]);
    // the label as large as it comes: the operators of tch panic where sizes differ
    let label = "train.pre_transforms.RandCropByPosNegLabeld.args.keys=\"image\"";
    let called = archive.train(&[&loss("BYOC.panics.InForward"), label, "train.dataloader.args.batch_size=1"]);
    called.failure(1, &["`BYOC.panics.InForward` panicked in `forward` at step 1", "panics.rs:", "[4, 2, 16, 16, 16]"]);
}

#[test]
fn what_a_network_cannot_learn_from_is_refused_at_the_first_step() {
    let archive = Archive::new();
    archive.put("BYOC/libmisbehaves.so", &fixture("misbehaves"));
    for (name, parts) in [
        ("Detached", ["loss-detached", "without a gradient"]),
        ("NotANumber", ["non-finite-loss", "the loss itself is the cause"]),
        ("SaysNo", ["no loss for", "`forward` at step 1"]),
        ("Undefined", ["undefined tensor", "`forward` at step 1"]),
    ] {
        archive.train(&[&loss(&format!("BYOC.misbehaves.{name}"))]).failure(1, &parts);
    }
}

#[test]
fn a_file_that_is_overwritten_or_deleted_does_not_reach_the_run() {
    let overrides = [&*loss("BYOC.good.AbsoluteLoss"), "epochs=6"];
    let undisturbed = Archive::new();
    undisturbed.put("BYOC/libgood.so", &fixture("good"));
    undisturbed.train(&overrides).success();
    let overwrite: fn(&Path) = |file| fs::write(file, vec![0; 100_000]).expect("written");
    let delete: fn(&Path) = |file| fs::remove_file(file).expect("removed");
    for happening in [overwrite, delete] {
        let archive = Archive::new();
        let file = archive.put("BYOC/libgood.so", &fixture("good"));
        let mut child = archive.training(&overrides).spawn().expect("started");
        archive.wait_for_steps("run-0001", 1);
        happening(&file);
        assert!(child.wait().expect("it ends").success());
        assert_eq!(archive.losses("run-0001"), undisturbed.losses("run-0001"));
    }
}

#[test]
fn a_crash_within_a_step_is_named_at_the_next_start() {
    let archive = Archive::new();
    archive.put("BYOC/libmisbehaves.so", &fixture("misbehaves"));
    let crashed = archive.train(&[&loss("BYOC.misbehaves.Aborts")]);
    assert_eq!(crashed.code, None, "a signal ends it:\n{}", crashed.stderr);
    let next = archive.train(&["epochs=1"]).success();
    let told = "its last call into a plugin was `misbehaves.Aborts` in `forward` at step 1 (epoch 1)";
    assert!(next.stderr.contains(told) && next.stderr.contains("run-0001"), "{}", next.stderr);
    let third = archive.train(&["epochs=1"]).success();
    assert!(!third.stderr.contains("last call"), "it is told once:\n{}", third.stderr);
}

#[test]
fn a_call_that_does_not_come_back_is_named_while_it_hangs() {
    let archive = Archive::new();
    archive.put("BYOC/libmisbehaves.so", &fixture("misbehaves"));
    let mut command = archive.training(&[&loss("BYOC.misbehaves.Dawdles"), "epochs=1"]);
    command.env("MMAR_WATCHDOG_SECONDS", "1");
    let finished = Finished::from(command.output().expect("the engine starts")).success();
    let told = "`misbehaves.Dawdles` is in `forward`";
    assert_eq!(finished.stderr.matches(told).count(), 1, "{}", finished.stderr);
}
