//! Bring your own component: the contract between the mmar engine and the networks, losses, metrics, transforms and
//! handlers that it runs.
//!
//! A component implements the trait of its kind ([`Network`], [`Loss`], [`Metric`], [`Transform`], [`Handler`],
//! [`Inferer`], [`Optimizer`], [`LrScheduler`]) and says how it is made from the `args` of a config ([`Component`],
//! [`NetworkComponent`], …). The engine's own components do the same; a plugin is the same code in a library of its
//! own, with one call of [`export_plugin!`].
//!
//! What crosses the library boundary, and how, is private to this crate.

pub mod args;
mod component;
mod descriptor;
mod error;
mod export;
mod ffi;
#[doc(hidden)]
pub mod host;
pub mod nn;
mod random;
mod registration;
mod sample;
mod state;

pub use args::{Expression, ExpressionForm, Keys, ObjectMap, OneOrMany, Reference, Wired};
pub use component::{
    BuiltNetwork, CheckpointRequest, Component, Engine, EngineRole, EngineState, Event, Handler, Inferer, Loss,
    LossInput, LrScheduler, LrSchedulerComponent, Metric, NamedTensor, Network, NetworkComponent, Optimizer,
    OptimizerComponent, ParameterGroup, Predictor, Transform, state_of,
};
pub use descriptor::{Descriptor, Kind};
pub use error::{Error, ErrorCode, Result, panic_message, torch_message};
pub use ffi::host_api::cancelled;
pub use random::Random;
pub use registration::{Constructor, Create, CreateLrScheduler, CreateOptimizer, Registration};
pub use sample::{Affine, AppliedOperation, IDENTITY_AFFINE, Image, Sample, Value};
pub use state::{StateKey, StateTree};

/// What the macros of this crate expand to. Not part of the contract.
#[doc(hidden)]
pub mod __private {
    pub use crate::ffi::export::{Library, Plugin, StaticPlugin};
    pub use crate::ffi::header::{HeaderBytes, PluginFacts};
    pub use inventory;
}
