//! Networks, losses, metrics and transforms of a plugin.

use std::sync::Arc;

use abi_stable::std_types::{ROption, RResult};
use tch::Tensor;

use super::super::types::{
    Fallible, LossCall, LossObject, MetricObject, NamedTensorRef, NetworkObject, OwnedSample, OwnedTensor, RandomState,
    RootRef, SampleView, TensorRef, TransformObject,
};
use super::super::wire;
use super::calls::Callee;
use super::{name_of, text_of};
use crate::{
    BuiltNetwork, Create, Error, ErrorCode, Loss, LossInput, Metric, NamedTensor, Network, Random, Result, Sample,
    Transform,
};

pub(super) fn network(root: RootRef, callee: Callee) -> Create<BuiltNetwork> {
    Arc::new(move |args| {
        let call = callee.enter("new");
        let made = (root.create_network())(root.plugin(), name_of(&callee.name), text_of(args).as_str().into());
        drop(call);
        let made = told(made, &callee.name)?;
        let state = made.state.into_iter().map(|it| {
            Ok(NamedTensor { name: it.name.into(), tensor: it.tensor.into_tensor()?, trainable: it.trainable })
        });
        let network = PluginNetwork { object: made.object, callee: callee.clone() };
        Ok(BuiltNetwork { state: state.collect::<Result<_>>()?, network: Box::new(network) })
    })
}

pub(super) fn loss(root: RootRef, callee: Callee) -> Create<Box<dyn Loss>> {
    Arc::new(move |args| {
        let call = callee.enter("new");
        let made = (root.create_loss())(root.plugin(), name_of(&callee.name), text_of(args).as_str().into());
        drop(call);
        Ok(Box::new(PluginLoss { object: told(made, &callee.name)?, callee: callee.clone() }))
    })
}

pub(super) fn metric(root: RootRef, callee: Callee) -> Create<Box<dyn Metric>> {
    Arc::new(move |args| {
        let call = callee.enter("new");
        let made = (root.create_metric())(root.plugin(), name_of(&callee.name), text_of(args).as_str().into());
        drop(call);
        Ok(Box::new(PluginMetric { object: told(made, &callee.name)?, callee: callee.clone(), failed_reset: None }))
    })
}

pub(super) fn transform(root: RootRef, callee: Callee) -> Create<Box<dyn Transform>> {
    Arc::new(move |args| {
        let call = callee.enter("new");
        let made = (root.create_transform())(root.plugin(), name_of(&callee.name), text_of(args).as_str().into());
        drop(call);
        let mut made = PluginTransform { object: told(made, &callee.name)?, callee: callee.clone(), random: false };
        made.random = told((made.object.table.is_random())(made.object.data), &callee.name)?;
        Ok(Box::new(made))
    })
}

/// The outcome of a call; a panic is told with the component's name.
pub(super) fn told<T>(outcome: Fallible<T>, name: &str) -> Result<T> {
    match outcome {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(explain(error.into(), name, &[])),
    }
}

/// As [`told`], for calls whose tensors may be what is wrong.
fn told_with<T>(outcome: Fallible<T>, name: &str, inputs: &[(&str, &Tensor)]) -> Result<T> {
    match outcome {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(explain(error.into(), name, inputs)),
    }
}

fn explain(error: Error, name: &str, inputs: &[(&str, &Tensor)]) -> Error {
    let panicked = error.code() == ErrorCode::PANICKED;
    if !panicked && error.code() != ErrorCode::TENSOR {
        return error;
    }
    let mut message = error.message().to_owned();
    if panicked {
        message = format!("`{name}` panicked: {message}");
    }
    if !inputs.is_empty() {
        let shown: Vec<String> = inputs.iter().map(|(name, tensor)| shape_of(name, tensor)).collect();
        message = format!("{message} (called with {})", shown.join(", "));
    }
    Error::from_parts(error.code(), message, error.chain().to_vec(), error.location().map(str::to_owned))
}

fn shape_of(name: &str, tensor: &Tensor) -> String {
    format!("`{name}` {:?} {:?} {:?}", tensor.size(), tensor.kind(), tensor.device())
}

