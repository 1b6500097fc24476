//! Whole runs on tiny made-up data: what is written, that runs repeat and resume to the last bit, and how they fail.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use byoc::{Component, Engine, Error, Event, Handler, Loss, Random, Result, Sample, Transform};
use mmar_train::{Interrupt, Observer, Progress, Resume, RunRequest, Silent, evaluate, train};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

// the binary links the built-in components, and so does this test
use mmar_components as _;

/// No arguments
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

macro_rules! plain_component {
    ($($name:ident),*) => {$(
        struct $name;
        impl Component for $name {
            type Args = NoArgs;

            fn new(_: NoArgs) -> Result<Self> {
                Ok(Self)
            }
        }
    )*};
}

plain_component!(TestCased, TestDetachedLoss, TestPanickingLoss, TestNotANumberLoss, TestFailingHandler);

/// Makes an image and its label from the name of the case, and adds noise.
impl Transform for TestCased {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let path = sample.json("image")?.as_str().unwrap_or_default().to_owned();
        let name = path.rsplit('/').next().unwrap_or_default();
        let case = name.bytes().map(u64::from).sum::<u64>();
        let image = Random::from_seed(case).uniform_tensor(&[1, 16, 16]);
        let label = image.f_gt(0.5)?.to_kind(Kind::Float);
        let noise = random.normal_tensor(&[1, 16, 16]) * 0.1;
        sample.insert("image", image + noise);
        sample.insert("label", label);
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

impl Loss for TestDetachedLoss {
    fn forward(&self, input: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(input.detach().mean(Kind::Float))
    }
}

impl Loss for TestPanickingLoss {
    fn forward(&self, input: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(input.matmul(&Tensor::zeros([7, 7], (Kind::Float, input.device()))))
    }
}

impl Loss for TestNotANumberLoss {
    fn forward(&self, input: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(input.sum(Kind::Float) * f64::NAN)
    }
}

impl Handler for TestFailingHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        if event == Event::EpochCompleted && engine.state().epoch == 2 {
            return Err(Error::msg("the disk of this test is full"));
        }
        Ok(())
    }
}

byoc::register! {
    transforms: [TestCased],
    losses: [TestDetachedLoss, TestPanickingLoss, TestNotANumberLoss],
    handlers: [TestFailingHandler],
}

/// libtorch has one generator per process: two runs at once would draw from each other's numbers.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const PAIR: &str = "#monai.handlers.from_engine(['pred', 'label'])";

fn section(metric: &str) -> Json {
    json!({
        "pre_transforms": [{"name": "TestCased"}],
        "dataset": {"name": "Dataset", "data_list_file_path": "{DATASET_JSON}", "data_list_key": "training", "args": {}},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 2, "shuffle": true, "num_workers": "{workers}"}},
        "inferer": {"name": "SimpleInferer"},
        "post_transforms": [{"name": "Activationsd", "args": {"keys": "pred", "softmax": true}},
            {"name": "AsDiscreted", "args": {"keys": ["pred", "label"], "argmax": [true, false], "to_onehot": 2, "n_classes": 2}}],
        "key_metric": {"name": "MeanDice", "log_label": metric, "args": {"output_transform": PAIR}},
    })
}

