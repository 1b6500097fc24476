//! Failures of components, in words: who, where in the run, with what.

use byoc::{Error, ErrorCode, Sample, Value};
use tch::{Device, Kind, Tensor};

use crate::Failure;

/// Where a run stands when something happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) epoch: u64,
    /// Steps since the start, from 1.
    pub(crate) iteration: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at step {} (epoch {})", self.iteration, self.epoch)
    }
}

/// A failed call of a component: `MyDiceLoss` panicked in `forward` at step 1 (epoch 1).
pub(crate) fn component(label: &str, call: &str, position: Position, error: &Error) -> Failure {
    let verb = match error.code() {
        ErrorCode::PANICKED => "panicked",
        ErrorCode::POISONED => "panicked before and cannot be used",
        _ => "failed",
    };
    let failure = Failure::new(error.code().name(), format!("`{label}` {verb} in `{call}` {position}"));
    let said = error.to_string();
    failure.note(match error.location() {
        Some(place) if error.code() == ErrorCode::PANICKED => format!("{place}: {said}"),
        _ => said,
    })
}

/// An error that names its component already, as those of transforms do.
pub(crate) fn plain(error: &Error) -> Failure {
    let failure = Failure::new(error.code().name(), error.message());
    error.chain().iter().fold(failure, Failure::note)
}

/// `[8, 1, 96, 96, 96] f32 cpu`
pub(crate) fn tensor(tensor: &Tensor) -> String {
    format!("{:?} {} {}", tensor.size(), dtype(tensor.kind()), device(tensor.device()))
}

/// `pred [2, 4, 96, 96, 96] f32 cuda:0 · label [2, 3, 96, 96, 96] f32 cuda:0`
pub(crate) fn tensors(named: &[(&str, &Tensor)]) -> String {
    let parts: Vec<String> = named.iter().map(|(name, value)| format!("{name} {}", tensor(value))).collect();
    parts.join(" · ")
}

/// The files that the items of a batch came from, each once.
pub(crate) fn files(items: &[Sample], key: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for item in items {
        if let Ok(Value::Image(image)) = item.get(key)
            && let Some(name) = image.meta.get("filename_or_obj").and_then(|name| name.as_str())
            && !files.iter().any(|known| known == name)
        {
            files.push(name.to_owned());
        }
    }
    files
}

/// `cpu`, `cuda:0`
pub(crate) fn device(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// PyTorch's short names.
pub(crate) fn dtype(kind: Kind) -> &'static str {
    match kind {
        Kind::Uint8 => "u8",
        Kind::Int8 => "i8",
        Kind::Int16 => "i16",
        Kind::Int => "i32",
        Kind::Int64 => "i64",
        Kind::Half => "f16",
        Kind::BFloat16 => "bf16",
        Kind::Float => "f32",
        Kind::Double => "f64",
        Kind::Bool => "bool",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Error, ErrorCode};
    use tch::{Device, Kind, Tensor};

    use super::{Position, component, tensors};

    #[test]
    fn a_panic_names_component_call_step_place_and_message() {
        let error =
            Error::from_parts(ErrorCode::PANICKED, "sizes differ".into(), vec![], Some("src/my_dice.rs:41".into()));
        let failure = component("BYOC.myLoss.MyDiceLoss", "forward", Position { epoch: 2, iteration: 7 }, &error);
        assert_eq!(
            failure.to_string(),
            "error[component-panicked]: `BYOC.myLoss.MyDiceLoss` panicked in `forward` at step 7 (epoch 2)\n   \
             = note: src/my_dice.rs:41: sizes differ"
        );
    }

    #[test]
    fn tensors_are_told_with_size_dtype_and_device() {
        let image = Tensor::zeros([2, 1], (Kind::Float, Device::Cpu));
        let label = Tensor::zeros([2, 3], (Kind::Uint8, Device::Cpu));
        assert_eq!(tensors(&[("pred", &image), ("label", &label)]), "pred [2, 1] f32 cpu · label [2, 3] u8 cpu");
    }
}
