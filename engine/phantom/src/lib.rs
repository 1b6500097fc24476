//! Synthetic abdominal CT volumes with a labelled spleen, as a data set in the layout of the Medical Segmentation
//! Decathlon: something to train on where no patient data may be, and an input for tests whose truth is known.
//!
//! A [`patient`] is a list of organs whose sizes, places and densities vary from case to case; a [scan](scan()) looks at
//! it with a scanner's grid, pose, partial volume and noise; a [`dataset`] is many of them with a data list. Everything
//! follows from a seed.

pub mod dataset;
mod patient;
mod scan;
mod shape;

pub use dataset::{Error, Recipe, Written};
pub use scan::{Scan, scan};
