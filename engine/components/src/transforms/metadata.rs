//! Where the transforms note what they did: with the image, or in the dictionary that older configs keep beside it.

use byoc::{Error, Keys, OneOrMany, Result, Sample, Value};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::common::image_of;

/// The dictionaries' keys: as given, or each key with a postfix.
pub(in crate::transforms) fn dictionaries(
    keys: &[String],
    given: Option<&Keys>,
    postfix: Option<&OneOrMany<String>>,
) -> Result<Vec<String>> {
    let n = keys.len();
    if let Some(given) = given {
        return OneOrMany::Many(given.0.clone()).repeat(n, "meta_keys");
    }
    let postfixes = match postfix {
        Some(postfix) => postfix.repeat(n, "meta_key_postfix")?,
        None => vec!["meta_dict".to_owned(); n],
    };
    Ok(keys.iter().zip(postfixes).map(|(key, postfix)| format!("{key}_{postfix}")).collect())
}

/// A field of the metadata of `key`: from the item `dictionary` if there is one, else from the image.
pub(in crate::transforms) fn field(sample: &Sample, key: &str, dictionary: &str, name: &str) -> Option<Json> {
    if let Ok(Json::Object(fields)) = sample.json(dictionary) {
        return fields.get(name).cloned();
    }
    sample.image(key).ok()?.meta.get(name).cloned()
}

/// A field that must be there.
pub(in crate::transforms) fn required<T: DeserializeOwned>(
    sample: &Sample,
    key: &str,
    dictionary: &str,
    name: &str,
) -> Result<T> {
    let value = field(sample, key, dictionary, name).ok_or_else(|| {
        Error::data(format!("the metadata of `{key}` have no `{name}`; the transform that notes it has to run before"))
    })?;
    serde_json::from_value(value).map_err(|error| Error::data(format!("`{name}` in the metadata of `{key}`: {error}")))
}

/// Notes fields in the item `dictionary` if there is one, else with the image.
pub(in crate::transforms) fn note(
    sample: &mut Sample,
    key: &str,
    dictionary: &str,
    fields: &[(&str, Json)],
) -> Result<()> {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    if let Some(Value::Json(Json::Object(map))) =
        sample.contains(dictionary).then(|| sample.get_mut(dictionary)).transpose()?
    {
        map.extend(fields);
        return Ok(());
    }
    let mut image = image_of(sample, key)?;
    image.meta.extend(fields);
    sample.insert(key, image);
    Ok(())
}
