//! Where a sample keeps a value.
//!
//! A value that came over the plugin boundary stays as it came until somebody looks at it: most transforms touch one
//! tensor, and unpacking the metadata of every image for each of them costs more than what they do.

use std::cell::OnceCell;

use tch::Tensor;

use crate::Value;
use crate::ffi::wire;

/// A value, or one that has just arrived.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A value.
    Value(Value),
    /// A value from the other side of the boundary.
    Arrived(Arrived),
}

/// A value as it came from the other side.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Which call brought it: in the answer to that call it need not be sent back.
    pub(crate) call: u64,
    /// What the bytes hold.
    pub(crate) kind: ValueKind,
    /// Everything but the tensor.
    pub(crate) bytes: Vec<u8>,
    /// The tensor of an image or tensor.
    pub(crate) tensor: Option<Tensor>,
    /// Whether the tensor is another than the one that came.
    pub(crate) replaced: bool,
    /// The value, once somebody has looked.
    pub(crate) unpacked: OnceCell<Value>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// A plain value.
    Json,
    /// A tensor without geometry.
    Tensor,
    /// An image.
    Image,
}

impl Arrived {
    fn value(&self) -> &Value {
        self.unpacked.get_or_init(|| wire::unpack(self.kind, &self.bytes, self.tensor.as_ref()))
    }

    fn shallow_clone(&self) -> Self {
        Self {
            call: self.call,
            kind: self.kind,
            bytes: self.bytes.clone(),
            tensor: self.tensor.as_ref().map(Tensor::shallow_clone),
            replaced: self.replaced,
            unpacked: OnceCell::new(),
        }
    }
}

impl Slot {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Value(value) => value,
            Self::Arrived(arrived) => arrived.value(),
        }
    }

    /// The value, to be changed: it is not what arrived any more.
    pub(crate) fn value_mut(&mut self) -> &mut Value {
        if let Self::Arrived(arrived) = self {
            arrived.value();
            let value = arrived.unpacked.take();
            *self = Self::Value(value.unwrap_or_else(|| Value::Json(serde_json::Value::Null)));
        }
        match self {
            Self::Value(value) => value,
            Self::Arrived(_) => unreachable!("it was unpacked above"),
        }
    }

    pub(crate) fn into_value(mut self) -> Value {
        std::mem::replace(self.value_mut(), Value::Json(serde_json::Value::Null))
    }

    /// The tensor, without a look at the rest.
    pub(crate) fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Value(value) => value.as_tensor(),
            Self::Arrived(arrived) => arrived.tensor.as_ref(),
        }
    }

    /// Another tensor; an image keeps the rest.
    pub(crate) fn set_tensor(&mut self, tensor: Tensor) {
        match self {
            Self::Arrived(arrived) if arrived.tensor.is_some() => {
                if let Some(Value::Image(image)) = arrived.unpacked.get_mut() {
                    image.tensor = tensor.shallow_clone();
                } else {
                    arrived.unpacked.take();
                }
                arrived.tensor = Some(tensor);
                arrived.replaced = true;
            }
            Self::Value(Value::Image(image)) => image.tensor = tensor,
            slot => *slot = Self::Value(Value::Tensor(tensor)),
        }
    }

    pub(crate) fn shallow_clone(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.shallow_clone()),
            Self::Arrived(arrived) => Self::Arrived(arrived.shallow_clone()),
        }
    }
}
