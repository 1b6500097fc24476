//! ignite's metrics of differences, whose names MONAI gives to others.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

byoc::register! {
    metrics: [
        IgniteMeanSquaredError = "IgniteMeanSquaredError" | "ignite.metrics.MeanSquaredError",
        IgniteMeanAbsoluteError = "IgniteMeanAbsoluteError" | "ignite.metrics.MeanAbsoluteError",
        IgniteRootMeanSquaredError = "IgniteRootMeanSquaredError" | "ignite.metrics.RootMeanSquaredError",
    ],
}

/// Squared differences, summed over each item and averaged over the items (`ignite.metrics.MeanSquaredError`).
///
/// MONAI's `MeanSquaredError` averages over the voxels, too.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgniteMeanSquaredErrorArgs {}

/// Absolute differences, summed over each item and averaged over the items (`ignite.metrics.MeanAbsoluteError`).
///
/// MONAI's `MeanAbsoluteError` averages over the voxels, too.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgniteMeanAbsoluteErrorArgs {}

/// Square root of the squared differences, summed over each item and averaged over the items
/// (`ignite.metrics.RootMeanSquaredError`).
///
/// MONAI's `RootMeanSquaredError` averages over the voxels, too, and takes the root of each item.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgniteRootMeanSquaredErrorArgs {}

/// The sum of what the items differ by.
#[derive(Debug, Default)]
struct Differences {
    sum: f64,
    items: f64,
}

impl Differences {
    fn add(&mut self, y_pred: &Tensor, y: &Tensor, squared: bool) -> Result<()> {
        if y_pred.numel() != y.numel() || y_pred.dim() == 0 {
            return Err(Error::data(format!(
                "prediction and ground truth must have as many values, (B, …), found shapes {:?} and {:?}",
                y_pred.size(),
                y.size()
            )));
        }
        let (y_pred, y) = (y_pred.detach().f_to_kind(Kind::Double)?, y.f_to_kind(Kind::Double)?);
        let difference = y_pred.f_sub(&y.f_reshape(y_pred.size())?)?;
        let size = if squared { difference.f_square()? } else { difference.f_abs()? };
        self.sum += size.f_sum(Kind::Double)?.f_double_value(&[])?;
        self.items += y_pred.size()[0] as f64;
        Ok(())
    }

    fn mean(&self) -> Result<f64> {
        if self.items == 0.0 {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        Ok(self.sum / self.items)
    }
}

macro_rules! metric_of_differences {
    ($metric:ident, $args:ident, $squared:literal, $value:expr) => {
        #[doc = concat!("See [`", stringify!($args), "`].")]
        #[derive(Debug)]
        pub struct $metric(Differences);

        impl Component for $metric {
            type Args = $args;

            fn new(_: $args) -> Result<Self> {
                Ok(Self(Differences::default()))
            }
        }

        impl Metric for $metric {
            fn reset(&mut self) {
                self.0 = Differences::default();
            }

            fn state(&self) -> Result<Vec<(String, Tensor)>> {
                Ok(vec![("sum_and_items".to_owned(), Tensor::from_slice(&[self.0.sum, self.0.items]))])
            }

            fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
                let Some((_, saved)) = state.iter().find(|(name, _)| name == "sum_and_items") else { return Ok(()) };
                if let [sum, items] = Vec::<f64>::try_from(saved.f_to_kind(Kind::Double)?)?[..] {
                    self.0 = Differences { sum, items };
                }
                Ok(())
            }

            fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
                self.0.add(y_pred, y, $squared)
            }

            fn compute(&self) -> Result<f64> {
                let value: fn(f64) -> f64 = $value;
                self.0.mean().map(value)
            }
        }
    };
}

metric_of_differences!(IgniteMeanSquaredError, IgniteMeanSquaredErrorArgs, true, |mean| mean);
metric_of_differences!(IgniteMeanAbsoluteError, IgniteMeanAbsoluteErrorArgs, false, |mean| mean);
metric_of_differences!(IgniteRootMeanSquaredError, IgniteRootMeanSquaredErrorArgs, true, f64::sqrt);
