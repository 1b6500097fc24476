//! Correlation within a window.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::reduction::Reduction;
use super::target::{full_precision, same_shape, shape_hint};
use super::windows::weighted_sums;

byoc::register! { losses: [LocalNormalizedCrossCorrelationLoss] }

/// Minus the squared correlation of two images within a window around each voxel (MONAI
/// `LocalNormalizedCrossCorrelationLoss`), from -1, alike, to 0.
///
/// Output and target are images of the same shape, (B, C, spatial…).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalNormalizedCrossCorrelationLossArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "ndim")]
    #[schemars(extend("x-aliases" = ["ndim"]))]
    spatial_dims: usize,
    /// Length of the window along each axis, odd.
    kernel_size: i64,
    /// How voxels of the window count.
    kernel_type: WindowKind,
    /// `mean` or `sum` over the voxels, or `none`: one value per voxel.
    reduction: Reduction,
    /// Added to the numerator.
    smooth_nr: f64,
    /// The least variance that is divided by.
    smooth_dr: f64,
}

impl Default for LocalNormalizedCrossCorrelationLossArgs {
    fn default() -> Self {
        Self {
            spatial_dims: 3,
            kernel_size: 3,
            kernel_type: WindowKind::Rectangular,
            reduction: Reduction::Mean,
            smooth_nr: 0.0,
            smooth_dr: 1e-5,
        }
    }
}

/// How voxels of a window count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WindowKind {
    /// All the same.
    Rectangular,
    /// The less the further from the middle, linearly.
    Triangular,
    /// By a normal distribution with a third of the window as its standard deviation.
    Gaussian,
}

impl WindowKind {
    fn weights(self, size: i64) -> Vec<f64> {
        match self {
            Self::Rectangular => vec![1.0; size as usize],
            Self::Triangular => {
                // two boxes of this length, one drawn over the other
                let length = match (size + 1) / 2 {
                    even if even % 2 == 0 => even - 1,
                    odd => odd,
                };
                let overlap = |at: i64| (length - (at - size / 2).abs()).max(0) as f64;
                (0..size).map(|at| overlap(at) / (length * length) as f64).collect()
            }
            Self::Gaussian => {
                let deviation = size as f64 / 3.0;
                let distances = (0..size).map(|at| (at - size / 2) as f64);
                distances.map(|distance| (-0.5 * (distance / deviation).powi(2)).exp()).collect()
            }
        }
    }
}

/// See [`LocalNormalizedCrossCorrelationLossArgs`].
#[derive(Debug)]
pub struct LocalNormalizedCrossCorrelationLoss {
    args: LocalNormalizedCrossCorrelationLossArgs,
    weights: Vec<f64>,
}

impl Component for LocalNormalizedCrossCorrelationLoss {
    type Args = LocalNormalizedCrossCorrelationLossArgs;

    fn new(args: LocalNormalizedCrossCorrelationLossArgs) -> Result<Self> {
        byoc::nn::check_spatial_dims(args.spatial_dims)?;
        if args.kernel_size < 1 || args.kernel_size % 2 == 0 {
            return Err(Error::invalid_argument(format!(
                "`kernel_size` must be odd and positive, found {}",
                args.kernel_size
            )));
        }
        Ok(Self { weights: args.kernel_type.weights(args.kernel_size), args })
    }
}

impl Loss for LocalNormalizedCrossCorrelationLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let args = &self.args;
        if input.dim() != args.spatial_dims + 2 {
            return Err(Error::data(format!(
                "the loss is for {} `spatial_dims`, found an output of shape {:?}",
                args.spatial_dims,
                input.size()
            )));
        }
        same_shape(input, target, shape_hint(input, target))?;
        let (input, target) = (full_precision(input)?, full_precision(target)?);
        let sums = |x: &Tensor| weighted_sums(x, &self.weights);
        let volume = self.weights.iter().sum::<f64>().powi(args.spatial_dims as i32);
        let (of_input, of_target) = (sums(&input)?, sums(&target)?);
        let (input_mean, target_mean) = (of_input.f_div_scalar(volume)?, of_target.f_div_scalar(volume)?);
        let covariance = sums(&target.f_mul(&input)?)?.f_sub(&input_mean.f_mul(&of_target)?)?;
        let variance = |x: &Tensor, sum: &Tensor, mean: &Tensor| -> Result<Tensor> {
            let variance = sums(&x.f_square()?)?.f_sub(&mean.f_mul(sum)?)?;
            let least = Tensor::f_full([1], args.smooth_dr, (variance.kind(), variance.device()))?;
            Ok(variance.f_maximum(&least)?)
        };
        let variances =
            variance(&target, &of_target, &target_mean)?.f_mul(&variance(&input, &of_input, &input_mean)?)?;
        let correlation = covariance.f_square()?.f_add_scalar(args.smooth_nr)?.f_div(&variances)?;
        args.reduction.apply(correlation.f_neg()?)
    }
}

#[cfg(test)]
mod tests {
    use super::WindowKind;

    #[test]
    fn windows_are_monais() {
        // `make_triangular_kernel` and `make_gaussian_kernel`
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        near(WindowKind::Triangular.weights(3), &[0.0, 1.0, 0.0]);
        near(WindowKind::Triangular.weights(5), &[0.111_111_1, 0.222_222_2, 0.333_333_3, 0.222_222_2, 0.111_111_1]);
        near(
            WindowKind::Triangular.weights(7),
            &[0.0, 0.111_111_1, 0.222_222_2, 0.333_333_3, 0.222_222_2, 0.111_111_1, 0.0],
        );
        near(WindowKind::Gaussian.weights(3), &[0.606_530_7, 1.0, 0.606_530_7]);
    }
}
