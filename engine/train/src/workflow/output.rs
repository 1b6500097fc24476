//! From a step's tensors to the output that post transforms, metrics and handlers see.

use byoc::{Result, Sample, Value};
use mmar_data::chain::ItemContext;
use mmar_data::{Batch, Chain, collate, decollate};
use tch::{Kind, Tensor};

/// Post transforms and how they are applied.
///
/// Dialect 4.1 takes the batch apart first, and handlers get a list of items (MONAI 0.8). Dialect 4.0 transforms the
/// batch as a whole and hands the batch on (MONAI 0.5); since transforms work on items, the batch is taken apart and
/// put together again, which is the same for every transform that treats items alike.
pub(crate) struct Postprocessing {
    /// The transforms.
    pub(crate) chain: Chain,
    /// Whether the output stays a list of items.
    pub(crate) decollates: bool,
    /// The run's seed, for random post transforms.
    pub(crate) seed: u64,
}

impl Postprocessing {
    /// The output of a step. `batch` holds the items before the step, `step` what the step added or moved to the device.
    pub(crate) fn apply(&self, batch: &Batch, step: &Sample, epoch: u64, first_item: usize) -> Result<Vec<Sample>> {
        let mut items = decollate(batch, step)?;
        for item in &mut items {
            give_geometry(item)?;
        }
        let mut transformed = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let context = ItemContext { seed: self.seed, epoch, item: first_item + index };
            transformed.extend(self.chain.apply(item, context)?);
        }
        if self.decollates {
            return Ok(transformed);
        }
        let names = file_names(&transformed);
        let mut batch = collate(transformed)?.sample;
        for (key, names) in names {
            batch.insert(format!("{key}_meta_dict"), serde_json::json!({ "filename_or_obj": names }));
        }
        Ok(vec![batch])
    }
}

/// What MONAI 0.5 keeps beside each image of a batch, as far as handlers ask for it.
fn file_names(items: &[Sample]) -> Vec<(String, Vec<serde_json::Value>)> {
    let Some(first) = items.first() else { return Vec::new() };
    let images = first.iter().filter(|(_, value)| matches!(value, Value::Image(_))).map(|(key, _)| key);
    let name = |item: &Sample, key: &str| match item.get(key) {
        Ok(Value::Image(image)) => image.meta.get("filename_or_obj").cloned().unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    images.map(|key| (key.to_owned(), items.iter().map(|item| name(item, key)).collect())).collect()
}

/// A prediction lies where its image lies; `Invertd` and `SaveImaged` need to know.
fn give_geometry(item: &mut Sample) -> Result<()> {
    let (Ok(Value::Image(image)), Ok(Value::Tensor(prediction))) = (item.get("image"), item.get("pred")) else {
        return Ok(());
    };
    let placed = image.with_tensor(full_precision(prediction)?);
    item.insert("pred", placed);
    Ok(())
}

/// Mixed precision ends at the network's output: post transforms and metrics get float32.
pub(crate) fn full_precision(tensor: &Tensor) -> Result<Tensor> {
    match tensor.kind() {
        Kind::Half | Kind::BFloat16 => Ok(tensor.f_to_kind(Kind::Float)?),
        _ => Ok(tensor.shallow_clone()),
    }
}
