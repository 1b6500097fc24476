//! The handler and its arguments.

use byoc::{Component, Engine, Event, Handler, Result};
use schemars::JsonSchema;
use serde::Deserialize;

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
    lowest: f64,
    waited: u64,
}

impl Component for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args) -> Result<Self> {
        Ok(Self { patience: args.patience, lowest: f64::INFINITY, waited: 0 })
    }
}

impl {{component}} {
    /// Whether a loss is the last straw.
    fn is_enough(&mut self, loss: f64) -> bool {
        if loss < self.lowest {
            self.lowest = loss;
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= self.patience
    }
}

impl Handler for {{component}} {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        if event == Event::EpochCompleted
            && let Some(loss) = engine.state().loss
        {
            engine.record("lowest_loss", self.lowest.min(loss))?;
            if self.is_enough(loss) {
                engine.request_stop("the loss does not fall any more");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, {{component}}, {{component}}Args};

    #[test]
    fn patience_starts_anew_with_each_lower_loss() {
        let mut handler = {{component}}::new({{component}}Args { patience: 2 }).unwrap();
        let stops: Vec<bool> = [3.0, 4.0, 2.0, 2.5, 2.0].into_iter().map(|loss| handler.is_enough(loss)).collect();
        assert_eq!(stops, [false, false, false, false, true]);
    }
}
