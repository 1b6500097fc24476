//! A loss that is the argument of another one.

use std::borrow::Cow;

use byoc::{Constructor, Error, Kind, Loss, Registration, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value as Json;

/// A built-in loss as configs give components: `{"name": "DiceLoss", "args": {"sigmoid": true}}`, its `path` instead of
/// the name, or the name alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum NestedLoss {
    /// A name, or a path.
    Name(String),
    /// With arguments.
    Component(NestedComponent),
}

/// See [`NestedLoss`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NestedComponent {
    #[serde(default)]
    name: String,
    /// Counts where there is a name, too, as in a config.
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    args: Json,
}

impl JsonSchema for NestedLoss {
    fn schema_name() -> Cow<'static, str> {
        "NestedLoss".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" },
                        "path": { "type": "string" },
                        "args": { "type": "object" }
                    },
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl NestedLoss {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// There is no built-in loss of this name, or it does not take these arguments.
    #[track_caller]
    pub(crate) fn build(&self) -> Result<Box<dyn Loss>> {
        let (path, args) = match self {
            Self::Name(name) => (name, &Json::Null),
            Self::Component(component) => (component.path.as_ref().unwrap_or(&component.name), &component.args),
        };
        let name = path.rsplit('.').next().unwrap_or(path);
        let by_name = Registration::all().into_iter().filter(|known| known.name == name);
        // describing a component costs more than comparing its name
        let by_alias = Registration::all().into_iter().filter(|known| known.descriptor().answers_to(name));
        let found = by_name.chain(by_alias).find_map(|known| match known.constructor() {
            Constructor::Loss(create) => Some(create),
            _ => None,
        });
        let Some(create) = found else {
            let losses = Registration::all().into_iter().filter(|known| known.descriptor().kind == Kind::LOSS);
            let names: Vec<String> = losses.map(|known| format!("`{}`", known.name)).collect();
            return Err(Error::invalid_argument(format!(
                "there is no built-in loss `{path}` to be wrapped; known are {}",
                names.join(", ")
            )));
        };
        create(args).map_err(|error| error.context(format!("the wrapped loss `{path}` cannot be made")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tch::Tensor;

    use super::NestedLoss;

    #[test]
    fn names_paths_and_aliases_name_a_loss() {
        for written in [
            json!("MSELoss"),
            json!({ "name": "MSELoss" }),
            json!({ "name": "anything", "path": "torch.nn.MSELoss", "args": { "reduction": "mean" } }),
        ] {
            let loss = serde_json::from_value::<NestedLoss>(written).unwrap().build().unwrap();
            let value = loss.forward(&Tensor::from_slice(&[1f32, 3.0]), &Tensor::from_slice(&[1f32, 1.0])).unwrap();
            assert_eq!(value.double_value(&[]), 2.0);
        }
        let wrong = |written| serde_json::from_value::<NestedLoss>(written).unwrap().build().err().unwrap().to_string();
        assert!(wrong(json!("DiceLos")).contains("known are") && wrong(json!("DiceLos")).contains("`DiceLoss`"));
        let error = wrong(json!({ "name": "MSELoss", "args": { "beta": 1 } }));
        assert!(error.starts_with("the wrapped loss `MSELoss` cannot be made") && error.contains("beta"), "{error}");
    }
}
