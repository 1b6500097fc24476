//! Metrics: values over several batches.

use byoc::{Constructor, Kind};
use mmar_components as _;
use mmar_loader::Registry;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

use crate::table::{Input, expect_none};

#[derive(Deserialize)]
struct Entry {
    path: String,
    args: Json,
    y_pred: Input,
    y: Input,
    /// How many items come at a time.
    batches: Vec<i64>,
    /// A number, or nested lists of them.
    value: Json,
}

#[test]
fn metrics_have_pythons_values() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("metrics.json")).unwrap();
    let mut registry = Registry::with_builtins();
    let mut problem = |entry: &Entry| {
        check(entry, &mut registry).err().map(|problem| format!("{} {}: {problem}", entry.path, entry.args))
    };
    expect_none(&entries.iter().filter_map(&mut problem).collect::<Vec<_>>());
}

fn check(entry: &Entry, registry: &mut Registry) -> Result<(), String> {
    let found = registry.find(Kind::METRIC, &entry.path).map_err(|error| error.to_string())?;
    let Constructor::Metric(create) = found.constructor else {
        return Err("is no metric".to_owned());
    };
    let mut metric = create(&entry.args).map_err(|error| error.to_string())?;
    let (y_pred, y) = (entry.y_pred.make("y_pred"), entry.y.make("y"));
    metric.reset();
    let mut start = 0;
    for &size in &entry.batches {
        let batch = |tensor: &Tensor| tensor.narrow(0, start, size);
        metric.update(&batch(&y_pred), &batch(&y)).map_err(|error| error.to_string())?;
        start += size;
    }
    let results = metric.results().map_err(|error| error.to_string())?;
    let whole = ["value", "aggregate", "aggregate_0"];
    let value = match results.iter().find(|(name, _)| whole.contains(&name.as_str())) {
        Some((_, value)) => value.shallow_clone(),
        None => Tensor::from(metric.compute().map_err(|error| error.to_string())?),
    };
    let (expected, shape) = (numbers(&entry.value), shape(&entry.value));
    let found = Vec::<f64>::try_from(value.to_kind(tch::Kind::Double).flatten(0, -1)).map_err(|it| it.to_string())?;
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan());
    if value.size() != shape || !found.iter().zip(&expected).all(close) {
        return Err(format!("{found:?} of shape {:?} instead of {expected:?} of shape {shape:?}", value.size()));
    }
    Ok(())
}

/// The numbers of nested lists; null is no number.
fn numbers(value: &Json) -> Vec<f64> {
    match value {
        Json::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

fn shape(value: &Json) -> Vec<i64> {
    match value {
        Json::Array(values) => [vec![values.len() as i64], values.first().map(shape).unwrap_or_default()].concat(),
        _ => Vec::new(),
    }
}
