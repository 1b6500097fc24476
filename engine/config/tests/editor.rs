//! The JSON Schema of configs against the check of configs: what the language allows an editor must allow, and what an
//! editor refuses is wrong.

mod common;

use common::{Archive, CONFIG, broken, editor, shared};
use mmar_config::Named;
use serde_json::{Value as Json, json};

fn faults(validator: &jsonschema::Validator, config: &Json) -> Vec<String> {
    validator.iter_errors(config).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[track_caller]
fn parse(config: &str) -> Json {
    serde_json::from_str(config).unwrap_or_else(|error| panic!("{error}:\n{config}"))
}

#[test]
fn what_the_language_allows_is_allowed() {
    let editor = editor(Vec::new());
    let loss = r#"{"name": "DiceLoss", "args": {"to_onehot_y": true, "softmax": true, "smooth_nr": 1e-5}}"#;
    let cases: [&[(&str, &str)]; 22] = [
        &[],
        // variables, for a value of any type, for arguments, for components, within texts
        &[("\"smooth_nr\": 1e-5", "\"smooth_nr\": \"{learning_rate}\"")],
        &[("[1.0, 1.0, 1.0]", "\"{pixdim}\""), ("\"epochs\": 2,", "\"epochs\": 2, \"pixdim\": [1, 1, 1],")],
        &[("[1.0, 1.0, 1.0]", "[1.0, \"{size}\", 1.0]"), ("\"epochs\": 2,", "\"epochs\": 2, \"size\": 1,")],
        &[
            ("[\"bilinear\", \"nearest\"]", "\"{linear}\""),
            ("\"epochs\": 2,", "\"epochs\": 2, \"linear\": \"bilinear\","),
        ],
        &[
            ("[\"bilinear\", \"nearest\"]", "\"bi{linear}\""),
            ("\"epochs\": 2,", "\"epochs\": 2, \"linear\": \"linear\","),
        ],
        &[(loss, "\"{loss}\""), ("\"epochs\": 2,", "\"epochs\": 2, \"loss\": {\"name\": \"DiceLoss\"},")],
        &[
            (loss, r#"{"name": "DiceLoss", "args": "{with}"}"#),
            ("\"epochs\": 2,", "\"epochs\": 2, \"with\": {\"sigmoid\": true},"),
        ],
        &[(loss, r#"{"name": "{which}"}"#), ("\"epochs\": 2,", "\"epochs\": 2, \"which\": \"DiceLoss\",")],
        &[("\"epochs\": 2,", "\"n\": 2, \"epochs\": \"{n}\",")],
        // names, paths, and a name beside a path
        &[(loss, r#"{"path": "monai.losses.dice.DiceLoss", "args": {"smooth": 1}}"#)],
        &[(loss, r#"{"path": "DiceLoss"}"#)],
        &[(loss, r#"{"name": "my own", "path": "myLoss.MyDiceLoss", "args": null}"#)],
        &[(loss, r#"{"path": null, "name": "DiceLoss", "disabled": null}"#)],
        // alternatives, and what is disabled is not looked at
        &[(loss, r#"[{"name": "DicLoss", "oops": 1, "disabled": true}, {"name": "FocalLoss", "disabled": false}]"#)],
        // remarks, a search, keys of a component
        &[(loss, r#"{"name": "DiceLoss", "_why": 1, "search": [{}], "apply": {}}"#)],
        &[(
            "\"train\": {",
            "\"_note\": {}, \"search\": [], \"$schema\": \"a.json\", \"train\": {\"_x\": 1, \"search\": {},",
        )],
        // dialect 4.0: the engine wires objects itself
        &[("\"CLARA_TRAIN_VERSION\": \"4.1.0\",", ""), ("\"optimizer\": \"@optimizer\", ", "")],
        &[("\"4.1.0\"", "4.0"), ("{\"model\": \"@model\", \"train_conf\": \"@conf\"}", "[\"model\"]")],
        &[(
            "\"key_metric\": {\"name\": \"MeanDice\", \"log_label\": \"val_mean_dice\",",
            "\"metrics\": {\"name\": \"MeanDice\", \"is_key_metric\": true, \"log_label\": \"val_mean_dice\",",
        )],
        // the spelling of an argument, and of an expression
        &[("\"dimensions\": 3", "\"spatial_dims\": 3")],
        &[("\"lambda x: None\"", "\"lambda  x : (x['a'],x['b'])\"")],
    ];
    for replacements in cases {
        let config = broken(replacements);
        let archive = Archive::new(&config);
        if let Err(diagnostics) = archive.load(&["dont_load_ckpt_model=true"]) {
            panic!("{replacements:?}: the check refuses it\n{diagnostics}");
        }
        let faults = faults(&editor, &parse(&config));
        assert!(faults.is_empty(), "{replacements:?}:\n{}", faults.join("\n"));
    }
}

#[test]
fn faults_are_seen_where_they_are() {
    let editor = editor(Vec::new());
    let cases: [(&[(&str, &str)], &str); 26] = [
        (&[("\"epochs\": 2,", "\"epochs\": 0,")], "/epochs"),
        (&[("\"use_gpu\": false", "\"use_gpu\": \"no\"")], "/use_gpu"),
        (&[("\"4.1.0\"", "\"3.1\"")], "/CLARA_TRAIN_VERSION"),
        (&[("\"random_seed\"", "\"seed\"")], "/determinism"),
        (&[("\"loss\": {", "\"lss\": {")], "/train"),
        (&[("\"trainer\": {", "\"evaluator\": {")], "/train"),
        (&[("\"train\": {", "\"trian\": {")], ""),
        (&[("\"DiceLoss\"", "\"DicLoss\"")], "/train/loss/name"),
        (&[("\"DiceLoss\"", "\"Adam\"")], "/train/loss/name"),
        (&[("\"name\": \"DiceLoss\"", "\"path\": \"BYOC.myLoss.MyDicLoss\"")], "/train/loss/path"),
        (&[("\"name\": \"DiceLoss\"", "\"path\": \"monai.losses.DicLoss\"")], "/train/loss/path"),
        (&[("\"name\": \"DiceLoss\"", "\"nam\": \"DiceLoss\"")], "/train/loss"),
        (&[("\"softmax\": true, \"smooth_nr\"", "\"softmx\": true, \"smooth_nr\"")], "/train/loss/args"),
        (&[("\"smooth_nr\": 1e-5", "\"smooth_nr\": \"1e-5\"")], "/train/loss/args/smooth_nr"),
        (&[("\"smooth_nr\": 1e-5", "\"smooth_nr\": 0")], "/train/loss/args/smooth_nr"),
        (&[("\"smooth_nr\": 1e-5", "\"smooth_nr\": 1, \"smooth\": 1")], "/train/loss/args"),
        (&[("\"dimensions\": 3, ", "")], "/train/model/args"),
        (&[("\"channels\": [16, 32]", "\"channels\": [16, 0]")], "/train/model/args/channels/1"),
        (&[("[\"bilinear\", \"nearest\"]", "[\"bilinear\", \"nearst\"]")], "/train/pre_transforms/1/args/mode"),
        (
            &[(
                "{\"name\": \"LoadImaged\", \"args\": {\"keys\": [\"image\", \"label\"]}}",
                "{\"name\": \"LoadImaged\"}",
            )],
            "/train/pre_transforms/0",
        ),
        (&[("{\"ref\": \"LoadImaged\"}", "{\"ref\": \"LoadImaged\", \"args\": {}}")], "/validate/pre_transforms/0"),
        (
            &[("\"output_transform\": \"lambda x: None\"", "\"output_transform\": \"x['loss']\"")],
            "/validate/handlers/0/args/output_transform",
        ),
        (&[("{\"model\": \"@model\"}}", "{\"model\": \"@modl\"}}")], "/train/handlers/0/args/load_dict"),
        (&[("\"rank\": 0", "\"rank\": \"first\"")], "/train/handlers/3/rank"),
        (&[("\"data_list_key\"", "\"data_list_ky\"")], "/train/dataset"),
        (&[("\"inferer\": {\"name\": \"SimpleInferer\"}", "\"inferer\": \"SimpleInferer\"")], "/train/inferer"),
    ];
    for (replacements, pointer) in cases {
        let config = broken(replacements);
        assert!(
            Archive::new(&config).load(&["dont_load_ckpt_model=False", "MMAR_CKPT=a.pt"]).is_err(),
            "{replacements:?} is no fault"
        );
        let config = parse(&config);
        let faults = faults(&editor, &config);
        assert!(!faults.is_empty(), "{replacements:?} is not seen");
        let is_told = faults.iter().any(|fault| fault.starts_with(&format!("{pointer}:")));
        assert!(is_told, "{replacements:?}: not at {pointer}, but\n{}", faults.join("\n"));
    }
}

#[test]
fn a_validation_config_has_one_section_at_its_root() {
    let editor = editor(Vec::new());
    let whole = parse(CONFIG);
    let mut config = whole["validate"].clone();
    config["post_transforms"] = json!([]);
    config["pre_transforms"] = json!([{ "name": "LoadImaged", "args": { "keys": "image" } }]);
    config["model"] = json!([
        { "ts_path": "{MMAR_TORCHSCRIPT}", "disabled": "{dont_load_ts_model}" },
        { "ckpt_path": "models/model.pt", "disabled": true },
        whole["train"]["model"],
    ]);
    config["use_gpu"] = json!(true);
    config["some_variable"] = json!({ "of": ["any", "kind"] });
    assert_eq!(faults(&editor, &config), [""; 0]);
    let without = |key: &str| {
        let mut config = config.clone();
        config.as_object_mut().expect("an object").remove(key);
        config
    };
    for key in ["model", "dataset", "dataloader", "evaluator"] {
        assert!(!editor.is_valid(&without(key)), "{key}");
    }
    config["model"] = json!({ "ts_path": "a.ts", "args": {} });
    assert!(!editor.is_valid(&config), "a file has no arguments");
}

#[test]
fn published_configs_are_valid() {
    let Some(folder) = shared("clara/getting-started/config") else { return };
    let editor = editor(Vec::new());
    for name in ["config_train_Unet.json", "trn_BYOC_Arch_loss.json", "config_validation.json", "config_inference.json"]
    {
        let config = parse(&std::fs::read_to_string(folder.join(name)).expect("readable"));
        assert_eq!(faults(&editor, &config), [""; 0], "{name}");
    }
}

#[test]
fn names_that_two_packages_share_are_told_apart_by_their_path() {
    let schedule = |name: &str, alias: &str, argument: &str| Named {
        kind: "lr_scheduler".into(),
        name: name.into(),
        aliases: vec![alias.into()],
        paths: Vec::new(),
        summary: String::new(),
        schema: json!({ "properties": { argument: { "type": "number" } }, "required": [argument] }),
    };
    let editor = editor(vec![
        schedule("LinearLR", "Linear", "start_factor"),
        schedule("MonaiLinearLR", "monai.optimizers.LinearLR", "end_lr"),
    ]);
    let config = |id: Json| {
        let mut config = parse(CONFIG);
        config["train"]["lr_scheduler"] = id;
        config
    };
    for (key, id, argument) in [
        ("name", "LinearLR", "start_factor"),
        ("path", "LinearLR", "start_factor"),
        ("path", "torch.optim.lr_scheduler.LinearLR", "start_factor"),
        ("path", "monai.optimizers.LinearLR", "end_lr"),
        ("path", "monai.optimizers.lr_scheduler.LinearLR", "end_lr"),
        ("name", "MonaiLinearLR", "end_lr"),
        ("path", "monai.MonaiLinearLR", "end_lr"),
    ] {
        let other = if argument == "end_lr" { "start_factor" } else { "end_lr" };
        assert_eq!(faults(&editor, &config(json!({ key: id, "args": { argument: 1 } }))), [""; 0], "{id}");
        assert!(!editor.is_valid(&config(json!({ key: id, "args": { other: 1 } }))), "{id}");
        assert!(!editor.is_valid(&config(json!({ key: id }))), "{id} needs an argument");
    }
}

/// A plugin's schema may be recursive: its own references still lead to its own definitions.
#[test]
fn references_of_a_plugins_schema_stay_within_it() {
    let tree = json!({
        "type": "object",
        "properties": { "tree": { "$ref": "#/$defs/Tree" }, "deep": { "$ref": "#/$defs/Tree" } },
        "$defs": { "Tree": { "type": "object", "additionalProperties": false, "properties": {
            "size": { "type": "integer" }, "children": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
        } } },
    });
    let paths = vec!["BYOC.trees.TreeLoss".to_owned()];
    let loss = |kind: &str| Named {
        kind: kind.into(),
        name: "TreeLoss".into(),
        aliases: Vec::new(),
        paths: paths.clone(),
        summary: String::new(),
        schema: tree.clone(),
    };
    let editor = editor(vec![loss("loss"), loss("metric")]);
    let config = |tree: Json| {
        let mut config = parse(CONFIG);
        config["train"]["loss"] = json!({ "path": "BYOC.trees.TreeLoss", "args": { "tree": tree } });
        config
    };
    let leaf = json!({ "size": 1 });
    assert_eq!(faults(&editor, &config(json!({ "size": "{n}", "children": [leaf, { "children": [leaf] }] }))), [""; 0]);
    assert!(!editor.is_valid(&config(json!({ "children": [{ "children": [{ "size": "1" }] }] }))));
    assert!(!editor.is_valid(&config(json!({ "children": [{ "chldren": [] }] }))));
}
