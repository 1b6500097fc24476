//! Metrics of MONAI (in both of its forms: the class, and the handler under its name) and ignite's accuracy.
//!
//! A metric computes a value per item and class, (B, C), keeps it, and puts all of them together at the end of the
//! epoch; `accumulated` has what they share. The values per item are what `MetricsSaver` writes.

mod accumulated;
mod accuracy;
mod dice;
mod pair;

pub use accuracy::Accuracy;
pub use dice::DiceMetric;
