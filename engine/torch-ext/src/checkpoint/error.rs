//! What can be wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use byoc::ErrorCode;

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be opened or read.
    #[error("cannot read the checkpoint `{}`: {source}", .path.display())]
    Read {
        /// The checkpoint.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{}` is not a checkpoint: {found}", .path.display())]
    NotCheckpoint {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do about it.
        found: String,
    },
    /// The file is a checkpoint, but a part of it is missing or changed.
    #[error("the checkpoint `{}` is damaged: {detail}", .path.display())]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The checkpoint asks for a Python function or class that is not needed for weights. Nothing was called.
    #[error(
        "the checkpoint `{}` asks for Python's `{global}`, which is not loaded: it holds a whole Python object where \
         weights were expected; in Python, save `model.state_dict()` instead",
        .path.display()
    )]
    Refused {
        /// The checkpoint.
        path: PathBuf,
        /// `module.name`
        global: String,
    },
    /// The checkpoint holds something that is not supported.
    #[error("the checkpoint `{}` holds {what}", .path.display())]
    Unsupported {
        /// The checkpoint.
        path: PathBuf,
        /// What, and what to do about it.
        what: String,
    },
    /// The file cannot be written; what was there before is still there.
    #[error("cannot write the checkpoint `{}`: {source}; the file that was there before is unchanged", .path.display())]
    Write {
        /// The checkpoint.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The tree cannot be put into a checkpoint; what was there before is still there.
    #[error("cannot write the checkpoint `{}`: {source}", .path.display())]
    Tree {
        /// The checkpoint.
        path: PathBuf,
        /// What libtorch says.
        source: byoc::Error,
    },
}

impl From<CheckpointError> for byoc::Error {
    fn from(error: CheckpointError) -> Self {
        Self::new(ErrorCode::DATA, error.to_string())
    }
}

/// A [`CheckpointError`] that does not know its file yet.
#[derive(Debug)]
pub(super) enum Problem {
    Damaged(String),
    Refused(String),
    Unsupported(String),
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> CheckpointError {
        let path = path.to_path_buf();
        match self {
            Self::Damaged(detail) => CheckpointError::Damaged { path, detail },
            Self::Refused(global) => CheckpointError::Refused { path, global },
            Self::Unsupported(what) => CheckpointError::Unsupported { path, what },
        }
    }
}

impl From<tch::TchError> for Problem {
    fn from(error: tch::TchError) -> Self {
        Self::Damaged(format!("a tensor does not fit its storage: {}", byoc::torch_message(&error.to_string())))
    }
}