/// Declares the proxy of an object: it owns the object, and may go from thread to thread, one call at a time.
macro_rules! proxy {
    ($proxy:ident, $object:ident { $($field:ident: $type:ty),* }) => {
        struct $proxy {
            object: $object,
            callee: Callee,
            $($field: $type,)*
        }

        // SAFETY: the object behind the pointer is a `Box<dyn Trait>` whose trait asks for `Send`. The proxy is not
        // `Sync`, so that no two threads call at once.
        unsafe impl Send for $proxy {}

        impl Drop for $proxy {
            fn drop(&mut self) {
                (self.object.table.release())(self.object.data);
            }
        }
    };
}

proxy!(PluginNetwork, NetworkObject {});
proxy!(PluginLoss, LossObject {});
proxy!(PluginMetric, MetricObject { failed_reset: Option<Error> });
proxy!(PluginTransform, TransformObject { random: bool });

impl Network for PluginNetwork {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let _call = self.callee.enter("forward");
        let outcome = (self.object.table.forward())(self.object.data, TensorRef::new(x)?, train);
        told_with(outcome, &self.callee.name, &[("x", x)])?.into_tensor()
    }

    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        let _call = self.callee.enter("forward_all");
        let views = views(inputs)?;
        let outcome = (self.object.table.forward_all())(self.object.data, views.as_slice().into(), train);
        let shown: Vec<(&str, &Tensor)> = inputs.iter().map(|x| ("x", x)).collect();
        told_with(outcome, &self.callee.name, &shown)?.into_iter().map(OwnedTensor::into_tensor).collect()
    }
}

impl Loss for PluginLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let _call = self.callee.enter("forward");
        let (input_ref, target_ref) = (TensorRef::new(input)?, TensorRef::new(target)?);
        let outcome = (self.object.table.forward())(self.object.data, input_ref, target_ref);
        told_with(outcome, &self.callee.name, &[("input", input), ("target", target)])?.into_tensor()
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        let _call = self.callee.enter("forward");
        let inputs = views(call.inputs)?;
        let batch = call.batch.map(Lent::new).transpose()?;
        let wire_call = LossCall {
            inputs: inputs.as_slice().into(),
            target: option(call.target)?,
            mask: option(call.mask)?,
            batch: batch.as_ref().map(Lent::view).into(),
        };
        let outcome = (self.object.table.forward_full())(self.object.data, wire_call);
        let mut shown: Vec<(&str, &Tensor)> = call.inputs.iter().map(|input| ("input", input)).collect();
        shown.extend(call.target.map(|target| ("target", target)));
        shown.extend(call.mask.map(|mask| ("mask", mask)));
        told_with(outcome, &self.callee.name, &shown)?.into_tensor()
    }
}

impl Metric for PluginMetric {
    fn reset(&mut self) {
        let _call = self.callee.enter("reset");
        // the trait has no room for an error here; the next call reports it
        self.failed_reset = told((self.object.table.reset())(self.object.data), &self.callee.name).err();
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let _call = self.callee.enter("update");
        if let Some(error) = self.failed_reset.take() {
            return Err(error);
        }
        let (prediction, truth) = (TensorRef::new(y_pred)?, TensorRef::new(y)?);
        let outcome = (self.object.table.update())(self.object.data, prediction, truth);
        told_with(outcome, &self.callee.name, &[("y_pred", y_pred), ("y", y)])
    }

    fn compute(&self) -> Result<f64> {
        let _call = self.callee.enter("compute");
        told((self.object.table.compute())(self.object.data), &self.callee.name)
    }

