//! Images sharpened: `GaussianSharpend`, `RandGaussianSharpend`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::common::{default, map_tensors, probability, spatial_shape};
use super::gaussian::{Approximation, smooth};

/// Smooths images and adds a multiple of what a second smoothing would take away.
///
/// With b the image smoothed once and c smoothed again, the result is b + `alpha` · (b - c). MONAI `GaussianSharpend`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianSharpendArgs {
    /// Keys of the images.
    keys: Keys,
    /// Standard deviation of the first smoothing in voxels, for each axis or for all.
    #[serde(default = "three")]
    sigma1: OneOrMany<f64>,
    /// That of the second one.
    #[serde(default = "one")]
    sigma2: OneOrMany<f64>,
    /// Weight of the difference.
    #[serde(default = "thirty")]
    alpha: f64,
    /// How the Gaussians' weights are computed.
    #[serde(default)]
    approx: Approximation,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn three() -> OneOrMany<f64> {
    OneOrMany::One(3.0)
}

fn one() -> OneOrMany<f64> {
    OneOrMany::One(1.0)
}

fn thirty() -> f64 {
    30.0
}

/// See [`GaussianSharpendArgs`].
pub struct GaussianSharpend(GaussianSharpendArgs);

impl Component for GaussianSharpend {
    type Args = GaussianSharpendArgs;

    fn new(args: GaussianSharpendArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

fn sharpen(tensor: &Tensor, first: &[f64], second: &[f64], alpha: f64, approximation: Approximation) -> Result<Tensor> {
    let once = smooth(tensor, first, approximation)?;
    let twice = smooth(&once, second, approximation)?;
    Ok(once.f_add(&once.f_sub(&twice)?.f_mul_scalar(alpha)?)?)
}

impl Transform for GaussianSharpend {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let rank = spatial_shape(tensor)?.len();
            let (first, second) = (args.sigma1.repeat(rank, "sigma1")?, args.sigma2.repeat(rank, "sigma2")?);
            sharpen(tensor, &first, &second, args.alpha, args.approx)
        })
    }
}

/// Sharpens images by random smoothings and a random weight.
///
/// See `GaussianSharpend`; all keys alike. MONAI `RandGaussianSharpend`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGaussianSharpendArgs {
    /// Keys of the images.
    keys: Keys,
    /// Range of the first smoothing's standard deviation along the first spatial axis.
    #[serde(default = "widths")]
    sigma1_x: [f64; 2],
    /// Along the second one.
    #[serde(default = "widths")]
    sigma1_y: [f64; 2],
    /// Along the third one.
    #[serde(default = "widths")]
    sigma1_z: [f64; 2],
    /// Range of the second smoothing's standard deviation along the first spatial axis; a single number is its lower end,
    /// with what was drawn for the first smoothing as the upper one.
    #[serde(default = "half")]
    sigma2_x: OneOrMany<f64>,
    /// Along the second one.
    #[serde(default = "half")]
    sigma2_y: OneOrMany<f64>,
    /// Along the third one.
    #[serde(default = "half")]
    sigma2_z: OneOrMany<f64>,
    /// Range of the weight.
    #[serde(default = "weights")]
    alpha: [f64; 2],
    /// How the Gaussians' weights are computed.
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
    [0.5, 1.0]
}

fn half() -> OneOrMany<f64> {
    OneOrMany::One(0.5)
}

fn weights() -> [f64; 2] {
    [10.0, 30.0]
}

/// See [`RandGaussianSharpendArgs`].
pub struct RandGaussianSharpend(RandGaussianSharpendArgs);

impl Component for RandGaussianSharpend {
    type Args = RandGaussianSharpendArgs;

    fn new(args: RandGaussianSharpendArgs) -> Result<Self> {
        probability(args.prob)?;
        for (name, range) in [("sigma2_x", &args.sigma2_x), ("sigma2_y", &args.sigma2_y), ("sigma2_z", &args.sigma2_z)]
        {
            if let OneOrMany::Many(ends) = range
                && ends.len() != 2
            {
                return Err(Error::invalid_argument(format!(
                    "`{name}` has {} numbers; a range has two, its lower end is one",
                    ends.len()
                )));
            }
        }
        Ok(Self(args))
    }
}

impl Transform for RandGaussianSharpend {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let first = [args.sigma1_x, args.sigma1_y, args.sigma1_z].map(|[low, high]| random.uniform(low, high));
        let ranges = [&args.sigma2_x, &args.sigma2_y, &args.sigma2_z];
        let second: [f64; 3] = std::array::from_fn(|axis| match ranges[axis] {
            OneOrMany::One(low) => random.uniform(*low, first[axis]),
            OneOrMany::Many(range) => random.uniform(range[0], range[1]),
        });
        let alpha = random.uniform(args.alpha[0], args.alpha[1]);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let rank = spatial_shape(tensor)?.len();
            sharpen(tensor, &first[..rank], &second[..rank], alpha, args.approx)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [GaussianSharpend, RandGaussianSharpend] }