fn config() -> Json {
    let mut train = section("train_dice");
    train["loss"] = json!({"name": "DiceLoss", "args": {"to_onehot_y": true, "softmax": true}});
    train["optimizer"] = json!({"name": "Adam", "args": {"params": "#@model.parameters()", "lr": 0.01}});
    train["lr_scheduler"] =
        json!({"name": "StepLR", "args": {"optimizer": "@optimizer", "step_size": 2, "gamma": 0.5}});
    train["model"] = json!({"name": "UNet", "args": {"dimensions": 2, "in_channels": 1, "out_channels": 2,
        "channels": [4, 8], "strides": [2], "dropout": 0.1}});
    train["handlers"] = json!([
        {"name": "LrScheduleHandler", "args": {"lr_scheduler": "@lr_scheduler"}},
        {"name": "ValidationHandler", "args": {"validator": "@evaluator", "interval": 1}},
        {"name": "TensorBoardStatsHandler", "args": {"log_dir": "{MMAR_CKPT_DIR}", "tag_name": "train_loss",
            "output_transform": "#monai.handlers.from_engine(['loss'], first=True)"}}]);
    train["trainer"] = json!({"name": "SupervisedTrainer", "args": {"max_epochs": "{epochs}"}});
    let mut validate = section("val_dice");
    validate["handlers"] = json!([{"name": "CheckpointSaver", "args": {"save_dir": "{MMAR_CKPT_DIR}",
        "save_dict": {"model": "@model", "train_conf": "@conf"}, "save_key_metric": true}}]);
    validate["evaluator"] = json!({"name": "SupervisedEvaluator"});
    json!({"CLARA_TRAIN_VERSION": "4.1.0", "epochs": 3, "use_gpu": false, "workers": 0, "determinism": {"random_seed": 7},
        "train": train, "validate": validate})
}

/// An archive with a config.
fn archive(config: &Json) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("config")).unwrap();
    let cases: Vec<Json> = (0..5).map(|i| json!({"image": format!("case{i}")})).collect();
    fs::write(root.path().join("list.json"), json!({"training": cases}).to_string()).unwrap();
    fs::write(root.path().join("config/train.json"), config.to_string()).unwrap();
    let environment = json!({"DATASET_JSON": "list.json", "MMAR_CKPT_DIR": "models"});
    fs::write(root.path().join("config/environment.json"), environment.to_string()).unwrap();
    root
}

fn request(root: &Path, overrides: &[&str]) -> RunRequest {
    let mut request = RunRequest::new(root, "config/train.json");
    request.overrides = overrides.iter().map(|&it| it.to_owned()).collect();
    request
}

/// The lines of `metrics.jsonl`, but for those that say that a run was resumed.
fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().filter(|line| !line.contains("\"resumed\"")).map(str::to_owned).collect()
}

/// Stops the run after a number of steps.
struct StopAfter(u64, Interrupt);

impl Observer for StopAfter {
    fn progress(&mut self, progress: &Progress) {
        if let Progress::Step { role: byoc::EngineRole::Trainer, iteration, .. } = progress
            && *iteration == self.0
        {
            self.1.request();
        }
    }
}

#[test]
fn a_run_repeats_with_any_number_of_workers_and_writes_what_it_should() {
    let _alone = alone();
    let root = archive(&config());
    let run = |overrides: &[&str]| train(&request(root.path(), overrides), &mut Silent, &Interrupt::new()).unwrap();
    let first = run(&["MMAR_CKPT_DIR=models/a"]);
    let second = run(&["MMAR_CKPT_DIR=models/b", "workers=3"]);
    let all = lines(&first.run_folder);
    assert_eq!(all, lines(&second.run_folder));
    assert_eq!((first.epochs, first.steps, all.len()), (3, 9, 9 + 3 + 3));
    assert!(first.metrics.contains_key("train_dice") && first.metrics.contains_key("val_dice"));
    let models = root.path().join("models/a");
    for name in
        ["model.pt", "final_model.pt", "run-0001/last.pt", "run-0001/config.resolved.json", "run-0001/environment.json"]
    {
        assert!(models.join(name).is_file(), "{name}");
    }
    let run: Json = serde_json::from_slice(&fs::read(models.join("run-0001/run.json")).unwrap()).unwrap();
    assert_eq!((run["status"].as_str(), run["seed"].as_u64()), (Some("completed"), Some(7)));
    let events = fs::read_dir(&models)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("events.out.tfevents"));
    assert_eq!(events.count(), 1);
    // half the rate after two epochs
    let last: Json = serde_json::from_str(all.iter().rfind(|line| line.contains("train_step")).unwrap()).unwrap();
    assert_eq!(last["learning_rate"], 0.005);
}

