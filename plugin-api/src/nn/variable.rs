//! Parameters and buffers under checked names.

use tch::{Tensor, nn};

use crate::{Error, Result};

/// Makes a tensor a trainable parameter named `path.name`.
///
/// # Errors
///
/// The name is taken, or is not a single segment (`tch` would rename the first and panic at the second).
#[track_caller]
pub fn parameter(path: &nn::Path<'_>, name: &str, tensor: Tensor) -> Result<Tensor> {
    add(path, name, tensor, true)
}

/// Makes a tensor a buffer named `path.name`: saved with the network, not trained.
///
/// # Errors
///
/// As [`parameter`].
#[track_caller]
pub fn buffer(path: &nn::Path<'_>, name: &str, tensor: Tensor) -> Result<Tensor> {
    add(path, name, tensor, false)
}

/// Gives a parameter or buffer a second name, for networks whose PyTorch class registers a module twice. Both names
/// are keys of the checkpoint; there is one tensor.
///
/// # Errors
///
/// As [`parameter`].
#[track_caller]
pub fn alias(path: &nn::Path<'_>, name: &str, tensor: &Tensor) -> Result<()> {
    add(path, name, tensor.shallow_clone(), false).map(drop)
}

#[track_caller]
fn add(path: &nn::Path<'_>, name: &str, tensor: Tensor, trainable: bool) -> Result<Tensor> {
    if name.is_empty() || name.contains('.') {
        return Err(Error::msg(format!(
            "`{name}` is no name for a parameter of `{}`: one segment without `.`",
            name_of(path)
        )));
    }
    if path.get(name).is_some() {
        return Err(Error::msg(format!(
            "the network has two parameters or buffers named `{}`: give one of the layers another path",
            path.path(name)
        )));
    }
    Ok(path.add(name, tensor, trainable))
}

/// The dotted name of a path, for messages.
pub(super) fn name_of(path: &nn::Path<'_>) -> String {
    let name = path.components().collect::<Vec<_>>().join(".");
    if name.is_empty() { "(root)".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once() {
        let store = nn::VarStore::new(tch::Device::Cpu);
        let zero = || Tensor::zeros([1], (tch::Kind::Float, tch::Device::Cpu));
        let path = store.root() / "conv";
        let _weight = parameter(&path, "weight", zero()).unwrap();
        let error = buffer(&path, "weight", zero()).unwrap_err();
        assert_eq!(
            error.message(),
            "the network has two parameters or buffers named `conv.weight`: give one of the layers another path"
        );
        assert!(parameter(&path, "a.b", zero()).is_err());
        assert_eq!(store.len(), 1);
    }
}
