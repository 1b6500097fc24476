//! A volume turned to the patient: the first axis towards the right, the second to the front, the third to the head.

use std::path::Path;

use mmar_imaging::nifti::Reader;
use mmar_imaging::{affine, orientation};

use crate::Error;

/// A volume along the axes of the patient.
#[derive(Debug)]
pub(crate) struct Volume {
    /// Voxels towards right, front, head.
    pub(crate) shape: [usize; 3],
    /// Their sizes in mm.
    pub(crate) spacing: [f64; 3],
    stored: Vec<f32>,
    steps: [isize; 3],
    start: isize,
    /// The shape in the file.
    pub(crate) stored_shape: Vec<usize>,
}

impl Volume {
    /// Reads a file. Of several channels the last one counts: the foreground of one-hot masks.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut reader = Reader::new();
        let nifti = reader.read(path)?;
        let mut file_shape = nifti.header.shape.clone();
        let mut all = vec![0.0_f32; file_shape.iter().product()];
        nifti.fill(&mut all);
        let channels: usize = file_shape.iter().skip(3).product();
        file_shape.truncate(3);
        while file_shape.len() < 3 {
            file_shape.push(1);
        }
        let stored: Vec<f32> = all.into_iter().skip(channels - 1).step_by(channels).collect();

        let axes = orientation::of_affine(&nifti.affine, 3)?;
        let sizes = affine::spacing(&nifti.affine, 3);
        let file_steps = [file_shape[1] * file_shape[2], file_shape[2], 1];
        let mut volume = Self {
            shape: [1; 3],
            spacing: [1.0; 3],
            stored,
            steps: [0; 3],
            start: 0,
            stored_shape: file_shape.clone(),
        };
        for (axis, turned) in axes.iter().enumerate() {
            volume.shape[turned.target] = file_shape[axis];
            volume.spacing[turned.target] = sizes[axis];
            let step = file_steps[axis] as isize;
            if turned.flipped {
                volume.start += step * (file_shape[axis] as isize - 1);
                volume.steps[turned.target] = -step;
            } else {
                volume.steps[turned.target] = step;
            }
        }
        Ok(volume)
    }

    /// The value of a voxel.
    pub(crate) fn at(&self, index: [usize; 3]) -> f32 {
        let place: isize = index.iter().zip(&self.steps).map(|(index, step)| *index as isize * step).sum();
        self.stored[(self.start + place) as usize]
    }

    /// Number of foreground voxels in each plane across an axis.
    pub(crate) fn areas(&self, axis: usize) -> Vec<usize> {
        let mut areas = vec![0; self.shape[axis]];
        for x in 0..self.shape[0] {
            for y in 0..self.shape[1] {
                for z in 0..self.shape[2] {
                    if self.at([x, y, z]) > 0.5 {
                        areas[[x, y, z][axis]] += 1;
                    }
                }
            }
        }
        areas
    }

    /// 2 |a ∩ b| / (|a| + |b|) of the foregrounds; none where both are empty.
    pub(crate) fn dice(&self, other: &Self) -> Option<f64> {
        let (mut both, mut sum) = (0_u64, 0_u64);
        for x in 0..self.shape[0] {
            for y in 0..self.shape[1] {
                for z in 0..self.shape[2] {
                    let (a, b) = (self.at([x, y, z]) > 0.5, other.at([x, y, z]) > 0.5);
                    both += u64::from(a && b);
                    sum += u64::from(a) + u64::from(b);
                }
            }
        }
        (sum > 0).then(|| 2.0 * both as f64 / sum as f64)
    }
}
