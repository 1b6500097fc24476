//! The published configs of Clara Train resolve without a word, unchanged.

mod common;

use common::{TestCatalog, shared};
use mmar_config::{Dialect, Model, Plan, Request, Role, load_checked};
use serde_json::json;

/// Loads one of the published configs; `None`, with a line about it, where they are not there.
#[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
fn published(config: &str, overrides: &[&str]) -> Option<Plan> {
    let Some(folder) = shared("clara/getting-started/config") else {
        eprintln!("left out: the published config {config} is not on this machine");
        return None;
    };
    let request = Request {
        mmar_root: "/nowhere/mmar".into(),
        config: folder.join(config),
        environment: Some(folder.join("environment.json")),
        overrides: overrides.iter().map(|&text| text.to_owned()).collect(),
    };
    let plan = load_checked(&request, &TestCatalog).unwrap_or_else(|diagnostics| panic!("{config}:\n{diagnostics}"));
    assert!(plan.warnings.is_empty(), "{config}:\n{}", plan.warnings);
    Some(plan)
}

#[test]
fn the_unet_config_resolves() {
    let Some(plan) = published(
        "config_train_Unet.json",
        &["DATA_ROOT=/data", "DATASET_JSON=data.json", "epochs=7", "use_gpu=False"],
    ) else {
        return;
    };
    assert_eq!((plan.role, plan.dialect), (Role::Train, Dialect::V41));
    assert_eq!((plan.settings.epochs, plan.settings.use_gpu, plan.settings.amp), (Some(7), false, true));
    assert_eq!((plan.settings.random_seed, plan.settings.learning_rate), (Some(0), Some(2e-4)));
    let train = plan.train.as_ref().expect("a train section");
    assert_eq!((train.max_epochs, train.amp), (7, true));
    let Model::Component(model) = &train.model[0] else { panic!("a component") };
    assert_eq!(model.args["channels"], json!([16, 32, 64, 128, 256]));
    let optimizer = train.optimizer.as_ref().expect("an optimizer");
    assert_eq!(
        optimizer.args,
        json!({"params": {"$expression": {"form": "parameters", "object": "model"}}, "lr": 2e-4})
    );
    assert_eq!(train.lr_scheduler.as_ref().expect("a schedule").args["optimizer"], json!({"$ref": "optimizer"}));
    let names: Vec<&str> = train.handlers.iter().map(|handler| handler.id.label()).collect();
    assert_eq!(
        names,
        ["LrScheduleHandler", "ValidationHandler", "StatsHandler", "TensorBoardStatsHandler"],
        "CheckpointLoader is disabled"
    );
    assert_eq!(train.handlers[2].rank, Some(0));
    assert_eq!(train.dataset.data_list_file_path.as_deref(), Some("/nowhere/mmar/data.json".as_ref()));
    assert_eq!(train.dataset.data_file_base_dir.as_deref(), Some("/data".as_ref()));
    assert_eq!(train.dataset.data_list_key.as_deref(), Some("training"));

    let validate = plan.validate.as_ref().expect("a validate section");
    let names: Vec<&str> = validate.pre_transforms.iter().map(|transform| transform.id.label()).collect();
    assert_eq!(
        names,
        ["LoadImaged", "EnsureChannelFirstd", "Spacingd", "ScaleIntensityRanged", "CropForegroundd", "ToTensord"]
    );
    assert_eq!(validate.pre_transforms[2].args, train.pre_transforms[2].args, "a `ref` is a copy");
    assert_eq!(validate.post_transforms[1].args["argmax"], json!([true, false]));
    let labels: Vec<(&str, bool)> =
        validate.metrics.iter().map(|metric| (metric.log_label.as_str(), metric.is_key)).collect();
    assert_eq!(labels, [("val_mean_dice", true), ("val_acc", false)]);
    assert_eq!(
        validate.metrics[0].component.args,
        json!({"include_background": true}),
        "output_transform is the engine's"
    );
    assert_eq!(
        validate.metrics[0].output_transform,
        Some(json!({"$expression": {"form": "from_engine", "keys": ["pred", "label"], "first": false}}))
    );
    assert_eq!(
        validate.handlers[2].args["save_dict"],
        json!({"model": {"$ref": "model"}, "train_conf": {"$ref": "conf"}})
    );
    assert!(validate.model.is_empty(), "it has the model of `train`");
}

