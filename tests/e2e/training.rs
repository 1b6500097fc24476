//! Training: what comes out, the same every time, after an interruption too.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Archive, Finished};

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

#[test]
fn an_interrupted_run_saves_and_goes_on_as_if_nothing_had_happened() {
    let unbroken = Archive::new();
    let overrides = ["epochs=6", "train.dataloader.args.batch_size=1"];
    unbroken.train(&overrides).success();
    let expected = unbroken.losses("run-0001");
    assert_eq!(expected.len(), 12);

    let broken = Archive::new();
    let child = broken.training(&overrides).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let start = Instant::now();
    let metrics = broken.path("models/run-0001/metrics.jsonl");
    while !std::fs::read_to_string(&metrics).is_ok_and(|text| text.matches("train_step").count() >= 3) {
        assert!(start.elapsed() < Duration::from_mins(2), "no step after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    let finished = Finished::from(child.wait_with_output().expect("it ends"));
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert!(broken.path("models/run-0001/last.pt").is_file(), "{}", finished.stderr);
    let done = broken.losses("run-0001").len();
    assert!(done < 12, "the run was over before it was interrupted");

    let resumed = broken.training(&overrides).arg("--resume").output().expect("the engine starts");
    Finished::from(resumed).success();
    assert_eq!(broken.losses("run-0001"), expected);
    assert_eq!(broken.metrics("run-0001", "validation"), unbroken.metrics("run-0001", "validation"));
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
