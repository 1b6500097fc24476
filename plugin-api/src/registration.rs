//! How components become known within one linked image: the engine's binary, or a plugin.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::args::parse;
use crate::{
    BuiltNetwork, Component, Descriptor, Handler, Inferer, Kind, Loss, LrScheduler, LrSchedulerComponent, Metric,
    Network, NetworkComponent, Optimizer, OptimizerComponent, ParameterGroup, Result, Transform, state_of,
};

/// A function that makes a component from the `args` of a config.
pub type Create<T> = Arc<dyn Fn(&Json) -> Result<T> + Send + Sync>;

/// A function that makes an optimizer from the `args` of a config and its parameter groups.
pub type CreateOptimizer = Arc<dyn Fn(&Json, Vec<ParameterGroup>) -> Result<Box<dyn Optimizer>> + Send + Sync>;

/// A function that makes a schedule from the `args` of a config and the initial learning rates.
pub type CreateLrScheduler = Arc<dyn Fn(&Json, &[f64]) -> Result<Box<dyn LrScheduler>> + Send + Sync>;

/// How to make a component, whatever side of the plugin boundary it lives on.
#[derive(Clone)]
#[non_exhaustive]
pub enum Constructor {
    /// Makes a network.
    Network(Create<BuiltNetwork>),
    /// Makes a loss.
    Loss(Create<Box<dyn Loss>>),
    /// Makes a metric.
    Metric(Create<Box<dyn Metric>>),
    /// Makes a transform.
    Transform(Create<Box<dyn Transform>>),
    /// Makes a handler.
    Handler(Create<Box<dyn Handler>>),
    /// Makes an inferer.
    Inferer(Create<Box<dyn Inferer>>),
    /// Makes an optimizer.
    Optimizer(CreateOptimizer),
    /// Makes a schedule from the initial learning rates.
    LrScheduler(CreateLrScheduler),
    /// The engine makes it itself: datasets, loaders, trainers.
    Engine,
}

/// A component of this image; made by [`register!`](crate::register) and [`export_plugin!`](crate::export_plugin).
pub struct Registration {
    /// The name in a config.
    pub name: &'static str,
    describe: fn(&'static str, &'static [&'static str]) -> Descriptor,
    aliases: &'static [&'static str],
    constructor: fn() -> Constructor,
}

inventory::collect!(Registration);

impl Registration {
    /// What the component says about itself.
    pub fn descriptor(&self) -> Descriptor {
        (self.describe)(self.name, self.aliases)
    }

    /// How to make it.
    pub fn constructor(&self) -> Constructor {
        (self.constructor)()
    }

    /// The components registered in this image, sorted by name.
    pub fn all() -> Vec<&'static Self> {
        let mut all: Vec<_> = inventory::iter::<Self>().collect();
        all.sort_by_key(|registration| registration.name);
        all
    }

    /// A network.
    pub const fn network<T: Network + NetworkComponent>(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self {
            name,
            describe: |name, aliases| Descriptor::of::<T::Args>(Kind::NETWORK, name, aliases),
            aliases,
            constructor: || {
                Constructor::Network(Arc::new(|args| {
                    let store = tch::nn::VarStore::new(tch::Device::Cpu);
                    let network = T::new(parse(args)?, &store.root())?;
                    Ok(BuiltNetwork { network: Box::new(network), state: state_of(&store) })
                }))
            },
        }
    }

    /// An optimizer.
    pub const fn optimizer<T: Optimizer + OptimizerComponent>(
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            describe: |name, aliases| Descriptor::of::<T::Args>(Kind::OPTIMIZER, name, aliases),
            aliases,
            constructor: || {
                Constructor::Optimizer(Arc::new(|args, groups| Ok(Box::new(T::new(parse(args)?, groups)?))))
            },
        }
    }

    /// A learning-rate schedule.
    pub const fn lr_scheduler<T: LrScheduler + LrSchedulerComponent>(
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            describe: |name, aliases| Descriptor::of::<T::Args>(Kind::LR_SCHEDULER, name, aliases),
            aliases,
            constructor: || {
                Constructor::LrScheduler(Arc::new(|args, initial| Ok(Box::new(T::new(parse(args)?, initial)?))))
            },
        }
    }

    /// A component that the engine makes itself; `A` are its arguments.
    pub const fn engine<A: schemars::JsonSchema, const KIND: u32>(
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            describe: |name, aliases| Descriptor::of::<A>(Kind(KIND), name, aliases),
            aliases,
            constructor: || Constructor::Engine,
        }
    }
}

