//! The handler and its arguments.

use byoc::{Component, Engine, Event, Handler, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stops the training when the loss has not fallen for some epochs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct {{component}}Args {
    /// Epochs without a lower loss before the training stops.
    #[schemars(range(min = 1))]
    pub patience: u64,
}

impl Default for {{component}}Args {
    fn default() -> Self {
        Self { patience: 10 }
    }
}

/// See the arguments.
#[derive(Debug)]
pub struct {{component}} {
    patience: u64,
    seen: Seen,
}

/// What a resumed run needs to go on as if it had not been interrupted.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    /// The lowest loss at the end of an epoch.
    lowest: Option<f64>,
    /// Epochs since then.
    waited: u64,
}

impl Component for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args) -> Result<Self> {
        byoc::ensure!(args.patience > 0, "`patience` must be at least 1");
        Ok(Self { patience: args.patience, seen: Seen::default() })
    }
}

impl {{component}} {
    /// Whether a loss is the last straw.
    fn is_enough(&mut self, loss: f64) -> bool {
        if self.seen.lowest.is_none_or(|lowest| loss < lowest) {
            self.seen = Seen { lowest: Some(loss), waited: 0 };
        } else {
            self.seen.waited += 1;
        }
        self.seen.waited >= self.patience
    }
}

impl Handler for {{component}} {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        if event == Event::EpochCompleted
            && let Some(loss) = engine.state().loss
        {
            let enough = self.is_enough(loss);
            engine.record("lowest_loss", self.seen.lowest.unwrap_or(loss))?;
            if enough {
                engine.request_stop("the loss does not fall any more");
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<serde_json::Value> {
        Ok(serde_json::to_value(&self.seen)?)
    }

    fn load_state(&mut self, state: &serde_json::Value) -> Result<()> {
        self.seen = Seen::deserialize(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Handler, {{component}}, {{component}}Args};

    fn stops(handler: &mut {{component}}, losses: &[f64]) -> Vec<bool> {
        losses.iter().map(|loss| handler.is_enough(*loss)).collect()
    }

    #[test]
    fn patience_starts_anew_with_each_lower_loss() {
        let mut handler = {{component}}::new({{component}}Args { patience: 2 }).unwrap();
        assert_eq!(stops(&mut handler, &[3.0, 4.0, 2.0, 2.5, 2.0]), [false, false, false, false, true]);
    }

    #[test]
    fn a_resumed_run_goes_on_where_it_was() {
        let new = || {{component}}::new({{component}}Args { patience: 2 }).unwrap();
        let mut handler = new();
        stops(&mut handler, &[3.0, 4.0]);
        let mut resumed = new();
        resumed.load_state(&handler.state().unwrap()).unwrap();
        assert_eq!(stops(&mut resumed, &[3.5]), [true]);
    }
}
