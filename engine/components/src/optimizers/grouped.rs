//! What all optimizers share: groups of parameters with options of their own, state in PyTorch's layout, and which
//! parameters take part in a step.

use std::collections::HashSet;

use byoc::{Error, Optimizer, OptimizerComponent, ParameterGroup, Result, StateKey, StateTree};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use tch::{Device, Kind, Tensor};
use torch_ext::gradient;

/// What makes an optimizer: its options (the arguments of a config, and the options of a group) and its step.
pub trait Rule: Clone + Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// Whether the counter `step` lies on the parameter's device, as fused kernels want it; else on the CPU.
    const STEP_ON_DEVICE: bool = false;

    /// Whether the options are possible.
    fn check(&self) -> Result<()>;

    /// The learning rate.
    fn lr(&mut self) -> &mut f64;

    /// The momentum that a schedule may move, if there is one.
    fn momentum(&mut self) -> Option<&mut f64> {
        None
    }

    /// One step for parameters of the same device and dtype, without autograd.
    fn step(&self, active: &mut [Active<'_>]) -> Result<()>;
}

/// A parameter that takes part in a step.
#[derive(Debug)]
pub struct Active<'a> {
    /// The parameter, changed in place.
    pub parameter: Tensor,
    /// Its gradient, in the parameter's memory layout; not to be changed.
    pub gradient: Tensor,
    /// What the optimizer remembers of it.
    pub state: &'a mut State,
}

/// What an optimizer remembers of a parameter: tensors by PyTorch's names.
#[derive(Debug, Default)]
pub struct State(Vec<(String, Tensor)>);

impl State {
    /// The tensor of this name, if there is one; another handle of it.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.shallow_clone())
    }

    /// The tensor of this name, made first if there is none; another handle of it.
    pub fn get_or_insert(&mut self, name: &str, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(tensor) = self.get(name) {
            return Ok(tensor);
        }
        let tensor = make()?;
        self.insert(name, tensor.shallow_clone());
        Ok(tensor)
    }

    /// Puts a tensor under this name.
    pub fn insert(&mut self, name: &str, tensor: Tensor) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = tensor,
            None => self.0.push((name.to_owned(), tensor)),
        }
    }

    /// Counts one more step and gives the number of this one, from 1. The counter lies on the CPU.
    pub fn count_step(&mut self) -> Result<f64> {
        let mut step = self.get_or_insert("step", || Ok(Tensor::f_zeros([], (Kind::Float, Device::Cpu))?))?;
        Ok(f64::try_from(step.f_add_scalar_(1.0)?)?)
    }
}

impl Active<'_> {
    /// A state tensor like the parameter: zeros at first.
    pub fn zeros(&mut self, name: &str) -> Result<Tensor> {
        let parameter = &self.parameter;
        self.state.get_or_insert(name, || Ok(parameter.f_zeros_like()?))
    }

    /// The gradient with `maximize` and an L2 penalty worked in.
    pub fn effective_gradient(&self, weight_decay: f64, maximize: bool) -> Result<Tensor> {
        let gradient = if maximize { self.gradient.f_neg()? } else { self.gradient.shallow_clone() };
        if weight_decay == 0.0 {
            return Ok(gradient);
        }
        Ok(gradient.f_add(&self.parameter.f_mul_scalar(weight_decay)?)?)
    }

    /// Moves the parameter by `-lr · direction`.
    pub fn descend(&mut self, direction: &Tensor, lr: f64) -> Result<()> {
        let _ = self.parameter.f_sub_(&direction.f_mul_scalar(lr)?)?;
        Ok(())
    }
}

/// An optimizer made of a [`Rule`].
#[derive(Debug)]
pub struct Grouped<R> {
    groups: Vec<Group<R>>,
}

#[derive(Debug)]
struct Group<R> {
    options: R,
    slots: Vec<Slot>,
    /// entries of a loaded group that are not this optimizer's options (`initial_lr`), to be written again
    extra: Vec<(StateKey, StateTree)>,
}

#[derive(Debug)]
struct Slot {
    parameter: Tensor,
    state: State,
}

impl<R: Rule> OptimizerComponent for Grouped<R> {
    type Args = R;

    fn new(args: R, groups: Vec<ParameterGroup>) -> Result<Self> {
        args.check()?;
        let mut seen = HashSet::new();
        let mut built = Vec::with_capacity(groups.len());
        for (number, group) in groups.into_iter().enumerate() {
            let options = overlay(&args, &group.options)
                .and_then(|options| options.check().map(|()| options))
                .map_err(|error| error.context(format!("options of parameter group {number}")))?;
            for parameter in &group.parameters {
                check_parameter(parameter, &mut seen)?;
            }
            let slots = group.parameters.into_iter().map(|parameter| Slot { parameter, state: State::default() });
            built.push(Group { options, slots: slots.collect(), extra: Vec::new() });
        }
        if built.iter().all(|group| group.slots.is_empty()) {
            return Err(Error::invalid_argument(
                "the optimizer has no parameters: does the network have any that are trained?",
            ));
        }
        Ok(Self { groups: built })
    }
}

