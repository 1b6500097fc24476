//! Schedules that follow a cosine.

use std::f64::consts::PI;

use byoc::{Result, StateTree, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, positive, starts_at_the_beginning};

/// Follows half a cosine from the learning rate down to `eta_min` in `T_max` steps, then up again
/// (`torch.optim.lr_scheduler.CosineAnnealingLR`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineAnnealingLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Steps until the minimum.
    #[serde(rename = "T_max")]
    pub t_max: i64,
    /// The minimum.
    #[serde(default)]
    pub eta_min: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

/// Follows a cosine down and up.
pub type CosineAnnealingLR = Schedule<CosineAnnealingLRArgs>;

/// Follows half a cosine down to `eta_min` and starts anew, each time after `T_mult` times as many steps
/// (`torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`; Loshchilov and Hutter, SGDR, 2017).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineAnnealingWarmRestartsArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Steps until the first restart.
    #[serde(rename = "T_0")]
    pub t_0: i64,
    /// What a restart multiplies the number of steps with.
    #[serde(rename = "T_mult", default = "one_step")]
    pub t_mult: i64,
    /// The minimum.
    #[serde(default)]
    pub eta_min: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

fn one_step() -> i64 {
    1
}

/// Follows a cosine down and starts anew.
pub type CosineAnnealingWarmRestarts = Schedule<CosineAnnealingWarmRestartsArgs>;

byoc::register! { lr_schedulers: [CosineAnnealingLR, CosineAnnealingWarmRestarts] }

impl Rule for CosineAnnealingLRArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        positive("T_max", self.t_max)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        if at.epoch == 0 {
            return Ok(at.last);
        }
        let t_max = self.t_max as f64;
        // out of the minimum there is no factor to go by
        if (at.epoch - 1 - self.t_max) % (2 * self.t_max) == 0 {
            return Ok(at.last + (at.base - self.eta_min) * (1.0 - (PI / t_max).cos()) / 2.0);
        }
        let height = |epoch: i64| 1.0 + (PI * epoch as f64 / t_max).cos();
        Ok(height(at.epoch) / height(at.epoch - 1) * (at.last - self.eta_min) + self.eta_min)
    }
}

impl CosineAnnealingWarmRestartsArgs {
    /// Steps since the last restart, and steps from that one to the next.
    fn cycle(&self, epoch: i64) -> (i64, i64) {
        if self.t_mult == 1 {
            return (epoch % self.t_0, self.t_0);
        }
        let (mut since, mut length) = (epoch, self.t_0);
        while since >= length {
            since -= length;
            length *= self.t_mult;
        }
        (since, length)
    }
}

impl Rule for CosineAnnealingWarmRestartsArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        positive("T_0", self.t_0)?;
        positive("T_mult", self.t_mult)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let (since, length) = self.cycle(at.epoch);
        Ok(self.eta_min + (at.base - self.eta_min) * (1.0 + (PI * since as f64 / length as f64).cos()) / 2.0)
    }

    fn extra_state(&self, epoch: i64) -> Vec<(&'static str, StateTree)> {
        let (since, length) = self.cycle(epoch);
        vec![("T_cur", StateTree::Int(since)), ("T_i", StateTree::Int(length))]
    }
}
