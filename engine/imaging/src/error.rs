//! The errors of this crate: which file, and what is wrong with it.

use std::path::{Path, PathBuf};

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a volume or its geometry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read, is damaged, or holds something that is not supported.
    #[error("cannot read `{}`: {problem}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be written. What was at its place is still there.
    #[error("cannot write `{}`: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A geometry that makes no sense: a singular affine, say.
    #[error("{0}")]
    Geometry(String),
}

impl Error {
    pub(crate) fn read(path: &Path, problem: impl Into<String>) -> Self {
        Self::Read { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn write(path: &Path, problem: impl ToString) -> Self {
        Self::Write { path: path.to_owned(), problem: problem.to_string() }
    }
}
