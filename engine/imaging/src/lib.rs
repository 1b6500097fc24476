//! Medical volumes and their geometry: readers, writers, resampling, regions.
//!
//! Plain slices, shapes and affines; no tensors, no configs. A volume is a slice in C order, its last axis fastest, as
//! libtorch keeps it; files that store the first axis fastest (NIfTI) are transposed while they are converted.
//! Geometry is computed in float64, voxels are interpolated in float64 and stored as their own type. Loops over voxels
//! run on rayon's threads, and each output voxel is computed on its own: the number of threads never changes a result.

pub mod affine;
mod error;
pub mod nifti;
pub mod npy;
pub mod orientation;
pub mod region;
pub mod resample;
mod stored;
mod transpose;

pub use affine::Affine;
pub use error::{Error, Result};
