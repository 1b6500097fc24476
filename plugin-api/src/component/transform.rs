//! Transforms.

use crate::{Random, Result, Sample};

/// A transform of a sample.
///
/// ```
/// use byoc::{Component, Keys, Random, Result, Sample, Transform};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tch::Tensor;
///
/// /// Adds a random number to the intensities.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct RandBrightnessdArgs {
///     /// Keys of the images to change.
///     keys: Keys,
///     /// The number is drawn from -max..max.
///     max: f64,
/// }
///
/// struct RandBrightnessd(RandBrightnessdArgs);
///
/// impl Component for RandBrightnessd {
///     type Args = RandBrightnessdArgs;
///
///     fn new(args: RandBrightnessdArgs) -> Result<Self> {
///         Ok(Self(args))
///     }
/// }
///
/// impl Transform for RandBrightnessd {
///     fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
///         let offset = random.uniform(-self.0.max, self.0.max);
///         for key in &self.0.keys {
///             let image = sample.tensor(key)?.f_add_scalar(offset)?;
///             sample.set_tensor(key, image)?;
///         }
///         Ok(())
///     }
///
///     fn is_random(&self) -> bool {
///         true
///     }
/// }
///
/// let transform = RandBrightnessd::new(serde_json::from_str(r#"{"keys": "image", "max": 0.5}"#)?)?;
/// let mut sample = Sample::new();
/// sample.insert("image", Tensor::from_slice(&[1f32, 2.0]));
/// transform.apply(&mut sample, &mut Random::from_seed(0))?;
/// assert_ne!(sample.tensor("image")?.double_value(&[0]), 1.0);
/// # Ok::<(), byoc::Error>(())
/// ```
pub trait Transform: Send {
    /// Changes a sample. Tensors may be shared with a cache: make new ones, never change them in place.
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()>;

    /// Turns a sample into several, as random crops do. The default applies [`Transform::apply`] and gives one.
    fn apply_many(&self, mut sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        self.apply(&mut sample, random)?;
        Ok(vec![sample])
    }

    /// Whether it draws from the generator. What stands before the first random transform is computed once and cached.
    fn is_random(&self) -> bool {
        false
    }

    /// Called once on a sample that is about to be cached in front of this transform, to put values into it that
    /// `apply` would otherwise compute every epoch (the voxels a random crop may choose from, say).
    fn prepare(&self, _sample: &mut Sample) -> Result<()> {
        Ok(())
    }
}
