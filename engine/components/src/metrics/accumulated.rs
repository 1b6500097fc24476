//! Values per item and class, kept over an epoch and put together at its end.

use byoc::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

/// Over what the values per item and class (N, C) are put together. Values that are not a number do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum MetricReduction {
    /// Not at all: (N, C).
    None,
    /// The mean over the classes of each item, then over the items.
    #[default]
    Mean,
    /// The sum of all.
    Sum,
    /// The mean over the items: (C).
    MeanBatch,
    /// The sum over the items: (C).
    SumBatch,
    /// The mean over the classes: (N).
    MeanChannel,
    /// The sum over the classes: (N).
    SumChannel,
}

impl MetricReduction {
    /// The reduced values, and how many numbers each was made of (MONAI `do_metric_reduction`). Where there was no
    /// number at all, a mean is 0. `values` is (N, C) or (N, C, more).
    pub(crate) fn apply(self, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let valid = values.f_isnan()?.f_logical_not()?;
        if self == Self::None {
            return Ok((values.shallow_clone(), valid.f_to_kind(Kind::Float)?));
        }
        let numbers = values.f_nan_to_num(0.0, f64::INFINITY, f64::NEG_INFINITY)?;
        let count = valid.f_to_kind(Kind::Float)?;
        let sum = |tensor: &Tensor, axes: &[i64]| tensor.f_sum_dim_intlist(axes, false, Kind::Float);
        let mean = |numbers: &Tensor, count: &Tensor, axis: i64| -> Result<(Tensor, Tensor)> {
            let count = sum(count, &[axis])?;
            // where there is nothing the sum is 0, and so is the quotient
            Ok((sum(numbers, &[axis])?.f_div(&count.f_clamp_min(1.0)?)?, count))
        };
        match self {
            Self::None => Ok((numbers, count)),
            Self::Mean => {
                let (per_item, count) = mean(&numbers, &count, 1)?;
                let (value, count) = mean(&per_item, &count.f_gt(0.0)?.f_to_kind(Kind::Float)?, 0)?;
                // MONAI's mean has one axis of length 1 where the values have none of their own
                Ok((if value.dim() == 0 { value.f_reshape([1])? } else { value }, count))
            }
            Self::Sum => Ok((sum(&numbers, &[0, 1])?, sum(&count, &[0, 1])?)),
            Self::MeanBatch => mean(&numbers, &count, 0),
            Self::MeanChannel => mean(&numbers, &count, 1),
            Self::SumBatch => Ok((sum(&numbers, &[0])?, sum(&count, &[0])?)),
            Self::SumChannel => Ok((sum(&numbers, &[1])?, sum(&count, &[1])?)),
        }
    }
}

/// The values since the last reset.
#[derive(Debug, Default)]
pub(crate) struct Accumulated {
    values: Vec<Tensor>,
}

impl Accumulated {
    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.values.clear();
    }

    /// What [`byoc::Metric::state`] gives.
    pub(crate) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        saved("values", &self.values)
    }

    /// Goes on from what [`Accumulated::state`] gave.
    pub(crate) fn load_state(&mut self, state: &[(String, Tensor)]) {
        self.values = restored("values", state);
    }

    /// Keeps the values (B, C, …) of a batch, on the CPU.
    pub(crate) fn push(&mut self, values: &Tensor) -> Result<()> {
        self.values.push(values.detach().f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?);
        Ok(())
    }

    /// All values, (N, C, …).
    #[track_caller]
    pub(crate) fn all(&self) -> Result<Tensor> {
        if self.values.is_empty() {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        Ok(Tensor::f_cat(&self.values, 0)?)
    }

    /// What [`byoc::Metric::compute`] gives: the values put together, as one number.
    pub(crate) fn reduced(&self, reduction: MetricReduction) -> Result<f64> {
        number(&reduction.apply(&self.all()?)?.0)
    }

    /// What [`byoc::Metric::results`] gives of a metric without labels.
    pub(crate) fn results(&self, reduction: MetricReduction) -> Result<Vec<(String, Tensor)>> {
        let (value, not_nans) = reduction.apply(&self.all()?)?;
        named(value, not_nans, &[])
    }

    /// All values, if there are any.
    pub(crate) fn details(&self) -> Option<Tensor> {
        self.all().ok()
    }
}

