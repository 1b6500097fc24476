//! A folder of scans with a data list, laid out as the Medical Segmentation Decathlon does it.

use std::fs;
use std::path::{Path, PathBuf};

use mmar_imaging::nifti;
use serde_json::json;

use crate::scan::scan;

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Scans in all, at least 3: they are shared out to training, validation and test.
    pub cases: usize,
    /// The same seed gives the same files.
    pub seed: u64,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Written {
    /// The data list.
    pub list: PathBuf,
    /// Scans for training.
    pub training: usize,
    /// Scans for validation.
    pub validation: usize,
    /// Scans without a label.
    pub test: usize,
}

/// Why a data set was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is one already.
    #[error("`{}` holds a data set already; name another folder", .0.display())]
    Exists(PathBuf),
    /// Too few to share out.
    #[error("{0} cases are too few: training, validation and test need one each")]
    TooFew(usize),
    /// A folder or the list cannot be written.
    #[error("cannot write `{}`: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A volume cannot be written.
    #[error(transparent)]
    Volume(#[from] mmar_imaging::Error),
}

impl Recipe {
    /// Writes the data set; calls `done` with the number of scans written so far. The list comes last, so a folder
    /// with a list is complete.
    pub fn write(&self, folder: &Path, mut done: impl FnMut(usize)) -> Result<Written, Error> {
        if self.cases < 3 {
            return Err(Error::TooFew(self.cases));
        }
        let list = folder.join("dataset.json");
        if list.exists() {
            return Err(Error::Exists(folder.to_owned()));
        }
        for name in ["imagesTr", "labelsTr", "imagesTs"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(|error| Error::Io { path, error })?;
        }

        let held_out = (self.cases / 5).max(1);
        let (validation, test) = (held_out, held_out);
        let training = self.cases - validation - test;
        let mut entries = Vec::new();
        let mut test_images = Vec::new();
        for case in 0..self.cases {
            let name = format!("phantom_{:03}.nii.gz", case + 1);
            let scan = scan(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(case as u64));
            if case < training + validation {
                let (image, label) = (format!("imagesTr/{name}"), format!("labelsTr/{name}"));
                nifti::write(&folder.join(&image), &scan.shape, &scan.affine, &scan.image)?;
                nifti::write(&folder.join(&label), &scan.shape, &scan.affine, &scan.label)?;
                entries.push(json!({ "image": format!("./{image}"), "label": format!("./{label}") }));
            } else {
                let image = format!("imagesTs/{name}");
                nifti::write(&folder.join(&image), &scan.shape, &scan.affine, &scan.image)?;
                test_images.push(json!(format!("./{image}")));
            }
            done(case + 1);
        }
        let validation_entries = entries.split_off(training);
        let content = json!({
            "name": "Phantom",
            "description": "Synthetic abdominal CT with a labelled spleen; no patient was scanned",
            "reference": format!("mmar demo-data --cases {} --seed {}", self.cases, self.seed),
            "licence": "CC0",
            "tensorImageSize": "3D",
            "modality": { "0": "CT" },
            "labels": { "0": "background", "1": "spleen" },
            "numTraining": training,
            "numTest": test,
            "training": entries,
            "validation": validation_entries,
            "test": test_images,
        });
        mmar_files::write(&list, format!("{content:#}\n").as_bytes())
            .map_err(|error| Error::Io { path: list.clone(), error })?;
        Ok(Written { list, training, validation, test })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_one_list_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = Vec::new();
        let written = Recipe { cases: 3, seed: 0 }.write(folder.path(), |done| steps.push(done)).unwrap();
        assert_eq!((written.training, written.validation, written.test), (1, 1, 1));
        assert_eq!(steps, [1, 2, 3]);
        let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(&written.list).unwrap()).unwrap();
        let paths = [
            &list["training"][0]["image"],
            &list["training"][0]["label"],
            &list["validation"][0]["image"],
            &list["validation"][0]["label"],
            &list["test"][0],
        ];
        for path in paths {
            assert!(folder.path().join(path.as_str().unwrap()).is_file(), "{path}");
        }
        assert_ne!(paths[0], paths[2]);

        let again = Recipe { cases: 3, seed: 0 }.write(folder.path(), |_| ()).unwrap_err();
        assert!(again.to_string().contains("holds a data set already"), "{again}");
    }

    #[test]
    fn too_few_cases_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Recipe { cases: 2, seed: 0 }.write(folder.path(), |_| ()), Err(Error::TooFew(2))));
    }
}
