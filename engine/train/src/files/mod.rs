//! The files of a run, besides checkpoints.

pub(crate) mod atomic;
pub(crate) mod recorder;
pub(crate) mod run_folder;

pub(crate) use recorder::Recorder;
pub(crate) use run_folder::RunFolder;
