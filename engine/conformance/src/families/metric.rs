//! Metrics: they accumulate, forget when they are told to, and survive an epoch without data.

use byoc::{Kind as ComponentKind, Metric, Random};
use tch::{Device, Tensor};

use crate::object::Response;
use crate::specimen::Specimen;
use crate::stimulus::{PairPlan, Plan};
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const METRIC: &[ComponentKind] = &[ComponentKind::METRIC];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("metric-forward", "an epoch of two batches gives a number", METRIC, forward),
    Test::of_component("metric-reset", "after a reset it is as new", METRIC, reset),
    Test::of_component("metric-accumulates", "every batch since the reset counts", METRIC, accumulates),
    Test::of_component("metric-batching", "items one by one and in a batch give the same", METRIC, batching),
    Test::of_component("metric-order", "the order of the batches does not matter", METRIC, order),
    Test::of_component("metric-repeatable", "asking for the value does not change it", METRIC, repeatable),
    Test::of_component(
        "metric-empty-epoch",
        "an epoch without data gives NaN or an error in words",
        METRIC,
        empty_epoch,
    ),
    Test::of_component("metric-details", "the values per item have a row for each item", METRIC, details),
    Test::of_component(
        "metric-state",
        "an epoch that is interrupted goes on from the state that was kept",
        METRIC,
        kept_state,
    ),
    Test::of_component("metric-gpu", "on a GPU it gives what it gives on the CPU", METRIC, gpu),
];

/// Values that differ by rounding only.
const TOLERANCE: f64 = 1e-5;

fn plan(specimen: &Specimen) -> Result<&PairPlan, Verdict> {
    match specimen.plan()? {
        Plan::Pair(plan) => Ok(plan),
        _ => Err(Verdict::skipped("it takes no pair of tensors")),
    }
}

/// The batch of this number; each is predicted about as badly as the others, none perfectly.
fn batch(specimen: &Specimen, number: u64) -> Result<(Tensor, Tensor), Verdict> {
    let mut random = Random::from_seed(Random::derive_seed(&[specimen.seed, 20 + number]));
    Ok(plan(specimen)?.draw(&mut random))
}

fn fresh(specimen: &Specimen) -> Result<Box<dyn Metric>, Verdict> {
    let mut metric = specimen.metric()?;
    metric.reset();
    Ok(metric)
}

/// The value of a new metric that has seen these batches.
fn value_of(specimen: &Specimen, batches: &[&(Tensor, Tensor)]) -> Result<f64, Verdict> {
    let mut metric = fresh(specimen)?;
    for (y_pred, y) in batches {
        metric.update(y_pred, y)?;
    }
    Ok(metric.compute()?)
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}

fn forward(specimen: &Specimen) -> Found {
    let (first, second) = (batch(specimen, 0)?, batch(specimen, 1)?);
    let value = value_of(specimen, &[&first, &second])?;
    if value.is_infinite() {
        return Err(Verdict::failed(
            format!("the value is {value}"),
            "give NaN where the metric is not defined: an infinite value spoils every mean",
        ));
    }
    if value.is_nan() {
        return Err(Verdict::warning(
            "the value is NaN although every class is there",
            "give shapes of `y_pred` and `y` that it is defined for with `--args FILE`",
        ));
    }
    Ok(Verdict::success(format!("{value:.4}")))
}

fn state(metric: &dyn Metric) -> Result<Response, Verdict> {
    let mut response = Response::default();
    response.add_metric(metric)?;
    Ok(response.copy())
}

fn reset(specimen: &Specimen) -> Found {
    let (first, second) = (batch(specimen, 0)?, batch(specimen, 1)?);
    let mut metric = fresh(specimen)?;
    metric.update(&second.0, &second.1)?;
    let expected = state(metric.as_ref())?;

    let mut used = fresh(specimen)?;
    used.update(&first.0, &first.1)?;
    used.compute()?;
    used.reset();
    used.update(&second.0, &second.1)?;
    let found = state(used.as_ref())?;
    match expected.difference(&found)? {
        None => Ok(Verdict::success("as new")),
        Some(difference) => Err(Verdict::failed(
            format!("after a reset it still knows of what was before: {difference}"),
            "set every field back in `reset`: the engine calls it at the start of each epoch",
        )),
    }
}

fn accumulates(specimen: &Specimen) -> Found {
    let (first, second) = (batch(specimen, 0)?, batch(specimen, 1)?);
    let both = value_of(specimen, &[&first, &second])?;
    let (only_first, only_second) = (value_of(specimen, &[&first])?, value_of(specimen, &[&second])?);
    if close(only_first, only_second) {
        return Ok(Verdict::skipped("two different batches have the same value"));
    }
    for (only, which, other) in [(only_second, "last", "earlier"), (only_first, "first", "later")] {
        if close(both, only) {
            return Err(Verdict::failed(
                format!("after two batches the value is that of the {which} one, {only:.6}: {other} ones do not count"),
                "add to the sums in `update`, divide in `compute`",
            ));
        }
    }
    Ok(Verdict::success(format!("{only_first:.4} and {only_second:.4} give {both:.4}")))
}

fn batching(specimen: &Specimen) -> Found {
    let (y_pred, y) = batch(specimen, 0)?;
    let items = y_pred.size().first().copied().unwrap_or(1);
    let together = value_of(specimen, &[&(y_pred.shallow_clone(), y.shallow_clone())])?;
    let mut metric = fresh(specimen)?;
    for item in 0..items {
        metric.update(&y_pred.f_narrow(0, item, 1)?, &y.f_narrow(0, item, 1)?)?;
    }
    let apart = metric.compute()?;
    if close(together, apart) {
        return Ok(Verdict::success(format!("{together:.4}")));
    }
    Err(Verdict::warning(
        format!(
            "in a batch {together:.6}, item by item {apart:.6}: configs of dialect 4.0 give batches, those of 4.1 items"
        ),
        "keep one value for each item and average them in `compute`, or sums over everything",
    ))
}

