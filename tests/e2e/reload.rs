//! Hot reload: plugins that change while `mmar train --watch` runs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::loader::fixture;
use crate::support::Archive;

const LOSS: &str = "train.loss={\"path\": \"BYOC.good.AbsoluteLoss\"}";

/// More epochs than any test needs: each ends its run itself.
const ENDLESS: [&str; 3] = ["epochs=100000", "num_interval_per_valid=100000", LOSS];

/// A training run that goes on while plugins change, and what it says.
pub(crate) struct Watched {
    child: Child,
    lines: Receiver<String>,
    /// What was said so far.
    said: String,
}

impl Watched {
    fn start(archive: &Archive, overrides: &[&str], arguments: &[&str]) -> Self {
        let mut command = archive.training(overrides);
        command.arg("--watch").args(arguments);
        Self::spawn(command)
    }

    /// Starts a training that was asked to watch.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started");
        let stderr = child.stderr.take().expect("a pipe");
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { return };
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, said: String::new() }
    }

    /// Waits for a line that holds a text, and gives it.
    #[track_caller]
    pub(crate) fn hear(&mut self, text: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(2) {
            let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) else { continue };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
        panic!("`{text}` was not said within two minutes:\n{}", self.said);
    }

    /// Ends the run as Ctrl-C does, and gives all that was said.
    pub(crate) fn end(mut self) -> String {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &id]).status().expect("kill starts");
        assert!(killed.success());
        let status = self.child.wait().expect("it ends");
        self.said.extend(self.lines.iter().map(|line| line + "\n"));
        assert_eq!(status.code(), Some(130), "{}", self.said);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts a build into the place of another as `mmar plugin install` does.
fn install(archive: &Archive, name: &str, bytes: &[u8]) {
    let beside = archive.put("BYOC/.tmp-new-build", bytes);
    fs::rename(beside, archive.path(name)).expect("renamed");
}

/// The lines of the first run's `metrics.jsonl` of a kind, each as it stands.
fn events(archive: &Archive, kind: &str) -> Vec<Json> {
    let text = fs::read_to_string(archive.path("models/run-0001/metrics.jsonl")).expect("a run has metrics");
    let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
    lines.filter(|line| line["kind"] == kind).collect()
}

#[test]
fn a_rebuilt_loss_takes_over_and_the_record_says_where() {
    let archive = Archive::new();
    let file = archive.put("BYOC/libgood.so", &fixture("good"));
    let mut run = Watched::start(&archive, &ENDLESS, &[]);
    archive.wait_for_steps("run-0001", 2);
    // the rival's loss is ten times as large
    install(&archive, "BYOC/libgood.so", &fixture("rival"));
    run.hear("[watch] good checking: a new build");
    run.hear("[watch] good waiting: ");
    let active = run.hear("[watch] good active: generation 2 (sha ");
    assert!(active.contains("s after the file changed"), "{active}");
    archive.wait_for_steps("run-0001", events(&archive, "train_step").len() + 2);
    // the file may go: what is loaded stays
    fs::remove_file(file).expect("removed");
    run.hear("the file was removed; the build in use goes on");
    run.end();

    let reload = &events(&archive, "reload")[0];
    assert_eq!((&reload["plugin"], &reload["generation"]), (&"good".into(), &2.into()), "{reload}");
    let at = reload["step"].as_u64().expect("a step");
    let loss = |line: &Json| line["train_loss"].as_f64().expect("a number");
    let steps = events(&archive, "train_step");
    let (before, after): (Vec<&Json>, Vec<&Json>) = steps.iter().partition(|line| line["step"].as_u64() <= Some(at));
    let (last, first) = (loss(before.last().expect("steps")), loss(after.first().expect("steps")));
    assert!(first > 3.0 * last, "the step after the reload has the new loss: {last} became {first}");
    let run = archive.read_json("models/run-0001/run.json");
    let builds = run["plugins"].as_array().expect("a list");
    assert_eq!(builds.iter().map(|it| &it["generation"]).collect::<Vec<_>>(), [1, 2], "{run:#}");
}

#[test]
fn whatever_is_wrong_with_a_build_the_old_one_goes_on() {
    let archive = Archive::new();
    let good = fixture("good");
    archive.put("BYOC/libgood.so", &good);
    let loss = "train.loss={\"path\": \"BYOC.good.AbsoluteLoss\", \"args\": {\"factor\": 2.0}}";
    let mut run = Watched::start(&archive, &[&ENDLESS[..], &[loss]].concat(), &["--at", "step"]);
    archive.wait_for_steps("run-0001", 1);
    // half a file that is completed within the patience of the watch is no event at all
    let beside = archive.path("BYOC/libgood.so");
    fs::remove_file(&beside).expect("removed");
    fs::write(&beside, &good[..good.len() / 2]).expect("written");
    fs::write(&beside, &good).expect("written");
    // half a file that stays half
    install(&archive, "BYOC/libgood.so", &good[..good.len() / 3]);
    run.hear("[watch] good rejected: error[plugin-incomplete]");
    // no library at all; told once, though it is written twice
    install(&archive, "BYOC/libgood.so", b"#!/bin/sh\n");
    run.hear("[watch] good rejected: error[plugin-not-a-library]");
    install(&archive, "BYOC/libgood.so", b"#!/bin/sh\n");
    // a build that does not know the argument of the config any more
    install(&archive, "BYOC/libgood.so", &fixture("rival"));
    run.hear("[watch] good rejected: error[invalid-config]: the config does not fit the new build");
    run.hear("`factor`");
    // a build that panics at its first call
    install(&archive, "BYOC/libgood.so", &fixture("panicky"));
    run.hear("[watch] good rejected: error[component-panicked]");
    run.hear("a factor of 2 was never thought of");
    let repaired = [&good[..], b"another build"].concat();
    install(&archive, "BYOC/libgood.so", &repaired);
    run.hear("[watch] good active: generation");
    let said = run.end();
    assert_eq!(said.matches("plugin-not-a-library").count(), 1, "{said}");
    assert_eq!(events(&archive, "reload").len(), 1);
    let losses: Vec<f64> =
        events(&archive, "train_step").iter().map(|line| line["train_loss"].as_f64().expect("a number")).collect();
    assert!(losses.iter().all(|loss| loss.is_finite()));
}

