//! Computing what a case expects: one file per kind.

mod handler;
mod inferer;
mod item;
mod loss;
mod lr_scheduler;
mod metric;
mod network;
mod optimizer;
mod saved_files;
mod train_step;
mod transform;

use byoc::{Constructor, Kind, Loss, LrScheduler, Optimizer, ParameterGroup};
use serde_json::Value as Json;
use tch::Tensor;

use crate::case::Case;
use crate::compare::Actual;
use crate::components::Components;

/// Why a replay gave no values to compare.
#[derive(Debug)]
pub(crate) enum Stop {
    /// There is no such component.
    Missing(String),
    /// The component is not what the case describes: other parameters, say.
    Failed(String),
    /// The component gave an error, or the case is broken.
    Error(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Error(message)
    }
}

impl From<byoc::Error> for Stop {
    fn from(error: byoc::Error) -> Self {
        Self::Error(error.to_string())
    }
}

impl From<tch::TchError> for Stop {
    fn from(error: tch::TchError) -> Self {
        Self::Error(byoc::torch_message(&error.to_string()))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Error(error.to_string())
    }
}

/// What a replay gives.
pub(crate) type Replay<T = Actual> = Result<T, Stop>;

/// Computes the values of a case.
pub(crate) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    match case.kind.as_str() {
        "loss" => loss::replay(case, components),
        "metric" => metric::replay(case, components),
        "network" => network::replay(case, components),
        "handler" => handler::replay(case, components),
        "inferer" => inferer::replay(case, components),
        "optimizer" => optimizer::replay(case, components),
        "lr_scheduler" => lr_scheduler::replay(case, components),
        "train_step" => train_step::replay(case, components),
        "transform" => transform::replay(case, components),
        other => Err(Stop::Error(format!(
            "the case's kind is `{other}`; kinds are `handler`, `inferer`, `loss`, `lr_scheduler`, `metric`, \
             `network`, `optimizer`, `train_step`, `transform`"
        ))),
    }
}

/// The constructor of a component. A dotted path that nobody knows is tried again by its last segment: cases carry
/// the Python paths of their origin.
pub(crate) fn find(components: &mut dyn Components, kind: Kind, name: &str) -> Replay<Constructor> {
    let last = name.rsplit('.').next().unwrap_or(name);
    for name in [name, last] {
        if let Some(constructor) = components.find(kind, name)? {
            return Ok(constructor);
        }
    }
    Err(Stop::Missing(format!("no such component: {kind} `{last}`")))
}

/// Defines a function that makes a component of a kind from its arguments.
macro_rules! make {
    ($function:ident, $kind:ident, $variant:ident, $result:ty $(, $extra:ident: $type:ty)?) => {
        pub(crate) fn $function(
            components: &mut dyn Components,
            name: &str,
            args: &Json
            $(, $extra: $type)?
        ) -> Replay<$result> {
            match find(components, Kind::$kind, name)? {
                Constructor::$variant(create) => Ok(create(args $(, $extra)?)?),
                _ => Err(Stop::Error(format!("`{name}` is registered as a {}, but is made otherwise", Kind::$kind))),
            }
        }
    };
}

make!(make_loss, LOSS, Loss, Box<dyn Loss>);
make!(make_metric, METRIC, Metric, Box<dyn byoc::Metric>);
make!(make_network, NETWORK, Network, byoc::BuiltNetwork);
make!(make_transform, TRANSFORM, Transform, Box<dyn byoc::Transform>);
make!(make_inferer, INFERER, Inferer, Box<dyn byoc::Inferer>);
make!(make_optimizer, OPTIMIZER, Optimizer, Box<dyn Optimizer>, groups: Vec<ParameterGroup>);
make!(make_lr_scheduler, LR_SCHEDULER, LrScheduler, Box<dyn LrScheduler>, initial: &[f64]);

/// Arguments as a component gets them from the engine: `"@name"` has become a reference.
pub(crate) fn with_references(args: &Json) -> Json {
    match args {
        Json::String(text) => match text.strip_prefix('@') {
            Some(object) => serde_json::json!({ "$ref": object }),
            None => args.clone(),
        },
        Json::Array(values) => values.iter().map(with_references).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), with_references(value))).collect(),
        _ => args.clone(),
    }
}

/// The gradient of a tensor; zeros if nothing flowed into it.
pub(crate) fn gradient(tensor: &Tensor) -> Replay<Tensor> {
    let gradient = tensor.f_grad()?;
    Ok(if gradient.defined() { gradient } else { tensor.f_zeros_like()? })
}

/// A leaf with its own storage that collects a gradient.
pub(crate) fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().copy().set_requires_grad(tensor.is_floating_point())
}
