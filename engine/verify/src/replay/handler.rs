//! Handlers: a run with given losses and metrics is played to them, and what they write down is compared.
//!
//! `in.loss` (epochs, steps) and `in.metric.LABEL` (epochs) tell what happens; `out.LABEL` are the numbers that the
//! handler records under a label, in their order, and `out_json.stopped_at` is the step at which it stops the run, or null.

use byoc::{EngineRole, Kind as ComponentKind};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

use super::{Replay, Stop, find};
use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;
use crate::rehearsal::{Rehearsal, Request, Script};

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let byoc::Constructor::Handler(create) = find(components, ComponentKind::HANDLER, &case.name)? else {
        return Err(Stop::Error(format!("`{}` is registered as a handler, but is made otherwise", case.name)));
    };
    let mut handler = create(&case.args)?;
    let mut run = Rehearsal::new(script(case)?);
    run.perform(handler.as_mut())?;

    let mut actual = Actual::default();
    for label in case.expected("out.") {
        let values: Vec<f64> = run
            .notes()
            .iter()
            .filter_map(|note| match &note.request {
                Request::Record(recorded, value) if recorded == label => Some(*value),
                _ => None,
            })
            .collect();
        actual.insert(format!("out.{label}"), Tensor::from_slice(&values));
    }
    let stopped = run.notes().iter().find(|note| matches!(note.request, Request::Stop(_)));
    actual.json.insert("stopped_at".to_owned(), stopped.map_or(Json::Null, |note| note.iteration.into()));
    Ok(actual)
}

fn script(case: &Case) -> Replay<Script> {
    let mut script = Script {
        role: EngineRole::Trainer,
        epoch_length: 0,
        epochs: 0,
        losses: Vec::new(),
        metrics: Vec::new(),
        folder: case.file.parent().map(std::path::Path::to_owned).unwrap_or_default(),
    };
    if let Some(loss) = case.optional_input("loss") {
        let &[epochs, steps] = loss.size().as_slice() else {
            return Err(Stop::Error(format!("`in.loss` of the case must be (epochs, steps), found {:?}", loss.size())));
        };
        (script.epochs, script.epoch_length) = (epochs as u64, steps as u64);
        script.losses = numbers(loss)?;
    }
    for name in &case.inputs {
        if let Some(label) = name.strip_prefix("metric.") {
            let values = numbers(case.input(name)?)?;
            script.epochs = script.epochs.max(values.len() as u64);
            script.metrics.push((label.to_owned(), values));
        }
    }
    Ok(script)
}

fn numbers(tensor: &Tensor) -> Replay<Vec<f64>> {
    Ok(Vec::try_from(tensor.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Constructor, Engine, Event, Handler, Kind, Registration, Result};
    use serde::Deserialize;
    use serde_json::json;
    use tch::Tensor;

    use crate::{Components, Outcome};

    #[derive(Deserialize, schemars::JsonSchema)]
    struct Args {
        limit: f64,
    }

    /// Stops at a loss below the limit.
    struct Limit(Args);

    impl Component for Limit {
        type Args = Args;

        fn new(args: Args) -> Result<Self> {
            Ok(Self(args))
        }
    }

    impl Handler for Limit {
        fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
            let state = engine.state().clone();
            if event == Event::IterationCompleted && state.loss.is_some_and(|loss| loss < self.0.limit) {
                engine.request_stop("low enough");
            }
            if let (Event::EpochCompleted, Some(dice)) = (event, state.metrics.get("dice")) {
                engine.record("doubled", 2.0 * dice)?;
            }
            Ok(())
        }
    }

    struct Only;

    impl Components for Only {
        fn find(&mut self, kind: Kind, _: &str) -> Result<Option<Constructor>, String> {
            const LIMIT: Registration = Registration::handler::<Limit>("Limit", &[]);
            Ok((kind == Kind::HANDLER).then(|| LIMIT.constructor()))
        }
    }

    #[test]
    fn what_a_handler_records_and_where_it_stops_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        let mut case = json!({
            "kind": "handler", "name": "Limit", "args": { "limit": 0.5 },
            "inputs": ["loss", "metric.dice"], "outputs": ["out.doubled"], "out_json": { "stopped_at": 3 },
        });
        let tensors = [
            ("in.loss", Tensor::from_slice(&[2.0f64, 1.0, 0.25, 0.1]).view([2, 2])),
            ("in.metric.dice", Tensor::from_slice(&[0.125f64, 0.25])),
            ("out.doubled", Tensor::from_slice(&[0.25f64, 0.5])),
        ];
        Tensor::write_safetensors(&tensors, folder.path().join("a.safetensors")).unwrap();
        let outcome = |case: &serde_json::Value| {
            std::fs::write(folder.path().join("a.json"), case.to_string()).unwrap();
            let report = crate::run(&[folder.path().to_owned()], &mut Only);
            (report.cases[0].outcome, report.cases[0].detail.clone())
        };
        assert_eq!(outcome(&case).0, Outcome::Passed);
        case["out_json"]["stopped_at"] = 4.into();
        assert_eq!(outcome(&case), (Outcome::Failed, "`stopped_at` is 3, expected 4".to_owned()));
    }
}
