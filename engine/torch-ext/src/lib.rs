//! The few things libtorch has and tch lacks.
//!
//! A thin C++ shim (`shim/`, one file per subject, a C interface that lets no exception out) and its safe Rust face:
//!
//! | module | what |
//! |---|---|
//! | [`view`] | tensors as slices, tensors from vectors, without a copy |
//! | [`checkpoint`] | files that Python's `torch.load(weights_only=True)` opens, and those that `torch.save` wrote |
//! | [`autocast`], [`amp`] | mixed precision on CPU and CUDA, gradient scaling |
//! | [`optim`], [`gradient`] | fused and foreach operators, dropping and setting gradients |
//! | [`cuda`] | opens libtorch's CUDA part at run time |
//! | [`threads`], [`flags`], [`generator`] | intra-op threads, TF32 and determinism, states of libtorch's generators |
//!
//! Errors are [`byoc::Error`], with libtorch's message cut to its first sentence, but for checkpoints and CUDA, whose
//! failures a caller tells apart.

pub mod amp;
pub mod autocast;
pub mod checkpoint;
pub mod cuda;
pub mod flags;
pub mod generator;
pub mod gradient;
pub mod optim;
mod sys;
pub mod threads;
pub mod view;

/// The version of the libtorch in use: `2.11.0`.
pub fn libtorch_version() -> String {
    sys::version()
}