    fn details(&self) -> Option<Tensor> {
        let _call = self.callee.enter("details");
        let details = told((self.object.table.details())(self.object.data), &self.callee.name);
        let details = details.and_then(|it| it.into_option().map(OwnedTensor::into_tensor).transpose());
        details.unwrap_or_else(|error| {
            tracing::warn!(component = &*self.callee.name, "the metric's details are left out: {error}");
            None
        })
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        let _call = self.callee.enter("results");
        let results = told((self.object.table.results())(self.object.data), &self.callee.name)?;
        results.into_iter().map(|it| Ok((it.name.into(), it.tensor.into_tensor()?))).collect()
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let _call = self.callee.enter("state");
        let state = told((self.object.table.state())(self.object.data), &self.callee.name)?;
        state.into_iter().map(|it| Ok((it.name.into(), it.tensor.into_tensor()?))).collect()
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let _call = self.callee.enter("load_state");
        let lent = state
            .iter()
            .map(|(name, tensor)| Ok(NamedTensorRef { name: name_of(name), tensor: TensorRef::new(tensor)? }));
        let state = lent.collect::<Result<Vec<_>>>()?;
        told((self.object.table.load_state())(self.object.data, state.as_slice().into()), &self.callee.name)
    }
}

impl Transform for PluginTransform {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let _call = self.callee.enter("apply");
        let changed = {
            let lent = Lent::new(sample)?;
            with_state(random, |state| (self.object.table.apply())(self.object.data, lent.view(), state))
        };
        self.take_over(changed, sample)
    }

    fn apply_many(&self, sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        let _call = self.callee.enter("apply_many");
        let many = {
            let lent = Lent::new(&sample)?;
            with_state(random, |state| (self.object.table.apply_many())(self.object.data, lent.view(), state))
        };
        // each of the many may be made of the same values
        let original =
            |key: &str| sample.slots().find(|(known, _)| *known == key).map(|(_, slot)| slot.shallow_clone());
        self.told_of(many, &sample)?.into_iter().map(|answer| super::sample(answer, original)).collect()
    }

    fn is_random(&self) -> bool {
        self.random
    }

    fn prepare(&self, sample: &mut Sample) -> Result<()> {
        let _call = self.callee.enter("prepare");
        let prepared = {
            let lent = Lent::new(sample)?;
            (self.object.table.prepare())(self.object.data, lent.view())
        };
        self.take_over(prepared, sample)
    }
}

impl PluginTransform {
    /// Puts the answer in the place of the sample that was sent; on an error that sample stays as it was.
    fn take_over(&self, answer: Fallible<OwnedSample>, sample: &mut Sample) -> Result<()> {
        let answer = self.told_of(answer, sample)?;
        let answer = super::sample(answer, |key| sample.remove_slot(key))?;
        *sample = answer;
        Ok(())
    }

    fn told_of<T>(&self, outcome: Fallible<T>, sample: &Sample) -> Result<T> {
        if matches!(outcome, RResult::ROk(_)) {
            return told(outcome, &self.callee.name);
        }
        let shown: Vec<(&str, &Tensor)> =
            sample.iter().filter_map(|(key, value)| Some((key, value.as_tensor()?))).collect();
        told_with(outcome, &self.callee.name, &shown)
    }
}

/// The generator's state crosses, and comes back as the plugin left it: the host's next draw is what it would be after a
/// built-in component. (A seed drawn from the generator would not do: the same code would draw differently in a plugin.)
fn with_state<R>(random: &mut Random, body: impl FnOnce(&mut RandomState) -> R) -> R {
    let mut state = random.state();
    let outcome = body(&mut state);
    *random = Random::from_state(state);
    outcome
}

/// A sample lent to the plugin for the length of a call.
struct Lent<'a> {
    bytes: Vec<u8>,
    tensors: Vec<TensorRef<'a>>,
}

impl<'a> Lent<'a> {
    fn new(sample: &'a Sample) -> Result<Self> {
        let mut tensors = Vec::new();
        let bytes = wire::write_sample(sample, None, &mut tensors);
        Ok(Self { bytes, tensors: tensors.into_iter().map(TensorRef::new).collect::<Result<_>>()? })
    }

    fn view(&self) -> SampleView<'_> {
        SampleView { bytes: self.bytes.as_slice().into(), tensors: self.tensors.as_slice().into() }
    }
}

fn views(tensors: &[Tensor]) -> Result<Vec<TensorRef<'_>>> {
    tensors.iter().map(TensorRef::new).collect()
}

fn option(tensor: Option<&Tensor>) -> Result<ROption<TensorRef<'_>>> {
    Ok(tensor.map(TensorRef::new).transpose()?.into())
}
