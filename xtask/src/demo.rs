//! The whole way in one command: from a checkout to a trained model with pictures of what it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, libtorch};

/// Sets up, builds, makes data unless there is a folder of it, trains, evaluates and draws.
pub(crate) fn run(workspace: &Workspace, data: Option<&Path>) -> Result<()> {
    libtorch::set_up(workspace, false)?;
    build::build(workspace, true)?;

    let start = Instant::now();
    let demo = Demo { engine: workspace.engine(true), mmar: workspace.root.join("mmars/spleen_ct_segmentation") };
    for plugin in workspace.plugins()? {
        say(format!("installing the plugin {plugin} into the archive"));
        let library = workspace.target.join("release").join(format!("lib{plugin}.so"));
        demo.run(
            &["plugin", "install"],
            &[&library, Path::new("-m"), &demo.mmar, Path::new("--folder"), Path::new("BYOC")],
        )?;
    }

    let data = match data {
        Some(data) => std::path::absolute(data)?,
        None => demo.make_data(&workspace.target.join("demo").join("data"))?,
    };
    let (list, has_test) = with_validation(&data, &workspace.target.join("demo").join("dataset.json"))?;
    let variables = [format!("DATA_ROOT={}", data.display()), format!("DATASET_JSON={}", list.display())];

    say("training");
    demo.with_config("train", "config/config_train.json", &variables)?;
    say("evaluating the best model on the validation cases");
    demo.with_config("evaluate", "config/config_validation.json", &variables)?;
    if has_test {
        say("segmenting the test cases");
        demo.with_config("evaluate", "config/config_inference.json", &variables)?;
    }

    let curves = demo.mmar.join("models").join("curves.png");
    let slices = demo.mmar.join("eval").join("slices.png");
    demo.run(&["plot", "curves"], &[&latest_run(&demo.mmar.join("models"))?, Path::new("--output"), &curves])?;
    demo.run(
        &["plot", "slices", "--data-list"],
        &[
            &list,
            Path::new("--data-root"),
            &data,
            Path::new("--predictions"),
            &demo.mmar.join("eval"),
            Path::new("--output"),
            &slices,
        ],
    )?;
    say(format!("done in {} s", start.elapsed().as_secs()));
    println!("    model:   {}", demo.mmar.join("models").join("model.pt").display());
    println!("    curves:  {}", curves.display());
    println!("    slices:  {}", slices.display());
    println!("    try:     {} components -m {}", demo.engine.display(), demo.mmar.display());
    Ok(())
}

struct Demo {
    engine: PathBuf,
    mmar: PathBuf,
}

impl Demo {
    fn make_data(&self, folder: &Path) -> Result<PathBuf> {
        if folder.join("dataset.json").is_file() {
            say(format!("synthetic data from an earlier run: {}", folder.display()));
        } else {
            say(format!("making synthetic CT volumes in {}", folder.display()));
            self.run(&["demo-data"], &[folder])?;
        }
        Ok(folder.to_owned())
    }

    fn with_config(&self, command: &str, config: &str, variables: &[String]) -> Result<()> {
        let mut words = vec![Path::new("-m"), &self.mmar, Path::new("-c"), Path::new(config), Path::new("--set")];
        words.extend(variables.iter().map(Path::new));
        self.run(&[command], &words)
    }

    fn run(&self, command: &[&str], arguments: &[&Path]) -> Result<()> {
        process::run(Command::new(&self.engine).args(command).args(arguments).stdin(Stdio::null()))
    }
}

/// The data list of a folder, and whether it has test images. The Decathlon's own lists have no `validation`: then every
/// fifth training case is held out in a list of our own.
fn with_validation(data: &Path, own: &Path) -> Result<(PathBuf, bool)> {
    let list = data.join("dataset.json");
    let text = fs::read_to_string(&list).with_context(|| {
        format!("cannot read `{}`; --data wants a folder as the Decathlon has them", list.display())
    })?;
    let mut json: Json = serde_json::from_str(&text).with_context(|| format!("`{}` is no JSON", list.display()))?;
    let count = |json: &Json, key: &str| json[key].as_array().map_or(0, Vec::len);
    ensure!(count(&json, "training") > 0, "`{}` has no list `training`", list.display());
    let has_test = count(&json, "test") > 0;
    if count(&json, "validation") > 0 {
        return Ok((list, has_test));
    }
    let all = json["training"].as_array().cloned().unwrap_or_default();
    let (validation, training): (Vec<_>, Vec<_>) =
        all.iter().cloned().enumerate().partition(|(index, _)| index % 5 == 0);
    let items = |list: Vec<(usize, Json)>| list.into_iter().map(|(_, item)| item).collect::<Vec<_>>();
    json["validation"] = items(validation).into();
    // A single case is trained and validated on: no result, but it shows that all works.
    json["training"] = if training.is_empty() { all.into() } else { items(training).into() };
    if let Some(folder) = own.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(own, format!("{json:#}\n")).with_context(|| format!("cannot write `{}`", own.display()))?;
    Ok((own.to_owned(), has_test))
}

/// The newest run folder: their names count up.
fn latest_run(folder: &Path) -> Result<PathBuf> {
    let entries = folder.read_dir().with_context(|| format!("cannot list `{}`", folder.display()))?;
    let runs = entries.flatten().map(|entry| entry.path());
    let is_run = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
    runs.filter(is_run).max().with_context(|| format!("`{}` holds no run", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(content: &str) -> (Json, bool) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dataset.json"), content).unwrap();
        let (list, has_test) = with_validation(folder.path(), &folder.path().join("own.json")).unwrap();
        (serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap(), has_test)
    }

    #[test]
    fn a_list_without_validation_gets_one() {
        let (json, has_test) = lists(r#"{"training": [0, 1, 2, 3, 4, 5, 6], "test": ["a"]}"#);
        assert_eq!(json["validation"], serde_json::json!([0, 5]));
        assert_eq!(json["training"], serde_json::json!([1, 2, 3, 4, 6]));
        assert!(has_test);
        let (json, has_test) = lists(r#"{"training": [0]}"#);
        assert_eq!((&json["training"], &json["validation"]), (&serde_json::json!([0]), &serde_json::json!([0])));
        assert!(!has_test);
        let (json, _) = lists(r#"{"training": [0, 1], "validation": [2]}"#);
        assert_eq!(json["validation"], serde_json::json!([2]));
    }

    #[test]
    fn the_newest_run_has_the_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run-0002", "run-0010", "model.pt"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(latest_run(folder.path()).unwrap(), folder.path().join("run-0010"));
    }
}