#[test]
fn a_build_that_panics_later_gives_its_place_back() {
    let archive = Archive::new();
    archive.put("BYOC/libgood.so", &fixture("good"));
    let mut run = Watched::start(&archive, &ENDLESS, &["--at", "step"]);
    archive.wait_for_steps("run-0001", 1);
    install(&archive, "BYOC/libgood.so", &fixture("panicky"));
    run.hear("[watch] good active: generation 2");
    run.hear("[watch] good rejected: generation 1 goes on, as the newer one panicked");
    run.hear("call 4 was never thought of");
    let done = events(&archive, "train_step").len();
    archive.wait_for_steps("run-0001", done + 3);
    run.end();
    let steps = events(&archive, "train_step");
    let numbers: Vec<u64> = steps.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(numbers, (1..=steps.len() as u64).collect::<Vec<_>>(), "no step was left out");
    let generations: Vec<Json> = events(&archive, "reload").iter().map(|line| line["generation"].clone()).collect();
    assert_eq!(generations, [2, 1]);
}

#[test]
fn a_network_keeps_its_weights_and_the_optimizer_its_state() {
    let archive = Archive::new();
    archive.install(&["myNetworkArch"], "BYOC");
    let network = "train.model={\"path\": \"BYOC.myNetworkArch.MyBasicUNet\", \"args\": {\"dimensions\": 3, \"in_channels\": 1, \
                   \"out_channels\": 2, \"features\": [4, 4, 8, 8, 8, 4], \"norm\": \"batch\"}}";
    let plain = Archive::new();
    plain.install(&["myNetworkArch"], "BYOC");
    let overrides = ["num_interval_per_valid=100000", network];
    plain.train(&[&overrides[..], &["epochs=8"]].concat()).success();
    let mut run = Watched::start(&archive, &[&overrides[..], &["epochs=100000"]].concat(), &[]);
    archive.wait_for_steps("run-0001", 2);
    // the same code as another build: the run must go on as if nothing had happened
    let mut bytes = fs::read(archive.path("BYOC/libmyNetworkArch.so")).expect("a plugin");
    bytes.extend_from_slice(b"another build");
    install(&archive, "BYOC/libmyNetworkArch.so", &bytes);
    run.hear("[watch] myNetworkArch active: generation 2");
    archive.wait_for_steps("run-0001", 8);
    run.end();
    let reload = events(&archive, "reload")[0]["step"].as_u64().expect("a step");
    println!("swapped after step {reload}");
    assert_eq!(archive.losses("run-0001")[..8], plain.losses("run-0001")[..8]);
}

#[test]
fn two_hundred_reloads_cost_little_and_end_with_the_right_build() {
    const RELOADS: usize = 200;
    let archive = Archive::new();
    let builds = [fixture("good"), fixture("rival")];
    let build = |n: usize| {
        let mut bytes = builds[n % 2].clone();
        bytes.extend_from_slice(format!("build {n}").as_bytes());
        bytes
    };
    archive.put("BYOC/libgood.so", &build(0));
    let mut run = Watched::start(&archive, &ENDLESS, &["--at", "step"]);
    archive.wait_for_steps("run-0001", 2);
    let resident = |run: &Watched| {
        let status = fs::read_to_string(Path::new("/proc").join(run.child.id().to_string()).join("status"));
        let status = status.expect("the run is alive");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
        line.trim().trim_end_matches("kB").trim().parse::<f64>().expect("a number") / 1024.0
    };
    let mut at_start = 0.0;
    for n in 1..=RELOADS {
        install(&archive, "BYOC/libgood.so", &build(n));
        run.hear("[watch] good active: generation");
        if n == 20 {
            // allocators and caches have settled
            at_start = resident(&run);
        }
    }
    let each = (resident(&run) - at_start) / (RELOADS - 20) as f64;
    println!("{each:.2} MB for each reload");
    archive.wait_for_steps("run-0001", events(&archive, "train_step").len() + 1);
    let said = run.end();
    assert!(each < 5.0, "{each:.2} MB for each reload");
    assert!(!said.contains("rejected"), "{said}");
    let reloads = events(&archive, "reload");
    assert_eq!(reloads.len(), RELOADS);
    assert_eq!(reloads.last().expect("events")["generation"], RELOADS + 1);
}

#[test]
fn there_must_be_something_to_watch() {
    let archive = Archive::new();
    let output = archive.training(&["epochs=1"]).arg("--watch").output().expect("the engine starts");
    crate::support::Finished::from(output).failure(2, &["nothing-to-watch", "the config names none"]);
}
