//! Optimizers: parameters after each step, from given gradients.

use byoc::ParameterGroup;
use serde_json::{Map, Value as Json};
use tch::{Kind, Tensor};

use super::{Replay, Stop, leaf, make_optimizer};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let parameters: Vec<Tensor> = case.numbered_inputs("p").into_iter().map(leaf).collect();
    let gradients = case.numbered_inputs("g");
    if parameters.is_empty() || parameters.len() != gradients.len() {
        return Err(Stop::Error(format!(
            "the case has {} parameters `in.pI` and {} gradients `in.gI`; there must be as many",
            parameters.len(),
            gradients.len()
        )));
    }
    let groups = match case.field::<Option<Vec<Map<String, Json>>>>("param_groups")? {
        None => vec![ParameterGroup { parameters: shallow(&parameters), options: Map::new() }],
        Some(groups) => groups.into_iter().map(|group| parameter_group(group, &parameters)).collect::<Replay<_>>()?,
    };
    let mut optimizer = make_optimizer(components, &case.name, &case.args, groups)?;
    let steps = gradients[0].size()[0];
    let mut history: Vec<Vec<Tensor>> = parameters.iter().map(|_| Vec::new()).collect();
    for step in 0..steps {
        optimizer.zero_grad()?;
        for (parameter, gradient) in parameters.iter().zip(&gradients) {
            // a gradient cannot be set, but that of the sum of p·g is g
            parameter.f_mul(&gradient.f_select(0, step)?)?.f_sum(Kind::Float)?.f_backward()?;
        }
        optimizer.step()?;
        for (parameter, history) in parameters.iter().zip(&mut history) {
            history.push(parameter.detach().copy());
        }
    }
    let mut actual = Actual::default();
    for (i, history) in history.iter().enumerate() {
        actual.insert(format!("out.p{i}"), Tensor::f_stack(history, 0)?);
    }
    Ok(actual)
}

fn parameter_group(mut options: Map<String, Json>, parameters: &[Tensor]) -> Replay<ParameterGroup> {
    let names = options.shift_remove("params").unwrap_or_default();
    let names = names.as_array().ok_or_else(|| "a parameter group of the case has no list `params`".to_owned())?;
    let mut group = ParameterGroup { options, ..ParameterGroup::default() };
    for name in names {
        let parameter = name.as_str().and_then(|name| parameters.get(name.strip_prefix('p')?.parse::<usize>().ok()?));
        let parameter = parameter.ok_or_else(|| format!("the case has no parameter {name}"))?;
        group.parameters.push(parameter.shallow_clone());
    }
    Ok(group)
}

fn shallow(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(Tensor::shallow_clone).collect()
}
