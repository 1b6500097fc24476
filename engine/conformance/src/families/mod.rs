//! The tests, a family to a file.

pub(crate) mod description;
pub(crate) mod file;
pub(crate) mod global_state;
pub(crate) mod handler;
pub(crate) mod lifecycle;
pub(crate) mod loss;
pub(crate) mod metric;
pub(crate) mod network;
pub(crate) mod refusals;
pub(crate) mod threads;
pub(crate) mod transform;
