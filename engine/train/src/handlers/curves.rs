//! `TensorBoardStatsHandler`: curves.

use std::path::PathBuf;

use byoc::{Component, Engine, Event, Expression, Handler, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

use super::interval::Interval;
use super::stats::number_of;
use crate::tensorboard::EventFile;

/// Writes the output of steps and the metrics of epochs for TensorBoard. MONAI: `TensorBoardStatsHandler`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some arguments are accepted for compatibility")]
pub(crate) struct TensorBoardStatsHandlerArgs {
    /// Accepted for compatibility: the handler has a writer of its own.
    #[serde(default)]
    summary_writer: Option<Wired>,
    /// The folder.
    #[serde(default = "runs")]
    log_dir: PathBuf,
    /// Whether steps are written, or every so many.
    #[serde(default)]
    iteration_log: Interval,
    /// Whether epochs are written, or every so many.
    #[serde(default)]
    epoch_log: Interval,
    /// The number of a step; the loss if not given.
    #[serde(default)]
    output_transform: Option<Expression>,
    /// Accepted for compatibility: validations know the epoch of the training.
    #[serde(default)]
    global_epoch_transform: Option<Expression>,
    /// The curve of the steps.
    #[serde(default = "loss")]
    tag_name: String,
}

fn runs() -> PathBuf {
    "runs".into()
}

fn loss() -> String {
    "Loss".into()
}

struct TensorBoardStatsHandler {
    args: TensorBoardStatsHandlerArgs,
    file: Option<EventFile>,
}

impl Component for TensorBoardStatsHandler {
    type Args = TensorBoardStatsHandlerArgs;

    fn new(args: TensorBoardStatsHandlerArgs) -> Result<Self> {
        Ok(Self { args, file: None })
    }
}

impl Handler for TensorBoardStatsHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        let state = engine.state();
        let (values, step): (Vec<(&str, f64)>, u64) = match event {
            Event::IterationCompleted if self.args.iteration_log.is_due(state.iteration) => {
                let number = number_of(self.args.output_transform.as_ref(), state, engine.output())?;
                (number.map(|number| (self.args.tag_name.as_str(), number)).into_iter().collect(), state.iteration)
            }
            Event::EpochCompleted if self.args.epoch_log.is_due(state.epoch) => {
                (state.metrics.iter().map(|(label, value)| (label.as_str(), *value)).collect(), state.epoch)
            }
            _ => return Ok(()),
        };
        if values.is_empty() {
            return Ok(());
        }
        // the file comes with its first value: a handler that has nothing to say leaves none
        let mut file = match self.file.take() {
            Some(file) => file,
            None => EventFile::create(&engine.resolve_path(&self.args.log_dir))?,
        };
        for (tag, value) in values {
            file.scalar(tag, value, step)?;
        }
        file.flush()?;
        self.file = Some(file);
        Ok(())
    }
}

byoc::register! { handlers: [TensorBoardStatsHandler] }
