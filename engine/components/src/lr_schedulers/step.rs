//! Schedules that fall in steps.

use byoc::{Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, positive, starts_at_the_beginning};

/// Multiplies the learning rate with `gamma` every `step_size` steps (`torch.optim.lr_scheduler.StepLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Steps between two reductions.
    pub step_size: i64,
    /// What a reduction multiplies with.
    #[serde(default = "defaults::gamma")]
    pub gamma: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Falls every so many steps.
pub type StepLR = Schedule<StepLRArgs>;

/// Multiplies the learning rate with `gamma` at given steps (`torch.optim.lr_scheduler.MultiStepLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiStepLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The steps; one that is there twice counts twice.
    pub milestones: Vec<i64>,
    /// What a reduction multiplies with.
    #[serde(default = "defaults::gamma")]
    pub gamma: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Falls at given steps.
pub type MultiStepLR = Schedule<MultiStepLRArgs>;

byoc::register! { lr_schedulers: [StepLR, MultiStepLR] }

impl Rule for StepLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        positive("step_size", self.step_size)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        Ok(if at.epoch == 0 || at.epoch % self.step_size != 0 { at.last } else { at.last * self.gamma })
    }
}

impl Rule for MultiStepLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let reductions = self.milestones.iter().filter(|milestone| **milestone == at.epoch).count();
        Ok(if reductions == 0 { at.last } else { at.last * self.gamma.powf(reductions as f64) })
    }
}