#[test]
fn a_run_that_was_interrupted_anywhere_goes_on_as_if_it_had_not_been() {
    let _alone = alone();
    let root = archive(&config());
    let whole = train(&request(root.path(), &["MMAR_CKPT_DIR=whole"]), &mut Silent, &Interrupt::new()).unwrap();
    // within an epoch, at its end, and again within the same
    for stops in [vec![1], vec![3], vec![4, 5, 6]] {
        let folder = format!("MMAR_CKPT_DIR=stopped{}", stops[0]);
        let mut request = request(root.path(), &[&folder]);
        for stop in stops {
            let interrupt = Interrupt::new();
            let failure = train(&request, &mut StopAfter(stop, interrupt.clone()), &interrupt).unwrap_err();
            assert_eq!(failure.exit_code(), 130);
            request.resume = Some(Resume::Latest);
        }
        let resumed = train(&request, &mut Silent, &Interrupt::new()).unwrap();
        assert_eq!(resumed.best_metric, whole.best_metric);
        let losses =
            |folder: &Path| lines(folder).into_iter().filter(|line| !line.contains("train_epoch")).collect::<Vec<_>>();
        assert_eq!(losses(&resumed.run_folder), losses(&whole.run_folder), "{folder}");
    }
}

#[test]
fn another_network_cannot_go_on_with_a_run() {
    let _alone = alone();
    let root = archive(&config());
    train(&request(root.path(), &["epochs=1"]), &mut Silent, &Interrupt::new()).unwrap();
    let mut other = request(root.path(), &["train.model.args.channels=[4,16]"]);
    other.resume = Some(Resume::Latest);
    let failure = train(&other, &mut Silent, &Interrupt::new()).unwrap_err();
    assert_eq!(failure.code(), "cannot-resume");
    assert!(failure.notes().iter().any(|note| note.contains("/train/model/args/channels/1")), "{failure}");
    let mut none = request(root.path(), &["MMAR_CKPT_DIR=nowhere"]);
    none.resume = Some(Resume::Latest);
    assert_eq!(train(&none, &mut Silent, &Interrupt::new()).unwrap_err().exit_code(), 2);
}

#[test]
fn what_goes_wrong_in_a_component_is_told() {
    let _alone = alone();
    let root = archive(&config());
    let fail =
        |overrides: &[&str]| train(&request(root.path(), overrides), &mut Silent, &Interrupt::new()).unwrap_err();
    let loss = |name: &str| format!("train.loss={{\"name\": \"{name}\"}}");
    let cases = [
        ("TestDetachedLoss", "loss-detached", "`TestDetachedLoss` gave a loss without a gradient at step 1 (epoch 1)"),
        ("TestNotANumberLoss", "non-finite-loss", "the loss of `TestNotANumberLoss` is NaN at step 1 (epoch 1)"),
        ("TestPanickingLoss", "component-panicked", "`TestPanickingLoss` panicked in `forward` at step 1 (epoch 1)"),
    ];
    for (name, code, message) in cases {
        let failure = fail(&[&loss(name)]);
        assert_eq!((failure.code(), failure.message(), failure.exit_code()), (code, message, 1));
    }
    let failure = fail(&[&loss("TestPanickingLoss")]);
    assert!(failure.notes().iter().any(|note| note.contains("pred [2, 2, 16, 16] f32 cpu")), "{failure}");
}

