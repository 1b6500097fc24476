//! Networks: names and shapes of all parameters and buffers, outputs, and the gradient with respect to the input.

use byoc::{BuiltNetwork, Constructor, Kind};
use mmar_components as _;
use mmar_loader::Registry;
use mmar_verify::fill::{crc32, values};
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

use crate::table::{Input, SEED, Summary, expect_none};

#[derive(Deserialize)]
struct Entry {
    path: String,
    args: Json,
    /// The input's shape; without one only names and shapes are compared.
    input: Option<Vec<i64>>,
    #[serde(default)]
    mode: String,
    /// CRC-32 of all names with their shapes, sorted.
    state: String,
    /// CRC-32 of the names of the parameters in their order.
    parameters: String,
    #[serde(default)]
    outputs: Vec<Summary>,
    gradient: Option<Summary>,
}

const TOLERANCE: f64 = 2e-4;

#[test]
fn networks_compute_what_monais_do() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("networks.json")).unwrap();
    let mut registry = Registry::with_builtins();
    let mut problem = |entry: &Entry| {
        check(entry, &mut registry).err().map(|problem| format!("{} {}: {problem}", entry.path, entry.args))
    };
    expect_none(&entries.iter().filter_map(&mut problem).collect::<Vec<_>>());
}

fn check(entry: &Entry, registry: &mut Registry) -> Result<(), String> {
    let found = registry.find(Kind::NETWORK, &entry.path).map_err(|error| error.to_string())?;
    let Constructor::Network(create) = found.constructor else {
        return Err("is no network".to_owned());
    };
    let mut built = create(&entry.args).map_err(|error| error.to_string())?;
    check_names(&built, entry)?;
    let Some(shape) = &entry.input else {
        return Ok(());
    };
    // of several names of a tensor the first counts
    built.state.sort_by(|a, b| b.name.cmp(&a.name));
    for named in built.state.iter_mut().filter(|named| named.tensor.is_floating_point()) {
        let filled = Tensor::from_slice(&values(&named.name, &named.tensor.size(), SEED)).view_as(&named.tensor);
        tch::no_grad(|| named.tensor.copy_(&filled));
    }
    let inputs = [Input::of_shape(shape).make("x").set_requires_grad(true)];
    let outputs = built.network.forward_all(&inputs, entry.mode == "train").map_err(|error| error.to_string())?;
    if outputs.len() != entry.outputs.len() {
        return Err(format!("{} outputs instead of {}", outputs.len(), entry.outputs.len()));
    }
    let mut total = Tensor::from(0f32);
    for (index, (output, expected)) in outputs.iter().zip(&entry.outputs).enumerate() {
        expected.compare(output, TOLERANCE).map_err(|problem| format!("output {index}: {problem}"))?;
        total += output.square().mean(tch::Kind::Float);
    }
    total.backward();
    match &entry.gradient {
        Some(expected) => {
            expected.compare(&inputs[0].grad(), TOLERANCE).map_err(|problem| format!("gradient: {problem}"))
        }
        None => Ok(()),
    }
}

fn check_names(built: &BuiltNetwork, entry: &Entry) -> Result<(), String> {
    let line = |name: &str, shape: &[i64]| format!("{name} {shape:?}\n").replace(' ', "");
    let mut lines: Vec<String> = built.state.iter().map(|named| line(&named.name, &named.tensor.size())).collect();
    lines.sort();
    let state = format!("{:08x}", crc32(lines.concat().as_bytes()));
    if state != entry.state {
        return Err(format!("names or shapes differ: {} of them here", lines.len()));
    }
    let names: Vec<&str> =
        built.state.iter().filter(|named| named.trainable).map(|named| named.name.as_str()).collect();
    let parameters = format!("{:08x}", crc32(names.join("\n").as_bytes()));
    if parameters != entry.parameters {
        return Err(format!("the order of the parameters differs: {names:?}"));
    }
    Ok(())
}
