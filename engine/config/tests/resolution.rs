//! What a config means: variables, overrides, dialects, alternatives, origins.

mod common;

use common::{Archive, CONFIG, TestCatalog, broken};
use mmar_config::{Code, Diagnostics, Dialect, Model, Plan, Role, load_checked};
use serde_json::{Value as Json, json};

fn load(config: &str, overrides: &[&str]) -> Plan {
    Archive::new(config).load(overrides).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn fail(config: &str, overrides: &[&str]) -> Diagnostics {
    match Archive::new(config).load(overrides) {
        Ok(_) => panic!("{overrides:?} is accepted"),
        Err(diagnostics) => diagnostics,
    }
}

fn lr(plan: &Plan) -> &Json {
    &plan.train.as_ref().and_then(|train| train.optimizer.as_ref()).expect("an optimizer").args["lr"]
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_root() {
    let archive = Archive::new(CONFIG);
    let load = |overrides: &[&str]| archive.load(overrides).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(lr(&load(&[])), &json!(2e-4));
    archive.write(
        "environment.json",
        r#"{"DATA_ROOT": "/data", "DATASET_JSON": "d.json", "MMAR_CKPT_DIR": "m", "learning_rate": 0.5, "tf32": true}"#,
    );
    let plan = load(&[]);
    assert_eq!((lr(&plan), plan.settings.learning_rate), (&json!(0.5), Some(0.5)));
    assert_eq!(
        (&plan.conf["learning_rate"], &plan.conf["tf32"], plan.settings.tf32),
        (&json!(0.5), &json!(true), true)
    );
    let plan = load(&["learning_rate=0.25", "learning_rate=0.125"]);
    assert_eq!((lr(&plan), plan.settings.learning_rate), (&json!(0.125), Some(0.125)));
    assert_eq!(plan.conf["learning_rate"], json!(0.125));
    assert_eq!(plan.variable("MMAR_CKPT_DIR"), Some(&json!("m")));
}

#[test]
fn variables_name_variables_and_keep_types() {
    let plan = load(
        &broken(&[
            (
                "\"epochs\": 2,",
                "\"epochs\": 2,\n  \"runs\": \"{MMAR_CKPT_DIR}/{name}-{epochs}\",\n  \"sizes\": [8, 16],",
            ),
            ("\"{MMAR_CKPT_DIR}\"", "\"{runs}/best\""),
            ("[16, 32]", "\"{sizes}\""),
        ]),
        &["name=first"],
    );
    let validate = plan.validate.as_ref().expect("a section");
    assert_eq!(validate.handlers[1].args["save_dir"], "models/first-2/best");
    let Some(Model::Component(model)) = plan.train.as_ref().and_then(|train| train.model.first()) else {
        panic!("a component")
    };
    assert_eq!(model.args["channels"], json!([8, 16]));
}

#[test]
fn a_disabled_component_may_name_what_does_not_exist() {
    // CheckpointLoader names {MMAR_CKPT}, which nothing defines
    let plan = load(CONFIG, &[]);
    assert_eq!(plan.train.as_ref().map(|train| train.handlers.len()), Some(3));
    let diagnostics = fail(CONFIG, &["dont_load_ckpt_model=False"]);
    let codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, [Code::UnresolvedVariable]);
    let plan = load(CONFIG, &["dont_load_ckpt_model=False", "MMAR_CKPT=models/model.pt"]);
    assert_eq!(
        plan.train.as_ref().map(|train| train.handlers[0].args["load_path"].clone()),
        Some(json!("models/model.pt"))
    );
}

#[test]
fn overrides_reach_into_the_config() {
    let plan = load(
        CONFIG,
        &[
            "train.loss.args.smooth_dr=1e-6",
            "/train/optimizer/args/lr=1e-2",
            "train.pre_transforms.Spacingd.args.pixdim=[2, 2, 2]",
            "train.pre_transforms.2.disabled=true",
            "train.inferer.args={}",
            "determinism.random_seed=7",
            "train.handlers.StatsHandler.rank=1",
            "use_gpu=True",
            "cudnn_benchmark=True",
            "MMAR_TORCHSCRIPT=unused/but/standard.ts",
            "print_conf=True",
        ],
    );
    let train = plan.train.as_ref().expect("a section");
    let loss = train.loss.as_ref().expect("a loss");
    assert_eq!((&loss.args["smooth_dr"], &loss.args["smooth_nr"]), (&json!(1e-6), &json!(1e-5)));
    assert_eq!(lr(&plan), &json!(1e-2));
    let names: Vec<&str> = train.pre_transforms.iter().map(|transform| transform.id.label()).collect();
    assert_eq!(names, ["LoadImaged", "Spacingd", "ToTensord"]);
    assert_eq!(
        plan.validate.as_ref().map(|validate| validate.pre_transforms[1].args["pixdim"].clone()),
        Some(json!([2, 2, 2])),
        "`ref` follows"
    );
    assert_eq!(train.handlers[2].rank, Some(1));
    assert_eq!((plan.settings.random_seed, plan.settings.use_gpu), (Some(7), true));
    assert_eq!((plan.settings.cudnn_benchmark, plan.settings.print_conf), (true, true));
    assert_eq!(plan.conf["determinism"], json!({"random_seed": 7}));
    assert_eq!(plan.conf["cudnn_benchmark"], json!(true));
}

#[test]
fn overrides_that_name_nothing_are_refused() {
    for (text, suggestion) in [
        ("epoch=1", "did you mean `epochs`?"),
        ("DATA_ROT=/x", "did you mean `DATA_ROOT`?"),
        ("train.los.args.smooth=1", "did you mean `loss`?"),
        ("train.loss.arg.smooth=1", "did you mean `args`?"),
        ("/train/pre_transforms/9/disabled=true", ""),
        ("train.optimizer.args.lr.x=1", ""),
        ("validate.pre_transforms.Spacingd.args.pixdim=1", ""),
        ("trian.loss.name=x", "did you mean `train`?"),
        ("nothing_like_it=1", "must be referenced"),
    ] {
        let diagnostics = fail(CONFIG, &[text]);
        let diagnostic = diagnostics.iter().next().expect("an error");
        assert_eq!(diagnostic.code, Code::UnknownOverride, "{text}");
        assert!(diagnostic.helps.join("\n").contains(suggestion), "{text}: {:?}", diagnostic.helps);
    }
    // an argument that the config does not give is a matter of the schema
    let diagnostics = fail(CONFIG, &["train.loss.args.smoth=1e-5"]);
    let diagnostic = diagnostics.iter().next().expect("an error");
    assert_eq!((diagnostic.code, diagnostic.helps.join("")), (Code::UnknownArg, "did you mean `smooth`?".to_owned()));
    assert_eq!(
        diagnostics.sources().location(diagnostic.primary.as_ref().expect("a place").span),
        "--set train.loss.args.smoth"
    );
}

#[test]
fn the_4_0_dialect_wires_by_name() {
    let config = r#"{
      "epochs": 3, "amp": true, "learning_rate": 1e-3, "num_interval_per_valid": 2,
      "search": [{"domain": "lr", "type": "float", "args": ["learning_rate"], "targets": [1e-4, 1e-3]}],
      "train": {
        "loss": [
          {"name": "FocalLoss", "disabled": true, "apply": {"@disabled": "mySearchLoss2"}},
          {"name": "DiceLoss", "apply": {"@disabled": "mySearchLoss1"}, "args": {"softmax": true}}
        ],
        "optimizer": {"name": "Adam", "args": {"lr": "{learning_rate}"}},
        "lr_scheduler": {"name": "StepLR", "args": {"step_size": 5000}, "search": [{"domain": "lr", "type": "enum", "args": ["step_size"], "targets": [[5000], [1000]]}]},
        "model": {"name": "UNet", "args": {"dimensions": 3, "in_channels": 1, "out_channels": 2, "channels": [16, 32], "strides": [2]}},
        "pre_transforms": [{"name": "Loader", "path": "monai.transforms.LoadImaged", "args": {"keys": ["image", "label"]}}],
        "dataset": {"name": "CacheDataset", "data_list_file_path": "{DATASET_JSON}", "data_file_base_dir": "{DATA_ROOT}", "data_list_key": "training"},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 2}},
        "handlers": [
          {"name": "LrScheduleHandler", "args": {"print_lr": true}},
          {"name": "ValidationHandler", "args": {"interval": "{num_interval_per_valid}", "epoch_level": true}},
          {"name": "CheckpointSaver", "rank": 0, "args": {"save_dir": "{MMAR_CKPT_DIR}", "save_dict": ["model", "optimizer", "lr_scheduler"]}},
          {"name": "StatsHandler", "rank": 0, "args": {"tag_name": "train_loss", "output_transform": "lambda x: x['loss']"}}
        ],
        "post_transforms": [{"name": "Activationsd", "args": {"keys": "pred", "softmax": true}}],
        "metrics": [{"name": "Accuracy", "log_label": "train_acc", "args": {"output_transform": "lambda x: (x['pred'], x['label'])", "device": "cpu"}}],
        "trainer": {"name": "SupervisedTrainer", "args": {"max_epochs": "{epochs}"}}
      },
      "validate": {
        "_comment": "the same data",
        "pre_transforms": [{"ref": "Loader"}],
        "dataset": {"name": "Dataset", "data_list_file_path": "{DATASET_JSON}", "data_file_base_dir": "{DATA_ROOT}", "data_list_key": "validation"},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 1}},
        "inferer": {"name": "SlidingWindowInferer", "args": {"roi_size": [96, 96, 96]}},
        "handlers": [{"name": "StatsHandler", "rank": 0, "args": {"output_transform": "lambda x: None"}}],
        "post_transforms": [{"ref": "Activationsd"}],
        "metrics": [
          {"name": "Accuracy", "log_label": "val_acc"},
          {"name": "MeanDice", "log_label": "val_mean_dice", "is_key_metric": true}
        ],
        "evaluator": {"name": "SupervisedEvaluator"}
      }
    }"#;
    let plan = load(config, &[]);
    assert!(plan.warnings.is_empty(), "{}", plan.warnings);
    assert_eq!((plan.role, plan.dialect, plan.dialect.decollates()), (Role::Train, Dialect::V40, false));
    let train = plan.train.as_ref().expect("a section");
    assert_eq!((train.max_epochs, train.amp), (3, true), "amp is the root's");
    assert_eq!(
        train.loss.as_ref().map(|loss| (loss.id.label(), loss.pointer.as_str())),
        Some(("DiceLoss", "/train/loss/1"))
    );
    assert_eq!(train.inferer.id.label(), "SimpleInferer", "the default");
    assert_eq!(
        (train.pre_transforms[0].id.label(), train.pre_transforms[0].id.lookup()),
        ("Loader", "monai.transforms.LoadImaged")
    );
    assert_eq!(train.handlers[2].args["save_dict"], json!(["model", "optimizer", "lr_scheduler"]));
    assert_eq!(train.handlers[3].args["output_transform"], json!({"$expression": {"form": "key", "key": "loss"}}));
    let metric = &train.metrics[0];
    assert_eq!((metric.is_key, metric.device.as_deref(), &metric.component.args), (false, Some("cpu"), &json!({})));
    assert_eq!(metric.output_transform, Some(json!({"$expression": {"form": "keys", "keys": ["pred", "label"]}})));
    let validate = plan.validate.as_ref().expect("a section");
    let labels: Vec<(&str, bool)> =
        validate.metrics.iter().map(|metric| (metric.log_label.as_str(), metric.is_key)).collect();
    assert_eq!(labels, [("val_mean_dice", true), ("val_acc", false)], "the key metric first");
    assert_eq!((validate.max_epochs, validate.amp), (1, true));
}