/// A registration function for each kind whose components are made from arguments alone.
macro_rules! registrations {
    ($($function:ident: $trait:ident, $kind:ident, $doc:literal;)*) => {
        impl Registration {
            $(
                #[doc = $doc]
                pub const fn $function<T: $trait + Component>(name: &'static str, aliases: &'static [&'static str]) -> Self {
                    Self {
                        name,
                        describe: |name, aliases| Descriptor::of::<T::Args>(Kind::$kind, name, aliases),
                        aliases,
                        constructor: || Constructor::$trait(Arc::new(|args| Ok(Box::new(T::new(parse(args)?)?)))),
                    }
                }
            )*
        }
    };
}

registrations! {
    loss: Loss, LOSS, "A loss.";
    metric: Metric, METRIC, "A metric.";
    transform: Transform, TRANSFORM, "A transform.";
    handler: Handler, HANDLER, "A handler.";
    inferer: Inferer, INFERER, "An inferer.";
}

/// Registers components of the engine itself. Plugins use [`export_plugin!`](crate::export_plugin), which takes the
/// same lists.
///
/// The name in a config is the type's name, or the one given; other names follow after `|`:
///
/// ```text
/// byoc::register! {
///     losses: [DiceLoss, DiceCELoss],
///     networks: [BasicUNet = "BasicUNet" | "BasicUnet"],
/// }
/// ```
#[macro_export]
macro_rules! register {
    ($($list:ident: [$($component:ident $(= $name:literal $(| $alias:literal)*)?),* $(,)?]),* $(,)?) => {
        $($($crate::register!(@one $list $component $(= $name $(| $alias)*)?);)*)*
    };
    (@one $list:ident $component:ident) => {
        $crate::register!(@submit $list $component, ::std::stringify!($component), &[]);
    };
    (@one $list:ident $component:ident = $name:literal $(| $alias:literal)*) => {
        $crate::register!(@submit $list $component, $name, &[$($alias),*]);
    };
    (@submit $list:ident $component:ident, $name:expr, $aliases:expr) => {
        $crate::__private::inventory::submit! { $crate::__registration!($list $component, $name, $aliases) }
    };
}

/// The [`Registration`] of one component of a list: what [`register!`] and [`export_plugin!`] have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! __registration {
    (networks $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::network::<$component>($name, $aliases)
    };
    (losses $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::loss::<$component>($name, $aliases)
    };
    (metrics $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::metric::<$component>($name, $aliases)
    };
    (transforms $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::transform::<$component>($name, $aliases)
    };
    (handlers $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::handler::<$component>($name, $aliases)
    };
    (inferers $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::inferer::<$component>($name, $aliases)
    };
    (optimizers $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::optimizer::<$component>($name, $aliases)
    };
    (lr_schedulers $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::lr_scheduler::<$component>($name, $aliases)
    };
    (datasets $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::engine::<$component, { $crate::Kind::DATASET.0 }>($name, $aliases)
    };
    (dataloaders $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::engine::<$component, { $crate::Kind::DATALOADER.0 }>($name, $aliases)
    };
    (trainers $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::engine::<$component, { $crate::Kind::TRAINER.0 }>($name, $aliases)
    };
    (evaluators $component:ident, $name:expr, $aliases:expr) => {
        $crate::Registration::engine::<$component, { $crate::Kind::EVALUATOR.0 }>($name, $aliases)
    };
    ($list:ident $component:ident, $name:expr, $aliases:expr) => {
        ::std::compile_error!(::std::concat!(
            "`",
            ::std::stringify!($list),
            "` is no list of components; the lists are networks, losses, metrics, transforms, handlers, ",
            "inferers, optimizers, lr_schedulers"
        ))
    };
}
