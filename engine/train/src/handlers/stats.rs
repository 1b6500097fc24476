//! `StatsHandler`: numbers for the log.
//!
//! Lines go to the log under the targets `mmar::stats` (epochs, at level info) and `mmar::stats::step` (steps, at
//! level debug, as the progress display shows the same; at level info where the config asks for a print of its own).

use byoc::{Component, Engine, EngineState, Event, Expression, ExpressionForm, Handler, Result, Sample};
use schemars::JsonSchema;
use serde::Deserialize;

use super::interval::Interval;
use crate::workflow::select;

/// Logs the output of steps and the metrics of epochs. MONAI: `StatsHandler`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some arguments are accepted for compatibility")]
pub(crate) struct StatsHandlerArgs {
    /// Whether steps are logged, or every so many.
    #[serde(default)]
    iteration_log: Interval,
    /// Whether epochs are logged, or every so many.
    #[serde(default)]
    epoch_log: Interval,
    /// Accepted for compatibility: epochs have one form.
    #[serde(default)]
    epoch_print_logger: Option<Expression>,
    /// What to print at a step: `lambda engine: print(f'iter: …') if engine.state.iteration % 10 == 0 else None`.
    #[serde(default)]
    iteration_print_logger: Option<Expression>,
    /// The number of a step; the loss if not given.
    #[serde(default)]
    output_transform: Option<Expression>,
    /// Accepted for compatibility: validations know the epoch of the training.
    #[serde(default)]
    global_epoch_transform: Option<Expression>,
    /// Numbers of the engine's state to log, too: `epoch`, `iteration`, `best_metric` …
    #[serde(default)]
    state_attributes: Option<Vec<String>>,
    /// Accepted for compatibility: the name of a Python logger.
    #[serde(default)]
    name: Option<String>,
    /// What the number of a step is called.
    #[serde(default = "loss")]
    tag_name: String,
    /// Accepted for compatibility: numbers have four decimals.
    #[serde(default)]
    key_var_format: Option<String>,
}

fn loss() -> String {
    "Loss".into()
}

struct StatsHandler(StatsHandlerArgs);

impl Component for StatsHandler {
    type Args = StatsHandlerArgs;

    fn new(args: StatsHandlerArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Handler for StatsHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        let state = engine.state();
        match event {
            Event::IterationCompleted if self.0.iteration_log.is_due(state.iteration) => {
                self.log_step(state, engine.output())?;
            }
            Event::EpochCompleted if self.0.epoch_log.is_due(state.epoch) => self.log_epoch(state),
            _ => {}
        }
        Ok(())
    }
}

impl StatsHandler {
    fn log_step(&self, state: &EngineState, outputs: &[Sample]) -> Result<()> {
        let step = (state.iteration.max(1) - 1) % state.epoch_length.max(1) + 1;
        match self.0.iteration_print_logger.as_ref().map(|it| &it.form) {
            Some(ExpressionForm::PrintEvery { interval, image_name }) => {
                if state.iteration.is_multiple_of((*interval).max(1)) {
                    let name = if *image_name { format!("image: \"{}\", ", name_of(outputs)) } else { String::new() };
                    tracing::info!(target: "mmar::stats::step", "{name}iter: {}/{}", state.iteration, state.epoch_length);
                }
            }
            // `lambda x: None` in place of a print prints nothing
            Some(_) => {}
            None => {
                if let Some(number) = number_of(self.0.output_transform.as_ref(), state, outputs)? {
                    tracing::debug!(
                        target: "mmar::stats::step",
                        "Epoch: {}/{}, Iter: {step}/{} -- {}: {number:.4}",
                        state.epoch,
                        state.max_epochs,
                        state.epoch_length,
                        self.0.tag_name
                    );
                }
            }
        }
        Ok(())
    }

    fn log_epoch(&self, state: &EngineState) {
        if !state.metrics.is_empty() {
            let metrics: Vec<String> =
                state.metrics.iter().map(|(label, value)| format!("{label}: {value:.4}")).collect();
            tracing::info!(target: "mmar::stats", "Epoch[{}] Metrics -- {}", state.epoch, metrics.join(" "));
        }
        if let (Some(label), Some((best, epoch))) = (&state.key_metric, state.best_metric) {
            tracing::info!(target: "mmar::stats", "Key metric: {label} best value: {best} at epoch: {epoch}");
        }
        if let Some(attributes) = &self.0.state_attributes {
            let all = serde_json::to_value(state).unwrap_or_default();
            let values: Vec<String> = attributes.iter().map(|name| format!("{name}: {}", all[name.as_str()])).collect();
            tracing::info!(target: "mmar::stats", "State values: {}", values.join(" "));
        }
    }
}

/// The number of a step: what the transform takes from the output, or the loss.
pub(super) fn number_of(
    transform: Option<&Expression>,
    state: &EngineState,
    outputs: &[Sample],
) -> Result<Option<f64>> {
    match transform {
        Some(transform) => select::number(&transform.form, outputs),
        None => Ok(state.loss),
    }
}

/// What the first item is called.
fn name_of(outputs: &[Sample]) -> String {
    let Some(first) = outputs.first() else { return String::new() };
    if let Ok(name) = first.json("name") {
        return name.as_str().or_else(|| name[0].as_str()).unwrap_or_default().to_owned();
    }
    crate::workflow::wording::files(&outputs[..1], "image").pop().unwrap_or_default()
}

byoc::register! { handlers: [StatsHandler] }
