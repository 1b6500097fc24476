//! From items to a batch, and back.

use byoc::{Error, Result, Sample, Value};
use tch::Tensor;

/// A batch: the stacked values, and the items they came from with their geometry and metadata.
#[derive(Debug)]
pub struct Batch {
    /// Tensors stacked along a new first axis, plain values as lists.
    pub sample: Sample,
    /// The items, in the order of the stack. Their tensors share no memory with the stacked ones.
    pub items: Vec<Sample>,
}

/// Stacks items, MONAI's `list_data_collate`.
///
/// # Errors
/// Items whose tensors under one key differ in size or dtype; the message names the key and the sizes.
pub fn collate(items: Vec<Sample>) -> Result<Batch> {
    let Some(first) = items.first() else {
        return Err(Error::data("a batch needs at least one item"));
    };
    let keys: Vec<String> = first.keys().filter(|key| !key.starts_with('_')).map(str::to_owned).collect();
    let mut sample = Sample::new();
    for key in keys {
        let values = items.iter().map(|item| item.get(&key)).collect::<Result<Vec<_>>>()?;
        let value = stack(&key, &values)?;
        sample.insert(key, value);
    }
    Ok(Batch { sample, items })
}

fn stack(key: &str, values: &[&Value]) -> Result<Value> {
    let tensors: Vec<&Tensor> = values.iter().filter_map(|value| value.as_tensor()).collect();
    if tensors.is_empty() {
        let plain = values
            .iter()
            .map(|value| if let Value::Json(json) = value { json.clone() } else { serde_json::Value::Null });
        return Ok(Value::Json(plain.collect()));
    }
    if tensors.len() < values.len() {
        return Err(Error::data(format!("`{key}` is a tensor in some items of the batch and a plain value in others")));
    }
    let (size, kind) = (tensors[0].size(), tensors[0].kind());
    if let Some(other) = tensors.iter().find(|tensor| tensor.size() != size || tensor.kind() != kind) {
        return Err(Error::data(format!(
            "the items of a batch must agree in size, but `{key}` is {size:?} ({kind:?}) in one and {:?} ({:?}) in another: \
             crop or pad to one size, or use a batch size of 1",
            other.size(),
            other.kind()
        )));
    }
    Ok(Value::Tensor(Tensor::f_stack(&tensors, 0)?))
}

/// Takes a batch apart after a step, MONAI's `decollate_batch`: each item with its geometry and metadata, its part of
/// every tensor in `output`, and scalars (the loss) repeated.
pub fn decollate(batch: &Batch, output: &Sample) -> Result<Vec<Sample>> {
    let n = batch.items.len() as i64;
    let mut items: Vec<Sample> = batch.items.iter().map(Sample::shallow_clone).collect();
    for (key, value) in output.iter() {
        for (index, item) in items.iter_mut().enumerate() {
            let part = match value.as_tensor() {
                Some(tensor) if tensor.dim() > 0 && tensor.size()[0] == n => tensor.f_select(0, index as i64)?,
                Some(tensor) => tensor.shallow_clone(),
                None => {
                    item.insert(key, part_of_list(value, index));
                    continue;
                }
            };
            if item.contains(key) {
                item.set_tensor(key, part)?;
            } else {
                item.insert(key, part);
            }
        }
    }
    Ok(items)
}

fn part_of_list(value: &Value, index: usize) -> Value {
    match value {
        Value::Json(serde_json::Value::Array(values)) => Value::Json(values.get(index).cloned().unwrap_or_default()),
        other => other.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Image, Sample};
    use tch::{Kind, Tensor};

    use super::{collate, decollate};

    fn item(size: [i64; 2], name: &str) -> Sample {
        let mut image = Image::new(Tensor::full(size, 2.0, (Kind::Float, tch::Device::Cpu)));
        image.meta.insert("filename_or_obj".into(), name.into());
        let mut sample = Sample::new();
        sample.insert("image", image);
        sample.insert("name", serde_json::json!(name));
        sample.insert("_private", serde_json::json!(1));
        sample
    }

    #[test]
    fn a_batch_comes_apart_into_its_items() {
        let batch = collate(vec![item([1, 3], "a"), item([1, 3], "b")]).unwrap();
        assert_eq!(batch.sample.tensor("image").unwrap().size(), [2, 1, 3]);
        assert_eq!(batch.sample.json("name").unwrap(), &serde_json::json!(["a", "b"]));
        assert!(!batch.sample.contains("_private"));
        let mut output = batch.sample.shallow_clone();
        output.insert("pred", Tensor::from_slice(&[5f32, 6.0]).view([2, 1]));
        output.insert("loss", Tensor::from(0.5f32));
        let items = decollate(&batch, &output).unwrap();
        assert_eq!(items[1].image("image").unwrap().meta["filename_or_obj"], "b");
        assert_eq!(items[1].json("name").unwrap(), "b");
        assert_eq!(items[1].tensor("pred").unwrap().double_value(&[0]), 6.0);
        assert_eq!(items[0].tensor("loss").unwrap().double_value(&[]), 0.5);
    }

    #[test]
    fn items_of_different_sizes_are_told_apart() {
        let error = collate(vec![item([1, 3], "a"), item([1, 4], "b")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the items of a batch must agree in size, but `image` is [1, 3] (Float) in one and [1, 4] (Float) in another: \
             crop or pad to one size, or use a batch size of 1"
        );
    }
}
