//! Margins: `SpatialPadd`, `BorderPadd`, `DivisiblePadd`, `ResizeWithPadOrCropd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{map_images, sizes_or, spatial_shape};
use super::crop::{central, crop_recorded};
use super::geometry::{Operation, PadMode, pad, record, symmetric_pad};

/// On which sides voxels are added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Method {
    /// On both; what is odd at the end.
    #[default]
    Symmetric,
    /// At the end only.
    End,
}

fn constant() -> OneOrMany<PadMode> {
    OneOrMany::One(PadMode::Constant)
}

fn pad_recorded(
    image: Image,
    before: Vec<usize>,
    after: Vec<usize>,
    mode: PadMode,
    value: f64,
    transform: &str,
) -> Result<Image> {
    let mut image = pad(image, &before, &after, mode, value)?;
    record(&mut image, transform, &Operation::Pad { before, after })?;
    Ok(image)
}

/// Pads images to at least this size.
///
/// MONAI `SpatialPadd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpatialPaddArgs {
    /// Keys of the images.
    keys: Keys,
    /// The size, for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// On which sides.
    #[serde(default)]
    method: Method,
    /// What the margin is filled with, for each key or for all.
    #[serde(default = "constant")]
    mode: OneOrMany<PadMode>,
    /// The value for mode `constant`.
    #[serde(default, alias = "constant_values")]
    #[schemars(extend("x-aliases" = ["constant_values"]))]
    value: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`SpatialPaddArgs`].
pub struct SpatialPadd(SpatialPaddArgs, Vec<PadMode>);

impl Component for SpatialPadd {
    type Args = SpatialPaddArgs;

    fn new(args: SpatialPaddArgs) -> Result<Self> {
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self(args, modes))
    }
}

impl Transform for SpatialPadd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args, modes) = self;
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let shape = spatial_shape(&image.tensor)?;
            let size = sizes_or(&args.spatial_size, &shape, "spatial_size")?;
            let (before, after) = symmetric_pad(&shape, &size, args.method == Method::End);
            pad_recorded(image, before, after, modes[position], args.value, "SpatialPadd")
        })
    }
}

/// Pads images by so many voxels.
///
/// MONAI `BorderPadd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BorderPaddArgs {
    /// Keys of the images.
    keys: Keys,
    /// One number for all sides, one for each axis, or two, before and after, for each axis.
    spatial_border: OneOrMany<i64>,
    /// What the margin is filled with, for each key or for all.
    #[serde(default = "constant")]
    mode: OneOrMany<PadMode>,
    /// The value for mode `constant`.
    #[serde(default, alias = "constant_values")]
    #[schemars(extend("x-aliases" = ["constant_values"]))]
    value: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`BorderPaddArgs`].
pub struct BorderPadd(BorderPaddArgs, Vec<PadMode>);

impl Component for BorderPadd {
    type Args = BorderPaddArgs;

    fn new(args: BorderPaddArgs) -> Result<Self> {
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self(args, modes))
    }
}

impl Transform for BorderPadd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args, modes) = self;
        let border: Vec<usize> = args.spatial_border.clone().into_vec().iter().map(|&n| n.max(0) as usize).collect();
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let rank = spatial_shape(&image.tensor)?.len();
            let (before, after) = match border.len() {
                1 => (vec![border[0]; rank], vec![border[0]; rank]),
                n if n == rank => (border.clone(), border.clone()),
                n if n == 2 * rank => border.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip(),
                n => {
                    return Err(Error::invalid_argument(format!(
                        "`spatial_border` has {n} numbers; 1, {rank} or {} are needed",
                        2 * rank
                    )));
                }
            };
            pad_recorded(image, before, after, modes[position], args.value, "BorderPadd")
        })
    }
}

/// Pads images to sizes that are multiples of `k`.
///
/// MONAI `DivisiblePadd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DivisiblePaddArgs {
    /// Keys of the images.
    keys: Keys,
    /// The divisor, for each axis or for all; 0 or -1 leaves the axis as it is.
    k: OneOrMany<i64>,
    /// On which sides.
    #[serde(default)]
    method: Method,
    /// What the margin is filled with, for each key or for all.
    #[serde(default = "constant")]
    mode: OneOrMany<PadMode>,
    /// The value for mode `constant`.
    #[serde(default, alias = "constant_values")]
    #[schemars(extend("x-aliases" = ["constant_values"]))]
    value: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`DivisiblePaddArgs`].
pub struct DivisiblePadd(DivisiblePaddArgs, Vec<PadMode>);

impl Component for DivisiblePadd {
    type Args = DivisiblePaddArgs;

    fn new(args: DivisiblePaddArgs) -> Result<Self> {
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self(args, modes))
    }
}

impl Transform for DivisiblePadd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args, modes) = self;
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let shape = spatial_shape(&image.tensor)?;
            let divisors = args.k.repeat(shape.len(), "k")?;
            let size: Vec<usize> = shape
                .iter()
                .zip(divisors)
                .map(|(&n, k)| if k > 0 { n.next_multiple_of(k as usize) } else { n })
                .collect();
            let (before, after) = symmetric_pad(&shape, &size, args.method == Method::End);
            pad_recorded(image, before, after, modes[position], args.value, "DivisiblePadd")
        })
    }
}

/// Crops the middle of images or pads them, until they have this size.
///
/// MONAI `ResizeWithPadOrCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeWithPadOrCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The size, for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// On which sides voxels are added.
    #[serde(default)]
    method: Method,
    /// What the margin is filled with, for each key or for all.
    #[serde(default = "constant")]
    mode: OneOrMany<PadMode>,
    /// The value for mode `constant`.
    #[serde(default, alias = "constant_values")]
    #[schemars(extend("x-aliases" = ["constant_values"]))]
    value: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ResizeWithPadOrCropdArgs`].
pub struct ResizeWithPadOrCropd(ResizeWithPadOrCropdArgs, Vec<PadMode>);

impl Component for ResizeWithPadOrCropd {
    type Args = ResizeWithPadOrCropdArgs;

    fn new(args: ResizeWithPadOrCropdArgs) -> Result<Self> {
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self(args, modes))
    }
}

/// The middle of an image, or the image with a margin, in this size.
pub(super) fn pad_or_crop(
    image: Image,
    size: &[usize],
    at_end: bool,
    mode: PadMode,
    value: f64,
    transform: &str,
) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let (start, end) = central(&shape, size);
    let image = crop_recorded(image, &start, &end, transform)?;
    let (before, after) = symmetric_pad(&spatial_shape(&image.tensor)?, size, at_end);
    pad_recorded(image, before, after, mode, value, transform)
}

impl Transform for ResizeWithPadOrCropd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args, modes) = self;
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let shape = spatial_shape(&image.tensor)?;
            let size = sizes_or(&args.spatial_size, &shape, "spatial_size")?;
            pad_or_crop(image, &size, args.method == Method::End, modes[position], args.value, "ResizeWithPadOrCropd")
        })
    }
}

byoc::register! { transforms: [SpatialPadd, BorderPadd, DivisiblePadd, ResizeWithPadOrCropd] }
