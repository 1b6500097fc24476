//! What a run takes from one plugin, made anew from its config. Until it is put into its place the run does not know.

use std::path::Path;

use byoc::{Handler, Kind, Loss, Metric, Optimizer, StateKey, StateTree};
use mmar_config::{Component, Model, RenderOptions, Section};
use mmar_data::{Chain, DataLoader};
use tch::Tensor;

use crate::Failure;
use crate::build::Builder;
use crate::workflow::guard::guarded;
use crate::workflow::{Context, Core, Evaluator, ModelHandle, Trainer};

/// The new objects; what is not there is not from the plugin.
#[derive(Default)]
pub(super) struct Replacement {
    pub(super) loss: Option<Box<dyn Loss>>,
    pub(super) network: Option<Network>,
    pub(super) trainer: Parts,
    pub(super) evaluator: Parts,
}

/// The new network with the weights of the old one.
pub(super) struct Network {
    pub(super) model: ModelHandle,
    optimizer: Box<dyn Optimizer>,
    /// What could not be taken over.
    notes: String,
}

/// The new objects of one engine.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) loader: Option<DataLoader>,
    pub(super) post: Option<Chain>,
    pub(super) metrics: Vec<(usize, Box<dyn Metric>)>,
    pub(super) handlers: Vec<(usize, Box<dyn Handler>)>,
}

impl Replacement {
    /// Makes everything that comes from the file. The registry knows the new generation already.
    pub(super) fn make(
        builder: &Builder<'_>,
        file: &Path,
        trainer: &Trainer,
        evaluator: Option<&Evaluator>,
        context: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let diagnostics = builder.check();
        if diagnostics.errors() > 0 {
            let rendered = diagnostics.render(&RenderOptions::default());
            return Err(
                Failure::new("invalid-config", "the config does not fit the new build").note(rendered.trim_end())
            );
        }
        let Some(section) = &builder.plan().train else { return Err(Failure::bug("a training without a section")) };
        let is_from = |kind, component: &Component| builder.is_from(file, kind, component);
        let loss = section.loss.as_ref().filter(|loss| is_from(Kind::LOSS, loss));
        let loss = loss.map(|loss| builder.loss(loss)).transpose()?;
        let network = match section.model.first() {
            Some(Model::Component(component)) if is_from(Kind::NETWORK, component) => {
                Some(Network::make(builder, section, context)?)
            }
            _ => None,
        };
        let train = Parts::make(builder, file, section, &trainer.core, "caching the training list anew", context)?;
        let validate = match (&builder.plan().validate, evaluator) {
            (Some(section), Some(evaluator)) => {
                Parts::make(builder, file, section, &evaluator.core, "caching the validation list anew", context)?
            }
            _ => Parts::default(),
        };
        Ok(Self { loss, network, trainer: train, evaluator: validate })
    }

    /// Puts everything into its place. What was not taken over comes back in words.
    pub(super) fn put_in(
        self,
        trainer: &mut Trainer,
        evaluator: Option<&mut Evaluator>,
        context: &mut Context<'_>,
    ) -> String {
        if let Some(loss) = self.loss {
            trainer.loss = loss;
        }
        self.trainer.put_in(&mut trainer.core);
        if let Some(evaluator) = evaluator {
            self.evaluator.put_in(&mut evaluator.core);
        }
        let Some(network) = self.network else { return String::new() };
        context.objects.model = network.model;
        context.objects.optimizer = Some(network.optimizer);
        network.notes
    }
}

