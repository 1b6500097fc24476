//! `MyBasicUNet` against MONAI's `BasicUNet`, and on every kind of input that it says it takes.

use std::path::PathBuf;

use byoc::{Constructor, Kind, Network, NetworkComponent, Registration, args};
use mmar_verify::{Components, Outcome};
use myNetworkArch::MyBasicUNet;
use serde_json::json;
use tch::{Tensor, kind::FLOAT_CPU, nn};

/// Answers to MONAI's names with the plugin's network.
struct AsBasicUnet;

impl Components for AsBasicUnet {
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String> {
        const NETWORK: Registration = Registration::network::<MyBasicUNet>("MyBasicUNet", &[]);
        Ok((kind == Kind::NETWORK && name == "BasicUnet").then(|| NETWORK.constructor()))
    }
}

#[test]
fn it_agrees_with_monais_basic_unet() {
    let shared = std::env::var_os("MMAR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let Ok(files) = std::fs::read_dir(shared.join("golden/network")) else {
        eprintln!("left out: no reference cases (`../shared/golden`, or set MMAR_SHARED)");
        return;
    };
    let cases: Vec<PathBuf> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("BasicUnet")))
        .collect();
    let report = mmar_verify::run(&cases, &mut AsBasicUnet);
    assert_eq!(report.count(Outcome::Passed), cases.len(), "{}", report.to_table());
    assert!(!cases.is_empty());
}

#[test]
fn every_upsampling_keeps_the_size_in_1_2_and_3_dimensions() {
    for (dimensions, size) in [(1, vec![49]), (2, vec![33, 48]), (3, vec![16, 17, 18])] {
        for upsample in ["deconv", "nontrainable", "pixelshuffle"] {
            for norm in [json!("batch"), json!("INSTANCE"), json!(["group", { "num_groups": 2 }])] {
                let args = json!({
                    "dimensions": dimensions, "features": [2, 2, 4, 4, 8, 2], "out_channels": 3,
                    "norm": norm, "act": "PRELU", "dropout": 0.1, "upsample": upsample,
                });
                let store = nn::VarStore::new(tch::Device::Cpu);
                let network = MyBasicUNet::new(args::parse(&args).unwrap(), &store.root()).unwrap();
                let x = Tensor::rand([&[2, 1], size.as_slice()].concat(), FLOAT_CPU);
                // instance statistics of the deepest level need more than one voxel: there is only one at size 16
                let Ok(y) = network.forward(&x, true) else {
                    assert!(norm == "INSTANCE" && dimensions == 3, "{args}");
                    continue;
                };
                assert_eq!(y.size(), [&[2, 3], size.as_slice()].concat(), "{args}");
                y.mean(tch::Kind::Float).backward();
                let untrained = store.trainable_variables().iter().filter(|p| !p.grad().defined()).count();
                assert_eq!(untrained, 0, "every parameter has a gradient: {args}");
            }
        }
    }
}

#[test]
fn mistakes_in_the_arguments_are_refused() {
    let build =
        |value: serde_json::Value| MyBasicUNet::new(args::parse(&value)?, &nn::VarStore::new(tch::Device::Cpu).root());
    for (value, part) in [
        (json!({ "featurs": [1, 2, 3, 4, 5, 6] }), "unknown field `featurs`"),
        (json!({ "features": [1, 2, 3] }), "invalid length 3"),
        (json!({ "dimensions": 4 }), "`spatial_dims` must be 1, 2 or 3"),
        (json!({ "norm": "batsch" }), "there is no normalisation `batsch`"),
        (json!({ "upsample": "nearest" }), "unknown variant `nearest`"),
    ] {
        let error = build(value).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
