//! What the user gives with `--args FILE`: arguments and shapes, where those that can be guessed do not do.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Arguments and shapes for one component.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The arguments, as in a config; guessed from the schema if absent.
    #[serde(default)]
    pub args: Option<Map<String, Json>>,
    /// Shapes of inputs by their names: `input` and `target` of a loss, `x` of a network, `y_pred` and `y` of a metric,
    /// `image` (channels, spatial…) of a transform.
    #[serde(default)]
    pub shapes: BTreeMap<String, Vec<i64>>,
}

/// What a file gives: for all components, or for each by its name.
#[derive(Debug, Clone, Default)]
pub struct GivenFile {
    all: Option<Given>,
    by_name: BTreeMap<String, Given>,
}

impl GivenFile {
    /// Reads `{"args": {…}, "shapes": {…}}`, for all components, or the same under the name of each.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| {
            format!(
                "`{}`: {error}; expected `{{\"args\": {{…}}, \"shapes\": {{…}}}}`, or that under the name of each component",
                file.display()
            )
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let json: Map<String, Json> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_for_all = json.keys().all(|key| key == "args" || key == "shapes");
        let entry = |value: Json| serde_json::from_value::<Given>(value);
        if is_for_all {
            let all = entry(Json::Object(json)).map_err(|error| error.to_string())?;
            return Ok(Self { all: Some(all), by_name: BTreeMap::new() });
        }
        let named = json.into_iter().map(|(name, value)| {
            let given = entry(value).map_err(|error| format!("`{name}`: {error}"))?;
            Ok((name, given))
        });
        Ok(Self { all: None, by_name: named.collect::<Result<_, String>>()? })
    }

    /// What is given for a component.
    pub fn of(&self, name: &str) -> Given {
        self.by_name.get(name).or(self.all.as_ref()).cloned().unwrap_or_default()
    }

    /// The names that it gives something for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::GivenFile;

    #[test]
    fn one_entry_is_for_all_and_names_are_for_each() {
        let all = GivenFile::parse(r#"{"args": {"softmax": true}}"#).unwrap();
        assert_eq!(all.of("Any").args.unwrap()["softmax"], true);
        let each = GivenFile::parse(r#"{"A": {"args": {"x": 1}}, "B": {"shapes": {"input": [1, 2]}}}"#).unwrap();
        assert_eq!((each.of("A").args.unwrap().len(), each.of("B").args), (1, None));
        assert_eq!(each.of("B").shapes["input"], [1, 2]);
        assert_eq!(each.of("C"), super::Given::default());
        assert_eq!(each.names().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn what_is_misspelt_is_told() {
        let error = GivenFile::parse(r#"{"A": {"arg": {}}}"#).unwrap_err();
        assert!(error.starts_with("`A`: unknown field `arg`"), "{error}");
        assert!(GivenFile::parse("[]").is_err());
    }
}
