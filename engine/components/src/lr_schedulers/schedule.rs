//! What all schedules share: where they stand, and their state in PyTorch's layout.

use byoc::{Error, LrScheduler, LrSchedulerComponent, Result, StateTree};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// What makes a schedule: its arguments, and the rate of a step.
pub trait Rule: DeserializeOwned + JsonSchema + Send + 'static {
    /// Whether the arguments are possible for so many parameter groups.
    fn check(&self, groups: usize) -> Result<()>;

    /// The rates that the schedule starts from, made of the optimizer's.
    fn base(&self, initial: &[f64]) -> Vec<f64> {
        initial.to_vec()
    }

    /// The rate of a group.
    fn rate(&self, at: &At) -> Result<f64>;

    /// The momentum of a group, if the schedule moves it.
    fn momentum(&self, _at: &At) -> Option<f64> {
        None
    }

    /// What PyTorch's state has beyond the base: it follows from the epoch here.
    fn extra_state(&self, _epoch: i64) -> Vec<(&'static str, StateTree)> {
        Vec::new()
    }
}

/// Where a group stands.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Steps so far: 0 when the schedule was just made.
    pub epoch: i64,
    /// Which group.
    pub group: usize,
    /// The rate that the schedule started from.
    pub base: f64,
    /// The rate before this step; the optimizer's own when the schedule was just made.
    pub last: f64,
}

/// A schedule made of a [`Rule`].
#[derive(Debug)]
pub struct Schedule<R> {
    rule: R,
    base: Vec<f64>,
    last: Vec<f64>,
    epoch: i64,
}

impl<R: Rule> LrSchedulerComponent for Schedule<R> {
    type Args = R;

    fn new(rule: R, initial: &[f64]) -> Result<Self> {
        rule.check(initial.len())?;
        let base = rule.base(initial);
        let mut schedule = Self { rule, last: base.clone(), base, epoch: 0 };
        schedule.last = schedule.rates()?;
        Ok(schedule)
    }
}

impl<R: Rule> Schedule<R> {
    fn at(&self, group: usize) -> At {
        At { epoch: self.epoch, group, base: self.base[group], last: self.last[group] }
    }

    fn rates(&self) -> Result<Vec<f64>> {
        (0..self.base.len()).map(|group| self.rule.rate(&self.at(group))).collect()
    }
}

impl<R: Rule> LrScheduler for Schedule<R> {
    fn step(&mut self, _metric: Option<f64>) -> Result<()> {
        self.epoch += 1;
        match self.rates() {
            Ok(rates) => {
                self.last = rates;
                Ok(())
            }
            Err(error) => {
                self.epoch -= 1;
                Err(error)
            }
        }
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.last.clone()
    }

    fn momentums(&self) -> Option<Vec<f64>> {
        (0..self.base.len()).map(|group| self.rule.momentum(&self.at(group))).collect()
    }

    /// Where the schedule stands, under PyTorch's names. Its arguments are not in it: those of the config count.
    fn state(&self) -> Result<StateTree> {
        let mut entries = vec![
            ("base_lrs", floats(&self.base)),
            ("last_epoch", StateTree::Int(self.epoch)),
            ("_step_count", StateTree::Int(self.epoch + 1)),
            ("_last_lr", floats(&self.last)),
        ];
        entries.extend(self.rule.extra_state(self.epoch));
        Ok(StateTree::dict(entries))
    }

    fn load_state(&mut self, state: &StateTree) -> Result<()> {
        let epoch = state.get("last_epoch").and_then(StateTree::as_i64);
        let epoch = epoch.ok_or_else(|| Error::data("the schedule's state has no integer `last_epoch`"))?;
        let last = read_floats(state, "_last_lr", self.base.len())?;
        let base = match state.get("base_lrs") {
            Some(_) => read_floats(state, "base_lrs", self.base.len())?,
            None => self.base.clone(),
        };
        (self.epoch, self.last, self.base) = (epoch, last, base);
        Ok(())
    }
}

pub(super) fn floats(values: &[f64]) -> StateTree {
    StateTree::List(values.iter().copied().map(StateTree::Float).collect())
}

pub(super) fn read_floats(state: &StateTree, key: &str, groups: usize) -> Result<Vec<f64>> {
    let values = match state.get(key) {
        Some(StateTree::List(values)) => values.iter().map(StateTree::as_f64).collect::<Option<Vec<f64>>>(),
        _ => None,
    };
    match values {
        Some(values) if values.len() == groups => Ok(values),
        Some(values) => {
            Err(Error::data(format!("the schedule's state has {} rates in `{key}` for {groups} groups", values.len())))
        }
        None => Err(Error::data(format!("the schedule's state has no list of numbers `{key}`"))),
    }
}

/// PyTorch's `last_epoch` continues a schedule by hand; here a checkpoint does.
pub(super) fn starts_at_the_beginning(last_epoch: i64) -> Result<()> {
    if last_epoch == -1 {
        return Ok(());
    }
    Err(Error::invalid_argument(
        "`last_epoch` must be -1: a run that goes on (`--resume`) finds its place in the checkpoint",
    ))
}

/// An argument that must be a positive integer.
pub(super) fn positive(name: &str, value: i64) -> Result<()> {
    if value >= 1 {
        Ok(())
    } else {
        Err(Error::invalid_argument(format!("`{name}` is {value}, it must be at least 1")))
    }
}

/// One value per group, or one for all.
pub(super) fn fits_groups(name: &str, values: &byoc::OneOrMany<f64>, groups: usize) -> Result<()> {
    values.clone().repeat(groups, name).map(drop)
}

/// The value of a group.
pub(super) fn of_group(values: &byoc::OneOrMany<f64>, group: usize) -> f64 {
    match values {
        byoc::OneOrMany::One(value) => *value,
        // a list of one counts for all, a longer one was checked
        byoc::OneOrMany::Many(values) => values.get(group).or(values.first()).copied().unwrap_or_default(),
    }
}
