//! Changes that vary smoothly over an image: `RandSmoothFieldAdjustContrastd`, `RandSmoothFieldAdjustIntensityd`,
//! `RandSmoothDeformd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{GridMode, GridPadding, default, map_images, map_tensors, probability, spatial_shape};
use super::geometry::{ResizeMode, Sampling, cube, interpolate, sample_at};

/// How a coarse field of random numbers becomes one in the size of an image.
#[derive(Clone)]
struct Field {
    spatial_size: Vec<usize>,
    rand_size: Vec<usize>,
    pad: usize,
    pad_value: f64,
    range: (f64, f64),
    align_corners: Option<bool>,
}

impl Field {
    fn check(&self) -> Result<()> {
        if self.spatial_size.len() != self.rand_size.len() || self.spatial_size.contains(&0) {
            return Err(Error::invalid_argument(format!(
                "`spatial_size` {:?} and `rand_size` {:?} must have one size for each axis",
                self.spatial_size, self.rand_size
            )));
        }
        if self.range.0 >= self.range.1 {
            return Err(Error::invalid_argument(format!(
                "the field is drawn from {} … {}, which is no range",
                self.range.0, self.range.1
            )));
        }
        Ok(())
    }

    /// The coarse field, (channels, …), with its margin.
    fn draw(&self, channels: i64, random: &mut Random) -> Result<Tensor> {
        let size: Vec<i64> = std::iter::once(channels).chain(self.rand_size.iter().map(|&n| n as i64)).collect();
        let (low, high) = self.range;
        let drawn = random.uniform_tensor(&size).f_mul_scalar(high - low)?.f_add_scalar(low)?;
        let margins = vec![self.pad as i64; 2 * self.rand_size.len()];
        Ok(drawn.f_pad(&margins, "constant", self.pad_value)?)
    }

    /// The field in the size of the image, with the range of the coarse one.
    fn spread(&self, coarse: &Tensor, mode: ResizeMode) -> Result<Tensor> {
        let fine = interpolate(coarse, &self.spatial_size, mode, self.align_corners)?;
        let (low, high) = (fine.f_min()?, fine.f_max()?);
        let (from, to) = (coarse.f_min()?, coarse.f_max()?);
        Ok(fine.f_sub(&low)?.f_div(&high.f_sub(&low)?)?.f_mul(&to.f_sub(&from)?)?.f_add(&from)?)
    }

    fn check_image(&self, tensor: &Tensor) -> Result<()> {
        let shape = spatial_shape(tensor)?;
        if shape != self.spatial_size {
            return Err(Error::data(format!(
                "it has shape {shape:?}, but `spatial_size` is {:?}: the field must fit",
                self.spatial_size
            )));
        }
        Ok(())
    }
}

/// The ends of a range; a single number is the upper one.
fn ends(argument: &str, values: &OneOrMany<f64>, low: f64) -> Result<(f64, f64)> {
    match values {
        OneOrMany::One(high) => Ok((low, *high)),
        OneOrMany::Many(_) => super::common::range(argument, values),
    }
}

/// Raises the intensities, scaled to 0 … 1, to a power that varies smoothly, and scales them back.
///
/// All keys alike. MONAI `RandSmoothFieldAdjustContrastd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSmoothFieldAdjustContrastdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The images' size.
    spatial_size: Vec<usize>,
    /// Size of the field that is drawn, coarser than the image.
    rand_size: Vec<usize>,
    /// How many values of 1 lie around the field that is drawn.
    #[serde(default)]
    pad: usize,
    /// How the field is interpolated to the image's size, for each key or for all.
    #[serde(default = "super::resize::area")]
    mode: OneOrMany<ResizeMode>,
    /// See `Resized`.
    #[serde(default)]
    align_corners: Option<bool>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of the power; a single number x stands for 0.5 … x.
    #[serde(default = "powers")]
    gamma: OneOrMany<f64>,
    /// For compatibility: it is computed where the image is.
    #[serde(default, rename = "device")]
    _device: Option<String>,
}

