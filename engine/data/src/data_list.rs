//! Data lists: the Decathlon-style JSON file that names the cases.

use std::fs;
use std::path::Path;

use byoc::{Error, Result, Sample, Value};
use serde_json::Value as Json;

/// The keys whose strings are paths below the base folder, as in MONAI's `load_decathlon_datalist`.
const PATH_KEYS: [&str; 2] = ["image", "label"];

/// Reads the list under `key` of a data list file and makes its relative paths absolute below `base_dir`.
///
/// A case is an object (`{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}`) or, as in Decathlon's `test`
/// lists, a string that stands for `{"image": …}`.
///
/// # Errors
/// A file that is missing or no JSON, a key that it does not have, an empty list, a case of another form.
pub fn load_data_list(file: &Path, base_dir: &Path, key: &str) -> Result<Vec<Sample>> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Error::data(format!("cannot read the data list `{shown}`: {error}")))?;
    let list: Json = serde_json::from_str(&text)
        .map_err(|error| Error::data(format!("the data list `{shown}` is not valid JSON: {error}")))?;
    let Some(cases) = list.get(key) else {
        let lists = list.as_object().map(lists_of).unwrap_or_default();
        return Err(Error::data(format!("the data list `{shown}` has no list `{key}`; it has {lists}")));
    };
    let Some(cases) = cases.as_array() else {
        return Err(Error::data(format!("`{key}` in the data list `{shown}` must be a list of cases")));
    };
    if cases.is_empty() {
        return Err(Error::data(format!(
            "the list `{key}` in the data list `{shown}` is empty: there is nothing to work on"
        )));
    }
    cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            case_sample(case, base_dir).ok_or_else(|| {
                Error::data(format!(
                    "case {index} of `{key}` in the data list `{shown}` must be an object such as \
                     {{\"image\": \"a.nii.gz\", \"label\": \"b.nii.gz\"}} or the path of an image"
                ))
            })
        })
        .collect()
}

fn lists_of(object: &serde_json::Map<String, Json>) -> String {
    let lists: Vec<_> =
        object.iter().filter(|(_, value)| value.is_array()).map(|(key, _)| format!("`{key}`")).collect();
    if lists.is_empty() { "no list at all".to_owned() } else { lists.join(", ") }
}

fn case_sample(case: &Json, base_dir: &Path) -> Option<Sample> {
    match case {
        Json::String(path) => Some(Sample::from_iter([("image".to_owned(), Value::Json(absolute(path, base_dir)))])),
        Json::Object(values) => Some(
            values
                .iter()
                .map(|(key, value)| {
                    let value =
                        if PATH_KEYS.contains(&key.as_str()) { absolute_all(value, base_dir) } else { value.clone() };
                    (key.clone(), Value::Json(value))
                })
                .collect(),
        ),
        _ => None,
    }
}

fn absolute_all(value: &Json, base_dir: &Path) -> Json {
    match value {
        Json::String(path) => absolute(path, base_dir),
        Json::Array(paths) => paths.iter().map(|path| absolute_all(path, base_dir)).collect(),
        other => other.clone(),
    }
}

fn absolute(path: &str, base_dir: &Path) -> Json {
    base_dir.join(path).to_string_lossy().into_owned().into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::load_data_list;

    fn load(text: &str, key: &str) -> Result<Vec<byoc::Sample>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        load_data_list(file.path(), Path::new("/data"), key)
            .map_err(|error| error.to_string().replace(&file.path().display().to_string(), "LIST"))
    }

    #[test]
    fn paths_are_joined_to_the_base_folder_and_labels_that_are_no_paths_stay() {
        let list = r#"{"training": [{"image": "a.nii", "label": "/b.nii", "weight": "x"}, {"image": ["a.nii", "c.nii"], "label": 3}],
                       "test": ["t.nii"]}"#;
        let training = load(list, "training").unwrap();
        assert_eq!(training[0].json("image").unwrap(), "/data/a.nii");
        assert_eq!(training[0].json("label").unwrap(), "/b.nii");
        assert_eq!(training[0].json("weight").unwrap(), "x");
        assert_eq!(training[1].json("image").unwrap(), &serde_json::json!(["/data/a.nii", "/data/c.nii"]));
        assert_eq!(training[1].json("label").unwrap(), 3);
        assert_eq!(load(list, "test").unwrap()[0].json("image").unwrap(), "/data/t.nii");
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        for (text, message) in [
            ("{", "the data list `LIST` is not valid JSON: EOF while parsing an object at line 1 column 1"),
            (r#"{"test": [], "n": 1}"#, "the data list `LIST` has no list `training`; it has `test`"),
            (r#"{"n": 1}"#, "the data list `LIST` has no list `training`; it has no list at all"),
            (r#"{"training": {}}"#, "`training` in the data list `LIST` must be a list of cases"),
            (
                r#"{"training": []}"#,
                "the list `training` in the data list `LIST` is empty: there is nothing to work on",
            ),
            (
                r#"{"training": [1]}"#,
                "case 0 of `training` in the data list `LIST` must be an object such as \
                 {\"image\": \"a.nii.gz\", \"label\": \"b.nii.gz\"} or the path of an image",
            ),
        ] {
            assert_eq!(load(text, "training").unwrap_err(), message);
        }
        let error = load_data_list(Path::new("/no/such.json"), Path::new("/"), "training").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the data list `/no/such.json`: No such file or directory (os error 2)"
        );
    }
}
