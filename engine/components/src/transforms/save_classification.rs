//! `SaveClassificationd`.

use std::cell::RefCell;
use std::path::PathBuf;

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Kind;

use super::common::{default, present};
use super::metadata::{dictionaries, field};

/// Writes predictions of classes into a table: a line for each image, with the name of its file and the values.
///
/// The file is written anew after each image. MONAI `SaveClassificationd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveClassificationdArgs {
    /// Key of the predictions, a single one.
    keys: Keys,
    /// Key of the metadata item with the file's name, where a sample has one; `image_meta_dict` also means the metadata of
    /// `image`.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such a key ends with.
    #[serde(default)]
    meta_key_postfix: Option<OneOrMany<String>>,
    /// For compatibility: there is one kind of table.
    #[serde(default, rename = "saver")]
    _saver: Option<()>,
    /// The folder, made if it is not there.
    #[serde(default = "here")]
    output_dir: String,
    /// The file.
    #[serde(default = "predictions")]
    filename: String,
    /// What stands between values.
    #[serde(default = "comma")]
    delimiter: String,
    /// Whether a file that is already there is replaced; else lines are added to it.
    #[serde(default = "default::yes")]
    overwrite: bool,
    /// For compatibility: the file is always up to date.
    #[serde(default, rename = "flush")]
    _flush: Option<bool>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn here() -> String {
    "./".to_owned()
}

fn predictions() -> String {
    "predictions.csv".to_owned()
}

fn comma() -> String {
    ",".to_owned()
}

/// See [`SaveClassificationdArgs`].
pub struct SaveClassificationd {
    args: SaveClassificationdArgs,
    dictionary: String,
    table: RefCell<Table>,
}

/// What the file holds, and how many images there were.
#[derive(Default)]
struct Table {
    text: Option<String>,
    images: usize,
}

impl Component for SaveClassificationd {
    type Args = SaveClassificationdArgs;

    fn new(args: SaveClassificationdArgs) -> Result<Self> {
        if args.keys.len() != 1 {
            return Err(Error::invalid_argument(format!("`keys` has {} keys; a table is of one", args.keys.len())));
        }
        let dictionary =
            dictionaries(&args.keys.0, args.meta_keys.as_ref(), args.meta_key_postfix.as_ref())?.swap_remove(0);
        Ok(Self { args, dictionary, table: RefCell::default() })
    }
}

byoc::register! { transforms: [SaveClassificationd] }

/// A number as Python writes it, `1.0` and `1e-05` included.
fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let power: i32 = power.parse().unwrap_or_default();
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        None => text,
    }
}

impl Transform for SaveClassificationd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionary, table } = self;
        let Some((_, key)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let values = Vec::<f64>::try_from(sample.tensor(key)?.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
        let owner = dictionary.strip_suffix("_meta_dict").unwrap_or(key);
        let mut table = table.borrow_mut();
        let name = [key, owner].iter().find_map(|key| field(sample, key, dictionary, "filename_or_obj"));
        let name = match name {
            Some(Json::String(name)) => name,
            _ => table.images.to_string(),
        };
        table.images += 1;
        let folder = PathBuf::from(&args.output_dir);
        let path = folder.join(&args.filename);
        let problem = |error: std::io::Error| Error::data(format!("cannot write `{}`: {error}", path.display()));
        let mut text = match table.text.take() {
            Some(text) => text,
            None if !args.overwrite && path.exists() => std::fs::read_to_string(&path).map_err(problem)?,
            None => String::new(),
        };
        text.push_str(&name);
        for value in values {
            text.push_str(&args.delimiter);
            text.push_str(&python_float(value));
        }
        text.push('\n');
        std::fs::create_dir_all(&folder).map_err(problem)?;
        mmar_files::write(&path, text.as_bytes()).map_err(problem)?;
        table.text = Some(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Image, Random, Sample, Transform};
    use serde_json::json;
    use tch::Tensor;

    use super::{SaveClassificationd, python_float};

    #[test]
    fn numbers_are_those_of_python() {
        // repr of these in Python
        for (value, expected) in [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (-0.1, "-0.1"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e16, "1.5e+16"),
            (123_456.75, "123456.75"),
            (0.0, "0.0"),
            (f64::from(0.1f32), "0.10000000149011612"),
        ] {
            assert_eq!(python_float(value), expected);
        }
    }

    #[test]
    fn a_line_for_each_image() {
        let folder = tempfile::tempdir().unwrap();
        let make = |overwrite: bool| {
            let args = json!({"keys": "pred", "meta_keys": "image_meta_dict", "output_dir": folder.path().join("new"), "overwrite": overwrite});
            SaveClassificationd::new(serde_json::from_value(args).unwrap()).unwrap()
        };
        let save = |transform: &SaveClassificationd, name: Option<&str>, values: &[f32]| {
            let mut sample = Sample::new();
            let mut image = Image::new(Tensor::from_slice(&[0f32]).view([1, 1, 1]));
            if let Some(name) = name {
                image.meta.insert("filename_or_obj".to_owned(), json!(name));
            }
            sample.insert("image", image);
            sample.insert("pred", Tensor::from_slice(values));
            transform.apply(&mut sample, &mut Random::from_seed(0)).unwrap();
        };
        let read = || std::fs::read_to_string(folder.path().join("new/predictions.csv")).unwrap();
        let transform = make(true);
        save(&transform, Some("a.nii"), &[0.25, 1.0]);
        save(&transform, None, &[0.5, 0.0]);
        assert_eq!(read(), "a.nii,0.25,1.0\n1,0.5,0.0\n");
        save(&make(false), Some("b.nii"), &[2.0]);
        assert_eq!(read(), "a.nii,0.25,1.0\n1,0.5,0.0\nb.nii,2.0\n");
        save(&make(true), Some("c.nii"), &[3.0]);
        assert_eq!(read(), "c.nii,3.0\n");
    }
}
