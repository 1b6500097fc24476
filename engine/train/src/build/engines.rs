//! Trainer and evaluator, and the objects of a checkpoint.

use std::time::Instant;

use byoc::{Constructor, EngineRole, Expression, Kind, LrScheduler, Optimizer, ParameterGroup, Wired};
use mmar_config::{Component, Section};
use mmar_data::Chain;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use torch_ext::amp::GradScaler;

use super::Builder;
use crate::checkpoint::last::Progressed;
use crate::workflow::{
    Core, Evaluator, HandlerSlot, MetricSlot, ModelHandle, Objects, Postprocessing, Precision, Trainer,
};
use crate::{Failure, Observer};

impl Builder<'_> {
    /// The objects of a training.
    pub(crate) fn training_objects(&self, section: &Section) -> Result<Objects, Failure> {
        let model = self.model(section)?;
        let Some(component) = &section.optimizer else { return Err(Failure::bug("a training without an optimizer")) };
        let mut optimizer = self.optimizer(component, &model)?;
        let lr_scheduler = match &section.lr_scheduler {
            Some(component) => Some(self.lr_scheduler(component, optimizer.as_mut())?),
            None => None,
        };
        let scaler = GradScaler::new(Precision::new(self.device, section.amp).needs_scaling());
        Ok(Objects { model, optimizer: Some(optimizer), lr_scheduler, scaler, conf: self.plan().conf.clone() })
    }

    /// The objects of an evaluation.
    pub(crate) fn evaluation_objects(&self, section: &Section) -> Result<Objects, Failure> {
        Ok(Objects {
            model: self.model(section)?,
            optimizer: None,
            lr_scheduler: None,
            scaler: GradScaler::new(false),
            conf: self.plan().conf.clone(),
        })
    }

    /// The trainer.
    pub(crate) fn trainer(&self, section: &Section, observer: &mut dyn Observer) -> Result<Trainer, Failure> {
        let (Some(loss), Some(optimizer)) = (&section.loss, &section.optimizer) else {
            return Err(Failure::bug("a training without a loss"));
        };
        let loss_label = loss.id.lookup().to_owned();
        let loss = self.loss(loss)?;
        let core = self.core(section, EngineRole::Trainer, "caching the training list", observer)?;
        Ok(Trainer {
            core,
            loss,
            loss_label,
            optimizer_label: optimizer.id.lookup().to_owned(),
            progressed: Progressed::start(),
            saved: Instant::now(),
            last_batch: None,
        })
    }

    /// The evaluator.
    pub(crate) fn evaluator(
        &self,
        section: &Section,
        kind: &'static str,
        observer: &mut dyn Observer,
    ) -> Result<Evaluator, Failure> {
        let core = self.core(section, EngineRole::Evaluator, "caching the validation list", observer)?;
        Ok(Evaluator { core, kind })
    }

    fn core(
        &self,
        section: &Section,
        role: EngineRole,
        what: &str,
        observer: &mut dyn Observer,
    ) -> Result<Core, Failure> {
        if let Some(iteration) = &section.iteration {
            let message = format!("the `iteration` component `{}` cannot be run by this version", iteration.id);
            return Err(Failure::config(self.plan().component_error(iteration, message, Vec::new())));
        }
        let inferer = self.inferer(&section.inferer)?;
        let post = self.chain(&section.post_transforms)?;
        let post = post().map_err(|error| Failure::new(error.code().name(), error.to_string()))?;
        let metrics = self.metrics(section)?;
        let handlers = self.handlers(section)?;
        // last, as filling a cache takes long and everything else is checked by now
        let loader = self.loader(section, what, observer)?;
        let steps = loader.batches_per_epoch() as u64;
        Ok(Core {
            state: Core::initial_state(role, section.max_epochs, steps, &metrics),
            loader,
            inferer,
            inferer_label: section.inferer.id.lookup().to_owned(),
            postprocessing: Postprocessing {
                chain: Chain::new(post),
                decollates: self.plan().dialect.decollates(),
                seed: self.seed,
            },
            metrics,
            handlers,
            precision: Precision::new(self.device, section.amp),
            outputs: Vec::new(),
        })
    }

    fn metrics(&self, section: &Section) -> Result<Vec<MetricSlot>, Failure> {
        let make = |metric: &mmar_config::Metric| {
            let transform = metric.output_transform.as_ref().map(Expression::deserialize).transpose();
            let transform =
                transform.map_err(|error| Failure::bug(format!("an expression that was checked: {error}")))?;
            Ok(MetricSlot {
                component: metric.component.id.lookup().to_owned(),
                label: metric.log_label.clone(),
                is_key: metric.is_key,
                output_transform: transform.map_or_else(MetricSlot::default_transform, |transform| transform.form),
                metric: self.metric(&metric.component)?,
                saved: None,
            })
        };
        section.metrics.iter().map(make).collect()
    }

    fn handlers(&self, section: &Section) -> Result<Vec<HandlerSlot>, Failure> {
        // the one process of this version has rank 0
        let here = section.handlers.iter().filter(|component| component.rank.is_none_or(|rank| rank == 0));
        here.map(|component| {
            Ok(HandlerSlot { label: component.id.label().to_owned(), handler: self.handler(component)? })
        })
        .collect()
    }

    pub(crate) fn optimizer(&self, component: &Component, model: &ModelHandle) -> Result<Box<dyn Optimizer>, Failure> {
        let (entry, args) = self.look_up(Kind::OPTIMIZER, component)?;
        let Constructor::Optimizer(create) = &entry.constructor else {
            return Err(Self::wrong_constructor(Kind::OPTIMIZER));
        };
        let parameters = model.parameters().map(|named| named.tensor.shallow_clone()).collect();
        let groups = vec![ParameterGroup { parameters, options: serde_json::Map::new() }];
        self.made(component, || create(&args, groups))
    }

    /// The schedule; the optimizer starts with its first rates.
    fn lr_scheduler(
        &self,
        component: &Component,
        optimizer: &mut dyn Optimizer,
    ) -> Result<Box<dyn LrScheduler>, Failure> {
        let (entry, args) = self.look_up(Kind::LR_SCHEDULER, component)?;
        let Constructor::LrScheduler(create) = &entry.constructor else {
            return Err(Self::wrong_constructor(Kind::LR_SCHEDULER));
        };
        self.made(component, || {
            let schedule = create(&args, &optimizer.learning_rates())?;
            optimizer.set_learning_rates(&schedule.learning_rates())?;
            if let Some(momentums) = schedule.momentums() {
                optimizer.set_momentums(&momentums)?;
            }
            Ok(schedule)
        })
    }
}

