//! The one-cycle policy.

use std::f64::consts::PI;

use byoc::{Error, OneOrMany, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{At, Rule, Schedule, fits_groups, of_group, positive, starts_at_the_beginning};

/// How to go from one value to the next.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnnealStrategy {
    /// Along half a cosine.
    Cos,
    /// Along a line.
    Linear,
}

/// Up to `max_lr` and down to almost nothing in one cycle, the momentum the other way round
/// (`torch.optim.lr_scheduler.OneCycleLR`; Smith and Topin, "Super-convergence", 2018).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneCycleLRArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// The top, for all groups or for each.
    pub max_lr: OneOrMany<f64>,
    /// Steps of the cycle; or `epochs` and `steps_per_epoch`.
    #[serde(default)]
    pub total_steps: Option<i64>,
    /// Epochs of the cycle.
    #[serde(default)]
    pub epochs: Option<i64>,
    /// Steps of an epoch.
    #[serde(default)]
    pub steps_per_epoch: Option<i64>,
    /// The part of the cycle that goes up.
    #[serde(default = "pct_start")]
    pub pct_start: f64,
    /// How to go from one value to the next.
    #[serde(default = "cos")]
    pub anneal_strategy: AnnealStrategy,
    /// Moves the momentum, too.
    #[serde(default = "defaults::yes")]
    pub cycle_momentum: bool,
    /// The momentum at the top.
    #[serde(default = "base_momentum")]
    pub base_momentum: OneOrMany<f64>,
    /// The momentum at both ends.
    #[serde(default = "max_momentum")]
    pub max_momentum: OneOrMany<f64>,
    /// The first rate is `max_lr` divided by this.
    #[serde(default = "div_factor")]
    pub div_factor: f64,
    /// The last rate is the first one divided by this.
    #[serde(default = "final_div_factor")]
    pub final_div_factor: f64,
    /// Comes down as steeply as it went up, then falls to the last rate in a phase of its own.
    #[serde(default)]
    pub three_phase: bool,
    /// Always -1.
    #[serde(default = "defaults::last_epoch")]
    pub last_epoch: i64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

fn pct_start() -> f64 {
    0.3
}

fn cos() -> AnnealStrategy {
    AnnealStrategy::Cos
}

fn base_momentum() -> OneOrMany<f64> {
    OneOrMany::One(0.85)
}

fn max_momentum() -> OneOrMany<f64> {
    OneOrMany::One(0.95)
}

fn div_factor() -> f64 {
    25.0
}

fn final_div_factor() -> f64 {
    1e4
}

/// Up and down in one cycle.
pub type OneCycleLR = Schedule<OneCycleLRArgs>;

byoc::register! { lr_schedulers: [OneCycleLR] }

/// The heights that a phase goes between: rates, and the momentum in parallel.
#[derive(Debug, Clone, Copy)]
enum Height {
    Initial,
    Top,
    Minimum,
}

impl OneCycleLRArgs {
    fn total_steps(&self) -> Option<i64> {
        self.total_steps.or_else(|| Some(self.epochs? * self.steps_per_epoch?))
    }

    /// Where the phase of this step starts and ends as heights, and how far in it the step is.
    fn phase(&self, epoch: i64) -> (Height, Height, f64) {
        let total = self.total_steps().unwrap_or(1) as f64;
        let up = (self.pct_start * total - 1.0, Height::Initial, Height::Top);
        let phases = if self.three_phase {
            vec![
                up,
                (2.0 * self.pct_start * total - 2.0, Height::Top, Height::Initial),
                (total - 1.0, Height::Initial, Height::Minimum),
            ]
        } else {
            vec![up, (total - 1.0, Height::Top, Height::Minimum)]
        };
        let step = epoch as f64;
        let mut start = 0.0;
        let last = phases.len() - 1;
        for (number, (end, from, to)) in phases.into_iter().enumerate() {
            if step <= end || number == last {
                // a phase of no steps, where PyTorch would divide by zero
                return (from, to, if end == start { 1.0 } else { (step - start) / (end - start) });
            }
            start = end;
        }
        (Height::Minimum, Height::Minimum, 0.0)
    }

    fn anneal(&self, start: f64, end: f64, part: f64) -> f64 {
        match self.anneal_strategy {
            AnnealStrategy::Cos => end + (start - end) / 2.0 * ((PI * part).cos() + 1.0),
            AnnealStrategy::Linear => (end - start) * part + start,
        }
    }
}

impl Rule for OneCycleLRArgs {
    fn check(&self, groups: usize) -> Result<()> {
        let Some(total) = self.total_steps() else {
            return Err(Error::invalid_argument("`total_steps` is missing (or `epochs` and `steps_per_epoch`)"));
        };
        positive("total_steps", total)?;
        if !(0.0..=1.0).contains(&self.pct_start) {
            return Err(Error::invalid_argument(format!(
                "`pct_start` is {}, it must lie between 0 and 1",
                self.pct_start
            )));
        }
        fits_groups("max_lr", &self.max_lr, groups)?;
        fits_groups("base_momentum", &self.base_momentum, groups)?;
        fits_groups("max_momentum", &self.max_momentum, groups)?;
        starts_at_the_beginning(self.last_epoch)
    }

    fn base(&self, initial: &[f64]) -> Vec<f64> {
        (0..initial.len()).map(|group| of_group(&self.max_lr, group) / self.div_factor).collect()
    }

    fn rate(&self, at: &At) -> Result<f64> {
        let total = self.total_steps().unwrap_or(1);
        if at.epoch > total {
            return Err(Error::invalid_argument(format!(
                "step {} of a cycle of {total} steps: set `total_steps` to the steps of the whole run",
                at.epoch
            )));
        }
        let height = |height| match height {
            Height::Initial => at.base,
            Height::Top => of_group(&self.max_lr, at.group),
            Height::Minimum => at.base / self.final_div_factor,
        };
        let (from, to, part) = self.phase(at.epoch);
        Ok(self.anneal(height(from), height(to), part))
    }

    fn momentum(&self, at: &At) -> Option<f64> {
        if !self.cycle_momentum {
            return None;
        }
        let height = |height| match height {
            Height::Top => of_group(&self.base_momentum, at.group),
            Height::Initial | Height::Minimum => of_group(&self.max_momentum, at.group),
        };
        let (from, to, part) = self.phase(at.epoch);
        Some(self.anneal(height(from), height(to), part))
    }
}
