//! The first-party plugins, installed and trained with as a user does it.

use crate::support::{Archive, run};

const PLUGINS: [&str; 3] = ["myLoss", "myNetworkArch", "myTransformation"];

#[test]
fn the_archives_own_config_trains_with_plugins() {
    let archive = Archive::new();
    archive.install(&PLUGINS, "BYOC");
    let overrides = [
        "train.loss={\"path\": \"BYOC.myLoss.MyDiceLoss\", \"args\": {\"to_onehot_y\": true, \"softmax\": true}}",
        "train.model={\"path\": \"BYOC.myNetworkArch.MyBasicUNet\", \"args\": {\"dimensions\": 3, \"in_channels\": 1, \
         \"out_channels\": 2, \"features\": [4, 4, 8, 8, 8, 4], \"norm\": \"batch\"}}",
        "train.pre_transforms.RandScaleIntensityd={\"path\": \"BYOC.myTransformation.MyRandAdditiveNoised\", \"args\": \
         {\"keys\": \"image\", \"prob\": 0.5, \"max_add\": 0.1}}",
    ];
    let finished = archive.train(&overrides).success();
    for plugin in PLUGINS {
        assert!(finished.stderr.contains(plugin), "the banner names {plugin}:\n{}", finished.stderr);
    }
    assert_eq!(archive.losses("run-0001").len(), 2);
    let run = archive.read_json("models/run-0001/run.json");
    assert_eq!(run["plugins"].as_array().map(Vec::len), Some(3), "{run:#}");
}

#[test]
fn installed_plugins_are_listed_inspected_and_describe_themselves() {
    let archive = Archive::new();
    archive.install(&PLUGINS, "custom");
    let root = archive.path("").display().to_string();
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&run(arguments).success().stdout).expect("JSON")
    };
    let list = json(&["plugin", "list", "-m", &root, "--json"]);
    assert_eq!(list["plugins"].as_array().map(Vec::len), Some(3), "{list:#}");
    assert_eq!(list["refused"].as_array().map(Vec::len), Some(0), "{list:#}");

    let file = archive.path("custom/libmyLoss.so").display().to_string();
    let inspected = json(&["plugin", "inspect", &file, "--json"]);
    assert_eq!(inspected["manifest"]["plugin"]["module"], "myLoss", "{inspected:#}");
    assert_eq!(inspected["loadable"], true, "{inspected:#}");

    let components = json(&["components", "loss", "-m", &root, "--json"]);
    let components = components["components"].as_array().expect("a list");
    let loss = components.iter().find(|it| it["name"] == "MyDiceLoss").expect("the plugin's loss is listed");
    assert_eq!(loss["origin"]["module"], "myLoss", "{loss:#}");
}

#[test]
fn a_library_that_is_no_plugin_is_not_installed() {
    let archive = Archive::new();
    archive.write("libnothing.so", "no library");
    let (file, root) = (archive.path("libnothing.so").display().to_string(), archive.path("").display().to_string());
    run(&["plugin", "install", &file, "-m", &root]).failure(1, &["libnothing.so"]);
    assert!(!archive.path("BYOC/libnothing.so").exists());
}