fn powers() -> OneOrMany<f64> {
    OneOrMany::Many(vec![0.5, 4.5])
}

/// See [`RandSmoothFieldAdjustContrastdArgs`].
pub struct RandSmoothFieldAdjustContrastd {
    args: RandSmoothFieldAdjustContrastdArgs,
    field: Field,
    modes: Vec<ResizeMode>,
}

impl Component for RandSmoothFieldAdjustContrastd {
    type Args = RandSmoothFieldAdjustContrastdArgs;

    fn new(args: RandSmoothFieldAdjustContrastdArgs) -> Result<Self> {
        probability(args.prob)?;
        let field = Field {
            spatial_size: args.spatial_size.clone(),
            rand_size: args.rand_size.clone(),
            pad: args.pad,
            pad_value: 1.0,
            range: ends("gamma", &args.gamma, 0.5)?,
            align_corners: args.align_corners,
        };
        field.check()?;
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self { args, field, modes })
    }
}

impl Transform for RandSmoothFieldAdjustContrastd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, field, modes } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let coarse = field.draw(1, random)?;
        map_tensors(sample, &args.keys, false, |position, tensor| {
            field.check_image(tensor)?;
            let powers = field.spread(&coarse, modes[position])?.f_to_device(tensor.device())?;
            let image = tensor.f_to_kind(Kind::Float)?;
            let low = image.f_min()?;
            let range = image.f_max()?.f_sub(&low)?;
            let scaled = image.f_sub(&low)?.f_div(&range.f_add_scalar(1e-10)?)?;
            Ok(scaled.f_pow(&powers)?.f_mul(&range)?.f_add(&low)?)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Multiplies the intensities by a factor that varies smoothly.
///
/// All keys alike. MONAI `RandSmoothFieldAdjustIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSmoothFieldAdjustIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The images' size.
    spatial_size: Vec<usize>,
    /// Size of the field that is drawn, coarser than the image.
    rand_size: Vec<usize>,
    /// How many values of 1 lie around the field that is drawn.
    #[serde(default)]
    pad: usize,
    /// How the field is interpolated to the image's size, for each key or for all.
    #[serde(default = "super::resize::area")]
    mode: OneOrMany<ResizeMode>,
    /// See `Resized`.
    #[serde(default)]
    align_corners: Option<bool>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of the factor; a single number x stands for 0.5 … x.
    #[serde(default = "factors")]
    gamma: OneOrMany<f64>,
    /// For compatibility: it is computed where the image is.
    #[serde(default, rename = "device")]
    _device: Option<String>,
}

fn factors() -> OneOrMany<f64> {
    OneOrMany::Many(vec![0.1, 1.0])
}

/// See [`RandSmoothFieldAdjustIntensitydArgs`].
pub struct RandSmoothFieldAdjustIntensityd {
    args: RandSmoothFieldAdjustIntensitydArgs,
    field: Field,
    modes: Vec<ResizeMode>,
}

impl Component for RandSmoothFieldAdjustIntensityd {
    type Args = RandSmoothFieldAdjustIntensitydArgs;

    fn new(args: RandSmoothFieldAdjustIntensitydArgs) -> Result<Self> {
        probability(args.prob)?;
        let field = Field {
            spatial_size: args.spatial_size.clone(),
            rand_size: args.rand_size.clone(),
            pad: args.pad,
            pad_value: 1.0,
            range: ends("gamma", &args.gamma, 0.5)?,
            align_corners: args.align_corners,
        };
        field.check()?;
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self { args, field, modes })
    }
}

