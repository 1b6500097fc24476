//! `RandBiasFieldd`: the uneven sensitivity of MRI coils.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{Dtype, cast, default, float_values, map_tensors, present, probability, spatial_shape};

/// Multiplies images by the exponential of a random polynomial of the position.
///
/// The polynomial is a sum of products of Legendre polynomials over -1 … 1 with random coefficients, the same for all keys
/// and channels. For 2-D and 3-D images. MONAI `RandBiasFieldd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandBiasFielddArgs {
    /// Keys of the images.
    keys: Keys,
    /// The highest degree.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    degree: usize,
    /// The range of the coefficients.
    #[serde(default = "coefficients")]
    coeff_range: [f64; 2],
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn three() -> usize {
    3
}

fn coefficients() -> [f64; 2] {
    [0.0, 0.1]
}

/// See [`RandBiasFielddArgs`].
pub struct RandBiasFieldd(RandBiasFielddArgs);

impl Component for RandBiasFieldd {
    type Args = RandBiasFielddArgs;

    fn new(args: RandBiasFielddArgs) -> Result<Self> {
        probability(args.prob)?;
        if args.degree == 0 {
            return Err(Error::invalid_argument("`degree` is 0; the polynomial needs at least degree 1"));
        }
        Ok(Self(args))
    }
}

byoc::register! { transforms: [RandBiasFieldd] }

impl Transform for RandBiasFieldd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let rank = spatial_shape(sample.tensor(first)?)?.len();
        let terms = terms(args.degree, rank)?;
        let drawn: Vec<f64> = terms.iter().map(|_| random.uniform(args.coeff_range[0], args.coeff_range[1])).collect();
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let shape = spatial_shape(tensor)?;
            if shape.len() != rank {
                return Err(Error::data(format!(
                    "it has {} spatial axes, but `{first}` has {rank}: both get the same field",
                    shape.len()
                )));
            }
            cast(&multiplied(tensor, &shape, &terms, &drawn, args.degree)?, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// The degrees along the axes of each term, in the order in which MONAI hands out the coefficients. An image of two axes
/// has a leading degree of 0.
fn terms(degree: usize, rank: usize) -> Result<Vec<[usize; 3]>> {
    match rank {
        2 => Ok((0..=degree).flat_map(|i| (0..=i).map(move |j| [0, i, j])).collect()),
        3 => Ok((0..=degree)
            .flat_map(|i| (0..=degree - i).flat_map(move |j| (0..=degree - i - j).map(move |k| [i, j, k])))
            .collect()),
        _ => Err(Error::data(format!("an image with {rank} spatial axes has no bias field; 2 or 3 are needed"))),
    }
}

/// P₀ … P of the highest degree at `n` positions from -1 to 1.
fn legendre(degree: usize, n: usize) -> Vec<Vec<f64>> {
    (0..n)
        .map(|i| {
            // numpy's linspace in float32
            let x = if n > 1 { f64::from((-1.0 + 2.0 * i as f64 / (n as f64 - 1.0)) as f32) } else { -1.0 };
            let mut values = vec![1.0, x];
            for k in 1..degree {
                let (m, next) = (k as f64, k as f64 + 1.0);
                values.push(((2.0 * m + 1.0) * x * values[k] - m * values[k - 1]) / next);
            }
            values.truncate(degree + 1);
            values
        })
        .collect()
}

fn multiplied(
    tensor: &Tensor,
    shape: &[usize],
    terms: &[[usize; 3]],
    coefficients: &[f64],
    degree: usize,
) -> Result<Tensor> {
    let cube: [usize; 3] = std::array::from_fn(|axis| (axis + shape.len()).checked_sub(3).map_or(1, |i| shape[i]));
    let along = cube.map(|n| legendre(degree, n));
    let source = float_values(tensor)?;
    let values = view::slice::<f32>(&source)?;
    let plane = cube[1] * cube[2];
    let out = view::build::<f32>(&tensor.size(), |out| {
        if values.is_empty() {
            return;
        }
        out.par_chunks_mut(plane).zip(values.par_chunks(plane)).enumerate().for_each(|(index, (out, values))| {
            let x = index % cube[0];
            // the sum over the first axis, then over the second: what is left is one polynomial for each row
            let mut of_plane = vec![vec![0.0; degree + 1]; degree + 1];
            for (&[i, j, k], coefficient) in terms.iter().zip(coefficients) {
                // a missing first axis has one position, where P₀ is 1
                of_plane[j][k] += coefficient * along[0][x][i];
            }
            for (y, (out, values)) in out.chunks_exact_mut(cube[2]).zip(values.chunks_exact(cube[2])).enumerate() {
                let of_row: Vec<f64> =
                    (0..=degree).map(|k| (0..=degree).map(|j| of_plane[j][k] * along[1][y][j]).sum()).collect();
                for ((out, value), at) in out.iter_mut().zip(values).zip(&along[2]) {
                    let field: f64 = of_row.iter().zip(at).map(|(c, p)| c * p).sum();
                    *out = (f64::from(*value) * field.exp()) as f32;
                }
            }
        });
    });
    Ok(out.f_to_device(tensor.device())?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::Kind;

    #[test]
    fn the_field_is_smooth_and_within_its_coefficients() {
        let args = json!({"keys": ["image", "other"], "prob": 1.0, "degree": 2, "coeff_range": [-0.2, 0.2]});
        let transform = super::RandBiasFieldd::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut seen = Vec::new();
        for seed in 0..20 {
            let mut sample = Sample::new();
            for key in ["image", "other"] {
                sample.insert(key, tch::Tensor::ones([2, 9, 8, 7], (Kind::Float, tch::Device::Cpu)));
            }
            transform.apply(&mut sample, &mut Random::from_seed(seed)).unwrap();
            let field = sample.tensor("image").unwrap().log();
            assert_eq!(sample.tensor("other").unwrap().log(), field);
            assert_eq!(field.select(0, 0), field.select(0, 1));
            // ten terms, none of them larger than its coefficient
            assert!(field.abs().max().double_value(&[]) <= 2.0);
            let steps = field.diff(1, 1, None::<&tch::Tensor>, None::<&tch::Tensor>).abs().max().double_value(&[]);
            assert!(steps < 1.0, "{steps}");
            seen.push(field.double_value(&[0, 0, 0, 0]));
        }
        assert!(seen.iter().any(|&v| v > 0.0) && seen.iter().any(|&v| v < 0.0), "{seen:?}");
    }
}
