//! Whatever is wrong with what a user brings: one clear message, an exit code, no panic, no damage.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Archive, data};

/// A data list of one case for everything, with some other files.
fn list(archive: &Archive, image: &Path, label: &Path) -> String {
    let case = serde_json::json!({ "image": image, "label": label });
    let list = serde_json::json!({ "training": [case], "validation": [case], "test": [image] });
    archive.write("list.json", &list.to_string());
    format!("DATASET_JSON={}", archive.path("list.json").display())
}

fn image() -> std::path::PathBuf {
    data().join("imagesTr/phantom_001.nii.gz")
}

fn label() -> std::path::PathBuf {
    data().join("labelsTr/phantom_001.nii.gz")
}

#[test]
fn a_config_that_is_not_there() {
    let archive = Archive::new();
    let output = archive.command("train", "config/no_such.json", &[]).output().expect("the engine starts");
    super::support::Finished::from(output).failure(2, &["no_such.json"]);
}

#[test]
fn an_unknown_component() {
    let archive = Archive::new();
    let finished = archive.train(&["train.loss={\"name\": \"DiceLos\", \"args\": {}}"]);
    finished.failure(1, &["unknown-component", "`DiceLos`", "did you mean `DiceLoss`"]);
}

#[test]
fn a_misspelt_argument() {
    let archive = Archive::new();
    archive
        .train(&["train.loss={\"name\": \"DiceLoss\", \"args\": {\"sofmax\": true}}"])
        .failure(1, &["`sofmax`", "`softmax`"]);
}

#[test]
fn an_argument_of_the_wrong_type() {
    let archive = Archive::new();
    let finished = archive.train(&["train.loss={\"name\": \"DiceLoss\", \"args\": {\"softmax\": \"yes\"}}"]);
    finished.failure(1, &["`softmax`", "`true` or `false`"]);
}

#[test]
fn all_errors_of_a_config_are_told_at_once() {
    let archive = Archive::new();
    let overrides = [
        "train.loss={\"name\": \"DiceLos\", \"args\": {}}",
        "train.optimizer.args.lr=\"fast\"",
        "validate.key_metric.args.include_backgrund=true",
    ];
    let finished = archive.train(&overrides);
    assert_eq!(finished.code, Some(1));
    for part in ["DiceLos", "`lr`", "include_backgrund"] {
        assert!(finished.stderr.contains(part), "`{part}` is missing in:\n{}", finished.stderr);
    }
}

#[test]
fn a_missing_image() {
    let archive = Archive::new();
    let list = list(&archive, Path::new("/no/such/image.nii.gz"), &label());
    archive.train(&[&list]).failure(1, &["/no/such/image.nii.gz"]);
}

#[test]
fn a_corrupt_image() {
    let archive = Archive::new();
    let bytes = fs::read(image()).expect("an image");
    let broken = archive.path("broken.nii.gz");
    for (what, content) in [("cut off", &bytes[..bytes.len() / 2]), ("no NIfTI", b"not a volume".as_slice())] {
        fs::write(&broken, content).expect("written");
        let list = list(&archive, &broken, &label());
        let finished = archive.train(&[&list]);
        println!("{what}: {}", finished.stderr);
        finished.failure(1, &["broken.nii.gz"]);
    }
}

#[test]
fn a_label_of_another_shape_than_its_image() {
    let archive = Archive::new();
    // Another case's label: its number of slices differs.
    let shapes: Vec<_> = (1..=3).map(|case| data().join(format!("labelsTr/phantom_00{case}.nii.gz"))).collect();
    let sizes: Vec<_> = shapes.iter().filter_map(|path| slices(path)).collect();
    let own = slices(&image()).expect("a header");
    let other = sizes.iter().position(|size| *size != own).expect("the cases have different numbers of slices");
    let list = list(&archive, &image(), &shapes[other]);
    // Without resampling to a common grid, which would hide it.
    let same_grid = "train.pre_transforms.Spacingd={\"name\": \"CastToTyped\", \"args\": {\"keys\": \"image\"}}";
    let refs = "validate.pre_transforms.3={\"ref\": \"CastToTyped\"}";
    let finished = archive.train(&[&list, same_grid, refs]);
    finished.failure(1, &["label", "shape"]);
}

/// The number of slices of a compressed NIfTI-1 file.
fn slices(path: &Path) -> Option<u16> {
    let output = Command::new("gzip").args(["-dc"]).arg(path).output().ok()?;
    Some(u16::from_le_bytes([*output.stdout.get(46)?, *output.stdout.get(47)?]))
}

#[test]
fn an_empty_data_list() {
    let archive = Archive::new();
    archive.write("list.json", "{\"training\": [], \"validation\": []}");
    let list = format!("DATASET_JSON={}", archive.path("list.json").display());
    archive.train(&[&list]).failure(1, &["training", "empty"]);
    archive.write("list.json", "{\"validation\": []}");
    archive.train(&[&list]).failure(1, &["training"]);
}

#[test]
fn a_loss_that_is_not_a_number() {
    let archive = Archive::new();
    let finished = archive.train(&["learning_rate=1e38", "epochs=4"]);
    finished.failure(1, &["loss", "NaN"]);
}

#[test]
fn a_full_disk_while_saving_leaves_the_old_checkpoint() {
    let archive = Archive::new();
    archive.train(&["epochs=1"]).success();
    let before = fs::read(archive.path("models/model.pt")).expect("a model");
    let small = tempfile::tempdir().expect("a folder");
    let mount = |size: &str| {
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(small.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !mount("200k") {
        println!("left out: a small disk cannot be made here (no permission to mount)");
        return;
    }
    fs::write(small.path().join("model.pt"), &before[..before.len().min(1000)]).expect("written");
    let kept = fs::read(small.path().join("model.pt")).expect("a file");
    let folder = format!("MMAR_CKPT_DIR={}", small.path().display());
    let finished = archive.train(&[&folder, "train.model.args.features=[16, 16, 32, 32, 32, 16]"]);
    let after = fs::read(small.path().join("model.pt"));
    let unmounted = Command::new("umount").arg(small.path()).status().expect("umount starts");
    assert!(unmounted.success());
    finished.failure(1, &["No space left on device"]);
    assert_eq!(after.expect("still there"), kept);
}
