//! What transforms such as `SaveImaged` wrote into the case's output folder.

use std::path::{Path, PathBuf};

use byoc::{Random, Sample};
use serde_json::{Value as Json, json};

use super::item::affine_tensor;
use super::{Replay, make_transform};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;
use crate::nifti::NiftiFile;

pub(super) fn collect(case: &Case, components: &mut dyn Components, folder: &Path, actual: &mut Actual) -> Replay<()> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    if files.is_empty() && !case.out_json.contains_key("files") {
        return Ok(());
    }
    let mut relative: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|file| (file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/"), file))
        .collect();
    relative.sort();
    for (i, (_, file)) in relative.iter().enumerate() {
        let affine_key = format!("out.file{i}_affine");
        if NiftiFile::is_one(file) {
            let nifti = NiftiFile::read(file)?;
            actual.insert(&affine_key, affine_tensor(&nifti.affine, None));
            actual.insert(format!("out.file{i}"), nifti.array);
            actual.json.insert(format!("file{i}.dtype"), nifti.dtype.into());
            actual.json.insert(format!("file{i}.header"), nifti.header);
        } else {
            let load = make_transform(components, "LoadImaged", &json!({ "keys": "file" }))?;
            let mut sample = Sample::new();
            sample.insert("file", Json::from(file.to_string_lossy().into_owned()));
            load.apply(&mut sample, &mut Random::from_seed(0))?;
            let image = sample.image("file")?;
            let matrix = affine_tensor(&image.affine, case.tensors.get(&affine_key));
            actual.insert(affine_key, matrix);
            actual.insert(format!("out.file{i}"), image.tensor.shallow_clone());
        }
    }
    let names: Vec<String> = relative.into_iter().map(|(name, _)| name).collect();
    actual.json.insert("files".to_owned(), names.into());
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
