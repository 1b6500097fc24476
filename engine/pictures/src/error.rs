//! Why a picture was not drawn.

use std::path::{Path, PathBuf};

/// What can go wrong with a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of numbers cannot be read.
    #[error("cannot read `{}`: {problem}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The picture cannot be written.
    #[error("cannot write `{}`: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A volume cannot be read.
    #[error(transparent)]
    Volume(#[from] mmar_imaging::Error),
    /// Two volumes that should lie on one grid do not.
    #[error("`{}` has the shape {found:?}, its image has {expected:?}", path.display())]
    Shape {
        /// The label or prediction.
        path: PathBuf,
        /// Its shape.
        found: Vec<usize>,
        /// The image's shape.
        expected: Vec<usize>,
    },
    /// There is nothing to draw.
    #[error("{0}")]
    Empty(String),
}

impl Error {
    pub(crate) fn read(path: &Path, problem: impl ToString) -> Self {
        Self::Read { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn write(path: &Path, problem: impl ToString) -> Self {
        Self::Write { path: path.to_owned(), problem: problem.to_string() }
    }
}
