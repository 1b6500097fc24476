//! Pictures of a run, as PNG files: [`curves`] of its metrics, and [`slices`] of volumes with label and prediction.
//!
//! Both are drawn on a [`canvas`] of our own, two hundred lines, so that no font and no plotting library must be there.

mod canvas;
pub mod curves;
mod error;
pub mod slices;
mod volume;

pub use error::Error;
