//! Metrics in their three forms: a function, a class that accumulates, a handler that gives one number.
//!
//! The trait has one form, so the names of a case are looked up in it: in [`Metric::results`] first, by their own
//! name (`aggregate_0_1`, `value`); then `value` of a handler is [`Metric::compute`], and `value` of a function,
//! `buffer` and `details` are [`Metric::details`]; `aggregate_0` and `aggregate_1` are the results `aggregate` and
//! `not_nans`, and a metric without these has its one number as aggregate.

use byoc::Metric;
use serde_json::Value as Json;
use tch::Tensor;

use super::{Replay, Stop, make_metric};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let form: String = case.required("form")?;
    let then: Vec<String> = case.field("then")?;
    let mut args = case.args.clone();
    if !then.is_empty()
        && let Some(args) = args.as_object_mut()
    {
        args.insert("metric_name".to_owned(), Json::from(then));
    }
    let mut metric = make_metric(components, &case.name, &args)?;
    metric.reset();
    let (y_pred, y) = (case.input("y_pred")?, case.input("y")?);
    let samples = y_pred.size().first().copied().unwrap_or_default();
    let chunks = case.field::<Option<Vec<i64>>>("batch_sizes")?.unwrap_or_else(|| vec![samples]);
    if chunks.iter().sum::<i64>() != samples {
        return Err(Stop::Error(format!(
            "`batch_sizes` {chunks:?} of the case do not sum up to its {samples} samples"
        )));
    }
    // a list of items is one update per item with a batch dimension of 1
    let decollated = case.field::<Option<bool>>("decollated")?.unwrap_or(form == "handler");
    let chunks = if decollated { vec![1; samples as usize] } else { chunks };
    let mut start = 0;
    for size in chunks {
        metric.update(&y_pred.f_narrow(0, start, size)?, &y.f_narrow(0, start, size)?)?;
        start += size;
    }
    let mut actual = Actual::default();
    let results = metric.results()?;
    for key in case.expected("out.") {
        if let Some(value) = value_of(metric.as_ref(), key, &form, &results)? {
            actual.insert(format!("out.{key}"), value);
        }
    }
    Ok(actual)
}

fn value_of(metric: &dyn Metric, key: &str, form: &str, results: &[(String, Tensor)]) -> Replay<Option<Tensor>> {
    let result = |name: &str| {
        results.iter().find(|(result, _)| result.replace(' ', "_") == name).map(|(_, value)| value.shallow_clone())
    };
    if let Some(value) = result(key) {
        return Ok(Some(value));
    }
    Ok(match (key, form) {
        ("value", "function") => match metric.details() {
            Some(details) => Some(details),
            None => Some(Tensor::from(metric.compute()?)),
        },
        ("value" | "aggregate", _) => Some(Tensor::from(metric.compute()?)),
        ("buffer" | "details", _) => metric.details(),
        ("aggregate_0", _) => result("aggregate"),
        ("aggregate_1", _) => result("not_nans"),
        _ => None,
    })
}
