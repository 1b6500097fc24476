//! Random noise: `RandGaussianNoised`, `RandRicianNoised`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{Dtype, cast, default, map_tensors, present, probability};

/// Adds Gaussian noise.
///
/// The same noise for all keys, which must have one shape. MONAI `RandGaussianNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGaussianNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Mean of the noise.
    #[serde(default)]
    mean: f64,
    /// Standard deviation of the noise.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0))]
    std: f64,
    /// Whether the standard deviation is drawn from 0 … `std`.
    #[serde(default = "default::yes")]
    sample_std: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandGaussianNoisedArgs`].
pub struct RandGaussianNoised(RandGaussianNoisedArgs);

impl Component for RandGaussianNoised {
    type Args = RandGaussianNoisedArgs;

    fn new(args: RandGaussianNoisedArgs) -> Result<Self> {
        probability(args.prob)?;
        if args.std < 0.0 {
            return Err(Error::invalid_argument(format!("`std` is {}, but must not be negative", args.std)));
        }
        Ok(Self(args))
    }
}

impl Transform for RandGaussianNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let std = if args.sample_std { random.uniform(0.0, args.std) } else { args.std };
        let noise = random.normal_tensor(&sample.tensor(first)?.size()).f_mul_scalar(std)?.f_add_scalar(args.mean)?;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            if tensor.size() != noise.size() {
                return Err(Error::data(format!(
                    "its shape is {:?}, but that of `{first}` is {:?}: both get the same noise",
                    tensor.size(),
                    noise.size()
                )));
            }
            cast(&tensor.f_to_kind(Kind::Float)?.f_add(&noise.f_to_device(tensor.device())?)?, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Adds Rician noise, that of the magnitude of a complex signal, as in MRI.
///
/// v becomes √((v + n₁)² + n₂²) with two Gaussian noises n; each key has its own. MONAI `RandRicianNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandRicianNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Mean of the Gaussians; one for each channel with `channel_wise`, or one for all.
    #[serde(default)]
    mean: OneOrMany<f64>,
    /// Standard deviation of the Gaussians; one for each channel with `channel_wise`, or one for all.
    #[serde(default = "one")]
    std: OneOrMany<f64>,
    /// Whether each channel has a standard deviation of its own.
    #[serde(default)]
    channel_wise: bool,
    /// Whether `std` is a multiple of the standard deviation of the image, or of the channel.
    #[serde(default)]
    relative: bool,
    /// Whether the standard deviation is drawn from 0 … `std`.
    #[serde(default = "default::yes")]
    sample_std: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> OneOrMany<f64> {
    OneOrMany::One(1.0)
}

/// See [`RandRicianNoisedArgs`].
pub struct RandRicianNoised(RandRicianNoisedArgs);

impl Component for RandRicianNoised {
    type Args = RandRicianNoisedArgs;

    fn new(args: RandRicianNoisedArgs) -> Result<Self> {
        probability(args.prob)?;
        for (name, values) in [("mean", &args.mean), ("std", &args.std)] {
            if !args.channel_wise && values.clone().into_vec().len() != 1 {
                return Err(Error::invalid_argument(format!("`{name}` is a list, which needs `channel_wise`")));
            }
        }
        if args.std.clone().into_vec().iter().any(|&std| std < 0.0) {
            return Err(Error::invalid_argument("`std` must not be negative"));
        }
        Ok(Self(args))
    }
}

impl RandRicianNoised {
    fn add(&self, tensor: &Tensor, mean: f64, std: f64, random: &mut Random) -> Result<Tensor> {
        let std = if self.0.relative { std * tensor.f_std(true)?.f_double_value(&[])? } else { std };
        let std = if self.0.sample_std { random.uniform(0.0, std) } else { std };
        let mut noise = || -> Result<Tensor> {
            let noise = random.normal_tensor(&tensor.size()).f_mul_scalar(std)?.f_add_scalar(mean)?;
            Ok(noise.f_to_device(tensor.device())?)
        };
        let (real, imaginary) = (tensor.f_add(&noise()?)?, noise()?);
        Ok(real.f_square()?.f_add(&imaginary.f_square()?)?.f_sqrt()?)
    }
}

impl Transform for RandRicianNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let tensor = tensor.f_to_kind(Kind::Float)?;
            let parts = if args.channel_wise { tensor.f_unbind(0)? } else { vec![tensor] };
            let (means, stds) = (args.mean.repeat(parts.len(), "mean")?, args.std.repeat(parts.len(), "std")?);
            let noisy = parts
                .iter()
                .zip(means.iter().zip(&stds))
                .map(|(part, (mean, std))| self.add(part, *mean, *std, random))
                .collect::<Result<Vec<_>>>()?;
            let noisy = if args.channel_wise { Tensor::f_stack(&noisy, 0)? } else { noisy[0].shallow_clone() };
            cast(&noisy, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [RandGaussianNoised, RandRicianNoised] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::{Device, Kind, Tensor};

    use super::RandRicianNoised;

    #[test]
    fn noise_on_nothing_is_rayleigh_distributed_and_far_from_zero_gaussian() {
        let args = json!({"keys": "image", "prob": 1.0, "std": 2.0, "sample_std": false});
        let transform = RandRicianNoised::new(serde_json::from_value(args).unwrap()).unwrap();
        let draw = |value: f64| {
            let mut sample = Sample::new();
            sample.insert("image", Tensor::full([1, 200, 200], value, (Kind::Float, Device::Cpu)));
            transform.apply(&mut sample, &mut Random::from_seed(4)).unwrap();
            let image = sample.tensor("image").unwrap();
            [image.mean(Kind::Double).double_value(&[]), image.std(true).double_value(&[])]
        };
        // Rayleigh: mean σ √(π / 2), variance σ² (2 - π / 2); 40 000 draws give them to about 0.01
        let [mean, std] = draw(0.0);
        let half_pi = std::f64::consts::FRAC_PI_2;
        assert!((mean - 2.0 * half_pi.sqrt()).abs() < 0.03 && (std - 2.0 * (2.0 - half_pi).sqrt()).abs() < 0.03);
        let [mean, std] = draw(1000.0);
        assert!((mean - 1000.0).abs() < 0.05 && (std - 2.0).abs() < 0.04, "{mean} {std}");
    }
}
