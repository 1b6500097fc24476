//! A schedule that watches a metric.

use byoc::{Error, LrScheduler, LrSchedulerComponent, OneOrMany, Result, StateTree, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::schedule::{fits_groups, floats, of_group, read_floats};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// A loss.
    Min,
    /// A score.
    Max,
}

/// What `threshold` is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// Of the best value.
    Rel,
    /// Of nothing: it is the difference itself.
    Abs,
}

/// Lowers the learning rate when a metric has not become better for a while
/// (`torch.optim.lr_scheduler.ReduceLROnPlateau`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReduceLROnPlateauArgs {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Wired,
    /// Which way is better.
    #[serde(default = "min")]
    pub mode: PlateauMode,
    /// What a reduction multiplies with.
    #[serde(default = "defaults::gamma")]
    pub factor: f64,
    /// How many steps without a better value are let pass.
    #[serde(default = "patience")]
    pub patience: i64,
    /// How much better a value must be to count.
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// Whether `threshold` is a part of the best value or a difference.
    #[serde(default = "rel")]
    pub threshold_mode: ThresholdMode,
    /// Steps after a reduction in which nothing is counted.
    #[serde(default)]
    pub cooldown: i64,
    /// The rate does not fall below this one, for all groups or for each.
    #[serde(default)]
    pub min_lr: OneOrMany<f64>,
    /// Reductions smaller than this one are left out.
    #[serde(default = "eps")]
    pub eps: f64,
    /// Without effect; older configs have it.
    #[serde(default)]
    pub verbose: bool,
}

fn min() -> PlateauMode {
    PlateauMode::Min
}

fn rel() -> ThresholdMode {
    ThresholdMode::Rel
}

fn patience() -> i64 {
    10
}

fn threshold() -> f64 {
    1e-4
}

fn eps() -> f64 {
    1e-8
}

/// Lowers the rate when a metric does not become better.
#[derive(Debug)]
pub struct ReduceLROnPlateau {
    args: ReduceLROnPlateauArgs,
    rates: Vec<f64>,
    epoch: i64,
    best: f64,
    bad_epochs: i64,
    cooldown_left: i64,
}

byoc::register! { lr_schedulers: [ReduceLROnPlateau] }

impl LrSchedulerComponent for ReduceLROnPlateau {
    type Args = ReduceLROnPlateauArgs;

    fn new(args: ReduceLROnPlateauArgs, initial: &[f64]) -> Result<Self> {
        if args.factor >= 1.0 {
            return Err(Error::invalid_argument(format!("`factor` is {}, it must be less than 1", args.factor)));
        }
        fits_groups("min_lr", &args.min_lr, initial.len())?;
        let best = match args.mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        };
        Ok(Self { args, rates: initial.to_vec(), epoch: 0, best, bad_epochs: 0, cooldown_left: 0 })
    }
}

impl ReduceLROnPlateau {
    fn is_better(&self, value: f64) -> bool {
        let (best, threshold) = (self.best, self.args.threshold);
        match (self.args.mode, self.args.threshold_mode) {
            (PlateauMode::Min, ThresholdMode::Rel) => value < best * (1.0 - threshold),
            (PlateauMode::Min, ThresholdMode::Abs) => value < best - threshold,
            (PlateauMode::Max, ThresholdMode::Rel) => value > best * (threshold + 1.0),
            (PlateauMode::Max, ThresholdMode::Abs) => value > best + threshold,
        }
    }
}

impl LrScheduler for ReduceLROnPlateau {
    fn step(&mut self, metric: Option<f64>) -> Result<()> {
        let Some(value) = metric else {
            return Err(Error::msg("`ReduceLROnPlateau` needs a metric at each step: step it after a validation"));
        };
        self.epoch += 1;
        if self.is_better(value) {
            self.best = value;
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown_left > 0 {
            self.cooldown_left -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > self.args.patience {
            for (group, rate) in self.rates.iter_mut().enumerate() {
                let lower = (*rate * self.args.factor).max(of_group(&self.args.min_lr, group));
                if *rate - lower > self.args.eps {
                    *rate = lower;
                }
            }
            self.cooldown_left = self.args.cooldown;
            self.bad_epochs = 0;
        }
        Ok(())
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.rates.clone()
    }

    /// Where the schedule stands, under PyTorch's names. Its arguments are not in it: those of the config count.
    fn state(&self) -> Result<StateTree> {
        Ok(StateTree::dict([
            ("last_epoch", StateTree::Int(self.epoch)),
            ("best", StateTree::Float(self.best)),
            ("num_bad_epochs", StateTree::Int(self.bad_epochs)),
            ("cooldown_counter", StateTree::Int(self.cooldown_left)),
            ("_last_lr", floats(&self.rates)),
        ]))
    }

    fn load_state(&mut self, state: &StateTree) -> Result<()> {
        let number = |key: &str| {
            let value = state.get(key).and_then(StateTree::as_f64);
            value.ok_or_else(|| Error::data(format!("the schedule's state has no number `{key}`")))
        };
        let rates = read_floats(state, "_last_lr", self.rates.len())?;
        let (epoch, best) = (number("last_epoch")? as i64, number("best")?);
        let (bad_epochs, cooldown_left) = (number("num_bad_epochs")? as i64, number("cooldown_counter")? as i64);
        (self.rates, self.epoch, self.best) = (rates, epoch, best);
        (self.bad_epochs, self.cooldown_left) = (bad_epochs, cooldown_left);
        Ok(())
    }
}