#[test]
fn settings_have_defaults() {
    let config = broken(&[("  \"use_gpu\": false,\n", ""), ("  \"determinism\": {\"random_seed\": 0},\n", "")]);
    let settings = load(&config, &[]).settings;
    assert!(settings.use_gpu && !settings.multi_gpu && !settings.tf32 && !settings.cudnn_benchmark);
    assert_eq!((settings.random_seed, settings.num_interval_per_valid), (None, 1));
}

#[test]
fn every_value_knows_where_it_comes_from() {
    let archive = Archive::new(CONFIG);
    let plan = archive
        .load(&["epochs=5", "train.loss.args.softmax=False"])
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let shown = plan.show();
    let origin = |pointer: &str| {
        let value =
            shown.values.iter().find(|value| value.pointer == pointer).unwrap_or_else(|| panic!("{pointer} is shown"));
        (archive.anonymous(&value.origin.to_string()), value.variable.clone())
    };
    assert_eq!(origin("/epochs"), ("--set epochs".into(), None));
    assert_eq!(origin("/train/trainer/args/max_epochs"), ("--set epochs".into(), Some("epochs".into())));
    assert_eq!(origin("/train/loss/args/softmax"), ("--set train.loss.args.softmax".into(), None));
    assert_eq!(origin("/train/loss/name"), ("MMAR/config/config_train.json:11".into(), None));
    assert_eq!(
        origin("/train/dataset/data_file_base_dir"),
        ("MMAR/config/environment.json:2".into(), Some("DATA_ROOT".into()))
    );
    assert_eq!(shown.config, plan.conf);
    let loss = plan.show_at("/train/loss").expect("a part");
    insta::assert_snapshot!("show", archive.anonymous(&loss.to_string()));
    let handlers = plan.show_at("/train/handlers/0").expect("an element of a list");
    insta::assert_snapshot!("show-disabled", archive.anonymous(&handlers.to_string()));
    assert_eq!(loss.to_json()["config"]["args"]["softmax"], json!(false));
    assert!(plan.show_at("/train/nothing").is_none());
}

