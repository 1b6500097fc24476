//! `LrScheduleHandler`: moves the learning-rate schedule on.

use byoc::{Component, Engine, Event, Expression, Handler, Result, Wired};
use schemars::JsonSchema;
use serde::Deserialize;

/// Moves the learning-rate schedule on after each epoch or step. MONAI: `LrScheduleHandler`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some arguments are accepted for compatibility")]
pub(crate) struct LrScheduleHandlerArgs {
    /// The schedule, `"@lr_scheduler"`.
    #[serde(default)]
    lr_scheduler: Option<Wired>,
    /// Whether the rate is logged.
    #[serde(default = "yes")]
    print_lr: bool,
    /// Accepted for compatibility: the name of a Python logger.
    #[serde(default)]
    name: Option<String>,
    /// Whether it is a step of the schedule per epoch; else per training step.
    #[serde(default = "yes")]
    epoch_level: bool,
    /// Accepted for compatibility: schedules that watch a metric get the key metric.
    #[serde(default)]
    step_transform: Option<Expression>,
}

fn yes() -> bool {
    true
}

struct LrScheduleHandler(LrScheduleHandlerArgs);

impl Component for LrScheduleHandler {
    type Args = LrScheduleHandlerArgs;

    fn new(args: LrScheduleHandlerArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Handler for LrScheduleHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        let due = if self.0.epoch_level { Event::EpochCompleted } else { Event::IterationCompleted };
        if event == due {
            let state = engine.state();
            let metric = state.key_metric.as_ref().and_then(|label| state.metrics.get(label)).copied();
            let rates = engine.step_lr_scheduler(metric)?;
            if let (true, Some(rate)) = (self.0.print_lr, rates.first()) {
                tracing::info!(target: "mmar::stats", "current learning rate: {rate}");
            }
        }
        Ok(())
    }
}

byoc::register! { handlers: [LrScheduleHandler] }
