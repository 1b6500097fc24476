//! Losses: value and gradient.

use byoc::LossInput;
use tch::Tensor;

use super::{Replay, gradient, leaf, make_loss};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let loss = make_loss(components, &case.name, &case.args)?;
    // one input, or a list of them
    let (names, inputs): (Vec<String>, Vec<Tensor>) = if let Some(input) = case.optional_input("input") {
        (vec!["input".to_owned()], vec![leaf(input)])
    } else {
        let inputs: Vec<_> = case.numbered_inputs("input").into_iter().map(leaf).collect();
        ((0..inputs.len()).map(|i| format!("input{i}")).collect(), inputs)
    };
    let call = LossInput {
        inputs: &inputs,
        target: case.optional_input("target"),
        mask: case.optional_input("mask"),
        ..LossInput::default()
    };
    let value = loss.forward_full(&call)?;
    let mut actual = Actual::default();
    if case.expected("grad.").next().is_some() {
        value.f_sum(value.kind())?.f_backward()?;
        for (name, input) in names.iter().zip(&inputs) {
            actual.insert(format!("grad.{name}"), gradient(input)?);
        }
    }
    actual.insert("out.loss", value.detach());
    Ok(actual)
}
