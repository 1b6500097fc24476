//! Networks: parameters that are known and learn, modes, sizes, and what can be written to files.

use byoc::{BuiltNetwork, Kind as ComponentKind, NamedTensor, Network, Random, StateTree};
use tch::{CModule, Device, Kind, Tensor};

use crate::numbers::{all_finite, any_nonzero, difference, largest_deviation, number, shown};
use crate::specimen::Specimen;
use crate::stimulus::{NetworkPlan, Plan};
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const NETWORK: &[ComponentKind] = &[ComponentKind::NETWORK];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("network-forward", "the outputs are finite and have the batch of the input", NETWORK, forward),
    Test::of_component("network-registered", "every parameter that learns is in the state", NETWORK, registered),
    Test::of_component("network-trained", "every parameter in the state gets a gradient", NETWORK, trained),
    Test::of_component("network-modes", "evaluation changes nothing and repeats itself", NETWORK, modes),
    Test::of_component(
        "network-state",
        "its state, written to a file and read back, is the whole network",
        NETWORK,
        state,
    ),
    Test::of_component("network-batch-of-one", "a batch of one works in both modes", NETWORK, batch_of_one),
    Test::of_component(
        "network-items-apart",
        "in evaluation an item does not depend on the rest of its batch",
        NETWORK,
        items_apart,
    ),
    Test::of_component("network-odd-sizes", "odd sizes work, or are refused in words", NETWORK, odd_sizes),
    Test::of_component(
        "network-torchscript",
        "it can be traced, and the trace is right at a second size",
        NETWORK,
        torchscript,
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

/// Runs a forward and a backward pass in training mode; the outputs' squares are what is minimised.
fn step(built: &BuiltNetwork, x: &Tensor) -> Result<Tensor, Verdict> {
    let outputs = built.network.forward_all(std::slice::from_ref(x), true)?;
    let mut total = Tensor::from(0f32);
    for y in outputs.iter().filter(|y| y.is_floating_point()) {
        // a target that no output hits by chance
        let aim = Tensor::from(0.7f32);
        total = total.f_add(&y.f_sub(&aim)?.f_square()?.f_mean(Kind::Float)?)?;
    }
    if !total.requires_grad() {
        return Err(Verdict::failed(
            "the outputs have no gradient: the network could not be trained",
            "make the parameters through `path`, and compute with `f_…` operations only: `detach`, `no_grad` and numbers \
             cut the gradient",
        ));
    }
    Ok(total)
}

fn registered(specimen: &Specimen) -> Found {
    let x = input(specimen)?;
    let built = specimen.network()?;
    let total = step(&built, &x)?;
    let leaves = torch_ext::gradient::leaves(&total)?;
    let is_known = |leaf: &Tensor| built.state.iter().any(|named| named.tensor.data_ptr() == leaf.data_ptr());
    let unknown: Vec<String> =
        leaves.iter().filter(|leaf| !is_known(leaf)).map(|leaf| format!("{:?}", leaf.size())).collect();
    let trainable = built.state.iter().filter(|named| named.trainable).count();
    if unknown.is_empty() {
        return Ok(Verdict::success(format!("{trainable} parameters")));
    }
    Err(Verdict::failed(
        format!(
            "{} tensors that learn are in no state ({}): no optimizer moves them, no checkpoint has them",
            unknown.len(),
            unknown.join(", ")
        ),
        "make every parameter through `path` (`path.f_var(…)`, the layers of `byoc::nn`), not with `Tensor::f_randn`",
    ))
}

fn trained(specimen: &Specimen) -> Found {
    let x = input(specimen)?;
    let built = specimen.network()?;
    let parameters: Vec<&NamedTensor> = built.state.iter().filter(|named| named.trainable).collect();
    if parameters.is_empty() {
        return Err(Verdict::warning(
            "it has no parameters: there is nothing to train",
            "make parameters through `path` (`path.f_var(…)`, the layers of `byoc::nn`)",
        ));
    }
    step(&built, &x)?.f_backward()?;
    let mut without = Vec::new();
    let mut zero = Vec::new();
    for named in &parameters {
        let gradient = named.tensor.f_grad()?;
        if !gradient.defined() {
            without.push(format!("`{}`", named.name));
        } else if !all_finite(&gradient)? {
            return Err(Verdict::failed(
                format!("the gradient of `{}` is not finite", named.name),
                "look for square roots and divisions at 0 between it and the output",
            ));
        } else if !any_nonzero(&gradient)? {
            zero.push(format!("`{}`", named.name));
        }
    }
    if !without.is_empty() {
        return Err(Verdict::failed(
            format!("no gradient reaches {}", without.join(", ")),
            "use them in `forward` in training mode, without `detach`; leave out parameters that nothing uses",
        ));
    }
    if !zero.is_empty() {
        return Err(Verdict::warning(
            format!("the gradient of {} is 0 for random input", zero.join(", ")),
            "see whether they are followed by something that takes them out again, as a normalisation does with a bias",
        ));
    }
    Ok(Verdict::success(format!("{} parameters", parameters.len())))
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

fn state(specimen: &Specimen) -> Found {
    let x = input(specimen)?;
    let first = specimen.network()?;
    // buffers that are not what they were made as
    tch::no_grad(|| first.network.forward_all(std::slice::from_ref(&x), true))?;
    let expected = evaluate(first.network.as_ref(), &x)?;

    let folder = tempfile::tempdir().map_err(|error| Verdict::skipped(format!("no temporary folder: {error}")))?;
    let file = folder.path().join("model.pt");
    let entries =
        first.state.iter().map(|named| (named.name.as_str().into(), StateTree::Tensor(named.tensor.detach())));
    let cannot = |error: &torch_ext::checkpoint::CheckpointError| {
        Verdict::failed(
            format!("its state cannot be written and read: {error}"),
            "keep parameters and buffers dense and named",
        )
    };
    torch_ext::checkpoint::write(&file, &StateTree::Dict(entries.collect())).map_err(|error| cannot(&error))?;
    let read = torch_ext::checkpoint::read(&file).map_err(|error| cannot(&error))?;

    // another start: what is not in the state stays different
    let other = specimen.network_of_another_seed()?;
    let names = |built: &BuiltNetwork| built.state.iter().map(|named| named.name.clone()).collect::<Vec<_>>();
    if names(&first) != names(&other) {
        return Err(Verdict::failed(
            "two networks of the same arguments have differently named states",
            "name parameters by what they are, never by a counter of the process or a hash",
        ));
    }
    for named in &other.state {
        let Some(StateTree::Tensor(tensor)) = read.get(&named.name) else {
            return Err(Verdict::failed(format!("`{}` is lost on the way", named.name), "give it another name"));
        };
        let mut target = named.tensor.shallow_clone();
        tch::no_grad(|| target.f_copy_(tensor))?;
    }
    let found = evaluate(other.network.as_ref(), &x)?;
    for (a, b) in expected.iter().zip(&found) {
        if let Some(difference) = difference(a, b)? {
            return Err(Verdict::failed(
                format!("with the same state another network gives something else: {difference}"),
                "everything random that the output depends on must be a parameter or a buffer made through `path`: what is \
                 kept beside it is lost in every checkpoint",
            ));
        }
    }
    Ok(Verdict::success(format!("{} tensors", first.state.len())))
}

fn batch_of_one(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?.with_batch(1);
    let draw = |plan: &NetworkPlan| plan.draw(&mut Random::from_seed(specimen.seed));
    let train = |x: &Tensor| -> Result<_, Verdict> {
        let network = specimen.network()?.network;
        Ok(tch::no_grad(|| network.forward_all(std::slice::from_ref(x), true)))
    };
    let x = draw(&plan);
    evaluate(specimen.network()?.network.as_ref(), &x)?;
    let Err(error) = train(&x)? else { return Ok(Verdict::success(shown(&x))) };
    // a small image may leave a single voxel at the bottom, which nothing can normalise
    let larger = draw(&plan.with_spatial(|_, size| 2 * size));
    if !plan.is_given && train(&larger)?.is_ok() {
        return Ok(Verdict::success(format!("{}; {} is too small to train with", shown(&larger), shown(&x))));
    }
    Err(Verdict::warning(
        format!("it cannot be trained with a batch of one: {}", said(&error)),
        "a batch normalisation of single values needs two items: normalise by instance or group there",
    ))
}

fn items_apart(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let x = plan.with_batch(2).draw(&mut Random::from_seed(specimen.seed));
    let network = specimen.network()?.network;
    let both = evaluate(network.as_ref(), &x)?;
    let one = evaluate(network.as_ref(), &x.f_narrow(0, 0, 1)?)?;
    for (both, one) in both.iter().zip(&one) {
        if both.size().first() != Some(&2) || one.size().first() != Some(&1) {
            return Ok(Verdict::skipped("its outputs have no batch axis"));
        }
        let of_first = both.f_narrow(0, 0, 1)?;
        let scale = number(&one.f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?.max(1e-3);
        let deviation = largest_deviation(&of_first, one)? / scale;
        // kernels for other batch sizes sum in another order
        if deviation > 1e-3 {
            return Err(Verdict::failed(
                format!(
                    "the first item alone gives something else than in a batch of two: {deviation:.1e} of the largest value"
                ),
                "in evaluation use the running statistics, and mix no items of a batch",
            ));
        }
    }
    Ok(Verdict::success("alone and in a batch the same"))
}

fn odd_sizes(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    if plan.is_given {
        return Ok(Verdict::skipped("the shape of its input was given"));
    }
    let larger = plan.with_spatial(|axis, size| size + [1, 5, 3][axis.min(2)]);
    let x = larger.draw(&mut Random::from_seed(specimen.seed));
    let network = specimen.network()?.network;
    match tch::no_grad(|| network.forward_all(std::slice::from_ref(&x), false)) {
        Ok(outputs) => {
            let sizes = |tensor: &Tensor| tensor.size().get(2..).map(<[i64]>::to_vec).unwrap_or_default();
            let usual = evaluate(network.as_ref(), &input(specimen)?)?;
            let keeps = usual.first().is_some_and(|y| sizes(y) == plan.shape[2..]);
            if let Some(y) = outputs.first().filter(|y| keeps && sizes(y) != sizes(&x)) {
                return Err(Verdict::failed(
                    format!("{} gives {}: the sizes are not those of the input", shown(&x), shown(y)),
                    "pad what was pooled from an odd size: `byoc::nn::resize::pad_to_odd_size_of`",
                ));
            }
            Ok(Verdict::success(shown(&x)))
        }
        Err(error) => Err(Verdict::warning(
            format!("{} is refused: {}", shown(&x), said(&error)),
            "pad what was pooled from an odd size (`byoc::nn::resize::pad_to_odd_size_of`), or say in the docs which sizes \
             it takes",
        )),
    }
}

/// The same up to rounding: a trace fuses operations.
fn is_same(a: &Tensor, b: &Tensor) -> Result<bool, Verdict> {
    if a.size() != b.size() {
        return Ok(false);
    }
    let scale = number(&a.detach().f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?.max(1e-3);
    Ok(largest_deviation(a, b)? <= 1e-4 * scale)
}

fn torchscript(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let x = plan.with_batch(1).draw(&mut Random::from_seed(specimen.seed));
    let built = specimen.network()?;
    for named in built.state.iter().filter(|named| named.trainable) {
        // constants of a trace cannot have gradients
        let _ = named.tensor.set_requires_grad(false);
    }
    let network = built.network.as_ref();
    let expected = evaluate(network, &x)?;
    let mut failed = None;
    let mut forward = |inputs: &[Tensor]| match network.forward_all(inputs, false) {
        Ok(outputs) => outputs.into_iter().take(1).collect(),
        Err(error) => {
            failed = Some(error);
            inputs.iter().map(Tensor::shallow_clone).collect()
        }
    };
    let traced = CModule::create_by_tracing("network", "forward", &[x.shallow_clone()], &mut forward);
    if let Some(error) = failed {
        if error.to_string().contains("requires grad as a constant") {
            return Ok(Verdict::skipped("a tensor that learns is in no state, see `network-registered`"));
        }
        return Err(error.into());
    }
    let traced = match traced {
        Ok(traced) => traced,
        Err(error) => {
            return Ok(Verdict::skipped(format!("tch cannot trace it: {}", byoc::torch_message(&error.to_string()))));
        }
    };
    let run = |x: &Tensor| tch::no_grad(|| traced.method_ts("forward", std::slice::from_ref(x)));
    let trouble = |what: &str, help: &str| Verdict::failed(format!("its TorchScript {what}"), help);
    let y = run(&x).map_err(|error| {
        trouble(
            &format!("does not run: {}", byoc::torch_message(&error.to_string())),
            "compute with tensor operations only: numbers read from a tensor are constants in the trace",
        )
    })?;
    let Some(expected) = expected.first() else { return Ok(Verdict::skipped("it has no output")) };
    if !is_same(expected, &y)? {
        return Err(trouble(
            "gives something else",
            "a trace follows operations only: let nothing depend on a number that is read from a tensor, and make tensors of \
             numbers (`Tensor::from_slice`) in `new`, not in `forward`",
        ));
    }
    if plan.is_given {
        return Ok(Verdict::success("traced, and the same at the same size"));
    }
    let larger = plan.with_batch(1).with_spatial(|_, size| 2 * size).draw(&mut Random::from_seed(specimen.seed));
    let Ok(expected) = evaluate(network, &larger) else {
        return Ok(Verdict::success("traced, and the same at the same size; it takes no other"));
    };
    let help = "sizes that are read from a tensor become constants of the trace: use the layers and `resize` of \
                `byoc::nn`, or export it for one size";
    match (run(&larger), expected.first()) {
        (Err(error), _) => Err(Verdict::warning(
            format!("its TorchScript works at {:?} only: {}", x.size(), byoc::torch_message(&error.to_string())),
            help,
        )),
        (Ok(y), Some(expected)) if !is_same(expected, &y)? => {
            Err(Verdict::warning(format!("its TorchScript gives something else at {:?}", larger.size()), help))
        }
        _ => Ok(Verdict::success("traced, and the same at two sizes")),
    }
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
