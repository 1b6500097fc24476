//! The network: made from a config, rebuilt from a checkpoint, or a TorchScript file.

use std::path::PathBuf;

use byoc::{Constructor, Error, Kind, Network, Result as ComponentResult, StateTree};
use mmar_config::{Component, Model, ModelFile, Section};
use serde_json::Value as Json;
use tch::{CModule, Tensor};

use super::Builder;
use crate::Failure;
use crate::checkpoint::weights;
use crate::workflow::ModelHandle;
use crate::workflow::guard::guarded;

impl Builder<'_> {
    /// The first alternative of a section's model, on the run's device.
    pub(crate) fn model(&self, section: &Section) -> Result<ModelHandle, Failure> {
        let mut model = match section.model.first() {
            Some(Model::Component(component)) => self.network(component)?,
            Some(Model::TorchScript(file)) => self.torch_script(file)?,
            Some(Model::Checkpoint(file)) => self.rebuilt(file)?,
            None => {
                return Err(Failure::new("no-model", "every alternative of `model` is disabled")
                    .help("`--set dont_load_ckpt_model=false` takes `model.pt`, `--set dont_load_ts_model=false` takes `model.ts`"));
            }
        };
        model.move_to(self.device).map_err(|error| {
            Failure::new("tensor-error", format!("`{}` cannot be moved to the device: {error}", model.label))
        })?;
        Ok(model)
    }

    fn network(&self, component: &Component) -> Result<ModelHandle, Failure> {
        let (entry, args) = self.look_up(Kind::NETWORK, component)?;
        self.made(component, || self.make_network(component.id.lookup(), &entry.constructor, &args))
    }

    fn make_network(&self, label: &str, constructor: &Constructor, args: &Json) -> ComponentResult<ModelHandle> {
        let Constructor::Network(create) = constructor else {
            return Err(Error::msg("the registry gave something else for a network"));
        };
        // the first weights are drawn right after seeding, as `set_determinism` and then the network in Python
        tch::manual_seed(self.seed as i64);
        let built = create(args)?;
        Ok(ModelHandle { label: label.to_owned(), network: built.network, state: built.state })
    }

    fn torch_script(&self, file: &ModelFile) -> Result<ModelHandle, Failure> {
        let path = self.model_file(file)?;
        let loaded = CModule::load_on_device(&path, self.device);
        let mut module = loaded.map_err(|error| {
            let reason = byoc::torch_message(&error.to_string());
            self.model_file_failure(file, format!("`{}` is no TorchScript module: {reason}", path.display()))
        })?;
        module.set_eval();
        let label = path.file_name().map_or_else(String::new, |name| name.display().to_string());
        Ok(ModelHandle { label, network: Box::new(TorchScript(module)), state: Vec::new() })
    }

    /// A network from the `train_conf` in a checkpoint, with the weights beside it.
    fn rebuilt(&self, file: &ModelFile) -> Result<ModelHandle, Failure> {
        let path = self.model_file(file)?;
        let wrong = |message: String| self.model_file_failure(file, format!("`{}`: {message}", path.display()));
        let tree = torch_ext::checkpoint::read(&path).map_err(|error| wrong(error.to_string()))?;
        let Some(conf) = tree.get("train_conf").map(StateTree::to_json) else {
            return Err(wrong(
                "the checkpoint has no `train_conf` to rebuild the network from; \
                              save it with `\"train_conf\": \"@conf\"` in `save_dict`, or name the network in `model`"
                    .into(),
            ));
        };
        let Some(model) = model_of(&conf) else {
            return Err(wrong("the `train_conf` in the checkpoint names no network (`train.model`)".into()));
        };
        let Some(id) = model["path"].as_str().or(model["name"].as_str()) else {
            return Err(wrong("the network in the checkpoint's `train_conf` has neither `name` nor `path`".into()));
        };
        let entry = self.find(Kind::NETWORK, id).map_err(&wrong)?;
        let mut args = model["args"].clone();
        substitute(&mut args, &conf);
        let model = guarded(|| self.make_network(id, &entry.constructor, &args));
        let model = model.map_err(|error| wrong(format!("`{id}` cannot be made: {error}")))?;
        let state = match tree.get("model") {
            Some(state) => state,
            None if weights::is_state_dict(&tree) => &tree,
            None => return Err(wrong("the checkpoint has no `model`".into())),
        };
        weights::load(&model, state, true).map_err(|error| wrong(error.to_string()))?;
        Ok(model)
    }

    fn model_file(&self, file: &ModelFile) -> Result<PathBuf, Failure> {
        let path = file.path.clone();
        if path.is_file() {
            return Ok(path);
        }
        Err(self.model_file_failure(file, format!("there is no file `{}`", path.display())))
    }

    fn model_file_failure(&self, file: &ModelFile, message: String) -> Failure {
        Failure::config(self.plan().model_file_error(file, message, Vec::new()))
    }
}

/// The network in a `train_conf`: a whole training config, or only its `train` section.
fn model_of(conf: &Json) -> Option<&Json> {
    [&conf["train"]["model"], &conf["model"]].into_iter().find(|model| model.is_object())
}

/// Puts the variables of a config's root into arguments, for files that Clara wrote.
fn substitute(args: &mut Json, conf: &Json) {
    match args {
        Json::String(text) => {
            let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            if let Some(value) = name.and_then(|name| conf.get(name)) {
                *args = value.clone();
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| substitute(value, conf)),
        Json::Object(map) => map.values_mut().for_each(|value| substitute(value, conf)),
        _ => {}
    }
}

/// A TorchScript module as a network. It has no training mode of its own.
struct TorchScript(CModule);

impl Network for TorchScript {
    fn forward(&self, x: &Tensor, _train: bool) -> ComponentResult<Tensor> {
        Ok(self.0.forward_ts(&[x])?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{model_of, substitute};

    #[test]
    fn the_network_of_a_checkpoint_is_found_and_its_variables_are_filled_in() {
        let conf = json!({"channels": [4, 8], "train": {"model": {"name": "UNet", "args": {"channels": "{channels}", "n": 1}}}});
        let mut args = model_of(&conf).unwrap()["args"].clone();
        substitute(&mut args, &conf);
        assert_eq!(args, json!({"channels": [4, 8], "n": 1}));
        assert!(model_of(&conf["train"]).is_some());
        assert!(model_of(&json!({})).is_none());
    }
}
