//! Training: what comes out, the same every time, after an interruption too.

use std::process::{Command, Stdio};

use crate::support::{Archive, Finished, data};

/// Makes epochs of four steps: an interruption after the first of them is one within the epoch. Gives the override that
/// says so.
fn four_cases(archive: &Archive) -> String {
    let text = std::fs::read_to_string(data().join("dataset.json")).expect("a data list");
    let mut list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let training = list["training"].as_array().expect("a list").clone();
    assert_eq!(training.len(), 2);
    list["training"] = training.iter().chain(&training).cloned().collect();
    archive.write("four.json", &list.to_string());
    format!("DATASET_JSON={}", archive.path("four.json").display())
}

#[test]
fn a_run_leaves_what_a_user_looks_for() {
    let archive = Archive::new();
    let finished = archive.train(&[]).success();
    for file in
        ["models/model.pt", "models/run-0001/metrics.jsonl", "models/run-0001/run.json", "models/run-0001/log.txt"]
    {
        assert!(archive.path(file).is_file(), "{file}\n{}", finished.stderr);
    }
    assert!(finished.stdout.contains("model.pt"), "{}", finished.stdout);
    assert!(finished.stderr.contains("val_mean_dice"), "{}", finished.stderr);
    assert_eq!(archive.losses("run-0001").len(), 2, "two items in a batch of two, two epochs");
    let run = archive.read_json("models/run-0001/run.json");
    assert_eq!(run["deterministic"], true, "{run:#}");
    // A second run gets a folder of its own.
    archive.train(&["epochs=1"]).success();
    assert!(archive.path("models/run-0002").is_dir());
    assert_eq!(archive.losses("run-0001").len(), 2);
}

#[test]
fn losses_do_not_depend_on_the_number_of_workers() {
    let archive = Archive::new();
    let runs = [
        ["train.dataloader.args.num_workers=0", "train.dataset.args.num_workers=0"],
        ["train.dataloader.args.num_workers=1", "train.dataset.args.num_workers=2"],
        ["train.dataloader.args.num_workers=3", "train.dataset.args.num_workers=1"],
    ];
    for workers in runs {
        archive.train(&workers).success();
    }
    let first = archive.losses("run-0001");
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{first:?}");
    for run in ["run-0002", "run-0003"] {
        assert_eq!(archive.losses(run), first, "{run}");
        assert_eq!(archive.metrics(run, "validation"), archive.metrics("run-0001", "validation"), "{run}");
    }
    archive.train(&["determinism.random_seed=1"]).success();
    assert_ne!(archive.losses("run-0004"), first);
}

/// Interrupts a run within an epoch, resumes it, and compares it with one that was left alone.
fn interrupt_and_resume(plugins: &[&str], overrides: &[&str]) {
    let unbroken = Archive::new();
    unbroken.install(plugins, "BYOC");
    let list = four_cases(&unbroken);
    let overrides = [overrides, &["epochs=3", "train.dataloader.args.batch_size=1", &list]].concat();
    unbroken.train(&overrides).success();
    assert_eq!(unbroken.metrics("run-0001", "train_epoch").len(), 3);
    let expected = unbroken.losses("run-0001");
    assert_eq!(expected.len(), 12);

    let broken = Archive::new();
    broken.install(plugins, "BYOC");
    let child = broken.training(&overrides).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    broken.wait_for_steps("run-0001", 5);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    let finished = Finished::from(child.wait_with_output().expect("it ends"));
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert!(broken.path("models/run-0001/last.pt").is_file(), "{}", finished.stderr);
    assert!(!broken.path("models/run-0001/last_call.json").exists(), "it ended in order");
    let done = broken.losses("run-0001").len();
    assert!(done < 12, "the run was over before it was interrupted");

    let resumed = broken.training(&overrides).arg("--resume").output().expect("the engine starts");
    Finished::from(resumed).success();
    assert_eq!(broken.losses("run-0001"), expected);
    for kind in ["validation", "train_epoch"] {
        assert_eq!(broken.metrics("run-0001", kind), unbroken.metrics("run-0001", kind));
    }
}

