//! `GaussianSmoothd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{map_tensors, spatial_shape};

/// Smooths images with a Gaussian; zeros lie outside.
///
/// The weight of a voxel is the Gaussian's integral over it, up to 4 standard deviations. MONAI `GaussianSmoothd` with
/// `approx` `erf`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianSmoothdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Standard deviation in voxels, for each axis or for all.
    sigma: OneOrMany<f64>,
    /// How the weights are computed.
    #[serde(default)]
    approx: Approximation,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// How the weights are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Approximation {
    /// By the error function.
    #[default]
    Erf,
}

/// See [`GaussianSmoothdArgs`].
pub struct GaussianSmoothd(GaussianSmoothdArgs);

impl Component for GaussianSmoothd {
    type Args = GaussianSmoothdArgs;

    fn new(args: GaussianSmoothdArgs) -> Result<Self> {
        if args.sigma.clone().into_vec().iter().any(|&sigma| sigma < 0.0) {
            return Err(Error::invalid_argument("`sigma` must not be negative"));
        }
        let Approximation::Erf = args.approx;
        Ok(Self(args))
    }
}

byoc::register! { transforms: [GaussianSmoothd] }

impl Transform for GaussianSmoothd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            smooth(tensor, &self.0.sigma.repeat(spatial_shape(tensor)?.len(), "sigma")?)
        })
    }
}

/// A (C, spatial…) tensor smoothed with these standard deviations, axis by axis, as float32.
pub(super) fn smooth(tensor: &Tensor, sigma: &[f64]) -> Result<Tensor> {
    let rank = spatial_shape(tensor)?.len();
    // channels as batch: each is filtered on its own
    let mut out = tensor.f_to_kind(Kind::Float)?.f_unsqueeze(1)?;
    for (axis, &sigma) in sigma.iter().enumerate() {
        let tail = ((sigma * 4.0).max(0.5) + 0.5) as i64;
        let x = Tensor::arange_start(-tail, tail + 1, (Kind::Float, tensor.device()));
        // standard deviation 0 gives the weight 1 at 0: erf(±∞)
        let t = std::f64::consts::FRAC_1_SQRT_2 / sigma;
        let weights = (((&x + 0.5) * t).f_erf()? - ((&x - 0.5) * t).f_erf()?).f_mul_scalar(0.5)?.f_clamp_min(0.0)?;
        let mut shape = vec![1; rank + 2];
        shape[axis + 2] = 2 * tail + 1;
        let mut padding = vec![0; rank];
        padding[axis] = tail;
        let (ones, weights) = (vec![1; rank], weights.f_view(shape.as_slice())?);
        out = match rank {
            1 => out.f_conv1d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
            2 => out.f_conv2d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
            _ => out.f_conv3d::<Tensor>(&weights, None, &ones, &padding, &ones, 1)?,
        };
    }
    Ok(out.f_squeeze_dim(1)?)
}
