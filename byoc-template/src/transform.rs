//! The transform and its arguments.

use byoc::{Component, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

/// Multiplies the intensities with a random factor.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct {{component}}Args {
    /// Keys of the images; all get the same factor.
    pub keys: Keys,
    /// How often the transform does anything.
    #[serde(default = "probability")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub prob: f64,
    /// The factor is drawn from 1 - range..1 + range.
    #[serde(default = "range")]
    #[schemars(range(min = 0.0))]
    pub range: f64,
}

fn probability() -> f64 {
    0.1
}

fn range() -> f64 {
    0.1
}

/// See the arguments.
#[derive(Debug)]
pub struct {{component}} {
    args: {{component}}Args,
}

impl Component for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args) -> Result<Self> {
        byoc::ensure!((0.0..=1.0).contains(&args.prob), "`prob` must lie between 0 and 1, found {}", args.prob);
        byoc::ensure!(args.range >= 0.0, "`range` must not be negative, found {}", args.range);
        Ok(Self { args })
    }
}

impl Transform for {{component}} {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.args.prob) {
            return Ok(());
        }
        let factor = random.uniform(1.0 - self.args.range, 1.0 + self.args.range);
        for key in &self.args.keys {
            // a new tensor: the old one may be shared with the cache
            let scaled = sample.tensor(key)?.f_mul_scalar(factor)?;
            sample.set_tensor(key, scaled)?;
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Random, Sample, Transform, {{component}}};
    use tch::Tensor;

    #[test]
    fn equal_seeds_give_equal_samples_and_the_input_stays() {
        let args = serde_json::json!({"keys": "image", "prob": 1.0});
        let transform = {{component}}::new(serde_json::from_value(args).unwrap()).unwrap();
        let image = Tensor::from_slice(&[1f32, 2.0]);
        let run = |seed| {
            let mut sample = Sample::new();
            sample.insert("image", image.shallow_clone());
            transform.apply(&mut sample, &mut Random::from_seed(seed)).unwrap();
            sample.tensor("image").unwrap().double_value(&[1])
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_eq!(image.double_value(&[1]), 2.0);
    }
}
