//! Networks: outputs and modes here, what is learnt in [`parameters`], [`sizes`], and [`torchscript`].

mod parameters;
mod sizes;
mod torchscript;

use byoc::{BuiltNetwork, Kind as ComponentKind, Network, Random};
use tch::{Device, Tensor};

use crate::numbers::{all_finite, difference, largest_deviation, shown};
use crate::specimen::Specimen;
use crate::stimulus::{NetworkPlan, Plan};
use crate::suite::Test;
use crate::verdict::{Found, Verdict};

const NETWORK: &[ComponentKind] = &[ComponentKind::NETWORK];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("network-forward", "the outputs are finite and have the batch of the input", NETWORK, forward),
    Test::of_component(
        "network-registered",
        "every parameter that learns is in the state",
        NETWORK,
        parameters::registered,
    ),
    Test::of_component("network-trained", "every parameter in the state gets a gradient", NETWORK, parameters::trained),
    Test::of_component("network-modes", "evaluation changes nothing and repeats itself", NETWORK, modes),
    Test::of_component(
        "network-state",
        "its state, written to a file and read back, is the whole network",
        NETWORK,
        parameters::state,
    ),
    Test::of_component("network-batch-of-one", "a batch of one works in both modes", NETWORK, sizes::batch_of_one),
    Test::of_component(
        "network-items-apart",
        "in evaluation an item does not depend on the rest of its batch",
        NETWORK,
        sizes::items_apart,
    ),
    Test::of_component("network-odd-sizes", "odd sizes work, or are refused in words", NETWORK, sizes::odd_sizes),
    Test::of_component(
        "network-torchscript",
        "it can be traced, and the trace is right at a second size",
        NETWORK,
        torchscript::torchscript,
    ),
    Test::of_component("network-gpu", "on a GPU it gives what it gives on the CPU", NETWORK, gpu),
];

fn plan(specimen: &Specimen) -> Result<&NetworkPlan, Verdict> {
    match specimen.plan()? {
        Plan::Network(plan) => Ok(plan),
        _ => Err(Verdict::skipped("it takes no images")),
    }
}

fn input(specimen: &Specimen) -> Result<Tensor, Verdict> {
    Ok(plan(specimen)?.draw(&mut Random::from_seed(specimen.seed)))
}

/// The outputs in evaluation mode, without gradients.
fn evaluate(network: &dyn Network, x: &Tensor) -> Result<Vec<Tensor>, Verdict> {
    Ok(tch::no_grad(|| network.forward_all(std::slice::from_ref(x), false))?)
}

fn forward(specimen: &Specimen) -> Found {
    let x = input(specimen)?;
    let outputs = evaluate(specimen.network()?.network.as_ref(), &x)?;
    let found: Vec<String> = outputs.iter().map(shown).collect();
    let found = format!("{} → {}", shown(&x), found.join(", "));
    for y in &outputs {
        if !all_finite(y)? {
            return Err(Verdict::failed(
                format!("an output is not finite for normally distributed input: {found}"),
                "look at the initialisation and at what is divided by",
            ));
        }
        if y.device() != x.device() {
            return Err(Verdict::failed(
                format!("an output is on {:?}, the input on {:?}", y.device(), x.device()),
                "make helper tensors on the device of the input: `x.device()`",
            ));
        }
    }
    if let Some(y) = outputs.first().filter(|y| y.size().first() != x.size().first()) {
        return Err(Verdict::warning(
            format!("the first output has not the batch of the input: {:?} for {:?}", y.size(), x.size()),
            "keep the batch as the first axis, or nothing that works by items can be used with it",
        ));
    }
    Ok(Verdict::success(found))
}

fn modes(specimen: &Specimen) -> Found {
    let x = input(specimen)?;
    let built = specimen.network()?;
    let copies = |built: &BuiltNetwork| -> Vec<Tensor> {
        built.state.iter().map(|named| named.tensor.detach().copy()).collect()
    };
    let before = copies(&built);
    let first = evaluate(built.network.as_ref(), &x)?;
    let second = evaluate(built.network.as_ref(), &x)?;
    for (a, b) in first.iter().zip(&second) {
        if let Some(found) = difference(a, b)? {
            return Err(Verdict::failed(
                format!("two passes in evaluation mode differ: {found}"),
                "leave dropout and other noise out where `train` is false",
            ));
        }
    }
    for (named, before) in built.state.iter().zip(&before) {
        if let Some(found) = difference(before, &named.tensor)? {
            return Err(Verdict::failed(
                format!("evaluation changes `{}`: {found}", named.name),
                "update running statistics only where `train` is true",
            ));
        }
    }
    let trained = tch::no_grad(|| built.network.forward_all(std::slice::from_ref(&x), true))?;
    let after = copies(&built);
    let mut moved = 0;
    for (named, (before, after)) in built.state.iter().zip(before.iter().zip(&after)) {
        if difference(before, after)?.is_some() {
            if named.trainable {
                return Err(Verdict::failed(
                    format!("a forward pass in training mode changes the parameter `{}`", named.name),
                    "parameters are the optimizer's to change; what a forward pass keeps is a buffer",
                ));
            }
            moved += 1;
        }
    }
    let mut differs = false;
    for (a, b) in first.iter().zip(&trained) {
        differs |= a.size() != b.size() || largest_deviation(a, b)? > 0.0;
    }
    let modes = if differs { "training and evaluation differ" } else { "training and evaluation give the same" };
    Ok(Verdict::success(format!("{modes}, training updates {moved} buffers")))
}

fn gpu(specimen: &Specimen) -> Found {
    if let Err(reason) = torch_ext::cuda::devices() {
        return Ok(Verdict::skipped(reason.to_string()));
    }
    let x = input(specimen)?;
    let built = specimen.network()?;
    let expected = evaluate(built.network.as_ref(), &x)?;
    let there = Device::Cuda(0);
    for named in &built.state {
        // as the engine moves a network: the tensors stay the network's own
        let moved = named.tensor.detach().f_to_device(there)?;
        let mut own = named.tensor.shallow_clone();
        own.f_set_data(&moved)?;
    }
    let found = evaluate(built.network.as_ref(), &x.f_to_device(there)?)?;
    for (cpu, gpu) in expected.iter().zip(&found) {
        if gpu.device() != there {
            return Err(Verdict::failed(
                format!("for input on the GPU an output is on {:?}", gpu.device()),
                "make helper tensors on the device of the input: `x.device()`",
            ));
        }
        super::loss::close(cpu, gpu)?;
    }
    Ok(Verdict::success("CPU and GPU agree"))
}

/// The same input, twice and four times as long along each axis, unless its shape was given.
fn larger(plan: &NetworkPlan) -> impl Iterator<Item = NetworkPlan> {
    let factors: &[i64] = if plan.is_given { &[] } else { &[2, 4] };
    factors.iter().map(|factor| plan.with_spatial(|_, size| factor * size))
}
