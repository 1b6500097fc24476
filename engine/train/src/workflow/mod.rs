//! What happens in a run, in the order of MONAI's workflows: steps, post transforms, metrics, events.

pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod evaluator;
pub(crate) mod guard;
pub(crate) mod handlers;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod output;
pub(crate) mod precision;
pub(crate) mod select;
pub(crate) mod trainer;
pub(crate) mod wording;

pub(crate) use context::{Context, Objects};
pub(crate) use core::Core;
pub(crate) use evaluator::Evaluator;
pub(crate) use handlers::HandlerSlot;
pub(crate) use metrics::MetricSlot;
pub(crate) use network::ModelHandle;
pub(crate) use output::Postprocessing;
pub(crate) use precision::Precision;
pub(crate) use trainer::Trainer;