impl Parts {
    fn make(
        builder: &Builder<'_>,
        file: &Path,
        section: &Section,
        core: &Core,
        what: &str,
        context: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let mut parts = Self::default();
        let is_from = |kind, component: &Component| builder.is_from(file, kind, component);
        for (index, metric) in section.metrics.iter().enumerate() {
            if is_from(Kind::METRIC, &metric.component) {
                let mut made = builder.metric(&metric.component)?;
                let slot = &core.metrics[index];
                let carried = guarded(|| made.load_state(&slot.metric.state()?));
                carried.map_err(|error| state_failed(&slot.component, &error))?;
                parts.metrics.push((index, made));
            }
        }
        let handlers = section.handlers.iter().filter(|component| component.rank.is_none_or(|rank| rank == 0));
        for (index, component) in handlers.enumerate() {
            if is_from(Kind::HANDLER, component) {
                let mut made = builder.handler(component)?;
                let slot = &core.handlers[index];
                let carried = guarded(|| {
                    let state = slot.handler.state()?;
                    if state.is_null() { Ok(()) } else { made.load_state(&state) }
                });
                carried.map_err(|error| state_failed(&slot.label, &error))?;
                parts.handlers.push((index, made));
            }
        }
        if section.post_transforms.iter().any(|component| is_from(Kind::TRANSFORM, component)) {
            let post = builder.chain(&section.post_transforms)?;
            let post = post().map_err(|error| Failure::new(error.code().name(), error.to_string()))?;
            parts.post = Some(Chain::new(post));
        }
        if section.pre_transforms.iter().any(|component| is_from(Kind::TRANSFORM, component)) {
            parts.loader = Some(builder.loader(section, what, context.observer)?);
        }
        Ok(parts)
    }

    fn put_in(self, core: &mut Core) {
        if let Some(loader) = self.loader {
            core.loader = loader;
        }
        if let Some(post) = self.post {
            core.postprocessing.chain = post;
        }
        for (index, metric) in self.metrics {
            core.metrics[index].metric = metric;
        }
        for (index, handler) in self.handlers {
            core.handlers[index].handler = handler;
        }
    }
}

impl Network {
    /// The new network with the weights, and the optimizer with the state, of parameters whose names and shapes agree.
    fn make(builder: &Builder<'_>, section: &Section, context: &Context<'_>) -> Result<Self, Failure> {
        let model = builder.model(section)?;
        let old = &context.objects.model;
        let mut fresh = Vec::new();
        for named in &model.state {
            match old.state.iter().find(|known| known.name == named.name) {
                None => fresh.push(format!("`{}`", named.name)),
                Some(known) if known.tensor.size() != named.tensor.size() => {
                    return Err(Failure::new(
                        "weights-do-not-fit",
                        format!(
                            "the network's `{}` is {:?} now and was {:?}: its weights cannot be kept",
                            named.name,
                            named.tensor.size(),
                            known.tensor.size()
                        ),
                    )
                    .help("start a new run with the new network; during a run its shapes must stay as they are"));
                }
                Some(known) => copy(&known.tensor, &named.tensor)?,
            }
        }
        let gone = old.state.iter().filter(|known| !model.state.iter().any(|named| named.name == known.name));
        let gone: Vec<String> = gone.map(|named| format!("`{}`", named.name)).collect();
        let mut notes = String::new();
        if !fresh.is_empty() {
            notes = format!("; new in the network, from their first values: {}", fresh.join(", "));
        }
        if !gone.is_empty() {
            notes = format!("{notes}; no longer in the network: {}", gone.join(", "));
        }
        let optimizer = Self::optimizer(builder, section, context, &model)?;
        Ok(Self { model, optimizer, notes })
    }

    fn optimizer(
        builder: &Builder<'_>,
        section: &Section,
        context: &Context<'_>,
        model: &ModelHandle,
    ) -> Result<Box<dyn Optimizer>, Failure> {
        let (Some(component), Some(old)) = (&section.optimizer, &context.objects.optimizer) else {
            return Err(Failure::bug("a training without an optimizer"));
        };
        let mut optimizer = builder.optimizer(component, model)?;
        let names = |model: &ModelHandle| model.parameters().map(|named| named.name.clone()).collect::<Vec<_>>();
        let (before, now) = (names(&context.objects.model), names(model));
        let carried = guarded(|| {
            let state = carried_state(&old.state()?, &before, &optimizer.state()?, &now);
            optimizer.load_state(&state)
        });
        carried.map_err(|error| state_failed(component.id.lookup(), &error))?;
        Ok(optimizer)
    }
}

