//! Checkpoints: which objects go under which keys, and back.
//!
//! `{"model": state_dict, "optimizer": …, "lr_scheduler": …, "train_conf": …}`, as Clara has them; Python's
//! `torch.load(weights_only=True)` opens them, and `load_state_dict(strict=True)` takes the weights.

pub(crate) mod last;
pub(crate) mod weights;

use byoc::{Error, Result, StateTree};

use crate::workflow::Objects;

/// The objects that a checkpoint may hold, by the names that configs give them.
const NAMES: &str = "`model`, `optimizer`, `lr_scheduler`, `conf`";

/// A checkpoint with these objects: pairs of key in the file and object of the run.
pub(crate) fn collect(objects: &Objects, wanted: &[(String, String)]) -> Result<StateTree> {
    let entries = wanted.iter().map(|(key, object)| Ok((key.as_str(), state_of(objects, object)?)));
    Ok(StateTree::dict(entries.collect::<Result<Vec<_>>>()?))
}

fn state_of(objects: &Objects, object: &str) -> Result<StateTree> {
    let missing = || Error::invalid_argument(format!("this run has no `{object}` to save"));
    match object {
        "model" | "network" | "net" => Ok(objects.model.state_dict()),
        "optimizer" => objects.optimizer.as_ref().ok_or_else(missing)?.state(),
        "lr_scheduler" => objects.lr_scheduler.as_ref().ok_or_else(missing)?.state(),
        "conf" | "train_conf" => Ok(StateTree::from_json(&objects.conf)),
        _ => Err(unknown(object)),
    }
}

/// Takes objects over from a checkpoint. A file that is itself a state dict serves as `model`.
pub(crate) fn restore(
    objects: &mut Objects,
    tree: &StateTree,
    wanted: &[(String, String)],
    strict: bool,
) -> Result<()> {
    for (key, object) in wanted {
        let is_model = matches!(object.as_str(), "model" | "network" | "net");
        let state = match tree.get(key) {
            Some(state) => state,
            None if is_model && wanted.len() == 1 && weights::is_state_dict(tree) => tree,
            None => {
                let keys: Vec<String> = tree.entries().iter().take(8).map(|(key, _)| format!("{key:?}")).collect();
                return Err(Error::data(format!("it has no `{key}`; it has {}", keys.join(", "))));
            }
        };
        let missing = || Error::invalid_argument(format!("this run has no `{object}` to load"));
        match object.as_str() {
            _ if is_model => weights::load(&objects.model, state, strict)?,
            "optimizer" => objects.optimizer.as_mut().ok_or_else(missing)?.load_state(state)?,
            "lr_scheduler" => objects.lr_scheduler.as_mut().ok_or_else(missing)?.load_state(state)?,
            // the config of the run is the one it was started with
            "conf" | "train_conf" => {}
            _ => return Err(unknown(object)),
        }
    }
    Ok(())
}

fn unknown(object: &str) -> Error {
    Error::invalid_argument(format!("checkpoints can hold {NAMES}, not `{object}`"))
}
