//! Neighbourhoods: `GaussianBlur`, `RandomAdjustSharpness`.

use byoc::{Error, OneOrMany, Random, Result};
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::color::{check_probability, half};
use super::picture::Picture;
use super::{Checked, Operation};
use crate::transforms::gaussian::filter_axes_padded;
use crate::transforms::geometry::PadMode;

/// A Gaussian of random width, mirrored at the border.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GaussianBlur {
    /// Length of the kernel, odd; for both axes or for each.
    kernel_size: OneOrMany<i64>,
    /// The range of the standard deviation, or the one there is.
    #[serde(default = "widths")]
    sigma: OneOrMany<f64>,
}

fn widths() -> OneOrMany<f64> {
    OneOrMany::Many(vec![0.1, 2.0])
}

impl Checked for GaussianBlur {
    fn check(&self) -> Result<()> {
        if self.kernel_size.repeat(2, "kernel_size")?.iter().any(|&length| length < 1 || length % 2 == 0) {
            return Err(Error::invalid_argument("`kernel_size` must be odd and above 0"));
        }
        let range = self.sigma.repeat(2, "sigma")?;
        if range[0] <= 0.0 || range[0] > range[1] {
            return Err(Error::invalid_argument(format!("`sigma` is {range:?}; a range above 0 is expected")));
        }
        Ok(())
    }
}

impl Operation for GaussianBlur {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let range = self.sigma.repeat(2, "sigma")?;
        let sigma = random.uniform(range[0], range[1]);
        // torchvision's sizes are (x, y): the last axis first
        let lengths = self.kernel_size.repeat(2, "kernel_size")?;
        let kernel = |length: i64| -> Result<Tensor> {
            let reach = (length as f64 - 1.0) / 2.0;
            let x = Tensor::f_linspace(-reach, reach, length, (Kind::Float, tch::Device::Cpu))?;
            let weights = x.f_div_scalar(sigma)?.f_square()?.f_mul_scalar(-0.5)?.f_exp()?;
            Ok(weights.f_div(&weights.f_sum(Kind::Float)?)?)
        };
        let blurred = filter_axes_padded(tensor, &[kernel(lengths[1])?, kernel(lengths[0])?], PadMode::Reflect)?;
        let blurred = if tensor.is_floating_point() { blurred } else { blurred.f_round()? };
        Ok(blurred.f_to_kind(tensor.kind())?)
    }
}

/// A mixture with the picture softened by its neighbours, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomAdjustSharpness {
    /// 0 is soft, 1 the picture, 2 twice as sharp.
    sharpness_factor: f64,
    #[serde(default = "half")]
    p: f64,
}

impl Checked for RandomAdjustSharpness {
    fn check(&self) -> Result<()> {
        if self.sharpness_factor < 0.0 {
            return Err(Error::invalid_argument("`sharpness_factor` must not be negative"));
        }
        check_probability(self.p)
    }
}

impl Operation for RandomAdjustSharpness {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let size = tensor.size();
        if !random.chance(self.p) || size[1] <= 2 || size[2] <= 2 {
            return Ok(tensor.shallow_clone());
        }
        let mut picture = Picture::of(tensor)?;
        let (rows, columns) = (size[1] as usize, size[2] as usize);
        let soft: Vec<Vec<f32>> =
            picture.planes.iter().map(|plane| soften(plane, rows, columns, picture.whole)).collect();
        picture.blend(self.sharpness_factor as f32, |channel, pixel| soft[channel][pixel]);
        picture.into_tensor()
    }
}

/// Each pixel five times and its eight neighbours once; the border stays.
fn soften(plane: &[f32], rows: usize, columns: usize, whole: bool) -> Vec<f32> {
    let mut soft = plane.to_vec();
    for row in 1..rows - 1 {
        for column in 1..columns - 1 {
            let mut sum = 4.0 * plane[row * columns + column];
            for near in row - 1..=row + 1 {
                sum += plane[near * columns + column - 1..=near * columns + column + 1].iter().sum::<f32>();
            }
            let mean = sum / 13.0;
            soft[row * columns + column] = if whole { mean.round_ties_even() } else { mean };
        }
    }
    soft
}
