//! Parameters: every one that learns is known, every known one learns, and all of them are the network.

use byoc::{BuiltNetwork, NamedTensor, Random, StateTree};
use tch::{Kind, Tensor};

use super::{evaluate, input, larger, plan};
use crate::numbers::{all_finite, any_nonzero, difference};
use crate::specimen::Specimen;
use crate::verdict::{Found, Verdict};

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

pub(super) fn registered(specimen: &Specimen) -> Found {
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

pub(super) fn trained(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let mut found = gradients(specimen, &plan.draw(&mut Random::from_seed(specimen.seed)))?;
    for larger in larger(plan) {
        // a small image leaves a voxel or two at the bottom: their statistics are no fair trial
        if found.infinite.is_empty() {
            break;
        }
        found = gradients(specimen, &larger.draw(&mut Random::from_seed(specimen.seed)))?;
    }
    let Gradients { parameters, missing, infinite, zero } = found;
    if parameters == 0 {
        return Err(Verdict::warning(
            "it has no parameters: there is nothing to train",
            "make parameters through `path` (`path.f_var(…)`, the layers of `byoc::nn`)",
        ));
    }
    if !missing.is_empty() {
        return Err(Verdict::failed(
            format!("no gradient reaches {}", missing.join(", ")),
            "use them in `forward` in training mode, without `detach`; leave out parameters that nothing uses",
        ));
    }
    if !infinite.is_empty() {
        return Err(Verdict::failed(
            format!("the gradient of {} is not finite", infinite.join(", ")),
            "look for square roots and divisions at 0 between them and the output",
        ));
    }
    if !zero.is_empty() {
        return Err(Verdict::warning(
            format!("the gradient of {} is 0 for random input", zero.join(", ")),
            "see whether they are followed by something that takes them out again, as a normalisation does with a bias",
        ));
    }
    Ok(Verdict::success(format!("{parameters} parameters")))
}

/// What a backward pass leaves in the parameters.
struct Gradients {
    parameters: usize,
    missing: Vec<String>,
    infinite: Vec<String>,
    zero: Vec<String>,
}

fn gradients(specimen: &Specimen, x: &Tensor) -> Result<Gradients, Verdict> {
    let built = specimen.network()?;
    let parameters: Vec<&NamedTensor> = built.state.iter().filter(|named| named.trainable).collect();
    let mut found =
        Gradients { parameters: parameters.len(), missing: Vec::new(), infinite: Vec::new(), zero: Vec::new() };
    if parameters.is_empty() {
        return Ok(found);
    }
    step(&built, x)?.f_backward()?;
    for named in parameters {
        let gradient = named.tensor.f_grad()?;
        let name = format!("`{}`", named.name);
        if !gradient.defined() {
            found.missing.push(name);
        } else if !all_finite(&gradient)? {
            found.infinite.push(name);
        } else if !any_nonzero(&gradient)? {
            found.zero.push(name);
        }
    }
    Ok(found)
}

pub(super) fn state(specimen: &Specimen) -> Found {
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
