//! Handlers that are wrong in one way each.

use byoc::{Component, Engine, Event, Handler, Registration, Result};
use serde_json::{Value as Json, json};

use super::{NoArgs, finds, is_sound};
use crate::verdict::Outcome::{Failed, Warning};

/// A handler of this name, with a number to remember.
macro_rules! handler {
    ($name:ident, |$self:ident, $event:ident, $engine:ident| $body:expr $(, state: |$of:ident| $state:expr)? $(, load: |$into:ident, $from:ident| $load:expr)?) => {
        struct $name(f64);

        impl Component for $name {
            type Args = NoArgs;

            fn new(_: NoArgs) -> Result<Self> {
                let new = Self(0.0);
                // not every one has something to remember
                let _ = new.0;
                Ok(new)
            }
        }

        impl Handler for $name {
            fn handle(&mut $self, $event: Event, $engine: &mut dyn Engine) -> Result<()> {
                $body
            }

            $(fn state(&self) -> Result<Json> {
                let $of = self;
                Ok($state)
            })?

            $(fn load_state(&mut self, state: &Json) -> Result<()> {
                let ($into, $from) = (self, state);
                $load;
                Ok(())
            })?
        }
    };
}

const fn of<T: Handler + Component>(name: &'static str) -> Registration {
    Registration::handler::<T>(name, &[])
}

/// The sum of the losses, written down at the end of each epoch.
fn sum(total: &mut f64, event: Event, engine: &mut dyn Engine) -> Result<()> {
    if event == Event::EpochCompleted
        && let Some(loss) = engine.state().loss
    {
        *total += loss;
        engine.record("sum", *total)?;
    }
    Ok(())
}

handler!(Sound, |self, event, engine| sum(&mut self.0, event, engine),
    state: |handler| json!(handler.0), load: |handler, state| handler.0 = state.as_f64().unwrap_or_default());
handler!(Forgets, |self, event, engine| sum(&mut self.0, event, engine));
handler!(LoadsNothing, |self, event, engine| sum(&mut self.0, event, engine), state: |handler| json!(handler.0));
handler!(NeedsALoss, |self, event, engine| {
    if event == Event::EpochCompleted {
        let Some(loss) = engine.state().loss else { byoc::bail!("there is no loss") };
        engine.record("loss", loss)?;
    }
    Ok(())
});
handler!(OnlyOnce, |self, event, _engine| {
    if event == Event::Started {
        byoc::ensure!(self.0 == 0.0, "it was started before");
        self.0 = 1.0;
    }
    Ok(())
});
handler!(FailsTwice, |self, event, _engine| {
    byoc::ensure!(event != Event::ExceptionRaised, "now this as well");
    Ok(())
});
handler!(Refuses, |self, event, engine| {
    byoc::ensure!(event != Event::IterationCompleted || engine.state().iteration < 5, "five steps are enough");
    Ok(())
});

#[test]
fn a_sound_handler_passes_everything() {
    is_sound(&of::<Sound>("Sound"));
}

#[test]
fn what_a_resume_loses_is_found() {
    finds("handler-resume", &of::<Forgets>("Forgets"), Failed, "in epoch 10");
    finds("handler-state", &of::<LoadsNothing>("LoadsNothing"), Failed, "what was loaded");
}

#[test]
fn runs_that_it_cannot_take_are_found() {
    finds("handler-run", &of::<Refuses>("Refuses"), Failed, "five steps are enough");
    finds("handler-empty-epoch", &of::<NeedsALoss>("NeedsALoss"), Warning, "there is no loss");
    finds("handler-evaluator", &of::<NeedsALoss>("NeedsALoss"), Warning, "there is no loss");
    finds("handler-second-run", &of::<OnlyOnce>("OnlyOnce"), Warning, "it was started before");
    finds("handler-failed-run", &of::<FailsTwice>("FailsTwice"), Warning, "now this as well");
}
