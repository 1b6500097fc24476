//! Schedules for the first steps: a factor that grows linearly, or one that is dropped.

use byoc::{Error, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, starts_at_the_beginning};

fn third() -> f64 {
    1.0 / 3.0
}

/// Moves a factor of the learning rate linearly over the first steps (`torch.optim.lr_scheduler.LinearLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The factor at the beginning.
    #[serde(default = "third")]
    pub start_factor: f64,
    /// The factor at the end, and from then on.
    #[serde(default = "defaults::one")]
    pub end_factor: f64,
    /// How many steps it takes.
    #[serde(default = "defaults::five")]
    pub total_iters: i64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Moves a factor linearly over the first steps.
pub type LinearLR = Schedule<LinearLRArgs>;

/// Multiplies the learning rate with a factor for the first steps (`torch.optim.lr_scheduler.ConstantLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstantLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The factor.
    #[serde(default = "third")]
    pub factor: f64,
    /// For how many steps.
    #[serde(default = "defaults::five")]
    pub total_iters: i64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Has a factor for the first steps.
pub type ConstantLR = Schedule<ConstantLRArgs>;

byoc::register! { lr_schedulers: [LinearLR, ConstantLR] }

impl Rule for LinearLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        if !(self.start_factor > 0.0 && self.start_factor <= 1.0) {
            return Err(Error::invalid_argument(format!(
                "`start_factor` is {}, it must be above 0 and at most 1",
                self.start_factor
            )));
        }
        if !(0.0..=1.0).contains(&self.end_factor) {
            return Err(Error::invalid_argument(format!(
                "`end_factor` is {}, it must lie between 0 and 1",
                self.end_factor
            )));
        }
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        if at.epoch == 0 {
            return Ok(at.last * self.start_factor);
        }
        if at.epoch > self.total_iters {
            return Ok(at.last);
        }
        let change = self.end_factor - self.start_factor;
        let factor_before = self.total_iters as f64 * self.start_factor + (at.epoch - 1) as f64 * change;
        Ok(at.last * (1.0 + change / factor_before))
    }
}

impl Rule for ConstantLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        if !(self.factor > 0.0 && self.factor <= 1.0) {
            return Err(Error::invalid_argument(format!(
                "`factor` is {}, it must be above 0 and at most 1",
                self.factor
            )));
        }
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        Ok(if at.epoch == 0 {
            at.last * self.factor
        } else if at.epoch == self.total_iters {
            at.last * (1.0 / self.factor)
        } else {
            at.last
        })
    }
}
