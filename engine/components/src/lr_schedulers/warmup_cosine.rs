//! A linear warm-up, then a cosine.

use std::f64::consts::PI;

use byoc::{Error, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, positive, starts_at_the_beginning};

/// Rises linearly over `warmup_steps`, then follows a cosine down to `end_lr` (`monai.optimizers.WarmupCosineSchedule`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmupCosineScheduleArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Steps of the warm-up.
    pub warmup_steps: i64,
    /// Steps in all.
    pub t_total: i64,
    /// The rate does not fall below this one.
    #[serde(default)]
    pub end_lr: f64,
    /// How much of a cosine to follow: one half goes down once.
    #[serde(default = "half")]
    pub cycles: f64,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// The part of the rate that the warm-up starts with, between 0 and 1.
    #[serde(default)]
    pub warmup_multiplier: f64,
}

fn half() -> f64 {
    0.5
}

/// Warms up, then follows a cosine.
pub type WarmupCosineSchedule = Schedule<WarmupCosineScheduleArgs>;

byoc::register! { lr_schedulers: [WarmupCosineSchedule] }

impl Rule for WarmupCosineScheduleArgs {
    fn check(&self, _groups: usize) -> Result<()> {
        positive("t_total", self.t_total)?;
        if !(0.0..=1.0).contains(&self.warmup_multiplier) {
            let found = self.warmup_multiplier;
            return Err(Error::invalid_argument(format!(
                "`warmup_multiplier` is {found}, it must lie between 0 and 1"
            )));
        }
        starts_at_the_beginning(self.last_epoch)
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let warmup = self.warmup_steps.max(0).min(self.t_total);
        if at.epoch < warmup {
            let part = at.epoch as f64 / (warmup as f64).max(1.0);
            return Ok(at.base * (self.warmup_multiplier + (1.0 - self.warmup_multiplier) * part));
        }
        let progress = (at.epoch - warmup) as f64 / ((self.t_total - warmup) as f64).max(1.0);
        let height = 0.5 * (1.0 + (PI * self.cycles * 2.0 * progress).cos());
        Ok((at.base * height.max(0.0)).max(self.end_lr))
    }
}
