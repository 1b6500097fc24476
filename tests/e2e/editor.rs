//! `mmar schema`: what an editor says about configs, by a JSON Schema validator that is not ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::{Archive, root, run, shared};

struct Editor {
    schema: Json,
    whole: jsonschema::Validator,
}

impl Editor {
    fn new(arguments: &[&str]) -> Self {
        let text = run(&[&["schema"], arguments].concat()).success().stdout;
        let schema: Json = serde_json::from_str(&text).expect("JSON");
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("not a schema: {error}"));
        let whole = jsonschema::validator_for(&schema).expect("a schema");
        Self { schema, whole }
    }

    fn faults(&self, config: &Json) -> Vec<String> {
        self.whole.iter_errors(config).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// A validator of the components of one kind.
    fn of_kind(&self, kind: &str) -> jsonschema::Validator {
        let schema = json!({ "$ref": format!("#/$defs/{kind}"), "$defs": self.schema["$defs"] });
        jsonschema::validator_for(&schema).expect("a schema")
    }
}

/// Whether there is a component of this name.
fn knows(of_kind: &jsonschema::Validator, name: &str) -> bool {
    of_kind.is_valid(&json!({ "name": name, "args": "{ALL}" }))
}

fn read(file: &Path) -> Json {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn json_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = folder.read_dir().expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|it| it == "json") && file.file_stem().is_some_and(|it| it != "environment")
    });
    files.sort();
    files
}

#[test]
fn published_configs_and_our_own_are_valid() {
    let editor = Editor::new(&[]);
    let mut folders: Vec<_> =
        root().join("mmars").read_dir().expect("archives").flatten().map(|it| it.path().join("config")).collect();
    folders.extend(shared().map(|shared| shared.join("clara/getting-started/config")));
    let files: Vec<_> = folders.iter().flat_map(|folder| json_files(folder)).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(editor.faults(&read(&file)), [""; 0], "{}", file.display());
    }
}

#[test]
fn faults_in_a_config_are_told_at_their_place() {
    let editor = Editor::new(&[]);
    let config = read(&root().join("mmars/spleen_ct_segmentation/config/config_train.json"));
    let spacing =
        config["train"]["pre_transforms"].as_array().expect("a list").iter().position(|it| it["name"] == "Spacingd");
    let spacing = format!("/train/pre_transforms/{}", spacing.expect("Spacingd is among them"));
    let handler = "/train/handlers/0".to_owned();
    let faults: [(&str, Json, &str); 8] = [
        (&format!("{spacing}/args/pixdm"), json!([1, 1, 1]), &format!("{spacing}/args")),
        (&format!("{spacing}/args/mode"), json!("bilinaer"), &format!("{spacing}/args/mode")),
        (&format!("{spacing}/args/pixdim"), json!("1, 1, 1"), &format!("{spacing}/args/pixdim")),
        (&format!("{spacing}/name"), json!("Spacngd"), &format!("{spacing}/name")),
        (&format!("{handler}/rnk"), json!(0), &handler),
        ("/train/lr_scheduler/args/step_size", json!("5000"), "/train/lr_scheduler/args/step_size"),
        ("/train/los", json!({ "name": "DiceLoss" }), "/train"),
        ("/epochs", json!("ten"), "/epochs"),
    ];
    for (at, value, told) in faults {
        let mut config = config.clone();
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        config.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}"))[key] = value;
        let faults = editor.faults(&config);
        assert!(faults.iter().any(|fault| fault.starts_with(&format!("{told}:"))), "{at}: {faults:?}");
    }
}