#[test]
fn a_failing_handler_leaves_a_checkpoint_that_goes_on_with_it() {
    let _alone = alone();
    let mut config = config();
    config["train"]["handlers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "TestFailingHandler", "disabled": "{healed}"}));
    config["healed"] = json!(false);
    let root = archive(&config);
    let failure = train(&request(root.path(), &[]), &mut Silent, &Interrupt::new()).unwrap_err();
    assert_eq!(failure.message(), "`TestFailingHandler` failed in `epoch_completed` at step 6 (epoch 2)");
    assert!(failure.notes().iter().any(|note| note.contains("last.pt, step 6 (epoch 2)")), "{failure}");
    let mut request = request(root.path(), &["healed=true"]);
    request.resume = Some(Resume::Latest);
    let resumed = train(&request, &mut Silent, &Interrupt::new()).unwrap();
    assert_eq!((resumed.epochs, resumed.steps), (3, 9));
}

#[test]
fn a_dry_run_and_an_evaluation_of_the_result() {
    let _alone = alone();
    let root = archive(&config());
    let mut dry = request(root.path(), &[]);
    dry.dry_run = true;
    train(&dry, &mut Silent, &Interrupt::new()).unwrap();
    assert!(!root.path().join("models").exists(), "a dry run leaves nothing");
    let trained = train(&request(root.path(), &["epochs=1"]), &mut Silent, &Interrupt::new()).unwrap();
    let mut validation = section("val_dice");
    validation["model"] = json!([{"ckpt_path": "models/model.pt"}]);
    validation["handlers"] = json!([{"name": "MetricsSaver", "args": {"save_dir": "eval", "metric_details": "*"}}]);
    validation["evaluator"] = json!({"name": "SupervisedEvaluator"});
    validation["CLARA_TRAIN_VERSION"] = "4.1.0".into();
    validation["use_gpu"] = false.into();
    validation["workers"] = 1.into();
    validation["determinism"] = json!({"random_seed": 7});
    fs::write(root.path().join("config/train.json"), validation.to_string()).unwrap();
    let evaluated = evaluate(&request(root.path(), &[]), &mut Silent, &Interrupt::new()).unwrap();
    assert_eq!(evaluated.metrics["val_dice"], trained.metrics["val_dice"], "the same weights, seed and epoch");
    let csv = fs::read_to_string(root.path().join("eval/metrics.csv")).unwrap();
    assert_eq!(csv, format!("val_dice,{:?}\n", evaluated.metrics["val_dice"]));
    assert_eq!(fs::read_to_string(root.path().join("eval/val_dice_raw.csv")).unwrap().lines().count(), 6);
}

#[test]
fn dialect_4_0_works_on_batches() {
    let _alone = alone();
    let mut config = config();
    config.as_object_mut().unwrap().remove("CLARA_TRAIN_VERSION");
    for (section, label) in [("train", "train_dice"), ("validate", "val_dice")] {
        let section = config[section].as_object_mut().unwrap();
        section.remove("key_metric");
        section.insert(
            "metrics".into(),
            json!([{"name": "MeanDice", "log_label": label, "is_key_metric": true,
                "args": {"output_transform": "lambda x: (x['pred'], x['label'])"}}]),
        );
    }
    config["train"]["optimizer"]["args"].as_object_mut().unwrap().remove("params");
    config["train"]["lr_scheduler"]["args"].as_object_mut().unwrap().remove("optimizer");
    config["train"]["handlers"] = json!([{"name": "LrScheduleHandler", "args": {}},
        {"name": "ValidationHandler", "args": {"interval": 1, "epoch_level": true}},
        {"name": "StatsHandler", "args": {"output_transform": "lambda x: x['loss']"}}]);
    config["validate"]["handlers"][0]["args"]["save_dict"] = json!(["model", "optimizer", "lr_scheduler"]);
    let root = archive(&config);
    let old = train(&request(root.path(), &[]), &mut Silent, &Interrupt::new()).unwrap();
    let root = archive(&self::config());
    let new = train(&request(root.path(), &[]), &mut Silent, &Interrupt::new()).unwrap();
    assert_eq!(lines(&old.run_folder), lines(&new.run_folder), "batch or items: the numbers are the same");
}
