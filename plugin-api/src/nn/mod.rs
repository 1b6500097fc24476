//! Layers for 1, 2 and 3 dimensions with PyTorch's parameter names and initialisation.

mod conv;

pub use conv::{Conv, ConvOptions};