#[test]
fn an_interrupted_run_saves_and_goes_on_as_if_nothing_had_happened() {
    interrupt_and_resume(&[], &[]);
}

#[test]
fn so_does_a_run_with_plugins() {
    let overrides = [
        "train.loss={\"path\": \"BYOC.myLoss.MyDiceLoss\", \"args\": {\"to_onehot_y\": true, \"softmax\": true}}",
        "train.model={\"path\": \"BYOC.myNetworkArch.MyBasicUNet\", \"args\": {\"dimensions\": 3, \"in_channels\": 1, \
         \"out_channels\": 2, \"features\": [4, 4, 8, 8, 8, 4], \"norm\": \"batch\", \"dropout\": 0.1}}",
        "train.pre_transforms.RandScaleIntensityd={\"path\": \"BYOC.myTransformation.MyRandAdditiveNoised\", \"args\": \
         {\"keys\": \"image\", \"prob\": 0.5, \"max_add\": 0.1}}",
    ];
    interrupt_and_resume(&["myLoss", "myNetworkArch", "myTransformation"], &overrides);
}

#[test]
fn a_resumed_run_with_another_network_or_plugin_says_so() {
    let archive = Archive::new();
    archive.install(&["myLoss"], "BYOC");
    let loss =
        "train.loss={\"path\": \"BYOC.myLoss.MyDiceLoss\", \"args\": {\"to_onehot_y\": true, \"softmax\": true}}";
    archive.train(&["epochs=1", loss]).success();
    let resume = |overrides: &[&str], more: &[&str]| {
        let output = archive.training(overrides).arg("--resume").args(more).output().expect("the engine starts");
        Finished::from(output)
    };
    let faster = "train.optimizer.args.lr=0.5";
    resume(&["epochs=2", loss, faster], &[])
        .failure(1, &["cannot-resume", "/train/optimizer/args/lr", "--allow-changed"]);
    // another build of the same plugin: the debug information is part of its hash
    let file = archive.path("BYOC/libmyLoss.so");
    let mut bytes = std::fs::read(&file).expect("a plugin");
    bytes.extend_from_slice(b"another build");
    archive.put("BYOC/libmyLoss.so", &bytes);
    let finished = resume(&["epochs=2", loss, faster], &["--allow-changed"]).success();
    for part in ["`/train/optimizer/args/lr` was", "`myLoss` is another build"] {
        assert!(finished.stderr.contains(part), "`{part}` is missing in:\n{}", finished.stderr);
    }
    assert_eq!(archive.losses("run-0001").len(), 2);
}

#[test]
fn resuming_where_there_is_nothing_is_an_error() {
    let archive = Archive::new();
    let output = archive.training(&[]).arg("--resume").output().expect("the engine starts");
    Finished::from(output).failure(2, &["resume"]);
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let archive = Archive::new();
    let output = archive.training(&[]).arg("--dry-run").output().expect("the engine starts");
    let finished = Finished::from(output).success();
    assert!(finished.stderr.contains("[8, 1, 16, 16, 16]"), "{}", finished.stderr);
    assert!(!archive.path("models/model.pt").exists());
    assert!(!archive.path("models/run-0001").exists());
}

#[test]
fn a_gpu_that_must_be_there_is_missed() {
    let archive = Archive::new();
    let gpu = std::path::Path::new("/dev/nvidia0").exists();
    if gpu {
        println!("left out: this machine has a GPU");
        return;
    }
    let output = archive.training(&["use_gpu=true"]).arg("--require-gpu").output().expect("the engine starts");
    Finished::from(output).failure(1, &["GPU"]);
    let finished = archive.train(&["use_gpu=true", "epochs=1"]).success();
    assert_eq!(finished.stderr.matches("warning").count(), 1, "{}", finished.stderr);
}
