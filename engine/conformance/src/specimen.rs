//! A component under test: how it is made, and what it is tried with.

use std::cell::OnceCell;

use byoc::{BuiltNetwork, Constructor, Descriptor, ErrorCode, Handler, Loss, Metric, Transform};
use serde_json::Value as Json;

use crate::arguments;
use crate::given::Given;
use crate::object::{Object, Response};
use crate::stimulus::{Plan, Stimulus};
use crate::verdict::{Verdict, said};

/// A component of the plugin.
pub(crate) struct Specimen {
    /// What it says about itself.
    pub(crate) descriptor: Descriptor,
    /// What the user gives for it.
    pub(crate) given: Given,
    /// What random inputs are drawn with.
    pub(crate) seed: u64,
    constructor: Constructor,
    plan: OnceCell<Result<Plan, Verdict>>,
}

impl Specimen {
    pub(crate) fn new(descriptor: Descriptor, constructor: Constructor, given: Given, seed: u64) -> Self {
        Self { descriptor, given, seed, constructor, plan: OnceCell::new() }
    }

    /// The arguments that were given, or a guess.
    pub(crate) fn args(&self) -> Json {
        match &self.given.args {
            Some(args) => Json::Object(args.clone()),
            None => arguments::example(&self.descriptor.schema),
        }
    }

    /// Makes it; networks with the same weights each time.
    pub(crate) fn make_with(&self, args: &Json) -> byoc::Result<Object> {
        self.make_from_seed(args, self.seed)
    }

    fn make_from_seed(&self, args: &Json, seed: u64) -> byoc::Result<Object> {
        self.make_after(args, || tch::manual_seed(seed as i64))
    }

    /// Makes it right after something else was done.
    pub(crate) fn make_after(&self, args: &Json, prepare: impl FnOnce()) -> byoc::Result<Object> {
        prepare();
        Ok(match &self.constructor {
            Constructor::Network(make) => Object::Network(make(args)?),
            Constructor::Loss(make) => Object::Loss(make(args)?),
            Constructor::Metric(make) => Object::Metric(make(args)?),
            Constructor::Transform(make) => Object::Transform(make(args)?),
            Constructor::Handler(make) => Object::Handler(make(args)?),
            _ => {
                let kind = self.descriptor.kind;
                return Err(byoc::Error::new(ErrorCode::UNSUPPORTED, format!("there are no tests of a {kind}")));
            }
        })
    }

    /// Makes it with the arguments of [`Specimen::args`].
    pub(crate) fn make(&self) -> Result<Object, Verdict> {
        let args = self.args();
        self.make_with(&args).map_err(|error| match &self.given.args {
            Some(_) if error.code() != ErrorCode::UNSUPPORTED => Verdict::failed(
                format!("it cannot be made with the arguments that were given: {}", said(&error)),
                "give arguments that it takes",
            ),
            None if error.code() == ErrorCode::PANICKED => Verdict::skipped("it panics when it is made, see `made`"),
            _ => Verdict::skipped(format!(
                "it cannot be made with arguments guessed from its schema, `{args}`: {}; give some with `--args FILE`",
                said(&error)
            )),
        })
    }

    pub(crate) fn network(&self) -> Result<BuiltNetwork, Verdict> {
        match self.make()? {
            Object::Network(network) => Ok(network),
            _ => Err(Verdict::skipped("it is no network")),
        }
    }

    /// A network with other weights.
    pub(crate) fn network_of_another_seed(&self) -> Result<BuiltNetwork, Verdict> {
        match self.make_from_seed(&self.args(), self.seed.wrapping_add(1))? {
            Object::Network(network) => Ok(network),
            _ => Err(Verdict::skipped("it is no network")),
        }
    }

    pub(crate) fn loss(&self) -> Result<Box<dyn Loss>, Verdict> {
        match self.make()? {
            Object::Loss(loss) => Ok(loss),
            _ => Err(Verdict::skipped("it is no loss")),
        }
    }

    pub(crate) fn metric(&self) -> Result<Box<dyn Metric>, Verdict> {
        match self.make()? {
            Object::Metric(metric) => Ok(metric),
            _ => Err(Verdict::skipped("it is no metric")),
        }
    }

    pub(crate) fn transform(&self) -> Result<Box<dyn Transform>, Verdict> {
        match self.make()? {
            Object::Transform(transform) => Ok(transform),
            _ => Err(Verdict::skipped("it is no transform")),
        }
    }

    pub(crate) fn handler(&self) -> Result<Box<dyn Handler>, Verdict> {
        match self.make()? {
            Object::Handler(handler) => Ok(handler),
            _ => Err(Verdict::skipped("it is no handler")),
        }
    }

    /// Inputs that it takes: found by trying, once.
    pub(crate) fn plan(&self) -> Result<&Plan, Verdict> {
        self.plan.get_or_init(|| Plan::find(self)).as_ref().map_err(Clone::clone)
    }

    /// The input of this number: the same for the same seed and number.
    pub(crate) fn stimulus(&self, number: u64) -> Result<Stimulus, Verdict> {
        Ok(self.plan()?.stimulus(self.seed, number))
    }

    /// What a new object answers.
    pub(crate) fn answer(&self, stimulus: &Stimulus) -> Result<Response, Verdict> {
        Ok(self.make()?.respond(&stimulus.copy())?.copy())
    }

    /// What new objects answer each time; there is nothing to compare with in one that does not repeat itself.
    pub(crate) fn steady_answer(&self, stimulus: &Stimulus) -> Result<Response, Verdict> {
        let first = self.answer(stimulus)?;
        match first.difference(&self.answer(stimulus)?)? {
            None => Ok(first),
            Some(_) => Err(Verdict::skipped("it does not repeat itself, see `deterministic` and `independent`")),
        }
    }
}