impl<R: Rule> Optimizer for Grouped<R> {
    fn step(&mut self) -> Result<()> {
        tch::no_grad(|| {
            for group in &mut self.groups {
                for mut active in by_device_and_kind(&mut group.slots)? {
                    group.options.step(&mut active)?;
                }
            }
            Ok(())
        })
    }

    fn zero_grad(&mut self) -> Result<()> {
        let parameters: Vec<Tensor> =
            self.groups.iter().flat_map(|group| &group.slots).map(|slot| slot.parameter.shallow_clone()).collect();
        gradient::clear(&parameters)
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.groups.iter().map(|group| *group.options.clone().lr()).collect()
    }

    fn set_learning_rates(&mut self, learning_rates: &[f64]) -> Result<()> {
        self.same_number("learning rates", learning_rates.len())?;
        for (group, &lr) in self.groups.iter_mut().zip(learning_rates) {
            *group.options.lr() = lr;
        }
        Ok(())
    }

    fn set_momentums(&mut self, momentums: &[f64]) -> Result<()> {
        self.same_number("momentums", momentums.len())?;
        for (group, &momentum) in self.groups.iter_mut().zip(momentums) {
            match group.options.momentum() {
                Some(target) => *target = momentum,
                None => {
                    return Err(Error::invalid_argument(
                        "the schedule moves the momentum, but this optimizer has none: set `cycle_momentum` to false",
                    ));
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<StateTree> {
        let mut state = Vec::new();
        let mut groups = Vec::new();
        let mut index = 0;
        for group in &self.groups {
            let first = index;
            for slot in &group.slots {
                if !slot.state.0.is_empty() {
                    let tensors = slot
                        .state
                        .0
                        .iter()
                        .map(|(name, tensor)| (name.as_str(), StateTree::Tensor(tensor.shallow_clone())));
                    state.push((StateKey::Int(index), StateTree::dict(tensors)));
                }
                index += 1;
            }
            let options = serde_json::to_value(&group.options)?;
            let mut entries = match StateTree::from_json(&options) {
                StateTree::Dict(entries) => entries,
                _ => Vec::new(),
            };
            entries.extend(group.extra.iter().map(|(key, value)| (key.clone(), value.shallow_clone())));
            entries.push(("params".into(), StateTree::List((first..index).map(StateTree::Int).collect())));
            groups.push(StateTree::Dict(entries));
        }
        Ok(StateTree::dict([("state", StateTree::Dict(state)), ("param_groups", StateTree::List(groups))]))
    }

    fn load_state(&mut self, state: &StateTree) -> Result<()> {
        let Some(StateTree::List(saved_groups)) = state.get("param_groups") else {
            return Err(Error::data(
                "the optimizer's state has no list `param_groups`: it is not an optimizer's state",
            ));
        };
        if saved_groups.len() != self.groups.len() {
            let (saved, here) = (saved_groups.len(), self.groups.len());
            return Err(Error::data(format!(
                "the optimizer's state has {saved} parameter groups, this optimizer has {here}"
            )));
        }
        let saved_states = state.get("state").map(StateTree::entries).unwrap_or_default();
        // all of it is made first, so that an error leaves the optimizer as it was
        let mut loaded = Vec::with_capacity(saved_groups.len());
        for (number, (group, saved)) in self.groups.iter().zip(saved_groups).enumerate() {
            let context = |error: Error| error.context(format!("parameter group {number} of the optimizer's state"));
            loaded.push(group.load(saved, saved_states).map_err(context)?);
        }
        for (group, (options, extra, states)) in self.groups.iter_mut().zip(loaded) {
            (group.options, group.extra) = (options, extra);
            for (slot, state) in group.slots.iter_mut().zip(states) {
                slot.state = state;
            }
        }
        Ok(())
    }
}

impl<R: Rule> Grouped<R> {
    fn same_number(&self, what: &str, count: usize) -> Result<()> {
        if count == self.groups.len() {
            return Ok(());
        }
        Err(Error::invalid_argument(format!("{count} {what} for {} parameter groups", self.groups.len())))
    }
}

/// The options, entries that are not options, and a state for each parameter.
type Loaded<R> = (R, Vec<(StateKey, StateTree)>, Vec<State>);

impl<R: Rule> Group<R> {
    fn load(&self, saved: &StateTree, saved_states: &[(StateKey, StateTree)]) -> Result<Loaded<R>> {
        let Some(StateTree::List(indices)) = saved.get("params") else {
            return Err(Error::data("it has no list `params`"));
        };
        if indices.len() != self.slots.len() {
            let (saved, here) = (indices.len(), self.slots.len());
            return Err(Error::data(format!(
                "it has {saved} parameters, here are {here}: is the network another one?"
            )));
        }
        let known = serde_json::to_value(&self.options)?;
        let mut options = Map::new();
        let mut extra = Vec::new();
        for (key, value) in saved.entries() {
            match key {
                StateKey::Str(name) if name == "params" => {}
                StateKey::Str(name) if known.get(name).is_some() => {
                    // what older files leave out, or hold as None, stays as it is
                    if !matches!(value, StateTree::None) {
                        options.insert(name.clone(), value.to_json());
                    }
                }
                _ => extra.push((key.clone(), value.shallow_clone())),
            }
        }
        let options = overlay(&self.options, &options)?;
        options.check()?;
        let mut states = Vec::with_capacity(self.slots.len());
        for (slot, index) in self.slots.iter().zip(indices) {
            let key = index.as_i64().map(StateKey::Int);
            let saved = saved_states.iter().find(|(saved, _)| Some(saved) == key.as_ref()).map(|(_, state)| state);
            states.push(load_slot::<R>(&slot.parameter, saved)?);
        }
        Ok((options, extra, states))
    }
}

/// A parameter's saved state, in the parameter's dtype, on its device and in its memory layout.
fn load_slot<R: Rule>(parameter: &Tensor, saved: Option<&StateTree>) -> Result<State> {
    let mut state = State::default();
    for (key, value) in saved.map(StateTree::entries).unwrap_or_default() {
        let StateKey::Str(name) = key else { continue };
        let tensor = match value {
            StateTree::Tensor(tensor) => tensor.shallow_clone(),
            // older versions of PyTorch and MONAI's Novograd count steps in an int
            StateTree::Int(_) | StateTree::Float(_) | StateTree::Bool(_) => {
                Tensor::from(value.as_f64().unwrap_or_default()).f_to_kind(Kind::Float)?
            }
            _ => continue,
        };
        let tensor = if name == "step" {
            let device = if R::STEP_ON_DEVICE { parameter.device() } else { Device::Cpu };
            Tensor::f_zeros([], (Kind::Float, device))?.f_fill_tensor_(&tensor.f_reshape([] as [i64; 0])?)?
        } else if tensor.size() == parameter.size() {
            let mut like = tch::no_grad(|| parameter.f_zeros_like())?;
            like.f_copy_(&tensor)?;
            like
        } else if tensor.numel() == 1 {
            // a copy: a step changes it in place, and the loaded tree is its owner's
            tensor.f_to_device(parameter.device())?.f_to_dtype(parameter.kind(), false, true)?
        } else {
            let (found, expected) = (tensor.size(), parameter.size());
            return Err(Error::data(format!("`{name}` has shape {found:?} for a parameter of shape {expected:?}")));
        };
        state.insert(name, tensor);
    }
    Ok(state)
}

/// The options with these entries instead of their own.
fn overlay<R: Rule>(options: &R, entries: &Map<String, Json>) -> Result<R> {
    let mut all = serde_json::to_value(options)?;
    if let Json::Object(all) = &mut all {
        all.extend(entries.clone());
    }
    Ok(serde_json::from_value(all)?)
}

/// A parameter that a fused kernel can walk over in memory, and that is not there twice.
fn check_parameter(parameter: &Tensor, seen: &mut HashSet<usize>) -> Result<()> {
    let size = parameter.size();
    let last: i64 = size.iter().zip(parameter.stride()).map(|(size, stride)| (size - 1) * stride).sum();
    if parameter.numel() > 0 && last + 1 != parameter.numel() as i64 {
        return Err(Error::invalid_argument(format!(
            "a parameter of shape {size:?} is a view with gaps: make it contiguous"
        )));
    }
    if !matches!(parameter.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
        return Err(Error::invalid_argument(format!("a parameter of dtype {:?} cannot be trained", parameter.kind())));
    }
    if parameter.numel() > 0 && !seen.insert(parameter.data_ptr() as usize) {
        return Err(Error::invalid_argument(format!("a parameter of shape {size:?} is there twice")));
    }
    Ok(())
}

/// The parameters that have a gradient, those of one device and dtype together.
fn by_device_and_kind(slots: &mut [Slot]) -> Result<Vec<Vec<Active<'_>>>> {
    let mut buckets: Vec<((Device, Kind), Vec<Active<'_>>)> = Vec::new();
    for slot in slots {
        let mut gradient = slot.parameter.f_grad()?;
        if !gradient.defined() {
            continue;
        }
        if gradient.is_sparse() {
            return Err(Error::msg("a parameter has a sparse gradient, which optimizers cannot work with"));
        }
        if gradient.stride() != slot.parameter.stride() {
            let mut like = slot.parameter.f_empty_like()?;
            like.f_copy_(&gradient)?;
            gradient = like;
        }
        let key = (slot.parameter.device(), slot.parameter.kind());
        let active = Active { parameter: slot.parameter.shallow_clone(), gradient, state: &mut slot.state };
        match buckets.iter_mut().find(|(known, _)| *known == key) {
            Some((_, bucket)) => bucket.push(active),
            None => buckets.push((key, vec![active])),
        }
    }
    Ok(buckets.into_iter().map(|(_, bucket)| bucket).collect())
}
