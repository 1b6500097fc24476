//! NIfTI-1 and NIfTI-2: `.nii`, `.nii.gz`, `.hdr`/`.img` pairs.
//!
//! The reader keeps its two buffers (the file, and what it unpacks to) from file to file: on a compressed CT more time
//! goes into page faults of fresh memory than into libdeflate. The affine is chosen as nibabel and MONAI choose it.

mod datatype;
mod header;
mod read;
mod write;

pub use datatype::{Datatype, Voxel};
pub use header::Header;
pub use read::{Nifti, Reader};
pub use write::{Element, write};
