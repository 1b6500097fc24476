//! Images smoothed by a Gaussian: `GaussianSmoothd`, `RandGaussianSmoothd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::common::{default, map_tensors, probability, spatial_shape};
use super::geometry::{PadMode, pad_axis};

/// How the weights of a Gaussian are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Approximation {
    /// The Gaussian's integral over each voxel, by the error function.
    #[default]
    Erf,
    /// The Gaussian at the middle of each voxel.
    Sampled,
    /// The discrete Gaussian of scale space, by modified Bessel functions.
    Scalespace,
}

/// Up to how many standard deviations there are weights.
pub(super) const TRUNCATED: f64 = 4.0;

/// Weights along one axis, up to `truncated` standard deviations on both sides: an odd number of them, float32.
pub(super) fn weights(sigma: f64, approximation: Approximation, truncated: f64) -> Result<Tensor> {
    let tail = ((sigma.abs() * truncated).max(0.5) + 0.5) as i64;
    let x = Tensor::f_arange_start(-tail, tail + 1, (Kind::Float, Device::Cpu))?;
    Ok(match approximation {
        Approximation::Erf => {
            // standard deviation 0 gives the weight 1 at 0: erf(±∞)
            let t = std::f64::consts::FRAC_1_SQRT_2 / sigma.abs();
            let upper = x.f_add_scalar(0.5)?.f_mul_scalar(t)?.f_erf()?;
            let lower = x.f_sub_scalar(0.5)?.f_mul_scalar(t)?.f_erf()?;
            upper.f_sub(&lower)?.f_mul_scalar(0.5)?.f_clamp_min(0.0)?
        }
        Approximation::Sampled => {
            let density = x.f_square()?.f_mul_scalar(-0.5 / (sigma * sigma))?.f_exp()?;
            density.f_div_scalar(std::f64::consts::TAU.sqrt() * sigma)?
        }
        Approximation::Scalespace => {
            let half = scaled_bessel(sigma * sigma, tail as usize);
            let all: Vec<f32> = half[1..].iter().rev().chain(&half).map(|&weight| weight as f32).collect();
            Tensor::from_slice(&all)
        }
    })
}

/// exp(-t) · Iₙ(t) of the modified Bessel functions for n from 0 to `last`, by Miller's downward recurrence, scaled so that
/// the values for all n, negative ones included, sum to 1.
fn scaled_bessel(t: f64, last: usize) -> Vec<f64> {
    let mut values = vec![0.0; last + 1];
    if t <= 0.0 {
        values[0] = 1.0;
        return values;
    }
    let start = last.max(t.ceil() as usize) + 60;
    let (mut above, mut here, mut sum) = (0.0, 1e-300, 0.0);
    for n in (0..=start).rev() {
        if n <= last {
            values[n] = here;
        }
        sum += if n == 0 { here } else { 2.0 * here };
        let below = above + 2.0 * n as f64 / t * here;
        (above, here) = (here, below);
        if here > 1e250 {
            above *= 1e-250;
            here *= 1e-250;
            sum *= 1e-250;
            for value in &mut values {
                *value *= 1e-250;
            }
        }
    }
    values.iter().map(|value| value / sum).collect()
}

/// A (C, spatial…) tensor smoothed with these standard deviations, axis by axis, as float32. Zeros lie outside.
pub(super) fn smooth(tensor: &Tensor, sigma: &[f64], approximation: Approximation) -> Result<Tensor> {
    let weights = sigma.iter().map(|&sigma| weights(sigma, approximation, TRUNCATED)).collect::<Result<Vec<_>>>()?;
    filter_axes(tensor, &weights)
}

/// A (C, spatial…) tensor filtered along each spatial axis with weights of its own, an odd number of them; float32, zeros
/// outside.
pub(super) fn filter_axes(tensor: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
    filter_axes_padded(tensor, weights, PadMode::Constant)
}

