//! Networks, losses, metrics and transforms behind pointers.
//!
//! Each function's `SAFETY` is the same: the host hands back the pointer that came with the table, does not use it after
//! `release`, and never calls an object twice at once (the host's proxies are not `Sync`).

use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RVec};
use tch::Tensor;

use super::super::guard::{Guarded, call, release};
use super::super::types::{
    Fallible, LossCall, LossObject, LossTable, LossTableRef, MetricObject, MetricTable, MetricTableRef, NamedTensorRef,
    NetworkObject, NetworkTable, NetworkTableRef, Opaque, OwnedNamedTensor, OwnedNetwork, OwnedSample, OwnedTensor,
    RandomState, SampleView, TensorRef, TransformObject, TransformTable, TransformTableRef,
};
use super::super::wire;
use crate::{BuiltNetwork, Error, Loss, LossInput, Metric, Network, Random, Result, Sample, Transform};

/// A function that calls a method of the object behind a pointer.
macro_rules! trampoline {
    ($(fn $name:ident($object:ident: $trait:ident $(, $argument:ident: $type:ty)*) -> $result:ty $body:block)*) => {$(
        extern "C" fn $name(object: Opaque $(, $argument: $type)*) -> Fallible<$result> {
            // SAFETY: see the module's documentation.
            unsafe { call::<dyn $trait, _>(object, |$object| $body) }
        }
    )*};
}

/// A function that ends the object behind a pointer.
macro_rules! release {
    ($($name:ident: $trait:ident),*) => {$(
        extern "C" fn $name(object: Opaque) {
            // SAFETY: see the module's documentation.
            unsafe { release::<dyn $trait>(object) }
        }
    )*};
}

release!(release_network: Network, release_loss: Loss, release_metric: Metric, release_transform: Transform);

pub(super) fn network(name: &'static str, built: BuiltNetwork) -> Result<OwnedNetwork> {
    const TABLE: &WithMetadata<NetworkTable> = &WithMetadata::new(NetworkTable {
        release: release_network,
        forward: network_forward,
        forward_all: network_forward_all,
    });
    let state = built.state.into_iter().map(|it| named(it.name, it.tensor, it.trainable)).collect::<Result<_>>()?;
    let table = NetworkTableRef(TABLE.static_as_prefix());
    Ok(OwnedNetwork { object: NetworkObject { data: Guarded::leak(name, built.network), table }, state })
}

pub(super) fn loss(name: &'static str, loss: Box<dyn Loss>) -> LossObject {
    const TABLE: &WithMetadata<LossTable> =
        &WithMetadata::new(LossTable { release: release_loss, forward: loss_forward, forward_full: loss_forward_full });
    LossObject { data: Guarded::leak(name, loss), table: LossTableRef(TABLE.static_as_prefix()) }
}

pub(super) fn metric(name: &'static str, metric: Box<dyn Metric>) -> MetricObject {
    const TABLE: &WithMetadata<MetricTable> = &WithMetadata::new(MetricTable {
        release: release_metric,
        reset: metric_reset,
        update: metric_update,
        compute: metric_compute,
        details: metric_details,
        results: metric_results,
        state: metric_state,
        load_state: metric_load_state,
    });
    MetricObject { data: Guarded::leak(name, metric), table: MetricTableRef(TABLE.static_as_prefix()) }
}

pub(super) fn transform(name: &'static str, transform: Box<dyn Transform>) -> TransformObject {
    const TABLE: &WithMetadata<TransformTable> = &WithMetadata::new(TransformTable {
        release: release_transform,
        is_random: transform_is_random,
        apply: transform_apply,
        apply_many: transform_apply_many,
        prepare: transform_prepare,
    });
    TransformObject { data: Guarded::leak(name, transform), table: TransformTableRef(TABLE.static_as_prefix()) }
}