#[test]
fn the_mmar_comes_before_the_working_folder() {
    let archive = Archive::new(CONFIG);
    for spelling in
        ["config_train.json".into(), "config/config_train.json".into(), archive.root().join("config/config_train.json")]
    {
        let mut request = archive.request(&[]);
        request.config = spelling;
        let plan = load_checked(&request, &TestCatalog).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(plan.config_file, archive.root().join("config/config_train.json"));
        assert_eq!(plan.path("models"), archive.root().join("models"));
    }
}

#[test]
fn an_environment_that_is_named_must_exist() {
    let archive = Archive::new(CONFIG);
    let mut request = archive.request(&[]);
    request.environment = Some("environmant.json".into());
    let diagnostics = load_checked(&request, &TestCatalog).expect_err("no such file");
    let codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, [Code::CannotRead], "the variables that it would have given are no errors of their own");
    assert!(diagnostics.to_string().contains("did you mean `environment.json`?"), "{diagnostics}");
}

#[test]
fn a_missing_variable_is_one_error_however_often_it_is_used() {
    let archive = Archive::new(CONFIG);
    archive.write("environment.json", r#"{"DATASET_JSON": "d.json", "MMAR_CKPT_DIR": "models"}"#);
    let diagnostics = archive.load(&[]).expect_err("no DATA_ROOT");
    assert_eq!(diagnostics.len(), 1, "{diagnostics}");
    assert_eq!(diagnostics.iter().next().map(|diagnostic| diagnostic.context.len()), Some(1));
}

/// A part of the config, from one text up to another, goes.
fn without(config: &str, from: &str, to: &str) -> String {
    let start = config.find(from).unwrap_or_else(|| panic!("the config has no {from}"));
    let end = start + config[start..].find(to).unwrap_or_else(|| panic!("the config has no {to}"));
    format!("{}{}", &config[..start], &config[end..])
}

#[test]
fn parts_that_need_each_other_are_checked() {
    let validate = CONFIG.find(",\n  \"validate\"").expect("the config has it");
    let no_validate = format!("{}\n}}\n", &CONFIG[..validate]);
    let cases = [
        // the object that the handler names is missing
        (no_validate.clone(), Code::UnknownReference, "@evaluator"),
        // dialect 4.0 names none
        (no_validate.replace("\"validator\": \"@evaluator\", ", ""), Code::NoValidation, "no `validate` section"),
        (
            without(CONFIG, "    \"lr_scheduler\": {", "    \"model\"")
                .replace("\"lr_scheduler\": \"@lr_scheduler\", ", ""),
            Code::MissingKey,
            "`LrScheduleHandler` needs",
        ),
        (without(CONFIG, ",\n    \"trainer\"", "\n  },\n  \"validate\""), Code::MissingKey, "`train` needs `trainer`"),
        (
            broken(&[("\"loss\": {", "\"loss\": {\"disabled\": true, ")]),
            Code::MissingKey,
            "`train` needs `loss`: it is disabled",
        ),
        (broken(&[("\"rank\": 0", "\"rank\": \"0\"")]), Code::UnexpectedType, "`rank` must be a whole number"),
        (
            broken(&[("\"data_list_key\": \"training\"", "\"data_list_key\": 1")]),
            Code::UnexpectedType,
            "`data_list_key` must be",
        ),
        (
            broken(&[("\"validate\": {", "\"handlers\": [],\n  \"validate\": {")]),
            Code::UnknownKey,
            "at the root of a training config",
        ),
        (broken(&[("\"validate\": {", "\"validat\": {")]), Code::UnknownKey, "no section `validat`"),
        (
            broken(&[("\"args\": {\"keys\": \"image\"", "\"args\": {\"disabled\": true, \"keys\": \"image\"")]),
            Code::UnknownArg,
            "no argument `disabled`",
        ),
        (
            broken(&[("{\"ref\": \"Spacingd\"}", "{\"ref\": \"Spacingd\", \"args\": {}}")]),
            Code::UnknownKey,
            "a `ref` cannot have `args`",
        ),
        (
            broken(&[("\"#@model.parameters()\"", "\"@model.parameters()\"")]),
            Code::UnsupportedExpression,
            "without its `#`",
        ),
        (
            broken(&[("\"lr\": \"{learning_rate}\"", "\"lr\": \"@model\"")]),
            Code::InvalidArg,
            "found the object `@model`",
        ),
        (broken(&[("\"name\": \"DiceLoss\"", "\"name\": null")]), Code::MissingKey, "neither `name` nor `path`"),
        (broken(&[("\"ref\": \"Spacingd\"", "\"ref\": null")]), Code::UnexpectedType, "`ref` must be"),
        (
            broken(&[("\"dataloader\": {", "\"dataloader\": [], \"_\": {")]),
            Code::MissingKey,
            "`dataloader`: the list is empty",
        ),
        (broken(&[("\"train\": {", "\"train\": [], \"_\": {")]), Code::UnexpectedType, "`train` must be an object"),
    ];
    for (config, code, message) in cases {
        let diagnostics = fail(&config, &[]);
        let found =
            diagnostics.iter().any(|diagnostic| diagnostic.code == code && diagnostic.message.contains(message));
        assert!(found, "{code}: {message}\n{diagnostics}");
    }
}

/// Adds the pointers of all values below a value.
fn pointers(value: &Json, pointer: &str, all: &mut Vec<String>) {
    if !pointer.is_empty() {
        all.push(pointer.to_owned());
    }
    let children: Vec<(String, &Json)> = match value {
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Json::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        pointers(child, &format!("{pointer}/{key}"), all);
    }
}

#[test]
fn any_value_in_any_place_is_answered() {
    const ODD: [&str; 12] = [
        "null",
        "true",
        "-3",
        "0.5",
        "\"\"",
        "\"ä…\"",
        "\"{nope}\"",
        "\"@nope\"",
        "\"#nope\"",
        "[]",
        "[null, {}]",
        "{\"name\": 1}",
    ];
    let archive = Archive::new(CONFIG);
    let config: Json = serde_json::from_str(CONFIG).expect("JSON");
    let mut places = Vec::new();
    pointers(&config, "", &mut places);
    assert!(places.len() > 200, "{}", places.len());
    let mut refused = 0;
    for place in &places {
        for value in ODD {
            let set = format!("{place}={value}");
            match archive.load(&[&set]) {
                Ok(plan) => drop(plan.show().to_string()),
                Err(diagnostics) => {
                    refused += 1;
                    let text = diagnostics.to_string();
                    assert!(diagnostics.has_errors() && text.contains("error["), "{set}: {text}");
                    for diagnostic in &diagnostics {
                        assert!(!diagnostic.message.is_empty() && !diagnostic.message.ends_with('.'), "{set}: {text}");
                    }
                }
            }
        }
    }
    assert!(refused > places.len() * ODD.len() / 2, "only {refused} of {} were refused", places.len() * ODD.len());
}
