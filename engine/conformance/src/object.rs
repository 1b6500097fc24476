//! A component that was made, and what it answers, whatever its kind.

use std::fmt::Write as _;

use byoc::{BuiltNetwork, Handler, Loss, LossInput, Metric, Result, Transform, Value};
use mmar_verify::rehearsal::Rehearsal;
use tch::Tensor;

use crate::numbers;
use crate::stimulus::Stimulus;
use crate::verdict::Verdict;

/// A component under test.
pub(crate) enum Object {
    Network(BuiltNetwork),
    Loss(Box<dyn Loss>),
    Metric(Box<dyn Metric>),
    Transform(Box<dyn Transform>),
    Handler(Box<dyn Handler>),
}

/// What a component gave: its tensors by their names, and everything else in words.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) tensors: Vec<(String, Tensor)>,
    pub(crate) text: String,
}

impl Object {
    /// What the engine calls in a step, without gradients: `forward`, `apply`, `reset`, `update` and `compute`, or a
    /// whole run of a handler.
    pub(crate) fn respond(&mut self, stimulus: &Stimulus) -> Result<Response> {
        let mut response = Response::default();
        let _guard = tch::no_grad_guard();
        match (self, stimulus) {
            (Self::Network(built), Stimulus::Network(x)) => {
                let outputs = built.network.forward_all(std::slice::from_ref(x), false)?;
                response.tensors = outputs.into_iter().enumerate().map(|(i, y)| (format!("y{i}"), y)).collect();
            }
            (Self::Loss(loss), Stimulus::Pair(input, target)) => {
                response.tensors.push(("loss".to_owned(), evaluate(loss.as_ref(), input, target)?));
            }
            (Self::Metric(metric), Stimulus::Pair(y_pred, y)) => {
                metric.reset();
                metric.update(y_pred, y)?;
                response.add_metric(metric.as_ref())?;
            }
            (Self::Transform(transform), Stimulus::Sample(sample, random)) => {
                let samples = transform.apply_many(sample.shallow_clone(), &mut random.clone())?;
                for (index, sample) in samples.iter().enumerate() {
                    response.add_sample(index, sample);
                }
            }
            (Self::Handler(handler), Stimulus::Script(script)) => {
                let mut run = Rehearsal::new(script.clone());
                run.perform(handler.as_mut())?;
                response.text = format!("{:#?}", run.notes());
            }
            (_, stimulus) => {
                return Err(byoc::Error::msg(format!(
                    "a component of another kind was tried with {}",
                    stimulus.name()
                )));
            }
        }
        Ok(response)
    }
}

/// The loss as the trainer calls it.
pub(crate) fn evaluate(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let inputs = std::slice::from_ref(input);
    loss.forward_full(&LossInput { inputs, target: Some(target), ..LossInput::default() })
}

impl Response {
    pub(crate) fn add_metric(&mut self, metric: &dyn Metric) -> Result<()> {
        self.tensors.push(("value".to_owned(), Tensor::from(metric.compute()?)));
        self.tensors.extend(metric.details().map(|details| ("details".to_owned(), details)));
        self.tensors.extend(metric.results()?);
        Ok(())
    }

    fn add_sample(&mut self, index: usize, sample: &byoc::Sample) {
        for (key, value) in sample.iter() {
            let name = format!("{key}[{index}]");
            if let Some(tensor) = value.as_tensor() {
                self.tensors.push((name.clone(), tensor.shallow_clone()));
            }
            match value {
                Value::Image(image) => {
                    let meta = serde_json::Value::Object(image.meta.clone());
                    let _ = writeln!(self.text, "{name}: {:?} {meta} {:?}", image.affine, image.history);
                }
                Value::Tensor(_) => {}
                Value::Json(json) => {
                    let _ = writeln!(self.text, "{name}: {json}");
                }
            }
        }
    }

    /// In which way two responses differ, bit for bit; `None` if they do not.
    pub(crate) fn difference(&self, other: &Self) -> std::result::Result<Option<String>, Verdict> {
        let names = |response: &Self| response.tensors.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (mine, others) = (names(self), names(other));
        if mine != others {
            return Ok(Some(format!("{mine:?} and {others:?} are given")));
        }
        for ((name, a), (_, b)) in self.tensors.iter().zip(&other.tensors) {
            if let Some(difference) = numbers::difference(a, b)? {
                return Ok(Some(format!("`{name}` differs: {difference}")));
            }
        }
        let line = self.text.lines().zip(other.text.lines()).find(|(a, b)| a != b);
        if let Some((a, b)) = line {
            return Ok(Some(format!("`{}` and `{}`", a.trim(), b.trim())));
        }
        Ok((self.text.len() != other.text.len()).then(|| "one gives more than the other".to_owned()))
    }

    /// A copy that a later change in place does not reach.
    pub(crate) fn copy(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        Self { tensors, text: self.text.clone() }
    }
}
