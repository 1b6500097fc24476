//! From the pickle machine's values to a [`StateTree`].

use std::collections::HashMap;

use byoc::{StateKey, StateTree};

use super::error::Problem;
use super::pickle::{Pools, Value};

/// Deeper than any state, and far from the end of a stack.
const DEPTH: usize = 200;

/// A pickle may refer to one list a thousand times over, in a list that is itself referred to; what comes out of it has
/// at most this many values.
const VALUES: usize = 50_000_000;

pub(super) fn build(pools: &Pools) -> Result<StateTree, Problem> {
    let root = pools.root.as_ref().ok_or_else(|| Problem::Damaged("the pickle holds no value".to_owned()))?;
    Builder { pools, left: VALUES }.value(root, 0)
}

struct Builder<'a> {
    pools: &'a Pools,
    left: usize,
}

impl Builder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<StateTree, Problem> {
        if depth > DEPTH {
            return Err(Problem::Unsupported(format!("values nested more than {DEPTH} deep, or within themselves")));
        }
        self.left =
            self.left.checked_sub(1).ok_or_else(|| Problem::Unsupported(format!("more than {VALUES} values")))?;
        Ok(match value {
            Value::None => StateTree::None,
            Value::Bool(value) => StateTree::Bool(*value),
            Value::Int(value) => StateTree::Int(*value),
            Value::Float(value) => StateTree::Float(*value),
            Value::Str(value) => StateTree::Str(value.to_string()),
            Value::Tensor(index) => StateTree::Tensor(self.pools.tensors[*index].shallow_clone()),
            Value::List(index) => {
                let values = &self.pools.lists[*index];
                StateTree::List(values.iter().map(|value| self.value(value, depth + 1)).collect::<Result<_, _>>()?)
            }
            Value::Dict(index) => StateTree::Dict(self.entries(&self.pools.dicts[*index], depth + 1)?),
            Value::Global(global) => {
                return Err(Problem::Unsupported(format!("the bare name `{global:?}` as a value")));
            }
            Value::Storage(_) => return Err(Problem::Unsupported("a storage without a tensor".to_owned())),
        })
    }

    /// As in Python, a key that comes again keeps its place and takes the new value.
    fn entries(&mut self, entries: &[(Value, Value)], depth: usize) -> Result<Vec<(StateKey, StateTree)>, Problem> {
        let mut built: Vec<(StateKey, StateTree)> = Vec::with_capacity(entries.len());
        let mut places = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let key = match key {
                Value::Str(key) => StateKey::Str(key.to_string()),
                Value::Int(key) => StateKey::Int(*key),
                Value::Bool(key) => StateKey::Int((*key).into()),
                _ => return Err(Problem::Unsupported("a dict whose keys are neither texts nor integers".to_owned())),
            };
            let value = self.value(value, depth)?;
            if let Some(&place) = places.get(&key) {
                let (_, old): &mut (StateKey, StateTree) = &mut built[place];
                *old = value;
            } else {
                places.insert(key.clone(), built.len());
                built.push((key, value));
            }
        }
        Ok(built)
    }
}
