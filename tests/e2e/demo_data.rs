//! `mmar demo-data` and `mmar plot`.

use std::fs;

use crate::support::{data, python, run, run_python};

#[test]
fn the_same_seed_gives_the_same_files() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    for (folder, seed) in folders.iter().zip(["5", "5", "6"]) {
        let path = folder.path().display().to_string();
        let finished = run(&["demo-data", &path, "--cases", "3", "--seed", seed]).success();
        assert_eq!(finished.stdout.trim(), folder.path().join("dataset.json").display().to_string());
    }
    let image = |index: usize| fs::read(folders[index].path().join("imagesTr/phantom_001.nii.gz")).expect("an image");
    assert_eq!(image(0), image(1));
    assert_ne!(image(0), image(2));
}

#[test]
fn a_data_set_is_not_overwritten() {
    let path = data().display().to_string();
    run(&["demo-data", &path]).failure(2, &["holds a data set already"]);
}

#[test]
fn other_tools_read_the_volumes() {
    let Some(python) = python() else { return };
    let script = "
import sys, nibabel, numpy
image, label = (nibabel.load(sys.argv[1] + folder + '/phantom_001.nii.gz') for folder in ('/imagesTr', '/labelsTr'))
voxels = numpy.asarray(image.dataobj)
mask = numpy.asarray(label.dataobj)
assert voxels.dtype == numpy.int16 and voxels.shape == mask.shape, (voxels.dtype, voxels.shape, mask.shape)
assert numpy.array_equal(image.affine, label.affine)
assert set(numpy.unique(mask)) == {0, 1}
assert 90 < voxels[mask == 1].mean() < 150, voxels[mask == 1].mean()
print(voxels.ndim)
";
    assert_eq!(run_python(&python, script, &[data()]), "3");
}

#[test]
fn slices_are_drawn_from_a_data_list() {
    let folder = tempfile::tempdir().expect("a folder");
    // The label stands for a perfect prediction.
    for name in ["phantom_001", "phantom_002"] {
        fs::create_dir(folder.path().join(name)).expect("made");
        let file = format!("{name}.nii.gz");
        let target = folder.path().join(name).join(format!("{name}_trans.nii.gz"));
        fs::copy(data().join("labelsTr").join(file), target).expect("copied");
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let list = data().join("dataset.json").display().to_string();
    let picture = path("slices.png");
    let arguments =
        ["plot", "slices", "--data-list", &list, "--key", "training", "--predictions", &path(""), "-o", &picture];
    run(&arguments).success();
    let bytes = fs::read(&picture).expect("a picture");
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes", bytes.len());
}
