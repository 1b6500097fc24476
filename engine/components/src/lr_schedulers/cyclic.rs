//! Cycles between two learning rates.

use byoc::{OneOrMany, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, fits_groups, of_group, positive, starts_at_the_beginning};

/// How the cycles change.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CyclicMode {
    /// All are alike.
    Triangular,
    /// Each is half as high as the one before.
    Triangular2,
    /// The height falls by `gamma` with each step.
    ExpRange,
}

/// Goes up and down between two learning rates, the momentum the other way round
/// (`torch.optim.lr_scheduler.CyclicLR`; Smith, "Cyclical learning rates for training neural networks", 2017).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CyclicLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The lower rate, for all groups or for each.
    pub base_lr: OneOrMany<f64>,
    /// The upper rate, for all groups or for each.
    pub max_lr: OneOrMany<f64>,
    /// Steps up.
    #[serde(default = "step_size_up")]
    pub step_size_up: i64,
    /// Steps down; as many as up.
    #[serde(default)]
    pub step_size_down: Option<i64>,
    /// How the cycles change.
    #[serde(default = "triangular")]
    pub mode: CyclicMode,
    /// By what the height falls with each step, for `exp_range`.
    #[serde(default = "defaults::one")]
    pub gamma: f64,
    /// Follows from `mode`.
    #[serde(default)]
    pub scale_mode: Option<String>,
    /// Moves the momentum, too.
    #[serde(default = "defaults::yes")]
    pub cycle_momentum: bool,
    /// The lower momentum.
    #[serde(default = "base_momentum")]
    pub base_momentum: OneOrMany<f64>,
    /// The upper momentum.
    #[serde(default = "max_momentum")]
    pub max_momentum: OneOrMany<f64>,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

fn step_size_up() -> i64 {
    2000
}

fn triangular() -> CyclicMode {
    CyclicMode::Triangular
}

fn base_momentum() -> OneOrMany<f64> {
    OneOrMany::One(0.8)
}

fn max_momentum() -> OneOrMany<f64> {
    OneOrMany::One(0.9)
}

/// Goes up and down between two rates.
pub type CyclicLR = Schedule<CyclicLRArgs>;

byoc::register! { lr_schedulers: [CyclicLR] }

impl CyclicLRArgs {
    /// How far up the step is, between 0 and 1, with the height of its cycle.
    fn height(&self, epoch: i64) -> f64 {
        let up = self.step_size_up as f64;
        let total = up + self.step_size_down.map_or(up, |steps| steps as f64);
        let ratio = up / total;
        let step = epoch as f64;
        let cycle = (1.0 + step / total).floor();
        let x = 1.0 + step / total - cycle;
        let height = if x <= ratio { x / ratio } else { (x - 1.0) / (ratio - 1.0) };
        height
            * match self.mode {
                CyclicMode::Triangular => 1.0,
                CyclicMode::Triangular2 => 1.0 / 2f64.powf(cycle - 1.0),
                CyclicMode::ExpRange => self.gamma.powf(step),
            }
    }
}

impl Rule for CyclicLRArgs {
    fn check(&self, groups: usize) -> Result<()> {
        positive("step_size_up", self.step_size_up)?;
        if let Some(steps) = self.step_size_down {
            positive("step_size_down", steps)?;
        }
        fits_groups("base_lr", &self.base_lr, groups)?;
        fits_groups("max_lr", &self.max_lr, groups)?;
        fits_groups("base_momentum", &self.base_momentum, groups)?;
        fits_groups("max_momentum", &self.max_momentum, groups)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn base(&self, initial: &[f64]) -> Vec<f64> {
        (0..initial.len()).map(|group| of_group(&self.base_lr, group)).collect()
    }

    fn rate(&self, at: &At) -> Result<f64> {
        Ok(at.base + (of_group(&self.max_lr, at.group) - at.base) * self.height(at.epoch))
    }

    fn momentum(&self, at: &At) -> Option<f64> {
        let (low, high) = (of_group(&self.base_momentum, at.group), of_group(&self.max_momentum, at.group));
        self.cycle_momentum.then(|| high - (high - low) * self.height(at.epoch))
    }
}