fn order(specimen: &Specimen) -> Found {
    let batches = (0..3).map(|number| batch(specimen, number)).collect::<Result<Vec<_>, _>>()?;
    let forwards = value_of(specimen, &batches.iter().collect::<Vec<_>>())?;
    let backwards = value_of(specimen, &batches.iter().rev().collect::<Vec<_>>())?;
    if close(forwards, backwards) {
        return Ok(Verdict::success(format!("{forwards:.4}")));
    }
    Err(Verdict::warning(
        format!("three batches give {forwards:.6}, in the other order {backwards:.6}"),
        "add sums and counts, not means of means",
    ))
}

fn repeatable(specimen: &Specimen) -> Found {
    let (first, second) = (batch(specimen, 0)?, batch(specimen, 1)?);
    let mut metric = fresh(specimen)?;
    metric.update(&first.0, &first.1)?;
    let once = state(metric.as_ref())?;
    let twice = state(metric.as_ref())?;
    if let Some(difference) = once.difference(&twice)? {
        return Err(Verdict::failed(
            format!("asked twice it answers differently: {difference}"),
            "let `compute` only read: handlers may ask for the value more than once",
        ));
    }
    metric.update(&second.0, &second.1)?;
    let (after, expected) = (metric.compute()?, value_of(specimen, &[&first, &second])?);
    if close(after, expected) {
        return Ok(Verdict::success("asked in between or not, the same"));
    }
    Err(Verdict::failed(
        format!("asking in between changes the value at the end: {after:.6} instead of {expected:.6}"),
        "let `compute` only read",
    ))
}

fn empty_epoch(specimen: &Specimen) -> Found {
    let metric = fresh(specimen)?;
    match metric.compute() {
        Ok(value) if value.is_nan() => Ok(Verdict::success("NaN")),
        Ok(value) => Err(Verdict::warning(
            format!("without any data the value is {value}: a run would take it for a result"),
            "give NaN, or an error: `byoc::ensure!(self.count > 0.0, \"nothing was seen in this epoch\")`",
        )),
        Err(error) if error.code() == byoc::ErrorCode::PANICKED => Err(Verdict::warning(
            format!("without any data it panics: {}", said(&error)),
            "give NaN, or an error: `byoc::ensure!(self.count > 0.0, \"nothing was seen in this epoch\")`",
        )),
        Err(error) => Ok(Verdict::success(format!("an error: {error}"))),
    }
}

fn details(specimen: &Specimen) -> Found {
    let batches = [batch(specimen, 0)?, batch(specimen, 1)?];
    let mut metric = fresh(specimen)?;
    let mut items = 0;
    for (y_pred, y) in &batches {
        metric.update(y_pred, y)?;
        items += y_pred.size().first().copied().unwrap_or_default();
    }
    let Some(details) = metric.details() else { return Ok(Verdict::skipped("it has no values per item")) };
    if details.size().first() == Some(&items) {
        return Ok(Verdict::success(format!("{:?} for {items} items", details.size())));
    }
    Err(Verdict::failed(
        format!("the values per item have the shape {:?} after {items} items", details.size()),
        "give one row for each item that was seen since the reset: `MetricsSaver` writes them beside the items' names",
    ))
}

fn kept_state(specimen: &Specimen) -> Found {
    let (first, second) = (batch(specimen, 0)?, batch(specimen, 1)?);
    let mut interrupted = fresh(specimen)?;
    interrupted.update(&first.0, &first.1)?;
    let kept: Vec<(String, Tensor)> =
        interrupted.state()?.into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
    drop(interrupted);
    if kept.is_empty() {
        return Ok(Verdict::skipped("it keeps no state: after a stop within an epoch it covers the rest of it only"));
    }
    let mut resumed = fresh(specimen)?;
    resumed.load_state(&kept)?;
    resumed.update(&second.0, &second.1)?;
    let (found, expected) = (resumed.compute()?, value_of(specimen, &[&first, &second])?);
    if close(found, expected) {
        return Ok(Verdict::success(format!("{} tensors", kept.len())));
    }
    Err(Verdict::failed(
        format!("an interrupted epoch ends with {found:.6} instead of {expected:.6}"),
        "give everything that `compute` reads in `state`, and take all of it back in `load_state`",
    ))
}

fn gpu(specimen: &Specimen) -> Found {
    if let Err(reason) = torch_ext::cuda::devices() {
        return Ok(Verdict::skipped(reason.to_string()));
    }
    let (y_pred, y) = batch(specimen, 0)?;
    let there = Device::Cuda(0);
    let on_cpu = value_of(specimen, &[&(y_pred.shallow_clone(), y.shallow_clone())])?;
    let on_gpu = value_of(specimen, &[&(y_pred.f_to_device(there)?, y.f_to_device(there)?)])?;
    if (on_cpu - on_gpu).abs() <= 1e-3 * on_cpu.abs().max(1e-3) {
        return Ok(Verdict::success(format!("{on_cpu:.4}")));
    }
    Err(Verdict::failed(
        format!("GPU and CPU deviate: {on_gpu:.6} and {on_cpu:.6}"),
        "look for what is computed in half precision, or in another order",
    ))
}
