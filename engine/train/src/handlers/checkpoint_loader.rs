//! `CheckpointLoader`: weights to start from.

use std::path::PathBuf;

use byoc::{CheckpointRequest, Component, Engine, Event, Handler, ObjectMap, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

/// Loads objects of the run from a checkpoint before the first epoch. MONAI: `CheckpointLoader`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointLoaderArgs {
    /// The checkpoint.
    load_path: PathBuf,
    /// What to load: `{"model": "@model"}`, or `["model"]`.
    load_dict: ObjectMap,
    /// Whether every name and shape must agree; else what agrees is loaded.
    #[serde(default = "yes")]
    strict: bool,
    /// Whether a tensor of another shape is an error; `false` also means `strict: false`.
    #[serde(default = "yes")]
    strict_shape: bool,
    /// Accepted for compatibility: tensors go to the run's device.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and not used")]
    map_location: Option<Json>,
    /// Accepted for compatibility: the name of a Python logger.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and not used")]
    name: Option<String>,
}

fn yes() -> bool {
    true
}

struct CheckpointLoader(CheckpointRequest);

impl Component for CheckpointLoader {
    type Args = CheckpointLoaderArgs;

    fn new(args: CheckpointLoaderArgs) -> Result<Self> {
        let objects = args.load_dict.pairs();
        byoc::ensure!(!objects.is_empty(), "`load_dict` names nothing to load");
        Ok(Self(CheckpointRequest { path: args.load_path, objects, strict: args.strict && args.strict_shape }))
    }
}

impl Handler for CheckpointLoader {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        let state = engine.state();
        // a resumed run has its own weights, and a validation within a training those of the training
        let fresh = state.iteration == 0 && state.epoch <= 1;
        if event == Event::Started && fresh {
            engine.load_checkpoint(&self.0)?;
        }
        Ok(())
    }
}

byoc::register! { handlers: [CheckpointLoader] }
