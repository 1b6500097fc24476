//! From a request to a checked plan: what `train`, `evaluate`, `check` and `show` have in common.

use crate::{Failure, RunRequest};

/// A config that was read, resolved and checked against the components there are.
#[derive(Debug)]
pub struct Session {
    _private: (),
}

impl Session {
    /// Reads and checks everything; all errors at once.
    pub fn open(_request: &RunRequest) -> Result<Self, Failure> {
        Ok(Self { _private: () })
    }
}
