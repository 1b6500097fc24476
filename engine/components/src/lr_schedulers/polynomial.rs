//! A schedule that falls along a power.

use byoc::{Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, positive, starts_at_the_beginning};

/// Falls to 0 along `(1 - step / total_iters) ^ power` (`torch.optim.lr_scheduler.PolynomialLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolynomialLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Steps until 0.
    #[serde(default = "defaults::five")]
    pub total_iters: i64,
    /// The exponent.
    #[serde(default = "defaults::one")]
    pub power: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Falls along a power.
pub type PolynomialLR = Schedule<PolynomialLRArgs>;

byoc::register! { lr_schedulers: [PolynomialLR] }

impl Rule for PolynomialLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        positive("total_iters", self.total_iters)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        if at.epoch == 0 || at.epoch > self.total_iters {
            return Ok(at.last);
        }
        let left = |epoch: i64| 1.0 - epoch as f64 / self.total_iters as f64;
        Ok(at.last * (left(at.epoch) / left(at.epoch - 1)).powf(self.power))
    }
}
