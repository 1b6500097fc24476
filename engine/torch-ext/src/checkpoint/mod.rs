//! Checkpoints: files that Python's `torch.load(weights_only=True)` opens, and those that `torch.save` wrote.
//!
//! A checkpoint is a zip file of stored records: `data.pkl`, a pickle that describes the values, and `data/0`, `data/1`
//! …, the storages that its tensors look into.
//!
//! - Writing ([`mod@write`]) leaves the pickle to libtorch and makes sure that the old file survives any failure.
//! - Reading goes from [`archive`] (records) through [`pickle`] (a machine that knows a few names and calls nothing else)
//!   to [`tree`] (values). libtorch's own reader does not do: it turns an `OrderedDict` into nothing.

mod archive;
mod error;
mod pickle;
mod tree;
mod write;

use std::path::Path;

use byoc::StateTree;

pub use error::CheckpointError;

/// Reads a checkpoint.
///
/// Names are left as they are in the file. Tensors are on the CPU, without gradients, and share storage where they did;
/// tuples and sets come as lists, an `OrderedDict` as a dict, dtypes and devices as strings, integers beyond 64 bits as
/// floats.
pub fn read(path: &Path) -> Result<StateTree, CheckpointError> {
    let mut archive = archive::Archive::open(path)?;
    let pickle = archive.pickle()?;
    let values = pickle::load(&pickle, &mut archive).map_err(|problem| problem.at(path))?;
    tree::build(&values).map_err(|problem| problem.at(path))
}

/// Writes a checkpoint: beside its place, through to the disk, then renamed into it. Whatever fails, the file that was
/// there is still there and nothing is left beside it.
///
/// Tensors may be on any device and are written as CPU tensors; views of one storage stay views of one storage.
pub fn write(path: &Path, tree: &StateTree) -> Result<(), CheckpointError> {
    write::write(path, tree)
}
