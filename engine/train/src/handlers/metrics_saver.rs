//! `MetricsSaver`: the metrics of an evaluation as CSV files.

use std::path::PathBuf;

use byoc::{Component, Engine, Event, Expression, Handler, OneOrMany, Result, Sample, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::metrics_report::{Operation, Table};
use crate::files::atomic;
use crate::workflow::select;

/// Writes metrics, their values per image and class, and a summary of those, as CSV. MONAI: `MetricsSaver`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some arguments are accepted for compatibility")]
pub(crate) struct MetricsSaverArgs {
    /// The folder.
    save_dir: PathBuf,
    /// Labels of the metrics in `metrics.csv`; `"*"` is all, `null` none.
    #[serde(default = "all")]
    metrics: Option<OneOrMany<String>>,
    /// Labels of the metrics whose values per image and class go into `LABEL_raw.csv`; `"*"` is all.
    #[serde(default)]
    metric_details: Option<OneOrMany<String>>,
    /// Where the names of the images are: `#monai.handlers.from_engine(['image_meta_dict'])`.
    #[serde(default)]
    batch_transform: Option<Expression>,
    /// What `LABEL_summary.csv` has for each class: `mean`, `median`, `max`, `min`, `90percentile`, `std`, `notnans`;
    /// `"*"` is all.
    #[serde(default)]
    summary_ops: Option<OneOrMany<String>>,
    /// Accepted for compatibility: the rank that writes.
    #[serde(default)]
    save_rank: u32,
    /// What stands between columns.
    #[serde(default = "comma")]
    delimiter: String,
    /// Only `csv`.
    #[serde(default = "csv")]
    output_type: String,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn all() -> Option<OneOrMany<String>> {
    Some(OneOrMany::One("*".into()))
}

fn comma() -> String {
    ",".into()
}

fn csv() -> String {
    "csv".into()
}

struct MetricsSaver {
    args: MetricsSaverArgs,
    operations: Option<Vec<Operation>>,
    /// The images of this epoch, in the order of the metrics' rows.
    images: Vec<String>,
}

impl Component for MetricsSaver {
    type Args = MetricsSaverArgs;

    fn new(args: MetricsSaverArgs) -> Result<Self> {
        byoc::ensure!(
            args.output_type.eq_ignore_ascii_case("csv"),
            "`output_type` can only be `csv`, found `{}`",
            args.output_type
        );
        let operations = args.summary_ops.clone().map(|names| Operation::parse_all(&names.into_vec())).transpose()?;
        Ok(Self { args, operations, images: Vec::new() })
    }
}

impl Handler for MetricsSaver {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        match event {
            Event::EpochStarted => self.images.clear(),
            Event::IterationCompleted if self.args.metric_details.is_some() => {
                let key = self.args.batch_transform.as_ref().and_then(|it| select::keys(&it.form)?.first().cloned());
                let key = key.unwrap_or_else(|| "image_meta_dict".into());
                self.images.extend(image_names(&key, engine.output()));
            }
            Event::EpochCompleted => self.write(engine)?,
            _ => {}
        }
        Ok(())
    }
}

impl MetricsSaver {
    fn write(&self, engine: &dyn Engine) -> Result<()> {
        let folder = engine.resolve_path(&self.args.save_dir);
        let delimiter = &self.args.delimiter;
        let metrics = &engine.state().metrics;
        let chosen = wanted(self.args.metrics.as_ref(), metrics.keys());
        if !chosen.is_empty() {
            let lines: Vec<String> = chosen
                .iter()
                .map(|label| format!("{label}{delimiter}{}\n", super::metrics_report::python_f64(metrics[label])))
                .collect();
            atomic::write(&folder.join("metrics.csv"), lines.concat().as_bytes())?;
        }
        for label in wanted(self.args.metric_details.as_ref(), metrics.keys()) {
            let Some(details) = engine.metric_details(&label) else {
                tracing::warn!("`{label}` has no values per image, so there is no `{label}_raw.csv`");
                continue;
            };
            let table = Table::new(&details)?;
            atomic::write(&folder.join(format!("{label}_raw.csv")), table.raw(&self.images, delimiter).as_bytes())?;
            if let Some(operations) = &self.operations {
                let summary = table.summary(operations, delimiter);
                atomic::write(&folder.join(format!("{label}_summary.csv")), summary.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// The labels that are asked for and exist.
fn wanted<'a>(asked: Option<&OneOrMany<String>>, labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let Some(asked) = asked else { return Vec::new() };
    let asked = asked.clone().into_vec();
    labels.filter(|label| asked.iter().any(|it| it == "*" || it == *label)).cloned().collect()
}

/// The names of the images of a step: of the items (4.1), or from the batch's `image_meta_dict` (4.0).
fn image_names(key: &str, outputs: &[Sample]) -> Vec<String> {
    let image = key.strip_suffix("_meta_dict").unwrap_or(key);
    outputs
        .iter()
        .flat_map(|sample| match (sample.get(image), sample.json(key)) {
            (Ok(Value::Image(image)), _) => vec![image.meta.get("filename_or_obj").cloned().unwrap_or_default()],
            (_, Ok(meta)) => meta["filename_or_obj"].as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        })
        .map(|name| name.as_str().map_or_else(|| "None".to_owned(), str::to_owned))
        .collect()
}

byoc::register! { handlers: [MetricsSaver] }
