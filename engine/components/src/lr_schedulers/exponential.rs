//! A schedule that falls by the same factor with each step.

use byoc::{Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, starts_at_the_beginning};

/// Multiplies the learning rate with `gamma` at each step (`torch.optim.lr_scheduler.ExponentialLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentialLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// What each step multiplies with.
    pub gamma: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Falls by the same factor with each step.
pub type ExponentialLR = Schedule<ExponentialLRArgs>;

byoc::register! { lr_schedulers: [ExponentialLR] }

impl Rule for ExponentialLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        Ok(if at.epoch == 0 { at.last } else { at.last * self.gamma })
    }
}
