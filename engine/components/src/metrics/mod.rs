//! Metrics of MONAI (in both of its forms: the class, and the handler under its name) and of ignite.
//!
//! A metric computes a value per item and class, (B, C), keeps it, and puts all of them together at the end of the
//! epoch; `accumulated` has what they share. The values per item are what `MetricsSaver` writes. A metric also goes by
//! the name of MONAI's function for it (`compute_dice`), whose value is that per item and class.

mod accumulated;
mod accuracy;
mod average_precision;
mod confusion_matrix;
mod confusion_rates;
mod dice;
mod distance_transform;
mod f_beta_score;
mod generalized_dice;
mod hausdorff;
mod ignite_regression;
mod labelled;
mod loss_metric;
mod mean_iou;
mod pair;
mod precision_recall;
mod regression;
mod roc_auc;
mod scores;
mod surface;
mod surface_dice;
mod surface_distance;
mod surface_elements;
mod top_k;

pub use accuracy::Accuracy;
pub use average_precision::AveragePrecisionMetric;
pub use confusion_matrix::ConfusionMatrixMetric;
pub use dice::DiceMetric;
pub use f_beta_score::FBetaScore;
pub use generalized_dice::{GeneralizedDice, GeneralizedDiceScore};
pub use hausdorff::HausdorffDistanceMetric;
pub use ignite_regression::{IgniteMeanAbsoluteError, IgniteMeanSquaredError, IgniteRootMeanSquaredError};
pub use loss_metric::LossMetric;
pub use mean_iou::MeanIoU;
pub use precision_recall::{Fbeta, Precision, Recall};
pub use regression::{MAEMetric, MAPEMetric, MSEMetric, PSNRMetric, RMSEMetric};
pub use roc_auc::ROCAUCMetric;
pub use surface_dice::SurfaceDiceMetric;
pub use surface_distance::SurfaceDistanceMetric;
pub use top_k::TopKCategoricalAccuracy;
