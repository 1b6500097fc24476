//! Networks: outputs, gradients, and the buffers after a forward pass in train mode.

use byoc::BuiltNetwork;
use tch::{Kind, Tensor};

use super::{Replay, Stop, gradient, leaf, make_network};
use crate::case::{Case, Weights};
use crate::compare::{Actual, list};
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let mut built = make_network(components, &case.name, &case.args)?;
    load_weights(&mut built, case)?;
    let train = case.field::<String>("mode")? == "train";
    let gradients: Vec<String> = case.field("grads")?;
    let differentiate = !gradients.is_empty() || case.expected("grad.").next().is_some();
    let inputs = case.inputs.iter().map(|name| case.input(name).map(leaf)).collect::<Result<Vec<_>, _>>()?;
    if let Some(seed) = case.field::<Option<i64>>("seed")? {
        tch::manual_seed(seed);
    }

    let outputs = {
        let _guard = (!differentiate).then(tch::no_grad_guard);
        built.network.forward_all(&inputs, train)?
    };
    let mut actual = Actual::default();
    if differentiate {
        let mut total = Tensor::from(0f32);
        for y in outputs.iter().filter(|y| y.is_floating_point()) {
            total += (y.f_mul(y)?).f_mean(Kind::Float)?;
        }
        total.f_backward()?;
        for (name, input) in case.inputs.iter().zip(&inputs) {
            actual.insert(format!("grad.{name}"), gradient(input)?);
        }
        for named in built.state.iter().filter(|named| gradients.contains(&named.name)) {
            actual.insert(format!("grad.{}", named.name), gradient(&named.tensor)?);
        }
    }
    for named in built.state.iter().filter(|named| !named.trainable) {
        actual.insert(format!("post.{}", named.name), named.tensor.detach());
    }
    name_outputs(case, outputs, &mut actual);
    Ok(actual)
}

/// One output is `out.y`; several are `out.y0`, `out.y1_0` …, nested as in Python. The trait gives them flat and
/// without `None`s, in the order of the names.
fn name_outputs(case: &Case, outputs: Vec<Tensor>, actual: &mut Actual) {
    let mut names: Vec<&str> = case.expected("out.y").collect();
    names.sort_by_key(|name| name.split('_').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>());
    let nested = names.iter().any(|name| name.contains('_'));
    for (i, output) in outputs.into_iter().enumerate() {
        let name = match names.as_slice() {
            [""] if i == 0 => String::new(),
            _ if nested => names.get(i).map_or_else(|| i.to_string(), |&name| name.to_owned()),
            _ => i.to_string(),
        };
        actual.insert(format!("out.y{name}"), output.detach());
    }
}

/// Gives a network the weights of a case. Names and shapes must agree in full: a network whose parameters are called
/// otherwise cannot load the original's checkpoints.
pub(super) fn load_weights(built: &mut BuiltNetwork, case: &Case) -> Replay<()> {
    let weights = case.weights()?;
    let expected: Vec<&str> = match &weights {
        Weights::Stored(tensors) => tensors.iter().map(|(name, _)| *name).collect(),
        Weights::Filled(fill) => fill.state.keys().map(String::as_str).collect(),
    };
    let unknown: Vec<&str> =
        expected.iter().copied().filter(|name| !built.state.iter().any(|n| n.name == *name)).collect();
    let extra: Vec<&str> =
        built.state.iter().map(|n| n.name.as_str()).filter(|name| !expected.contains(name)).collect();
    if !unknown.is_empty() || !extra.is_empty() {
        let message = "parameter names differ: the case has weights for";
        return Err(Stop::Failed(format!(
            "{message} {}, which the network lacks; the network has {}, which the case lacks",
            list(&unknown),
            list(&extra)
        )));
    }
    let shape_of = |name: &str| -> Option<Vec<i64>> {
        match &weights {
            Weights::Stored(tensors) => tensors.iter().find(|(n, _)| *n == name).map(|(_, tensor)| tensor.size()),
            Weights::Filled(fill) => fill.state.get(name)?.as_array()?.iter().map(serde_json::Value::as_i64).collect(),
        }
    };
    for named in &built.state {
        if let Some(shape) = shape_of(&named.name).filter(|shape| *shape != named.tensor.size()) {
            let (name, found) = (&named.name, named.tensor.size());
            return Err(Stop::Failed(format!("parameter `{name}` has shape {found:?}, the case has {shape:?}")));
        }
    }
    match weights {
        Weights::Filled(fill) => fill.apply(&mut built.state)?,
        Weights::Stored(tensors) => {
            let _guard = tch::no_grad_guard();
            for named in &mut built.state {
                if let Some((_, tensor)) = tensors.iter().find(|(name, _)| *name == named.name) {
                    named.tensor.f_copy_(tensor)?;
                }
            }
        }
    }
    Ok(())
}
