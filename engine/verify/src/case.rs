//! A reference case as it lies on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tch::Tensor;

use crate::compare::Tolerance;
use crate::fill::Fill;

/// A reference case: the JSON file and the tensors beside it.
#[derive(Debug)]
pub struct Case {
    /// The JSON file.
    pub file: PathBuf,
    /// `loss`, `metric`, `network` …
    pub kind: String,
    /// The component: a class, a function, or a dotted path.
    pub name: String,
    /// What it is made with.
    pub args: Json,
    /// Names of the inputs, in the order in which they are stored.
    pub inputs: Vec<String>,
    /// Keys of the tensors to reproduce.
    pub outputs: Vec<String>,
    /// Expected values that are not tensors.
    pub out_json: Map<String, Json>,
    /// How close is close enough.
    pub tolerance: Tolerance,
    /// All tensors, by their full keys.
    pub tensors: BTreeMap<String, Tensor>,
    /// What only some kinds have, for them to read.
    pub(crate) rest: Json,
}

#[derive(Deserialize)]
struct Common {
    kind: String,
    name: String,
    #[serde(default)]
    args: Json,
    #[serde(default)]
    inputs: Vec<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    out_json: Map<String, Json>,
    #[serde(default)]
    tolerance: Tolerance,
}

/// A component as a case names it where it needs several.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) args: Json,
}

/// The weights of a network: stored, or to be filled by rule.
#[derive(Debug)]
pub(crate) enum Weights<'a> {
    Stored(Vec<(&'a str, &'a Tensor)>),
    Filled(Fill),
}

impl Case {
    /// Reads a case from its JSON file.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        let rest: Json = serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", file.display()))?;
        let common = Common::deserialize(&rest).map_err(|error| format!("`{}`: {error}", file.display()))?;
        let data = file.with_extension("safetensors");
        let tensors = if data.exists() {
            let tensors = Tensor::read_safetensors(&data);
            tensors.map_err(|error| byoc::torch_message(&error.to_string()))?.into_iter().collect()
        } else if common.inputs.is_empty() && common.outputs.is_empty() {
            BTreeMap::new()
        } else {
            return Err(format!("`{}` is missing: it holds the tensors of this case", data.display()));
        };
        let Common { kind, name, args, inputs, outputs, out_json, tolerance } = common;
        Ok(Self { file: file.to_owned(), kind, name, args, inputs, outputs, out_json, tolerance, tensors, rest })
    }

    /// An input, by its name without the prefix.
    pub(crate) fn input(&self, name: &str) -> Result<&Tensor, String> {
        self.tensors.get(&format!("in.{name}")).ok_or_else(|| format!("the case has no tensor `in.{name}`"))
    }

    /// An input that not every case has.
    pub(crate) fn optional_input(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(&format!("in.{name}"))
    }

    /// The inputs `NAME0`, `NAME1` … in their order.
    pub(crate) fn numbered_inputs(&self, name: &str) -> Vec<&Tensor> {
        (0..).map_while(|i| self.optional_input(&format!("{name}{i}"))).collect()
    }

    /// A field that only some kinds have; its default where it is absent.
    pub(crate) fn field<T: serde::de::DeserializeOwned + Default>(&self, name: &str) -> Result<T, String> {
        match self.rest.get(name) {
            None | Some(Json::Null) => Ok(T::default()),
            Some(value) => T::deserialize(value).map_err(|error| format!("`{name}` of the case: {error}")),
        }
    }

    /// A field that this kind must have.
    pub(crate) fn required<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let value = self.rest.get(name).ok_or_else(|| format!("the case has no `{name}`"))?;
        T::deserialize(value).map_err(|error| format!("`{name}` of the case: {error}"))
    }

    /// The weights of the case's network.
    pub(crate) fn weights(&self) -> Result<Weights<'_>, String> {
        match self.field::<Option<Fill>>("fill")? {
            Some(fill) => Ok(Weights::Filled(fill)),
            None => Ok(Weights::Stored(
                self.tensors.iter().filter_map(|(key, tensor)| Some((key.strip_prefix("state.")?, tensor))).collect(),
            )),
        }
    }

    /// Keys of the expected tensors with this prefix, without it.
    pub(crate) fn expected<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.outputs.iter().filter_map(move |key| key.strip_prefix(prefix))
    }
}

/// The cases below a folder, or the one of a JSON file: what to call it, and the file.
pub fn find(path: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    if path.is_file() {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        return Ok(vec![(name, path.to_owned())]);
    }
    let mut found = Vec::new();
    walk(path, path, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let unreadable = |error| format!("cannot read the folder `{}`: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "json") && is_case(&path) {
            let id = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            found.push((id.to_string_lossy().replace('\\', "/"), path));
        }
    }
    Ok(())
}

/// Whether a JSON file is a case, and not an index or anything else that lies beside. A file that is no JSON counts
/// when tensors lie beside it: its error should be seen.
fn is_case(file: &Path) -> bool {
    let json = std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str::<Json>(&text).ok());
    match json {
        Some(json) => json.get("kind").is_some() && json.get("name").is_some(),
        None => file.with_extension("safetensors").exists(),
    }
}
