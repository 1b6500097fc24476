//! A tree of tensors and plain values: what a checkpoint holds.

use tch::Tensor;

/// A value of a checkpoint, in the shapes that Python's `torch.save` and `torch.load(weights_only=True)` know.
#[derive(Debug)]
pub enum StateTree {
    /// Python's `None`.
    None,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float`
    Float(f64),
    /// `str`
    Str(String),
    /// `torch.Tensor`
    Tensor(Tensor),
    /// `list`; tuples are read as lists
    List(Vec<StateTree>),
    /// `dict` with its order kept; keys are strings or integers
    Dict(Vec<(StateKey, StateTree)>),
}

/// A key of a [`StateTree::Dict`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKey {
    /// `str`
    Str(String),
    /// `int`, as in `optimizer.state_dict()["state"]`
    Int(i64),
}

impl From<&str> for StateKey {
    fn from(key: &str) -> Self {
        Self::Str(key.to_owned())
    }
}

impl From<String> for StateKey {
    fn from(key: String) -> Self {
        Self::Str(key)
    }
}

impl From<i64> for StateKey {
    fn from(key: i64) -> Self {
        Self::Int(key)
    }
}

impl StateTree {
    /// A dict from string keys.
    pub fn dict<K: Into<StateKey>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// The value under a string key of a dict.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| matches!(k, StateKey::Str(k) if k == key)).map(|(_, value)| value)
    }

    /// The entries of a dict; empty for anything else.
    pub fn entries(&self) -> &[(StateKey, Self)] {
        match self {
            Self::Dict(entries) => entries,
            _ => &[],
        }
    }

    /// The tensor, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The number, if it is an int, a float or a tensor of one element.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Tensor(tensor) if tensor.numel() == 1 => f64::try_from(tensor).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Tensor(tensor) if tensor.numel() == 1 => i64::try_from(tensor).ok(),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(value) => Some(value),
            _ => None,
        }
    }

    /// Plain values as a tree; integers stay integers.
    pub fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Value::String(value) => Self::Str(value.clone()),
            Value::Array(values) => Self::List(values.iter().map(Self::from_json).collect()),
            Value::Object(map) => {
                Self::Dict(map.iter().map(|(k, v)| (k.as_str().into(), Self::from_json(v))).collect())
            }
        }
    }

    /// The tree as JSON; tensors of one element become numbers, other tensors and non-finite floats `null`.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Str(value) => value.as_str().into(),
            Self::Tensor(_) => self.as_f64().map_or(Value::Null, Into::into),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Dict(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let key = match key {
                            StateKey::Str(key) => key.clone(),
                            StateKey::Int(key) => key.to_string(),
                        };
                        (key, value.to_json())
                    })
                    .collect(),
            ),
        }
    }

    /// The same tree; tensors share their storage.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Bool(value) => Self::Bool(*value),
            Self::Int(value) => Self::Int(*value),
            Self::Float(value) => Self::Float(*value),
            Self::Str(value) => Self::Str(value.clone()),
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
            Self::List(values) => Self::List(values.iter().map(Self::shallow_clone).collect()),
            Self::Dict(entries) => Self::Dict(entries.iter().map(|(k, v)| (k.clone(), v.shallow_clone())).collect()),
        }
    }
}