/// Values of several batches as one entry of a metric's state; no entry if there are none.
pub(crate) fn saved(name: &str, values: &[Tensor]) -> Result<Vec<(String, Tensor)>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![(name.to_owned(), Tensor::f_cat(values, 0)?)])
}

/// The values of an entry that [`saved`] made.
pub(crate) fn restored(name: &str, state: &[(String, Tensor)]) -> Vec<Tensor> {
    state.iter().filter(|(known, _)| known == name).map(|(_, values)| values.shallow_clone()).collect()
}

/// What [`byoc::Metric::results`] gives of a reduced value: `aggregate`, `not_nans`, and a value for each label.
pub(crate) fn named(value: Tensor, not_nans: Tensor, labels: &[String]) -> Result<Vec<(String, Tensor)>> {
    let mut results = Vec::with_capacity(labels.len() + 2);
    for (i, label) in labels.iter().enumerate().take(value.numel()) {
        results.push((label.clone(), value.f_flatten(0, -1)?.f_select(0, i as i64)?));
    }
    results.push(("aggregate".to_owned(), value));
    results.push(("not_nans".to_owned(), not_nans));
    Ok(results)
}

/// A reduced value as one number: itself, or the mean of those that are numbers.
pub(crate) fn number(value: &Tensor) -> Result<f64> {
    let value = value.f_to_kind(Kind::Double)?;
    if value.numel() == 1 {
        return Ok(value.f_reshape([])?.f_double_value(&[])?);
    }
    let values = Vec::<f64>::try_from(value.f_flatten(0, -1)?)?;
    let numbers: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    Ok(numbers.iter().sum::<f64>() / numbers.len() as f64)
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::{Accumulated, MetricReduction, number};

    fn reduced(reduction: MetricReduction) -> (Vec<f32>, Vec<i64>, Vec<f32>) {
        // two items, three classes; the second item has no number in class 2, nobody in class 1
        let values = Tensor::from_slice(&[1f32, f32::NAN, 3.0, 5.0, f32::NAN, f32::NAN]).view([2, 3]);
        let (value, count) = reduction.apply(&values).unwrap();
        let flat = |tensor: &Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        (flat(&value), value.size(), flat(&count))
    }

    #[test]
    fn only_numbers_count() {
        use MetricReduction::{Mean, MeanBatch, MeanChannel, Sum, SumBatch, SumChannel};
        assert_eq!(reduced(Mean), (vec![3.5], vec![1], vec![2.0]));
        assert_eq!(reduced(Sum), (vec![9.0], vec![], vec![3.0]));
        assert_eq!(reduced(MeanBatch), (vec![3.0, 0.0, 3.0], vec![3], vec![2.0, 0.0, 1.0]));
        assert_eq!(reduced(SumBatch), (vec![6.0, 0.0, 3.0], vec![3], vec![2.0, 0.0, 1.0]));
        assert_eq!(reduced(MeanChannel), (vec![2.0, 5.0], vec![2], vec![2.0, 1.0]));
        assert_eq!(reduced(SumChannel), (vec![4.0, 5.0], vec![2], vec![2.0, 1.0]));
    }

    #[test]
    fn several_values_become_the_mean_of_the_numbers() {
        assert_eq!(number(&Tensor::from_slice(&[1f32, f32::NAN, 2.0])).unwrap(), 1.5);
        assert_eq!(number(&Tensor::from_slice(&[4f32])).unwrap(), 4.0);
    }

    #[test]
    fn values_go_on_from_a_saved_state() {
        let values = Tensor::from_slice(&[1f32, 2.0, 3.0]).view([3, 1]);
        let mut unbroken = Accumulated::default();
        unbroken.push(&values).unwrap();
        let mut before = Accumulated::default();
        before.push(&values.narrow(0, 0, 1)).unwrap();
        before.push(&values.narrow(0, 1, 1)).unwrap();
        let mut after = Accumulated::default();
        after.load_state(&before.state().unwrap());
        after.push(&values.narrow(0, 2, 1)).unwrap();
        assert_eq!(after.all().unwrap(), unbroken.all().unwrap());
        assert!(Accumulated::default().state().unwrap().is_empty());
    }

    #[test]
    fn an_epoch_without_data_is_told() {
        assert!(Accumulated::default().all().unwrap_err().to_string().contains("no data"));
    }
}