/// The state of an optimizer for other parameters: what it remembers of those that stay under their new numbers, and the
/// options of its groups as they were.
fn carried_state(old: &StateTree, before: &[String], new: &StateTree, now: &[String]) -> StateTree {
    let remembered = old.get("state").map(StateTree::entries).unwrap_or_default();
    let state = now.iter().enumerate().filter_map(|(number, name)| {
        let former = before.iter().position(|known| known == name)?;
        let (_, state) = remembered.iter().find(|(key, _)| *key == StateKey::Int(former as i64))?;
        Some((StateKey::Int(number as i64), shared(state)))
    });
    let groups = |tree: &StateTree| match tree.get("param_groups") {
        Some(StateTree::List(groups)) => groups.iter().map(shared).collect(),
        _ => Vec::new(),
    };
    let groups = groups(old).into_iter().zip(groups(new)).map(|(old, new)| {
        let options = old.entries().iter().filter(|(key, _)| *key != StateKey::from("params"));
        let mut entries: Vec<(StateKey, StateTree)> =
            options.map(|(key, value)| (key.clone(), shared(value))).collect();
        entries.extend(new.get("params").map(|params| ("params".into(), shared(params))));
        StateTree::Dict(entries)
    });
    let groups = groups.collect();
    StateTree::Dict(vec![
        ("state".into(), StateTree::Dict(state.collect())),
        ("param_groups".into(), StateTree::List(groups)),
    ])
}

/// The same tree; tensors are shared.
fn shared(tree: &StateTree) -> StateTree {
    match tree {
        StateTree::None => StateTree::None,
        StateTree::Bool(value) => StateTree::Bool(*value),
        StateTree::Int(value) => StateTree::Int(*value),
        StateTree::Float(value) => StateTree::Float(*value),
        StateTree::Str(value) => StateTree::Str(value.clone()),
        StateTree::Tensor(tensor) => StateTree::Tensor(tensor.shallow_clone()),
        StateTree::List(values) => StateTree::List(values.iter().map(shared).collect()),
        StateTree::Dict(entries) => {
            StateTree::Dict(entries.iter().map(|(key, value)| (key.clone(), shared(value))).collect())
        }
    }
}

fn copy(from: &Tensor, to: &Tensor) -> Result<(), Failure> {
    let copied = tch::no_grad(|| to.shallow_clone().f_copy_(from).map(drop));
    copied.map_err(|error| Failure::new("tensor-error", byoc::torch_message(&error.to_string())))
}

fn state_failed(label: &str, error: &byoc::Error) -> Failure {
    Failure::new(error.code().name(), format!("`{label}` does not take over the state of the former build: {error}"))
}

#[cfg(test)]
mod tests {
    use byoc::StateTree;
    use tch::Tensor;

    use super::carried_state;

    fn optimizer(lr: f64, parameters: i64, states: &[(i64, f32)]) -> StateTree {
        let states = states.iter().map(|(number, value)| (*number, StateTree::Tensor(Tensor::from(*value))));
        let group = StateTree::dict([
            ("lr", StateTree::Float(lr)),
            ("params", StateTree::List((0..parameters).map(StateTree::Int).collect())),
        ]);
        StateTree::dict([("state", StateTree::dict(states)), ("param_groups", StateTree::List(vec![group]))])
    }

    #[test]
    fn what_an_optimizer_remembers_follows_the_names_of_parameters() {
        let old = optimizer(0.25, 3, &[(0, 10.0), (1, 11.0), (2, 12.0)]);
        let new = optimizer(0.5, 3, &[]);
        let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        let carried = carried_state(&old, &names(["a", "b", "c"]), &new, &names(["c", "x", "a"]));
        let value = |number: i64| {
            let states = carried.get("state").unwrap().entries();
            let state = states.iter().find(|(key, _)| *key == number.into())?;
            Some(state.1.as_tensor().unwrap().double_value(&[]))
        };
        assert_eq!([value(0), value(1), value(2)], [Some(12.0), None, Some(10.0)]);
        let Some(StateTree::List(groups)) = carried.get("param_groups") else { panic!("no groups") };
        assert!(matches!(groups[0].get("lr"), Some(StateTree::Float(lr)) if *lr == 0.25), "the rate stays");
        assert!(matches!(groups[0].get("params"), Some(StateTree::List(params)) if params.len() == 3));
    }
}
