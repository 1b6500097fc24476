//! Any loss of images that are smoothed to several scales.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::nested::NestedLoss;
use super::reduction::Reduction;
use super::target::full_precision;
use super::windows::weighted_sums;

byoc::register! { losses: [MultiScaleLoss] }

/// A loss of output and label, both smoothed to several scales (MONAI `MultiScaleLoss`).
///
/// MONAI takes the label first and so exchanges the two when it is called as other losses are; here the wrapped loss gets
/// output and label in their places.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiScaleLossArgs {
    /// The loss: its name, or `{"name": "DiceLoss", "args": {"sigmoid": true}}`.
    loss: NestedLoss,
    /// The scales, in voxels; 0 leaves the images as they are, as does null alone.
    #[serde(default)]
    scales: Option<Vec<f64>>,
    /// The window that smooths.
    #[serde(default)]
    kernel: Smoothing,
    /// `mean` or `sum` over the scales, or `none`.
    #[serde(default)]
    reduction: Reduction,
}

/// What smooths an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Smoothing {
    /// A normal distribution whose standard deviation is the scale.
    #[default]
    Gaussian,
    /// A Cauchy distribution whose half width is the scale.
    Cauchy,
}

impl Smoothing {
    fn weights(self, width: f64) -> Vec<f64> {
        match self {
            Self::Gaussian => {
                let reach = ((3.0 * width).max(0.5) + 0.5) as i64;
                let norm = 1.0 / (2.0 * std::f64::consts::PI * width * width).sqrt();
                (-reach..=reach).map(|x| norm * (-0.5 * (x as f64 / width).powi(2)).exp()).collect()
            }
            Self::Cauchy => {
                let reach = (5.0 * width) as i64;
                let weights: Vec<f64> = (-reach..=reach).map(|x| ((x as f64 / width).powi(2) + 1.0).recip()).collect();
                let sum: f64 = weights.iter().sum();
                weights.into_iter().map(|weight| weight / sum).collect()
            }
        }
    }
}

/// See [`MultiScaleLossArgs`].
pub struct MultiScaleLoss {
    loss: Box<dyn Loss>,
    /// The weights of each scale; none where the images stay as they are.
    windows: Vec<Option<Vec<f64>>>,
    reduction: Reduction,
}

impl Component for MultiScaleLoss {
    type Args = MultiScaleLossArgs;

    fn new(args: MultiScaleLossArgs) -> Result<Self> {
        let scales = args.scales.unwrap_or_else(|| vec![0.0]);
        if let Some(wrong) = scales.iter().find(|scale| scale.is_nan() || **scale < 0.0) {
            return Err(Error::invalid_argument(format!("`scales` must not be negative, found {wrong}")));
        }
        let windows = scales.iter().map(|&scale| (scale > 0.0).then(|| args.kernel.weights(scale))).collect();
        Ok(Self { loss: args.loss.build()?, windows, reduction: args.reduction })
    }
}

impl Loss for MultiScaleLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (input, target) = (full_precision(input)?, full_precision(target)?);
        let losses = self.windows.iter().map(|window| match window {
            None => self.loss.forward(&input, &target),
            Some(weights) => self.loss.forward(&weighted_sums(&input, weights)?, &weighted_sums(&target, weights)?),
        });
        let losses = losses.collect::<Result<Vec<_>>>()?;
        self.reduction.apply(Tensor::f_stack(&losses, 0)?)
    }
}
