#![cfg_attr(
    not(test),
    expect(non_snake_case, reason = "the module name that configs use: `myTransformation.MyRandAdditiveNoised`")
)]
//! A transform of your own, as a plugin: noise that is added to images, now and then.
//!
//! In a config: `{ "path": "BYOC.myTransformation.MyRandAdditiveNoised", "args": { "keys": "image", "prob": 0.5,
//! "max_add": 0.4 } }`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

byoc::export_plugin! {
    module: "myTransformation",
    transforms: [MyRandAdditiveNoised],
}

/// Adds uniform noise to images, with a given probability.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MyRandAdditiveNoisedArgs {
    /// Keys of the images. All get the same noise, so they must have the same size.
    pub keys: Keys,
    /// How often noise is added.
    #[serde(default = "default_prob")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub prob: f64,
    /// The noise is between 0 and this.
    #[serde(default = "default_max_add")]
    pub max_add: f64,
}

fn default_prob() -> f64 {
    0.1
}

fn default_max_add() -> f64 {
    0.1
}

/// The transform. Images (C, X, Y[, Z]); the noise is one channel that is added to each.
#[derive(Debug)]
pub struct MyRandAdditiveNoised {
    args: MyRandAdditiveNoisedArgs,
}

impl Component for MyRandAdditiveNoised {
    type Args = MyRandAdditiveNoisedArgs;

    fn new(args: MyRandAdditiveNoisedArgs) -> Result<Self> {
        if !(0.0..=1.0).contains(&args.prob) {
            return Err(Error::invalid_argument(format!("`prob` must be between 0 and 1, found {}", args.prob)));
        }
        if args.keys.is_empty() {
            return Err(Error::invalid_argument("`keys` must name at least one image"));
        }
        Ok(Self { args })
    }
}

impl Transform for MyRandAdditiveNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.args.prob) {
            return Ok(());
        }
        let mut noise = None;
        for key in &self.args.keys {
            let image = sample.tensor(key)?;
            let noise = match &mut noise {
                Some(noise) => noise,
                // the first image has the size; the channels share the noise
                none => none.insert(random.uniform_tensor(&image.size()[1..]).f_mul_scalar(self.args.max_add)?),
            };
            let noisy = image.f_add(noise).map_err(|error| {
                let sizes = format!("`{key}` is {:?}, the noise is {:?}", image.size(), noise.size());
                Error::from(error).context(format!("all `keys` must have the same size: {sizes}"))
            })?;
            sample.set_tensor(key, noisy)?;
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}
