//! `MyDiceLoss` against MONAI's `DiceLoss`, and on what it must refuse.

use std::path::PathBuf;

use byoc::{Component, Constructor, Kind, Loss, Registration, args};
use mmar_verify::{Components, Outcome};
use myLoss::MyDiceLoss;
use serde_json::json;
use tch::{Tensor, kind::FLOAT_CPU};

/// Answers to MONAI's name with the plugin's loss.
struct AsDiceLoss;

impl Components for AsDiceLoss {
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String> {
        const LOSS: Registration = Registration::loss::<MyDiceLoss>("MyDiceLoss", &[]);
        Ok((kind == Kind::LOSS && name == "DiceLoss").then(|| LOSS.constructor()))
    }
}

#[test]
fn it_agrees_with_monais_dice_loss() {
    let shared = std::env::var_os("MMAR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let Ok(files) = std::fs::read_dir(shared.join("golden/loss")) else {
        eprintln!("left out: no reference cases (`../shared/golden`, or set MMAR_SHARED)");
        return;
    };
    // `weight` came to MONAI's class after Clara Train, whose example this loss is
    let cases: Vec<PathBuf> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("DiceLoss_")))
        .filter(|path| path.file_stem().is_some_and(|name| name != "DiceLoss_weight"))
        .collect();
    let report = mmar_verify::run(&cases, &mut AsDiceLoss);
    assert_eq!(report.count(Outcome::Passed), cases.len(), "{}", report.to_table());
    assert!(!cases.is_empty());
}

#[test]
fn mistakes_are_refused() {
    let build = |value: serde_json::Value| MyDiceLoss::new(args::parse(&value)?);
    let message = |value| build(value).unwrap_err().to_string();
    assert!(message(json!({ "smooth": 1 })).contains("unknown field `smooth`"));
    assert!(message(json!({ "sigmoid": true, "softmax": true })).contains("exclude each other"));

    let loss = build(json!({ "to_onehot_y": true, "softmax": true })).unwrap();
    let input = Tensor::rand([1, 2, 4, 4], FLOAT_CPU);
    let label = |class: i64, size: &[i64]| Tensor::full(size, class, FLOAT_CPU);
    for (target, part) in [
        (label(2, &[1, 1, 4, 4]), "classes from 2 to 2, but the network has 2 output channels"),
        (label(0, &[1, 2, 4, 4]), "needs a label (B, 1, spatial…), found [1, 2, 4, 4]"),
        (label(0, &[1, 1, 4, 5]), "differ in shape"),
    ] {
        let error = loss.forward(&input, &target).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
