//! `ValidationHandler`: runs the evaluator from within the training.

use byoc::{Component, Engine, Event, Handler, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

/// Runs the evaluator every so many epochs or steps. MONAI: `ValidationHandler`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidationHandlerArgs {
    /// Every so many epochs or steps.
    #[schemars(range(min = 1))]
    interval: u64,
    /// The evaluator, `"@evaluator"`.
    #[serde(default)]
    #[expect(dead_code, reason = "a run has one evaluator")]
    validator: Option<Wired>,
    /// Whether `interval` counts epochs; else steps.
    #[serde(default = "yes")]
    epoch_level: bool,
    /// Whether to validate before the first epoch, too.
    #[serde(default)]
    exec_at_start: bool,
}

fn yes() -> bool {
    true
}

struct ValidationHandler(ValidationHandlerArgs);

impl Component for ValidationHandler {
    type Args = ValidationHandlerArgs;

    fn new(args: ValidationHandlerArgs) -> Result<Self> {
        byoc::ensure!(args.interval > 0, "`interval` must be at least 1");
        Ok(Self(args))
    }
}

impl Handler for ValidationHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        let (state, args) = (engine.state(), &self.0);
        let due = match event {
            Event::EpochCompleted => args.epoch_level && state.epoch.is_multiple_of(args.interval),
            Event::IterationCompleted => !args.epoch_level && state.iteration.is_multiple_of(args.interval),
            // a resumed run has steps behind it
            Event::Started => args.exec_at_start && state.iteration == 0,
            _ => false,
        };
        if due { engine.run_validation() } else { Ok(()) }
    }
}

byoc::register! { handlers: [ValidationHandler] }