trampoline! {
    fn network_forward(network: Network, x: TensorRef<'_>, train: bool) -> OwnedTensor {
        OwnedTensor::new(network.forward(&x.to_tensor()?, train)?)
    }

    fn network_forward_all(network: Network, inputs: RSlice<'_, TensorRef<'_>>, train: bool) -> RVec<OwnedTensor> {
        let outputs = network.forward_all(&tensors(inputs)?, train)?;
        outputs.into_iter().map(OwnedTensor::new).collect()
    }

    fn loss_forward(loss: Loss, input: TensorRef<'_>, target: TensorRef<'_>) -> OwnedTensor {
        OwnedTensor::new(loss.forward(&input.to_tensor()?, &target.to_tensor()?)?)
    }

    fn loss_forward_full(loss: Loss, input: LossCall<'_>) -> OwnedTensor {
        let inputs = tensors(input.inputs)?;
        let target = input.target.into_option().map(TensorRef::to_tensor).transpose()?;
        let mask = input.mask.into_option().map(TensorRef::to_tensor).transpose()?;
        let batch = input.batch.into_option().map(|batch| read(batch, next_call())).transpose()?;
        let input =
            LossInput { inputs: &inputs, target: target.as_ref(), mask: mask.as_ref(), batch: batch.as_ref() };
        OwnedTensor::new(loss.forward_full(&input)?)
    }

    fn metric_reset(metric: Metric) -> () {
        metric.reset();
        Ok(())
    }

    fn metric_update(metric: Metric, y_pred: TensorRef<'_>, y: TensorRef<'_>) -> () {
        metric.update(&y_pred.to_tensor()?, &y.to_tensor()?)
    }

    fn metric_compute(metric: Metric) -> f64 {
        metric.compute()
    }

    fn metric_details(metric: Metric) -> ROption<OwnedTensor> {
        Ok(metric.details().map(OwnedTensor::new).transpose()?.into())
    }

    fn metric_results(metric: Metric) -> RVec<OwnedNamedTensor> {
        metric.results()?.into_iter().map(|(name, tensor)| named(name, tensor, false)).collect()
    }

    fn metric_state(metric: Metric) -> RVec<OwnedNamedTensor> {
        metric.state()?.into_iter().map(|(name, tensor)| named(name, tensor, false)).collect()
    }

    fn metric_load_state(metric: Metric, state: RSlice<'_, NamedTensorRef<'_>>) -> () {
        let state = state.iter().map(|it| Ok((it.name.to_string(), it.tensor.to_tensor()?))).collect::<Result<Vec<_>>>()?;
        metric.load_state(&state)
    }

    fn transform_is_random(transform: Transform) -> bool {
        Ok(transform.is_random())
    }

    fn transform_apply(transform: Transform, sample: SampleView<'_>, state: &mut RandomState) -> OwnedSample {
        let call = next_call();
        let mut sample = read(sample, call)?;
        with_random(state, |random| transform.apply(&mut sample, random))?;
        own(&sample, Some(call))
    }

    fn transform_apply_many(transform: Transform, sample: SampleView<'_>, state: &mut RandomState) -> RVec<OwnedSample> {
        let call = next_call();
        let sample = read(sample, call)?;
        let samples = with_random(state, |random| transform.apply_many(sample, random))?;
        samples.iter().map(|sample| own(sample, Some(call))).collect()
    }

    fn transform_prepare(transform: Transform, sample: SampleView<'_>) -> OwnedSample {
        let call = next_call();
        let mut sample = read(sample, call)?;
        transform.prepare(&mut sample)?;
        own(&sample, Some(call))
    }
}

/// The generator goes on where the host's stands, and the host's goes on where this one stopped.
fn with_random<R>(state: &mut RandomState, body: impl FnOnce(&mut Random) -> Result<R>) -> Result<R> {
    let mut random = Random::from_state(*state);
    let outcome = body(&mut random);
    *state = random.state();
    outcome
}

fn tensors(views: RSlice<'_, TensorRef<'_>>) -> Result<Vec<Tensor>> {
    views.iter().map(|view| view.to_tensor()).collect()
}

fn named(name: String, tensor: Tensor, trainable: bool) -> Result<OwnedNamedTensor> {
    let tensor = OwnedTensor::new(tensor).map_err(|error| error.context(format!("`{name}`")))?;
    Ok(OwnedNamedTensor { name: name.into(), tensor, trainable })
}

/// The number of a call, so that what it brought can be told from what an earlier one brought.
fn next_call() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

fn read(view: SampleView<'_>, call: u64) -> Result<Sample> {
    let mut tensors = view.tensors.as_slice().iter();
    wire::read_sample(view.bytes.as_slice(), call, || match tensors.next() {
        Some(tensor) => tensor.to_tensor(),
        None => Err(Error::data("the plugin boundary carried fewer tensors than the sample mentions")),
    })
}

/// A sample that passes to the other side, in answer to a call or unasked.
pub(in super::super) fn own(sample: &Sample, answers: Option<u64>) -> Result<OwnedSample> {
    let mut tensors = Vec::new();
    let bytes = wire::write_sample(sample, answers, &mut tensors).into();
    let tensors = tensors.into_iter().map(|it| OwnedTensor::new(it.shallow_clone())).collect::<Result<_>>()?;
    Ok(OwnedSample { bytes, tensors })
}
