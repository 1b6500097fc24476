//! Weights of a checkpoint into a network. PyTorch: `Module.load_state_dict`.

use byoc::{Error, Result, StateKey, StateTree};
use tch::Tensor;

use crate::workflow::ModelHandle;

/// How many names an error lists.
const LISTED: usize = 4;

/// Whether this is a dict of tensors and nothing else.
pub(crate) fn is_state_dict(tree: &StateTree) -> bool {
    !tree.entries().is_empty() && tree.entries().iter().all(|(_, value)| value.as_tensor().is_some())
}

/// Copies the tensors of a state dict into the network's own. With `strict`, every name and shape must agree, and
/// nothing is copied otherwise; without, what agrees is copied.
///
/// Names with the `module.` of `DataParallel` are understood.
pub(crate) fn load(model: &ModelHandle, state: &StateTree, strict: bool) -> Result<()> {
    if model.state.is_empty() && !state.entries().is_empty() {
        return Err(Error::data(format!("`{}` has no parameters that weights could be loaded into", model.label)));
    }
    let found: Vec<(&str, &Tensor)> = state
        .entries()
        .iter()
        .filter_map(|(key, value)| match (key, value) {
            (StateKey::Str(name), StateTree::Tensor(tensor)) => Some((name.as_str(), tensor)),
            _ => None,
        })
        .collect();
    let parallel = !found.is_empty() && found.iter().all(|(name, _)| name.starts_with("module."));
    let name_of = |name: &str| if parallel { name["module.".len()..].to_owned() } else { name.to_owned() };
    let found: Vec<(String, &Tensor)> = found.into_iter().map(|(name, tensor)| (name_of(name), tensor)).collect();

    let mut missing = Vec::new();
    let mut shapes = Vec::new();
    let mut pairs = Vec::new();
    for named in &model.state {
        match found.iter().find(|(name, _)| *name == named.name) {
            None => missing.push(named.name.clone()),
            Some((_, tensor)) if tensor.size() != named.tensor.size() => shapes.push(format!(
                "`{}` is {:?} in the checkpoint and {:?} in the network",
                named.name,
                tensor.size(),
                named.tensor.size()
            )),
            Some((_, tensor)) => pairs.push((named, *tensor)),
        }
    }
    let unexpected: Vec<String> = found
        .iter()
        .filter(|(name, _)| !model.state.iter().any(|named| named.name == *name))
        .map(|(name, _)| name.clone())
        .collect();
    let problems = [
        problem("missing in the checkpoint", &missing),
        problem("unknown to the network", &unexpected),
        problem("of another shape", &shapes),
    ];
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    if !problems.is_empty() {
        let message = format!("the weights do not fit `{}`: {}", model.label, problems.join("; "));
        if strict {
            return Err(Error::data(message));
        }
        tracing::warn!("{message}; {} of {} tensors were taken over", pairs.len(), model.state.len());
    }
    tch::no_grad(|| {
        for (named, tensor) in pairs {
            let mut own = named.tensor.shallow_clone();
            own.f_copy_(tensor)?;
        }
        Ok(())
    })
}

fn problem(what: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let listed: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| if name.contains('`') { name.clone() } else { format!("`{name}`") })
        .collect();
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    Some(format!("{what}: {}{more}", listed.join(", ")))
}
