//! Metrics that are wrong in one way each.

use std::cell::Cell;
use std::marker::PhantomData;

use byoc::{Component, Metric, Registration, Result};
use tch::{Kind, Tensor};

use super::{NoArgs, finds, is_sound};
use crate::verdict::Outcome::{Failed, Warning};

/// Agreeing voxels and all of them, added up.
#[derive(Default)]
struct Sums {
    agreeing: f64,
    voxels: f64,
    items: Vec<f64>,
}

impl Sums {
    fn add(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let sizes = (y_pred.size(), y.size());
        byoc::ensure!(sizes.0 == sizes.1, "{:?} and {:?} differ", sizes.0, sizes.1);
        let equal = y_pred.f_sub(y)?.f_abs()?.f_lt(0.5)?;
        for item in 0..y_pred.size().first().copied().unwrap_or_default() {
            self.items.push(equal.f_get(item)?.f_mean(Kind::Double)?.f_double_value(&[])?);
        }
        self.agreeing += equal.f_sum(Kind::Double)?.f_double_value(&[])?;
        self.voxels += equal.numel() as f64;
        Ok(())
    }

    fn fraction(&self) -> f64 {
        self.agreeing / self.voxels
    }
}

/// A metric that does as one should, but for what a fault puts in the place of it.
trait Fault: Send + 'static {
    fn reset(metric: &mut Faulty<Self>)
    where
        Self: Sized,
    {
        metric.sums = Sums::default();
    }

    fn update(sums: &mut Sums, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        sums.add(y_pred, y)
    }

    fn compute(sums: &Sums, _asked: &Cell<f64>) -> f64 {
        sums.fraction()
    }

    fn details(sums: &Sums) -> Tensor {
        Tensor::from_slice(&sums.items).view([-1, 1])
    }

    /// What is kept of the two sums.
    fn kept(sums: &Sums) -> [f64; 2] {
        [sums.agreeing, sums.voxels]
    }
}

struct Faulty<F> {
    sums: Sums,
    asked: Cell<f64>,
    fault: PhantomData<F>,
}

impl<F: Fault> Component for Faulty<F> {
    type Args = NoArgs;

    fn new(_: NoArgs) -> Result<Self> {
        Ok(Self { sums: Sums::default(), asked: Cell::new(0.0), fault: PhantomData })
    }
}

impl<F: Fault> Metric for Faulty<F> {
    fn reset(&mut self) {
        F::reset(self);
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        F::update(&mut self.sums, y_pred, y)
    }

    fn compute(&self) -> Result<f64> {
        Ok(F::compute(&self.sums, &self.asked))
    }

    fn details(&self) -> Option<Tensor> {
        Some(F::details(&self.sums))
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("sums".to_owned(), Tensor::from_slice(&F::kept(&self.sums)))])
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        for (_, sums) in state {
            self.sums.agreeing = sums.f_double_value(&[0])?;
            self.sums.voxels = sums.f_double_value(&[1])?;
        }
        Ok(())
    }
}

const fn of<F: Fault>(name: &'static str) -> Registration {
    Registration::metric::<Faulty<F>>(name, &[])
}

struct Sound;
impl Fault for Sound {}

struct NeverResets;
impl Fault for NeverResets {
    fn reset(_: &mut Faulty<Self>) {}
}

struct KeepsTheLast;
impl Fault for KeepsTheLast {
    fn update(sums: &mut Sums, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        *sums = Sums::default();
        sums.add(y_pred, y)
    }
}

struct KeepsTheFirst;
impl Fault for KeepsTheFirst {
    fn update(sums: &mut Sums, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        if sums.voxels > 0.0 { Ok(()) } else { sums.add(y_pred, y) }
    }
}

/// A mean of the batches' best items.
struct TakesTheBest;
impl Fault for TakesTheBest {
    fn update(sums: &mut Sums, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let mut batch = Sums::default();
        batch.add(y_pred, y)?;
        sums.agreeing += batch.items.iter().copied().fold(0.0, f64::max);
        sums.voxels += 1.0;
        Ok(())
    }
}

struct Fades;
impl Fault for Fades {
    fn update(sums: &mut Sums, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        sums.agreeing *= 0.5;
        sums.add(y_pred, y)
    }
}

struct CountsQuestions;
impl Fault for CountsQuestions {
    fn compute(sums: &Sums, asked: &Cell<f64>) -> f64 {
        asked.set(asked.get() + 1.0);
        sums.fraction() + 0.01 * asked.get()
    }
}

struct PerfectWithoutData;
impl Fault for PerfectWithoutData {
    fn compute(sums: &Sums, _: &Cell<f64>) -> f64 {
        if sums.voxels > 0.0 { sums.fraction() } else { 1.0 }
    }
}

struct Endless;
impl Fault for Endless {
    fn compute(_: &Sums, _: &Cell<f64>) -> f64 {
        f64::INFINITY
    }
}

struct OneRow;
impl Fault for OneRow {
    fn details(sums: &Sums) -> Tensor {
        Tensor::from_slice(&[sums.fraction()])
    }
}

struct KeepsHalf;
impl Fault for KeepsHalf {
    fn kept(sums: &Sums) -> [f64; 2] {
        [0.0, sums.voxels]
    }
}

#[test]
fn a_sound_metric_passes_everything() {
    is_sound(&of::<Sound>("Sound"));
}

#[test]
fn what_is_kept_or_forgotten_wrongly_is_found() {
    finds("metric-reset", &of::<NeverResets>("NeverResets"), Failed, "what was before");
    finds("metric-accumulates", &of::<KeepsTheLast>("KeepsTheLast"), Failed, "of the last one");
    finds("metric-accumulates", &of::<KeepsTheFirst>("KeepsTheFirst"), Failed, "of the first one");
    finds("metric-state", &of::<KeepsHalf>("KeepsHalf"), Failed, "an interrupted epoch");
    finds("metric-batching", &of::<TakesTheBest>("TakesTheBest"), Warning, "item by item");
    finds("metric-order", &of::<Fades>("Fades"), Warning, "in the other order");
    finds("metric-repeatable", &of::<CountsQuestions>("CountsQuestions"), Failed, "asked twice");
}

#[test]
fn values_that_mislead_are_found() {
    finds("metric-empty-epoch", &of::<PerfectWithoutData>("PerfectWithoutData"), Warning, "the value is 1");
    finds("metric-forward", &of::<Endless>("Endless"), Failed, "inf");
    finds("metric-details", &of::<OneRow>("OneRow"), Failed, "after 4 items");
}
