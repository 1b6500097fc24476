//! `mmar plot`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mmar_pictures::slices::Case;
use mmar_pictures::{curves, slices};
use serde_json::Value as Json;

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar plot`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Loss and metrics over the epochs
    Curves {
        /// A run folder, or its `metrics.jsonl`
        run: PathBuf,
        /// The picture; `curves.png` beside the metrics if not given
        #[arg(short, long, value_name = "PNG")]
        output: Option<PathBuf>,
    },
    /// Slices of images with label and prediction
    Slices {
        /// The data list
        #[arg(long, value_name = "JSON")]
        data_list: PathBuf,
        /// What the paths of the list are relative to; the list's folder if not given
        #[arg(long, value_name = "DIR")]
        data_root: Option<PathBuf>,
        /// Which list of the file
        #[arg(long, value_name = "KEY", default_value = "validation")]
        key: String,
        /// The folder with the predictions, `NAME/NAME_*.nii.gz` each
        #[arg(long, value_name = "DIR")]
        predictions: PathBuf,
        /// At most so many cases
        #[arg(long, value_name = "N", default_value_t = 3)]
        cases: usize,
        /// The picture
        #[arg(short, long, value_name = "PNG")]
        output: PathBuf,
    },
}

/// Draws, and prints where the picture is.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let failed = |error: mmar_pictures::Error| Exit::failed("plot", error.to_string());
    let output = match arguments.what {
        What::Curves { run, output } => {
            let metrics = if run.is_dir() { run.join("metrics.jsonl") } else { run };
            let output = output.unwrap_or_else(|| metrics.with_file_name("curves.png"));
            curves::draw(&metrics, &output).map_err(failed)?;
            output
        }
        What::Slices { data_list, data_root, key, predictions, cases, output } => {
            let root = data_root.or_else(|| data_list.parent().map(Path::to_owned)).unwrap_or_default();
            let mut list = list(&data_list, &root, &key, &predictions)?;
            list.truncate(cases);
            slices::draw(&list, &output).map_err(failed)?;
            output
        }
    };
    printer.result(output.display())
}

/// The cases of a data list that have a prediction.
fn list(path: &Path, root: &Path, key: &str, predictions: &Path) -> Result<Vec<Case>, Exit> {
    let unreadable = |problem: String| Exit::usage("data-list", format!("cannot read `{}`: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let json: Json = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let items = json.get(key).and_then(Json::as_array).ok_or_else(|| unreadable(format!("it has no list `{key}`")))?;
    let mut cases = Vec::new();
    for item in items {
        // Decathlon's test list has bare paths.
        let image = item.get("image").unwrap_or(item).as_str();
        let image = root.join(image.ok_or_else(|| unreadable(format!("an item of `{key}` names no image")))?);
        let label = item.get("label").and_then(Json::as_str).map(|label| root.join(label));
        let file = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".gz").trim_end_matches(".nii").to_owned();
        if let Some(prediction) = prediction(predictions, &name) {
            cases.push(Case { name, image, label, prediction: Some(prediction) });
        }
    }
    if cases.is_empty() {
        let message = format!("`{}` holds no prediction for the list `{key}`", predictions.display());
        return Err(Exit::usage("no-predictions", message));
    }
    Ok(cases)
}

fn prediction(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = folder.join(name).read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.into_iter().find(|path| {
        path.file_name().is_some_and(|file| {
            let file = file.to_string_lossy();
            file.starts_with(name) && (file.ends_with(".nii.gz") || file.ends_with(".nii"))
        })
    })
}
