//! `Invertd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{device, image_of, present};
use super::geometry::undo;

/// Undoes, on a prediction, what the transforms in front of the network did to the image's grid.
///
/// What there is to undo stands in the history of the image, not in `transform`: crops are padded again, resampled
/// grids go back to the original one. The prediction gets the image's metadata, so that `SaveImaged` knows the file.
/// MONAI `Invertd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvertdArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// The transforms to undo, `"@pre_transforms"`.
    #[serde(rename = "transform")]
    _transform: Wired,
    /// Keys of the images that the predictions belong to; the keys themselves if it is `null`.
    #[serde(default)]
    orig_keys: Option<Keys>,
    /// Whether to take the nearest voxel where the transforms interpolated; right for labels, not for probabilities. For
    /// each key or for all.
    #[serde(default = "yes")]
    nearest_interp: OneOrMany<bool>,
    /// The device of the result; where it is computed if it is `null`.
    #[serde(default)]
    device: Option<OneOrMany<Option<String>>>,
    /// For compatibility: it is always a tensor.
    #[serde(default, rename = "to_tensor")]
    _to_tensor: OneOrMany<bool>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "orig_meta_keys")]
    _orig_meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
    /// There are no functions in a config: `null`.
    #[serde(default, rename = "post_func")]
    _post_func: Option<()>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn yes() -> OneOrMany<bool> {
    OneOrMany::One(true)
}

/// See [`InvertdArgs`].
pub struct Invertd {
    args: InvertdArgs,
    orig_keys: Vec<String>,
    nearest: Vec<bool>,
}

impl Component for Invertd {
    type Args = InvertdArgs;

    fn new(args: InvertdArgs) -> Result<Self> {
        let n = args.keys.len();
        let orig_keys = match &args.orig_keys {
            Some(keys) => OneOrMany::Many(keys.0.clone()).repeat(n, "orig_keys")?,
            None => args.keys.0.clone(),
        };
        for name in args.device.clone().map(OneOrMany::into_vec).unwrap_or_default().into_iter().flatten() {
            device(&name)?;
        }
        let nearest = args.nearest_interp.repeat(n, "nearest_interp")?;
        Ok(Self { args, orig_keys, nearest })
    }
}

byoc::register! { transforms: [Invertd] }

impl Transform for Invertd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            let orig_key = &self.orig_keys[position];
            let original = sample
                .image(orig_key)
                .map_err(|error| error.context(format!("what to undo in `{key}` is not known")))?;
            let mut inverted = Image { tensor: sample.tensor(key)?.detach(), ..original.shallow_clone() };
            let expected = &original.tensor.size()[1..];
            if inverted.tensor.size().get(1..) != Some(expected) {
                return Err(Error::data(format!(
                    "`{key}` has shape {:?}, but `{orig_key}`, whose transforms are to be undone, has {:?}",
                    inverted.tensor.size(),
                    original.tensor.size()
                )));
            }
            while let Some(operation) = inverted.history.pop() {
                inverted = undo(inverted, &operation, self.nearest[position])
                    .map_err(|error| error.context(format!("cannot undo `{}` in `{key}`", operation.transform)))?;
            }
            sample.insert(key, inverted);
        }
        self.move_to_devices(sample)
    }
}

impl Invertd {
    fn move_to_devices(&self, sample: &mut Sample) -> Result<()> {
        let Some(devices) = &self.args.device else { return Ok(()) };
        let devices = devices.repeat(self.args.keys.len(), "device")?;
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            // a config written for a GPU runs on a machine without one, too
            if let Some(name) = &devices[position]
                && let target = device(name)?
                && (target == tch::Device::Cpu || tch::Cuda::is_available())
            {
                let mut image = image_of(sample, key)?;
                image.tensor = image.tensor.f_to_device(target)?;
                sample.insert(key, image);
            }
        }
        Ok(())
    }
}