impl Transform for RandSmoothFieldAdjustIntensityd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, field, modes } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let coarse = field.draw(1, random)?;
        map_tensors(sample, &args.keys, false, |position, tensor| {
            field.check_image(tensor)?;
            let factors = field.spread(&coarse, modes[position])?.f_to_device(tensor.device())?;
            Ok(tensor.f_to_kind(Kind::Float)?.f_mul(&factors)?)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Deforms images by shifts that vary smoothly.
///
/// All keys alike. It cannot be undone. MONAI `RandSmoothDeformd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSmoothDeformdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The images' size.
    spatial_size: Vec<usize>,
    /// Size of the field that is drawn, coarser than the image.
    rand_size: Vec<usize>,
    /// How many shifts of 0 lie around the field that is drawn.
    #[serde(default)]
    pad: usize,
    /// How the field is interpolated to the image's size, for each key or for all.
    #[serde(default = "super::resize::area")]
    field_mode: OneOrMany<ResizeMode>,
    /// See `Resized`.
    #[serde(default)]
    align_corners: Option<bool>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of the shifts in halves of the image's size; x stands for -x … x.
    #[serde(default = "one")]
    def_range: OneOrMany<f64>,
    /// For compatibility: it is computed in float64.
    #[serde(default, rename = "grid_dtype")]
    _grid_dtype: Option<super::common::Dtype>,
    /// Between voxels, for each key or for all.
    #[serde(default = "nearest")]
    grid_mode: OneOrMany<GridMode>,
    /// Outside.
    #[serde(default = "border")]
    grid_padding_mode: GridPadding,
    /// Whether -1 and 1 are the centres of the outermost voxels, not their faces.
    #[serde(default)]
    grid_align_corners: Option<bool>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
}

fn one() -> OneOrMany<f64> {
    OneOrMany::One(1.0)
}

fn nearest() -> OneOrMany<GridMode> {
    OneOrMany::One(GridMode::Nearest)
}

fn border() -> GridPadding {
    GridPadding::Border
}

/// See [`RandSmoothDeformdArgs`].
pub struct RandSmoothDeformd {
    args: RandSmoothDeformdArgs,
    field: Field,
    modes: Vec<(ResizeMode, GridMode)>,
}

impl Component for RandSmoothDeformd {
    type Args = RandSmoothDeformdArgs;

    fn new(args: RandSmoothDeformdArgs) -> Result<Self> {
        probability(args.prob)?;
        let field = Field {
            spatial_size: args.spatial_size.clone(),
            rand_size: args.rand_size.clone(),
            pad: args.pad,
            pad_value: 0.0,
            range: super::common::range("def_range", &args.def_range)?,
            align_corners: args.align_corners,
        };
        field.check()?;
        let n = args.keys.len();
        let grid_modes = args.grid_mode.repeat(n, "grid_mode")?;
        let modes = args.field_mode.repeat(n, "field_mode")?.into_iter().zip(grid_modes).collect();
        Ok(Self { args, field, modes })
    }
}

/// The image shifted by a (axes, spatial…) field in halves of its size.
fn deform(image: Image, field: &Tensor, sampling: Sampling) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let rank = shape.len();
    let field = field.f_to_kind(Kind::Float)?.f_contiguous()?;
    let shifts = view::slice::<f32>(&field)?;
    let voxels: usize = shape.iter().product();
    let [_, rows, columns] = cube(&shape);
    let tensor = sample_at(&image.tensor, &shape, sampling, |index| {
        let at = (index[0] * rows + index[1]) * columns + index[2];
        std::array::from_fn(|axis| {
            let Some(along) = (axis + rank).checked_sub(3) else { return 0.0 };
            let n = shape[along] as f64;
            // the grid from -1 to 1 has its ends on the outermost voxels, whatever `align_corners` says
            let own = if n > 1.0 { 2.0 * index[axis] as f64 / (n - 1.0) - 1.0 } else { -1.0 };
            let place = own + f64::from(shifts[along * voxels + at]);
            if sampling.align_corners { f64::midpoint(place, 1.0) * (n - 1.0) } else { ((place + 1.0) * n - 1.0) / 2.0 }
        })
    })?;
    Ok(Image { tensor, ..image })
}