/// Every value that an argument has in a published config, for each component that there is.
#[test]
fn every_published_argument_is_valid() {
    let Some(shared) = shared() else { return };
    let editor = Editor::new(&[]);
    let kinds = [
        "loss",
        "optimizer",
        "lr_scheduler",
        "network",
        "transform",
        "dataset",
        "dataloader",
        "inferer",
        "handler",
        "metric",
        "trainer",
        "evaluator",
    ];
    let kinds: BTreeMap<&str, _> = kinds.into_iter().map(|kind| (kind, editor.of_kind(kind))).collect();
    let mut count = 0;
    for component in read(&shared.join("clara/components.json")).as_array().expect("a list") {
        let kind = match component["kind"].as_str().expect("a kind") {
            "model" => "network",
            kind if kind.contains("transform") => "transform",
            kind => kind,
        };
        let name = component["component"].as_str().expect("a name");
        let short = name.rsplit('.').next().unwrap_or_default();
        let Some(validator) = kinds.get(kind).filter(|validator| knows(validator, short)) else { continue };
        let args = component["args"].as_object().expect("an object");
        // long values are cut off in the list
        let values = |name: &str| -> Vec<Json> {
            let texts = args[name].as_array().expect("a list").iter().filter_map(Json::as_str);
            texts.filter_map(|text| serde_json::from_str(text).ok()).collect()
        };
        let usual: serde_json::Map<String, Json> =
            args.keys().filter_map(|name| Some((name.clone(), values(name).first()?.clone()))).collect();
        for argument in args.keys() {
            for value in values(argument) {
                let mut args = usual.clone();
                args.insert(argument.clone(), value);
                let key = if name.contains('.') { "path" } else { "name" };
                let node = json!({ key: name, "args": args });
                if let Err(error) = validator.validate(&node) {
                    panic!("{kind} {node}: {}: {error}", error.instance_path());
                }
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

/// What the components accept in the reference cases, an editor accepts.
#[test]
fn the_arguments_of_reference_cases_are_valid() {
    let Some(shared) = shared() else { return };
    let editor = Editor::new(&[]);
    let mut count = 0;
    for folder in shared.join("golden").read_dir().expect("cases").flatten().filter(|it| it.path().is_dir()) {
        let kind = folder.file_name().to_string_lossy().into_owned();
        if kind == "train_step" {
            continue;
        }
        let validator = editor.of_kind(&kind);
        for file in json_files(&folder.path()) {
            let case = read(&file);
            let node = json!({ "name": case["name"], "args": case.get("args").cloned().unwrap_or_else(|| json!({})) });
            if knows(&validator, case["name"].as_str().expect("a name")) {
                if let Err(error) = validator.validate(&node) {
                    panic!("{}: {node}: {}: {error}", file.display(), error.instance_path());
                }
                count += 1;
            }
        }
    }
    assert!(count > 250, "{count}");
}

#[test]
fn the_plugins_of_an_archive_are_in_its_schema() {
    let archive = Archive::new();
    archive.install(&["myLoss"], "BYOC");
    archive.install(&["myNetworkArch"], "custom");
    let file = archive.path("schema.json").display().to_string();
    let written = run(&["schema", "-m", &archive.path("").display().to_string(), "-o", &file]).success();
    assert_eq!(written.stdout.trim(), file);
    let editor = Editor::new(&["-m", &archive.path("").display().to_string()]);
    assert_eq!(editor.schema, read(Path::new(&file)));

    let (loss, network) = (editor.of_kind("loss"), editor.of_kind("network"));
    let args = json!({ "to_onehot_y": true, "smooth_nr": "{smooth}" });
    assert!(loss.is_valid(&json!({ "path": "BYOC.myLoss.MyDiceLoss", "args": args })));
    assert!(network.is_valid(&json!({ "path": "myNetworkArch.MyBasicUNet", "args": "{ALL}" })));
    assert!(network.is_valid(&json!({ "path": "custom.myNetworkArch.MyBasicUNet", "args": "{ALL}" })));
    for wrong in [
        json!({ "path": "BYOC.myLoss.MyDiceLoss", "args": { "smoth_nr": 1 } }),
        json!({ "path": "BYOC.myLoss.MyDiceLoss", "args": { "to_onehot_y": "yes" } }),
        json!({ "path": "BYOC.myLoss.MyDiceLos", "args": args }),
        json!({ "path": "myLoss.MyDiceLoss", "args": args }),
        json!({ "path": "BYOC.yourLoss.MyDiceLoss", "args": args }),
        json!({ "name": "MyDiceLoss", "args": args }),
        json!({ "path": "myNetworkArch.MyBasicUNet" }),
    ] {
        assert!(!loss.is_valid(&wrong), "{wrong}");
    }
    // without an archive nothing is known about plugins
    assert!(Editor::new(&[]).of_kind("loss").is_valid(&json!({ "path": "BYOC.yourLoss.MyDiceLoss", "args": args })));
}
