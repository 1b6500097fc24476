//! Mutual information of two images.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::reduction::Reduction;
use super::target::{full_precision, same_shape, shape_hint};

byoc::register! { losses: [GlobalMutualInformationLoss] }

/// Minus the mutual information of two images, from soft histograms (MONAI `GlobalMutualInformationLoss`).
///
/// Output and target are images of the same shape, (B, …), with values from 0 to 1 for `gaussian` windows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalMutualInformationLossArgs {
    /// The window that spreads a value over the bins.
    kernel_type: ParzenWindow,
    /// Number of bins.
    num_bins: i64,
    /// Standard deviation of `gaussian` windows, in bins.
    sigma_ratio: f64,
    /// `mean` or `sum` over the items, or `none`: (B).
    reduction: Reduction,
    /// Added to the joint histogram.
    smooth_nr: f64,
    /// Added to the product of the histograms, and to the ratio of the two.
    smooth_dr: f64,
}

impl Default for GlobalMutualInformationLossArgs {
    fn default() -> Self {
        Self {
            kernel_type: ParzenWindow::Gaussian,
            num_bins: 23,
            sigma_ratio: 0.5,
            reduction: Reduction::Mean,
            smooth_nr: 1e-7,
            smooth_dr: 1e-7,
        }
    }
}

/// What spreads a value over the bins of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
enum ParzenWindow {
    /// A normal distribution.
    #[serde(rename = "gaussian")]
    Gaussian,
    /// A cubic spline for the output and a box for the target (Mattes et al. 2003); no gradient reaches the target.
    #[serde(rename = "b-spline")]
    BSpline,
}

/// See [`GlobalMutualInformationLossArgs`].
#[derive(Debug)]
pub struct GlobalMutualInformationLoss(GlobalMutualInformationLossArgs);

/// Bins at each end that values reach only through the width of a spline.
const PADDING: i64 = 2;

impl Component for GlobalMutualInformationLoss {
    type Args = GlobalMutualInformationLossArgs;

    fn new(args: GlobalMutualInformationLossArgs) -> Result<Self> {
        let least = match args.kernel_type {
            ParzenWindow::Gaussian => 2,
            ParzenWindow::BSpline => 2 * PADDING + 1,
        };
        if args.num_bins < least {
            return Err(Error::invalid_argument(format!(
                "`num_bins` must be at least {least} here, found {}",
                args.num_bins
            )));
        }
        Ok(Self(args))
    }
}

impl Loss for GlobalMutualInformationLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        same_shape(input, target, shape_hint(input, target))?;
        let (input, target) = (full_precision(input)?, full_precision(target)?);
        let (of_input, of_target) = match self.0.kernel_type {
            ParzenWindow::Gaussian => (self.gaussian(&input)?, self.gaussian(&target)?),
            ParzenWindow::BSpline => (self.spline(&input, true)?, self.spline(&target, false)?),
        };
        let samples = of_input.size()[1] as f64;
        let mean = |weights: &Tensor| weights.f_mean_dim([1i64].as_slice(), true, None::<Kind>);
        let (input_mean, target_mean) = (mean(&of_input)?, mean(&of_target)?);
        let (joint, product) = torch_ext::autocast::with(input.device(), None, || -> Result<_> {
            let joint = of_input.f_transpose(1, 2)?.f_bmm(&of_target)?.f_div_scalar(samples)?;
            Ok((joint, input_mean.f_transpose(1, 2)?.f_bmm(&target_mean)?))
        })?;
        let ratio = joint.f_add_scalar(self.0.smooth_nr)?.f_div(&product.f_add_scalar(self.0.smooth_dr)?)?;
        let information = joint.f_mul(&ratio.f_add_scalar(self.0.smooth_dr)?.f_log()?)?;
        let information = information.f_sum_dim_intlist([1i64, 2].as_slice(), false, None::<Kind>)?;
        self.0.reduction.apply(information.f_neg()?)
    }
}

impl GlobalMutualInformationLoss {
    /// How much each value belongs to each bin, (B, values, bins).
    fn gaussian(&self, image: &Tensor) -> Result<Tensor> {
        let deviation = self.0.sigma_ratio / (self.0.num_bins - 1) as f64;
        let centres = Tensor::f_linspace(0.0, 1.0, self.0.num_bins, (image.kind(), image.device()))?;
        let values = image.f_clamp(0.0, 1.0)?.f_flatten(1, -1)?.f_unsqueeze(-1)?;
        let exponent = values.f_sub(&centres)?.f_square()?.f_mul_scalar(-0.5 / (deviation * deviation))?;
        normalised(&exponent.f_exp()?)
    }

    /// The same with a cubic spline, or with a box. The bins span the values of the whole batch.
    fn spline(&self, image: &Tensor, cubic: bool) -> Result<Tensor> {
        let (low, high) = (image.f_min()?, image.f_max()?);
        let bin = high.f_sub(&low)?.f_div_scalar((self.0.num_bins - 2 * PADDING) as f64)?;
        let start = low.f_div(&bin)?.f_sub_scalar(PADDING)?;
        let last = self.0.num_bins - PADDING - 1;
        let places = image.f_div(&bin)?.f_sub(&start)?.f_clamp(PADDING as f64, last as f64)?;
        let places = places.f_flatten(1, -1)?.f_unsqueeze(-1)?;
        let bins = Tensor::f_arange(self.0.num_bins, (image.kind(), image.device()))?;
        let distance = bins.f_sub(&places)?.f_abs()?;
        let within = |limit: f64| -> Result<Tensor> { Ok(distance.f_lt(limit)?.f_to_kind(image.kind())?) };
        if !cubic {
            let edge = distance.f_eq(0.5)?.f_to_kind(image.kind())?.f_mul_scalar(0.5)?;
            return normalised(&within(0.5)?.f_add(&edge)?);
        }
        let square = distance.f_square()?;
        let near = square.f_mul(&distance)?.f_mul_scalar(3.0)?.f_sub(&square.f_mul_scalar(6.0)?)?.f_add_scalar(4.0)?;
        let rest = distance.f_neg()?.f_add_scalar(2.0)?;
        let far = rest.f_square()?.f_mul(&rest)?;
        let (inner, outer) = (within(1.0)?, within(2.0)?);
        let weights = near.f_mul(&inner)?.f_add(&far.f_mul(&outer.f_sub(&inner)?)?)?.f_div_scalar(6.0)?;
        normalised(&weights)
    }
}

/// With a sum of 1 over the bins.
fn normalised(weights: &Tensor) -> Result<Tensor> {
    Ok(weights.f_div(&weights.f_sum_dim_intlist([-1i64].as_slice(), true, None::<Kind>)?)?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use serde_json::json;
    use tch::Device;

    use super::*;

    #[test]
    fn an_image_tells_more_of_itself_than_of_another() {
        let image = |seed| {
            tch::manual_seed(seed);
            Tensor::rand([1, 1, 12, 12], (Kind::Float, Device::Cpu))
        };
        for kernel in ["gaussian", "b-spline"] {
            let args = byoc::args::parse(&json!({ "kernel_type": kernel })).unwrap();
            let loss = GlobalMutualInformationLoss::new(args).unwrap();
            let value = |a: &Tensor, b: &Tensor| loss.forward(a, b).unwrap().double_value(&[]);
            assert!(value(&image(1), &image(1)) < value(&image(1), &image(2)) - 0.5, "{kernel}");
        }
    }
}
