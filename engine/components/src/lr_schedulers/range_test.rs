//! MONAI's schedules for finding a learning rate: they rise from the optimizer's rate to a given one.

use byoc::{Error, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, starts_at_the_beginning};

/// Moves the learning rate linearly to `end_lr` over `num_iter` steps (`monai.optimizers.LinearLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonaiLinearLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The last rate.
    pub end_lr: f64,
    /// How many steps it takes, the first included.
    pub num_iter: i64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
}

/// Rises linearly.
pub type MonaiLinearLR = Schedule<MonaiLinearLRArgs>;

/// Moves the learning rate by the same factor at each step to `end_lr`, over `num_iter` steps
/// (`monai.optimizers.ExponentialLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonaiExponentialLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The last rate.
    pub end_lr: f64,
    /// How many steps it takes, the first included.
    pub num_iter: i64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
}

/// Rises exponentially.
pub type MonaiExponentialLR = Schedule<MonaiExponentialLRArgs>;

byoc::register! {
    lr_schedulers: [
        MonaiLinearLR = "MonaiLinearLR" | "monai.optimizers.LinearLR",
        MonaiExponentialLR = "MonaiExponentialLR" | "monai.optimizers.ExponentialLR",
    ],
}

fn check(num_iter: i64, last_epoch: i64) -> Result<()> {
    if num_iter < 2 {
        return Err(Error::invalid_argument(format!("`num_iter` is {num_iter}, it must be at least 2")));
    }
    starts_at_the_beginning(last_epoch)
}

impl Rule for MonaiLinearLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        check(self.num_iter, self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let part = at.epoch as f64 / (self.num_iter - 1) as f64;
        Ok(at.base + part * (self.end_lr - at.base))
    }
}

impl Rule for MonaiExponentialLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        check(self.num_iter, self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let part = at.epoch as f64 / (self.num_iter - 1) as f64;
        Ok(at.base * (self.end_lr / at.base).powf(part))
    }
}
