//! The embedded template and its configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;

/// The files of `byoc-template`, with their paths in it.
pub(crate) const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/template.rs"));

/// What cargo-generate looks for in a template, and takes out of it.
pub(crate) const CONFIG_FILE: &str = "cargo-generate.toml";

/// The part of `cargo-generate.toml` that the template uses. Anything else in it is an error, so that nothing is added
/// there that only cargo-generate would follow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) template: Template,
    pub(crate) placeholders: BTreeMap<String, Placeholder>,
    #[serde(default)]
    pub(crate) conditional: BTreeMap<String, Conditional>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    #[serde(rename = "cargo_generate_version")]
    _cargo_generate_version: String,
    /// Files that are copied as they are: `folder/*.extension`.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placeholder {
    #[serde(rename = "type")]
    _type: String,
    #[serde(rename = "prompt")]
    _prompt: String,
    pub(crate) choices: Option<Vec<String>>,
    #[serde(rename = "default")]
    _default: Option<String>,
    /// What the text must look like; [`Names`](crate::Names) checks that by itself.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it"))]
    pub(crate) regex: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditional {
    /// Files that are left out where the condition holds.
    pub(crate) ignore: Vec<String>,
}

impl Config {
    /// Reads the embedded one.
    pub(crate) fn read() -> Result<Self, Error> {
        let broken = |what: String| Error::Template(format!("{CONFIG_FILE}: {what}"));
        let (_, bytes) =
            FILES.iter().find(|(path, _)| *path == CONFIG_FILE).ok_or_else(|| broken("it is missing".into()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| broken(error.to_string()))?;
        toml::from_str(text).map_err(|error| broken(error.to_string()))
    }

    /// The kinds that can be chosen.
    pub(crate) fn kinds(&self) -> Result<&[String], Error> {
        let kinds = self.placeholders.get("kind").and_then(|placeholder| placeholder.choices.as_deref());
        kinds.ok_or_else(|| Error::Template(format!("{CONFIG_FILE}: no choices for `kind`")))
    }

    /// The files that are left out where a variable has a value.
    pub(crate) fn ignored(&self, variable: &str, value: &str) -> Result<Vec<&str>, Error> {
        let mut ignored = Vec::new();
        for (condition, conditional) in &self.conditional {
            if holds(condition, variable, value)? {
                ignored.extend(conditional.ignore.iter().map(String::as_str));
            }
        }
        Ok(ignored)
    }

    /// Whether a file is copied as it is.
    pub(crate) fn is_excluded(&self, path: &str) -> Result<bool, Error> {
        for pattern in &self.template.exclude {
            let Some((folder, extension)) = pattern.split_once("/*.") else {
                return Err(Error::Template(format!("{CONFIG_FILE}: `{pattern}` is no `folder/*.extension`")));
            };
            let name = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            if name.and_then(|name| name.strip_suffix(extension)).is_some_and(|stem| stem.ends_with('.')) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether `kind != "loss"` or `kind == "loss"` holds.
fn holds(condition: &str, variable: &str, value: &str) -> Result<bool, Error> {
    let mut words = condition.split_whitespace();
    let parts = (words.next(), words.next(), words.next(), words.next());
    let unknown = || Error::Template(format!("{CONFIG_FILE}: the condition `{condition}` is not understood"));
    let (Some(name), Some(operator), Some(literal), None) = parts else { return Err(unknown()) };
    let literal = literal.strip_prefix('"').and_then(|literal| literal.strip_suffix('"')).ok_or_else(unknown)?;
    match operator {
        _ if name != variable => Err(unknown()),
        "==" => Ok(value == literal),
        "!=" => Ok(value != literal),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, holds};

    #[test]
    fn conditions_compare_a_variable_with_a_text() {
        assert!(holds(r#"kind != "loss""#, "kind", "metric").unwrap());
        assert!(!holds(r#"kind != "loss""#, "kind", "loss").unwrap());
        assert!(holds(r#"kind == "loss""#, "kind", "loss").unwrap());
        for condition in ["kind", r#"other != "loss""#, r#"kind > "loss""#, r#"kind != "a" && kind != "b""#] {
            assert!(holds(condition, "kind", "loss").is_err(), "{condition}");
        }
    }

    #[test]
    fn the_component_s_pattern_is_the_one_that_names_are_checked_for() {
        let config = Config::read().unwrap();
        assert_eq!(config.placeholders["component"].regex.as_deref(), Some("^[A-Z][A-Za-z0-9]*$"));
        assert!(config.is_excluded("cases/loss.safetensors").unwrap());
        for path in ["cases/loss.json", "safetensors", "src/cases/a.safetensors", "cases/a.safetensors.txt"] {
            assert!(!config.is_excluded(path).unwrap(), "{path}");
        }
    }
}