#[test]
fn the_byoc_config_resolves_in_both_spellings() {
    let Some(plan) = published("trn_BYOC_Arch_loss.json", &[]) else { return };
    assert_eq!(
        plan.train.as_ref().and_then(|train| train.loss.as_ref()).expect("a loss").id.lookup(),
        "myLoss.MyDiceLoss"
    );
    let seed = ["train.loss.path=BYOC.myLoss.MyDiceLoss", "/train/model/path=BYOC.myNetworkArch.MyBasicUNet"];
    let plan = published("trn_BYOC_Arch_loss.json", &seed).expect("it was there a moment ago");
    let train = plan.train.as_ref().expect("a train section");
    let loss = train.loss.as_ref().expect("a loss");
    assert_eq!((loss.id.lookup(), loss.id.label()), ("BYOC.myLoss.MyDiceLoss", "MyDiceLoss"));
    let Model::Component(model) = &train.model[0] else { panic!("a component") };
    assert_eq!(model.id.lookup(), "BYOC.myNetworkArch.MyBasicUNet");
    assert_eq!(plan.conf["train"]["loss"]["path"], "BYOC.myLoss.MyDiceLoss", "the saved config has the overrides");
}

#[test]
fn the_validation_config_takes_the_first_enabled_model() {
    let Some(plan) = published("config_validation.json", &[]) else { return };
    assert_eq!(plan.role, Role::Evaluate);
    assert!(plan.train.is_none());
    let section = plan.main_section();
    assert_eq!(section.max_epochs, 1);
    assert_eq!(section.device.as_deref(), Some("cuda"));
    assert_eq!(section.model.len(), 1);
    let Model::TorchScript(file) = &section.model[0] else { panic!("{:?}", section.model[0]) };
    assert_eq!(file.path, std::path::Path::new("/nowhere/mmar/models/model.ts"));
    assert_eq!(section.post_transforms.len(), 3, "SaveImaged is disabled");
    assert_eq!(section.post_transforms[1].args["transform"], json!({"$ref": "pre_transforms"}));
    assert_eq!(section.handlers.len(), 2);

    let plan = published(
        "config_validation.json",
        &["dont_load_ts_model=True", "dont_load_ckpt_model=False", "MMAR_CKPT=/runs/best.pt"],
    )
    .expect("there");
    let Model::Checkpoint(file) = &plan.main_section().model[0] else { panic!("a checkpoint") };
    assert_eq!(file.path, std::path::Path::new("/runs/best.pt"));
    assert_eq!(plan.main_section().handlers[0].args["load_path"], "/runs/best.pt");
}

#[test]
fn the_inference_config_has_no_metrics() {
    let Some(plan) = published("config_inference.json", &[]) else { return };
    let section = plan.main_section();
    assert_eq!((plan.role, section.metrics.len(), section.model.len()), (Role::Evaluate, 0, 1));
    assert_eq!(section.post_transforms[3].args["output_dir"], "eval");
}

#[test]
fn the_saved_config_loads_to_the_same_plan() {
    let Some(plan) = published("config_train_Unet.json", &["epochs=7"]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("conf.json"), plan.conf.to_string()).expect("a file");
    let request =
        Request { mmar_root: "/nowhere/mmar".into(), config: folder.path().join("conf.json"), ..Request::default() };
    let again = load_checked(&request, &TestCatalog).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(again.conf, plan.conf);
    assert_eq!(again.settings, plan.settings);
    let components = |plan: &Plan| {
        plan.components()
            .map(|(kind, component)| (kind, component.id.clone(), component.args.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(components(&again), components(&plan));
}
