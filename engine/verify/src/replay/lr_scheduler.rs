//! Learning-rate schedules: the rates before the first step and after each.

use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

use super::{Replay, Stop, make_lr_scheduler};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;

/// The optimizer whose rates are scheduled; only the rates matter.
#[derive(Deserialize)]
struct Scheduled {
    group_lrs: Vec<f64>,
}

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let optimizer: Scheduled = case.required("optimizer")?;
    let mut scheduler =
        make_lr_scheduler(components, &case.name, &without_optimizer(&case.args), &optimizer.group_lrs)?;
    let steps: i64 = case.required("steps")?;
    let metric = case.optional_input("metric");
    let mut rates = scheduler.learning_rates();
    for step in 0..steps {
        let metric = metric.map(|metric| metric.f_double_value(&[step])).transpose()?;
        scheduler.step(metric)?;
        rates.extend(scheduler.learning_rates());
    }
    let groups = optimizer.group_lrs.len() as i64;
    if rates.len() as i64 != (steps + 1) * groups {
        return Err(Stop::Error(format!(
            "the schedule does not give {groups} rates, one for each group, at every step"
        )));
    }
    let mut actual = Actual::default();
    actual.insert("out.lr", Tensor::from_slice(&rates).view([steps + 1, groups]));
    Ok(actual)
}

/// The engine wires `"optimizer": "@optimizer"` itself.
pub(super) fn without_optimizer(args: &Json) -> Json {
    let mut args = args.clone();
    if let Some(map) = args.as_object_mut() {
        map.retain(|_, value| value != "@optimizer");
    }
    args
}
