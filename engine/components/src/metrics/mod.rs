//! Metrics of MONAI (in both of its forms: the class, and the handler under its name) and ignite's accuracy.
//!
//! A metric computes a value per item and class, (B, C), keeps it, and puts all of them together at the end of the
//! epoch; `accumulated` has what they share. The values per item are what `MetricsSaver` writes. A metric also goes by
//! the name of MONAI's function for it (`compute_dice`), whose value is that per item and class.

mod accumulated;
mod accuracy;
mod confusion_matrix;
mod confusion_rates;
mod dice;
mod distance_transform;
mod generalized_dice;
mod hausdorff;
mod mean_iou;
mod pair;
mod regression;
mod roc_auc;
mod surface;
mod surface_dice;
mod surface_distance;

pub use accuracy::Accuracy;
pub use confusion_matrix::ConfusionMatrixMetric;
pub use dice::DiceMetric;
pub use generalized_dice::{GeneralizedDice, GeneralizedDiceScore};
pub use hausdorff::HausdorffDistanceMetric;
pub use mean_iou::MeanIoU;
pub use regression::{MAEMetric, MAPEMetric, MSEMetric, PSNRMetric, RMSEMetric};
pub use roc_auc::ROCAUCMetric;
pub use surface_dice::SurfaceDiceMetric;
pub use surface_distance::SurfaceDistanceMetric;