/// Trains a network on images and labels, the batch's `image` and `label`. MONAI: `SupervisedTrainer`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct SupervisedTrainerArgs {
    /// How many epochs; `epochs` of the config's root if not given.
    #[schemars(range(min = 1))]
    max_epochs: Option<u64>,
    /// The loader, `"@dataloader"`.
    train_data_loader: Option<Wired>,
    /// The network, `"@model"`.
    network: Option<Wired>,
    /// The loss, `"@loss"`.
    loss_function: Option<Wired>,
    /// The optimizer, `"@optimizer"`.
    optimizer: Option<Wired>,
    /// The inferer, `"@inferer"`.
    inferer: Option<Wired>,
    /// The post transforms, `"@post_transforms"`.
    postprocessing: Option<Wired>,
    /// The key metric, `"@key_metric"`.
    key_train_metric: Option<Wired>,
    /// Further metrics, `"@additional_metrics"`.
    additional_metrics: Option<Wired>,
    /// The handlers, `"@handlers"`.
    train_handlers: Option<Wired>,
    /// Mixed precision.
    amp: Option<bool>,
    /// `"cuda"` or `"cpu"`; `use_gpu` of the config's root decides.
    device: Option<String>,
    /// Accepted for compatibility: whether the batch is taken apart, which the dialect decides.
    decollate: Option<bool>,
    /// Accepted for compatibility: gradients are always dropped, not zeroed.
    optim_set_to_none: Option<bool>,
}

/// Applies a network without gradients and computes metrics. MONAI: `SupervisedEvaluator`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct SupervisedEvaluatorArgs {
    /// The loader, `"@dataloader"`.
    val_data_loader: Option<Wired>,
    /// The network, `"@model"`.
    network: Option<Wired>,
    /// The inferer, `"@inferer"`.
    inferer: Option<Wired>,
    /// The post transforms, `"@post_transforms"`.
    postprocessing: Option<Wired>,
    /// The key metric, `"@key_metric"`.
    key_val_metric: Option<Wired>,
    /// Further metrics, `"@additional_metrics"`.
    additional_metrics: Option<Wired>,
    /// The handlers, `"@handlers"`.
    val_handlers: Option<Wired>,
    /// Mixed precision.
    amp: Option<bool>,
    /// `"cuda"` or `"cpu"`; `use_gpu` of the config's root decides.
    device: Option<String>,
    /// Accepted for compatibility: networks are evaluated in `eval` mode.
    mode: Option<Json>,
    /// Accepted for compatibility: whether the batch is taken apart, which the dialect decides.
    decollate: Option<bool>,
}

byoc::register! {
    trainers: [SupervisedTrainerArgs = "SupervisedTrainer"],
    evaluators: [SupervisedEvaluatorArgs = "SupervisedEvaluator"],
}
