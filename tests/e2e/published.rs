//! The published configs, unchanged but for values that make them fit a test, on the real CT.

use std::fs;

use crate::support::{Archive, Finished, mmar, shared};

/// Coarse voxels, small crops and windows: the configs' own sizes take hours on two cores.
const SMALL: [&str; 6] = [
    "epochs=1",
    "train.pre_transforms.Spacingd.args.pixdim=[5.0, 5.0, 7.5]",
    "train.pre_transforms.RandCropByPosNegLabeld.args.spatial_size=[32, 32, 16]",
    "validate.inferer.args.roi_size=[64, 64, 32]",
    "train.dataloader.args.batch_size=1",
    "amp=false",
];

/// An archive with a data list of the one case, as the original sample has it.
fn archive() -> Option<Archive> {
    let data = shared()?.join("data/spleen");
    let archive = Archive::new();
    let case = serde_json::json!({ "image": data.join("image.nii.gz"), "label": data.join("label.nii.gz") });
    archive.write("list.json", &serde_json::json!({ "training": [case], "validation": [case] }).to_string());
    Some(archive)
}

fn train(archive: &Archive, config: &str, overrides: &[&str]) -> Finished {
    let published = shared().expect("it was there a moment ago").join("clara/getting-started/config");
    let mut command = mmar();
    command.arg("train").arg("-m").arg(archive.path("")).arg("-c").arg(published.join(config));
    command.arg("-e").arg(published.join("environment.json")).arg("--set").args(SMALL).args(overrides);
    command.arg(format!("DATASET_JSON={}", archive.path("list.json").display())).arg("DATA_ROOT=/");
    let output = command.output().expect("the engine starts");
    Finished::from(output).success()
}

fn assert_trained(archive: &Archive, finished: &Finished) {
    assert!(archive.path("models/model.pt").is_file(), "{}", finished.stderr);
    let losses = archive.losses("run-0001");
    assert_eq!(losses.len(), 1);
    assert!(losses[0].is_finite() && losses[0] > 0.0, "{losses:?}");
    let validation = archive.metrics("run-0001", "validation");
    assert!(validation[0]["val_mean_dice"].as_f64().is_some_and(|dice| (0.0..=1.0).contains(&dice)), "{validation:?}");
}

#[test]
fn config_train_unet() {
    let Some(archive) = archive() else { return };
    let finished = train(&archive, "config_train_Unet.json", &[]);
    assert_trained(&archive, &finished);
}

#[test]
fn own_architecture_and_loss_from_custom_and_with_the_spelling_of_byoc() {
    const CONFIG: &str = "trn_BYOC_Arch_loss.json";
    let Some(archive) = archive() else { return };
    archive.install(&["myLoss", "myNetworkArch"], "custom");
    let finished = train(&archive, CONFIG, &[]);
    assert_trained(&archive, &finished);
    assert!(finished.stderr.contains("myLoss") && finished.stderr.contains("myNetworkArch"), "{}", finished.stderr);

    let byoc = self::archive().expect("it was there a moment ago");
    byoc.install(&["myLoss", "myNetworkArch"], "BYOC");
    let published = shared().expect("it was there a moment ago").join("clara/getting-started/config").join(CONFIG);
    let mut text = fs::read_to_string(published).expect("a config");
    for path in ["myLoss.MyDiceLoss", "myNetworkArch.MyBasicUNet"] {
        assert_eq!(text.matches(path).count(), 1, "{path}");
        text = text.replace(path, &format!("BYOC.{path}"));
    }
    byoc.write("config/trn_BYOC.json", &text);
    let config = byoc.path("config/trn_BYOC.json").display().to_string();
    let finished = train(&byoc, &config, &[]);
    assert_trained(&byoc, &finished);
    assert_eq!(byoc.losses("run-0001"), archive.losses("run-0001"), "the same plugins under another path");
}