/// [`filter_axes`] with something else outside.
pub(super) fn filter_axes_padded(tensor: &Tensor, weights: &[Tensor], outside: PadMode) -> Result<Tensor> {
    let rank = spatial_shape(tensor)?.len();
    // channels as batch: each is filtered on its own
    let mut out = tensor.f_to_kind(Kind::Float)?.f_unsqueeze(1)?;
    for (axis, weights) in weights.iter().enumerate() {
        let length = weights.numel() as i64;
        let mut shape = vec![1; rank + 2];
        shape[axis + 2] = length;
        let mut padding = vec![0; rank];
        if outside == PadMode::Constant {
            padding[axis] = length / 2;
        } else {
            let n = out.size()[axis + 2];
            out = pad_axis(&out, axis as i64 + 2, n, length / 2, length / 2, outside)?;
        }
        let ones = vec![1; rank];
        let weights = weights.f_to_device(tensor.device())?.f_view(shape.as_slice())?;
        out = match rank {
            1 => out.f_conv1d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
            2 => out.f_conv2d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
            _ => out.f_conv3d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
        };
    }
    Ok(out.f_squeeze_dim(1)?)
}

/// Smooths images with a Gaussian; zeros lie outside.
///
/// MONAI `GaussianSmoothd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianSmoothdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Standard deviation in voxels, for each axis or for all.
    #[serde(default = "one")]
    sigma: OneOrMany<f64>,
    /// How the weights are computed.
    #[serde(default)]
    approx: Approximation,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> OneOrMany<f64> {
    OneOrMany::One(1.0)
}

/// See [`GaussianSmoothdArgs`].
pub struct GaussianSmoothd(GaussianSmoothdArgs);

impl Component for GaussianSmoothd {
    type Args = GaussianSmoothdArgs;

    fn new(args: GaussianSmoothdArgs) -> Result<Self> {
        if args.sigma.clone().into_vec().iter().any(|&sigma| sigma < 0.0) {
            return Err(Error::invalid_argument("`sigma` must not be negative"));
        }
        Ok(Self(args))
    }
}

impl Transform for GaussianSmoothd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            smooth(tensor, &self.0.sigma.repeat(spatial_shape(tensor)?.len(), "sigma")?, self.0.approx)
        })
    }
}

/// Smooths images with a Gaussian of random width.
///
/// All keys alike. MONAI `RandGaussianSmoothd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGaussianSmoothdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Range of the standard deviation along the first spatial axis, in voxels.
    #[serde(default = "widths")]
    sigma_x: [f64; 2],
    /// Along the second one.
    #[serde(default = "widths")]
    sigma_y: [f64; 2],
    /// Along the third one.
    #[serde(default = "widths")]
    sigma_z: [f64; 2],
    /// How the weights are computed.
    #[serde(default)]
    approx: Approximation,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn widths() -> [f64; 2] {
    [0.25, 1.5]
}

/// See [`RandGaussianSmoothdArgs`].
pub struct RandGaussianSmoothd(RandGaussianSmoothdArgs);

impl Component for RandGaussianSmoothd {
    type Args = RandGaussianSmoothdArgs;

    fn new(args: RandGaussianSmoothdArgs) -> Result<Self> {
        probability(args.prob)?;
        Ok(Self(args))
    }
}

impl Transform for RandGaussianSmoothd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let sigma = [args.sigma_x, args.sigma_y, args.sigma_z].map(|[low, high]| random.uniform(low, high));
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            smooth(tensor, &sigma[..spatial_shape(tensor)?.len()], args.approx)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [GaussianSmoothd, RandGaussianSmoothd] }

#[cfg(test)]
mod tests {
    use super::{Approximation, TRUNCATED, weights};

    #[test]
    fn weights_are_those_of_monai() {
        // gaussian_1d(torch.tensor(1.3), approx=…), the upper half
        for (approximation, expected) in [
            (Approximation::Erf, [0.29948, 0.22598, 0.09705, 0.02369, 0.00328, 0.00026]),
            (Approximation::Sampled, [0.30688, 0.22828, 0.09397, 0.02141, 0.00270, 0.00019]),
            (Approximation::Scalespace, [0.34174, 0.21862, 0.08302, 0.02211, 0.00451, 0.00075]),
        ] {
            let all = Vec::<f32>::try_from(weights(1.3, approximation, TRUNCATED).unwrap()).unwrap();
            assert_eq!(all.len(), 11);
            for (weight, expected) in all[5..].iter().zip(expected) {
                assert!((f64::from(*weight) - expected).abs() < 1e-5, "{approximation:?}: {all:?}");
            }
        }
    }
}
