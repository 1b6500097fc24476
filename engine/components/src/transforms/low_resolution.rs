//! `RandSimulateLowResolutiond`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind;

use super::common::{default, map_tensors, probability, spatial_shape};
use super::geometry::{ResizeMode, interpolate};

/// Makes images coarser by a random factor and interpolates them back to their size.
///
/// All keys alike. MONAI `RandSimulateLowResolutiond`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSimulateLowResolutiondArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// How the coarse image is found.
    #[serde(default = "nearest")]
    downsample_mode: ResizeMode,
    /// How it is interpolated.
    #[serde(default = "trilinear")]
    upsample_mode: ResizeMode,
    /// The range of the factor.
    #[serde(default = "factors")]
    zoom_range: [f64; 2],
    /// See `Resized`; for the linear modes.
    #[serde(default)]
    align_corners: bool,
    /// For compatibility: it is computed where the image is.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn nearest() -> ResizeMode {
    ResizeMode::Nearest
}

fn trilinear() -> ResizeMode {
    ResizeMode::Trilinear
}

fn factors() -> [f64; 2] {
    [0.5, 1.0]
}

/// See [`RandSimulateLowResolutiondArgs`].
pub struct RandSimulateLowResolutiond(RandSimulateLowResolutiondArgs);

impl Component for RandSimulateLowResolutiond {
    type Args = RandSimulateLowResolutiondArgs;

    fn new(args: RandSimulateLowResolutiondArgs) -> Result<Self> {
        probability(args.prob)?;
        if args.zoom_range.iter().any(|&factor| factor <= 0.0) {
            return Err(Error::invalid_argument("the factors of `zoom_range` must be above 0"));
        }
        Ok(Self(args))
    }
}

byoc::register! { transforms: [RandSimulateLowResolutiond] }

impl Transform for RandSimulateLowResolutiond {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let factor = random.uniform(args.zoom_range[0], args.zoom_range[1]);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let shape = spatial_shape(tensor)?;
            let coarse: Vec<usize> =
                shape.iter().map(|&n| ((n as f64 * factor).round_ties_even() as usize).max(1)).collect();
            let corners = |mode: ResizeMode| {
                let linear = !matches!(mode, ResizeMode::Nearest | ResizeMode::NearestExact | ResizeMode::Area);
                linear.then_some(args.align_corners)
            };
            let image = tensor.f_to_kind(Kind::Float)?;
            let coarse = interpolate(&image, &coarse, args.downsample_mode, corners(args.downsample_mode))?;
            interpolate(&coarse, &shape, args.upsample_mode, corners(args.upsample_mode))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}
