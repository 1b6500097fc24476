//! Parameter names, shapes and their order against MONAI's own, for combinations of arguments that the reference cases
//! leave out.
//!
//! Python with MONAI is found in `MMAR_PYTHON`, or where the project's set-up for comparisons puts it; without it the
//! test says what it leaves out.

use std::path::PathBuf;
use std::process::Command;

use byoc::{Constructor, Kind};
// links the built-in components
use mmar_components as _;
use mmar_loader::Registry;
use serde_json::{Value, json};

const STATE_OF: &str = r"
import json, sys
from monai.networks import nets
cases = json.load(sys.stdin)
result = []
for name, args in cases:
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in args.items()}
    net = getattr(nets, name)(**args)
    result.append([
        {k: list(v.shape) for k, v in net.state_dict().items()},
        [k for k, _ in net.named_parameters()],
    ])
json.dump(result, sys.stdout)
";

fn cases() -> Vec<(&'static str, Value)> {
    let unet = |more: Value| {
        let mut args = json!({ "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8, 16], "strides": [2, 2] });
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        ("UNet", args)
    };
    let basic = |more: Value| ("BasicUNet", more);
    vec![
        unet(json!({})),
        unet(json!({ "num_res_units": 1, "norm": "BATCH" })),
        unet(json!({ "num_res_units": 3, "norm": ["group", { "num_groups": 2 }], "bias": false })),
        unet(
            json!({ "spatial_dims": 1, "kernel_size": 5, "up_kernel_size": 3, "dropout": 0.2, "adn_ordering": "AND" }),
        ),
        unet(
            json!({ "spatial_dims": 2, "num_res_units": 2, "act": ["PRELU", { "num_parameters": 1, "init": 0.1 }], "strides": [1, 3] }),
        ),
        unet(
            json!({ "spatial_dims": 2, "channels": [4, 8], "strides": [2], "norm": ["instance", { "affine": true }], "act": "swish" }),
        ),
        unet(
            json!({ "adn_ordering": "NA", "norm": ["batch", { "track_running_stats": false }], "kernel_size": [1, 3, 5] }),
        ),
        basic(json!({})),
        basic(json!({ "spatial_dims": 1, "features": [4, 4, 8, 8, 16, 4], "act": "PRELU" })),
        basic(
            json!({ "spatial_dims": 2, "features": [4, 4, 8, 8, 16, 4], "upsample": "pixelshuffle", "norm": "batch" }),
        ),
        basic(json!({ "features": [4, 6, 8, 10, 12, 6], "upsample": "nontrainable", "dropout": 0.1, "bias": false })),
        basic(
            json!({ "spatial_dims": 2, "features": [4, 4, 8, 8, 16, 8], "norm": ["group", { "num_groups": 4 }], "out_channels": 5 }),
        ),
        (
            "DynUNet",
            json!({ "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3, 3], "strides": [1, 2, 2, 2],
            "upsample_kernel_size": [2, 2, 2], "filters": [4, 8, 8, 16], "res_block": true, "trans_bias": true,
            "deep_supervision": true, "act_name": "prelu", "norm_name": "batch" }),
        ),
        (
            "SegResNet",
            json!({ "spatial_dims": 2, "act": "prelu", "upsample_mode": "deconv", "norm": "batch", "blocks_down": [1, 1, 1], "blocks_up": [1, 1] }),
        ),
        ("VNet", json!({ "spatial_dims": 2, "act": "prelu", "bias": true })),
        (
            "AutoEncoder",
            json!({ "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2, 2],
            "inter_channels": [8, 8], "inter_dilations": [1, 2], "num_res_units": 2 }),
        ),
        ("HighResNet", json!({ "spatial_dims": 2, "channel_matching": "project", "acti_type": "prelu" })),
        (
            "Discriminator",
            json!({ "in_shape": [1, 16, 16], "channels": [4, 8], "strides": [2, 2], "num_res_units": 0 }),
        ),
        (
            "DenseNet121",
            json!({ "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "act": "prelu", "init_features": 9, "growth_rate": 3 }),
        ),
    ]
}

#[test]
fn names_and_shapes_are_monais() {
    let cached = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/mmar/python/bin/python"));
    let python = std::env::var_os("MMAR_PYTHON").map(PathBuf::from).or(cached).filter(|python| python.exists());
    let Some(python) = python else {
        eprintln!("left out: the comparison with MONAI's parameter names (set MMAR_PYTHON)");
        return;
    };
    let cases = cases();
    let file = std::env::temp_dir().join(format!("mmar-state-names-{}.json", std::process::id()));
    std::fs::write(&file, serde_json::to_string(&cases).unwrap()).unwrap();
    let output = Command::new(python)
        .args(["-c", STATE_OF])
        .env_remove("LD_LIBRARY_PATH")
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    if problem.contains("No module named") {
        eprintln!("left out: the comparison with MONAI's parameter names (this Python has no MONAI)");
        return;
    }
    assert!(output.status.success(), "{problem}");
    let expected: Vec<(Value, Vec<String>)> = serde_json::from_slice(&output.stdout).unwrap();
    let mut registry = Registry::with_builtins();
    for ((name, args), (shapes, parameters)) in cases.iter().zip(expected) {
        let Constructor::Network(create) = registry.find(Kind::NETWORK, name).unwrap().constructor else {
            panic!("{name} is a network");
        };
        let state = create(args).unwrap().state;
        let found: serde_json::Map<String, Value> =
            state.iter().map(|named| (named.name.clone(), json!(named.tensor.size()))).collect();
        let expected = shapes.as_object().unwrap();
        let differing: Vec<_> = expected.iter().filter(|(key, shape)| found.get(*key) != Some(shape)).collect();
        let extra: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
        assert!(differing.is_empty() && extra.is_empty(), "{name} {args}: MONAI has {differing:?}, here are {extra:?}");
        // modules that MONAI registers twice may go by their second name here; their order is the same nevertheless
        if *name == "DynUNet" {
            assert_eq!(state.iter().filter(|named| named.trainable).count(), parameters.len());
        } else {
            let ours: Vec<_> = state.iter().filter(|named| named.trainable).map(|named| named.name.clone()).collect();
            assert_eq!(ours, parameters, "the order of the parameters of {name} {args}");
        }
    }
}
