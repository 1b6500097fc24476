#![cfg_attr(
    not(test),
    expect(non_snake_case, reason = "the module name that configs use: `myTransformation.MyRandAdditiveNoised`")
)]
//! A transform of your own, as a plugin: noise that augments the training images.
//!
//! In a config, after the crop:
//! `{ "path": "BYOC.myTransformation.MyRandAdditiveNoised", "args": { "keys": "image", "prob": 0.5, "max_add": 0.4 } }`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

byoc::export_plugin! {
    module: "myTransformation",
    transforms: [MyRandAdditiveNoised],
}

/// Adds uniform noise to images at random.
///
/// One field of noise, 0 to `max_add`, is added to every channel of every key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MyRandAdditiveNoisedArgs {
    /// Keys of the images, (channels, spatial…) and all of one spatial shape.
    pub keys: Keys,
    /// Probability that anything is added.
    #[serde(default = "default_probability")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub prob: f64,
    /// What is added to a voxel at most.
    #[serde(default = "default_maximum")]
    pub max_add: f64,
}

fn default_probability() -> f64 {
    0.5
}

fn default_maximum() -> f64 {
    0.5
}

/// See [`MyRandAdditiveNoisedArgs`].
pub struct MyRandAdditiveNoised(MyRandAdditiveNoisedArgs);

impl Component for MyRandAdditiveNoised {
    type Args = MyRandAdditiveNoisedArgs;

    fn new(args: MyRandAdditiveNoisedArgs) -> Result<Self> {
        if !(0.0..=1.0).contains(&args.prob) {
            return Err(Error::invalid_argument(format!("`prob` is {}, but must lie between 0 and 1", args.prob)));
        }
        Ok(Self(args))
    }
}

impl Transform for MyRandAdditiveNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let Some(first) = args.keys.iter().next() else { return Ok(()) };
        if !random.chance(args.prob) {
            return Ok(());
        }
        // one channel, which broadcasts over those of each image
        let mut shape = sample.tensor(first)?.size();
        let Some(channels) = shape.first_mut() else {
            return Err(Error::data(format!("`{first}` is a single number, not an image")));
        };
        *channels = 1;
        let noise = random.uniform_tensor(&shape).f_mul_scalar(args.max_add)?;
        for key in &args.keys {
            let image = sample.tensor(key)?;
            if image.size().get(1..) != shape.get(1..) {
                let size = image.size();
                return Err(Error::data(format!(
                    "`{key}` has shape {size:?}, but the noise was made for `{first}`: {shape:?}"
                )));
            }
            let noisy = image.f_add(&noise.f_to_device(image.device())?)?;
            sample.set_tensor(key, noisy)?;
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}