impl Transform for RandSmoothDeformd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, field, modes } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let coarse = field.draw(field.rand_size.len() as i64, random)?;
        map_images(sample, &args.keys, false, |position, image| {
            field.check_image(&image.tensor)?;
            let (mode, grid_mode) = modes[position];
            let sampling = Sampling {
                mode: grid_mode,
                padding: args.grid_padding_mode,
                align_corners: args.grid_align_corners.unwrap_or(false),
            };
            deform(image, &field.spread(&coarse, mode)?, sampling)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! {
    transforms: [RandSmoothFieldAdjustContrastd, RandSmoothFieldAdjustIntensityd, RandSmoothDeformd],
}

#[cfg(test)]
mod tests {
    use byoc::{Image, Random};
    use tch::{Kind, Tensor};

    use super::{Field, deform};
    use crate::transforms::common::{GridMode, GridPadding};
    use crate::transforms::geometry::{ResizeMode, Sampling};

    fn field(pad: usize, pad_value: f64) -> Field {
        Field {
            spatial_size: vec![9, 8],
            rand_size: vec![3, 2],
            pad,
            pad_value,
            range: (0.2, 0.9),
            align_corners: None,
        }
    }

    fn assert_close(tensor: &Tensor, expected: &[f64]) {
        let values: Vec<f64> = Vec::try_from(tensor.to_kind(Kind::Double).view([-1])).unwrap();
        for (value, expected) in values.iter().step_by(7).zip(expected) {
            assert!((value - expected).abs() < 1e-4, "{value} {expected}");
        }
    }

    // the expected numbers are those of MONAI's classes with this coarse field put in place of what they draw

    #[test]
    fn fields_are_spread_as_in_monai() {
        let coarse = (Tensor::arange(6, (Kind::Float, tch::Device::Cpu)) * 0.9).sin().view([1, 3, 2]);
        assert_close(&field(0, 1.0).spread(&coarse, ResizeMode::Area).unwrap(), AREA);
        let spread = Field { align_corners: Some(false), ..field(0, 1.0) }.spread(&coarse, ResizeMode::Bilinear);
        assert_close(&spread.unwrap(), BILINEAR);
    }

    #[test]
    fn deformations_are_those_of_monai() {
        let image = (Tensor::arange(72, (Kind::Float, tch::Device::Cpu)) * 0.37).sin().view([1, 9, 8]);
        let shifts = (Tensor::arange(144, (Kind::Float, tch::Device::Cpu)) * 0.7).cos().view([2, 9, 8]) * 0.3;
        for (align_corners, expected) in [(false, DEFORMED), (true, DEFORMED_ALIGNED)] {
            let sampling = Sampling { mode: GridMode::Bilinear, padding: GridPadding::Border, align_corners };
            assert_close(&deform(Image::new(image.shallow_clone()), &shifts, sampling).unwrap().tensor, expected);
        }
    }

    #[test]
    fn what_is_drawn_lies_in_the_range_and_its_margin_is_fixed() {
        let coarse = field(2, 1.0).draw(1, &mut Random::from_seed(1)).unwrap();
        assert_eq!(coarse.size(), [1, 7, 6]);
        let inner = coarse.narrow(1, 2, 3).narrow(2, 2, 2);
        assert!(inner.min().double_value(&[]) >= 0.2 && inner.max().double_value(&[]) <= 0.9);
        assert_eq!(coarse.select(1, 1).min().double_value(&[]), 1.0);
    }

    const AREA: &[f64] =
        &[-0.00000, 0.78333, 0.78333, 0.78333, 0.42738, 0.97385, 0.97385, -0.44252, -0.44252, -0.97753, -0.97753];
    const BILINEAR: &[f64] =
        &[-0.00000, 0.78333, 0.78333, 0.62217, 0.58473, 0.76892, 0.43389, 0.02960, -0.44252, -0.97753, -0.97753];
    const DEFORMED: &[f64] =
        &[-0.02462, 0.52404, 0.91027, -0.92044, 0.61689, -0.45479, 0.11007, 0.70767, 0.04102, 0.90749, 0.87935];
    const DEFORMED_ALIGNED: &[f64] =
        &[-0.15665, 0.25697, 0.94752, -0.28867, 0.61597, -0.47693, 0.08127, 0.55524, 0.79212, 0.90749, 0.78954];
}
