//! Losses: values and gradients.

use byoc::{Constructor, Kind, LossInput};
use mmar_components as _;
use mmar_loader::Registry;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

use crate::table::{Input, Summary, expect_none};

#[derive(Deserialize)]
struct Entry {
    path: String,
    args: Json,
    inputs: Vec<Input>,
    target: Option<Input>,
    mask: Option<Input>,
    value: Summary,
    gradients: Vec<Summary>,
}

#[test]
fn losses_and_their_gradients_are_pythons() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("losses.json")).unwrap();
    let mut registry = Registry::with_builtins();
    let mut problem = |entry: &Entry| {
        check(entry, &mut registry).err().map(|problem| format!("{} {}: {problem}", entry.path, entry.args))
    };
    expect_none(&entries.iter().filter_map(&mut problem).collect::<Vec<_>>());
}

fn check(entry: &Entry, registry: &mut Registry) -> Result<(), String> {
    let found = registry.find(Kind::LOSS, &entry.path).map_err(|error| error.to_string())?;
    let Constructor::Loss(create) = found.constructor else {
        return Err("is no loss".to_owned());
    };
    let loss = create(&entry.args).map_err(|error| error.to_string())?;
    let inputs: Vec<Tensor> = (entry.inputs.iter().enumerate())
        .map(|(index, input)| input.make(&format!("input{index}")).set_requires_grad(true))
        .collect();
    let (target, mask) =
        (entry.target.as_ref().map(|it| it.make("target")), entry.mask.as_ref().map(|it| it.make("mask")));
    let call = LossInput { inputs: &inputs, target: target.as_ref(), mask: mask.as_ref(), ..LossInput::default() };
    let value = loss.forward_full(&call).map_err(|error| error.to_string())?;
    entry.value.compare(&value, 1e-4).map_err(|problem| format!("value: {problem}"))?;
    value.sum(value.kind()).backward();
    for (index, (input, expected)) in inputs.iter().zip(&entry.gradients).enumerate() {
        expected.compare(&input.grad(), 2e-4).map_err(|problem| format!("gradient {index}: {problem}"))?;
    }
    Ok(())
}
