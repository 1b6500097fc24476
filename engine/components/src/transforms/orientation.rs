//! `Orientationd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::orientation::{self, Axis, RAS_LABELS};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{map_images, spatial_shape};
use super::geometry::{Operation, record, reorient};

/// Flips and permutes axes so that they run as the codes say, `RAS` for instance.
///
/// MONAI `Orientationd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrientationdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Where the axes point: `R` or `L`, `A` or `P`, `S` or `I`.
    #[serde(default)]
    axcodes: Option<String>,
    /// Whether the axes go to the closest patient axes, `RAS`, whatever `axcodes` says.
    #[serde(default)]
    as_closest_canonical: bool,
    /// Letters at the low and the high end of each patient axis.
    #[serde(default)]
    labels: Option<Vec<(char, char)>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
}

/// See [`OrientationdArgs`].
pub struct Orientationd {
    args: OrientationdArgs,
    target: Vec<Axis>,
}

impl Component for Orientationd {
    type Args = OrientationdArgs;

    fn new(args: OrientationdArgs) -> Result<Self> {
        let labels = args.labels.clone().unwrap_or_else(|| RAS_LABELS.to_vec());
        let codes = match (&args.axcodes, args.as_closest_canonical) {
            (_, true) => "RAS",
            (Some(codes), false) => codes,
            (None, false) => {
                return Err(Error::invalid_argument("one of `axcodes` and `as_closest_canonical` is needed"));
            }
        };
        let labels = if args.as_closest_canonical { RAS_LABELS.to_vec() } else { labels };
        let target =
            orientation::of_codes(codes, &labels).map_err(|error| Error::invalid_argument(error.to_string()))?;
        Ok(Self { args, target })
    }
}

byoc::register! { transforms: [Orientationd] }

impl Transform for Orientationd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |_, image| {
            let rank = spatial_shape(&image.tensor)?.len();
            if self.target.len() < rank {
                return Err(Error::data(format!(
                    "`axcodes` names {} axes, but the image has {rank}",
                    self.target.len()
                )));
            }
            let operation = Operation::Reorient { affine: image.affine };
            let mut image = reorient(image, &self.target[..rank])?;
            record(&mut image, "Orientationd", &operation)?;
            Ok(image)
        })
    }
}
