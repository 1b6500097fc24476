//! The whole way in one command: from a checkout to a trained model with pictures of what it does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

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
        demo.run(&["plugin", "install"], &[&library], &["--folder", "BYOC"])?;
    }

    let data = match data {
        Some(data) => std::path::absolute(data)?,
        None => demo.make_data(&workspace.target.join("demo").join("data"))?,
    };
    let list = data.join("dataset.json");
    ensure!(list.is_file(), "`{}` is missing; --data wants a folder as the Decathlon has them", list.display());
    let variables = [format!("DATA_ROOT={}", data.display()), format!("DATASET_JSON={}", list.display())];

    say("training");
    demo.engine_with("train", "config/config_train.json", &variables)?;
    say("evaluating the best model on the validation cases");
    demo.engine_with("evaluate", "config/config_validation.json", &variables)?;
    say("segmenting the test cases");
    demo.engine_with("evaluate", "config/config_inference.json", &variables)?;

    let curves = demo.mmar.join("models").join("curves.png");
    let slices = demo.mmar.join("eval").join("slices.png");
    say(format!("done in {} s", start.elapsed().as_secs()));
    println!("    model:   {}", demo.mmar.join("models").join("model.pt").display());
    println!("    curves:  {}", curves.display());
    println!("    slices:  {}", slices.display());
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
            process::run(Command::new(&self.engine).arg("demo-data").arg(folder).stdin(Stdio::null()))?;
        }
        Ok(folder.to_owned())
    }

    fn engine_with(&self, command: &str, config: &str, variables: &[String]) -> Result<()> {
        let mut words = vec!["-c", config, "--set"];
        words.extend(variables.iter().map(String::as_str));
        self.run(&[command], &[], &words)
    }

    fn run(&self, command: &[&str], files: &[&Path], rest: &[&str]) -> Result<()> {
        let mut engine = Command::new(&self.engine);
        engine.args(command).args(files).arg("-m").arg(&self.mmar).args(rest).stdin(Stdio::null());
        let status = engine.status().with_context(|| format!("cannot start `{}`", self.engine.display()))?;
        if !status.success() {
            bail!("`{}` failed ({status})", process::describe(&engine));
        }
        Ok(())
    }
}
