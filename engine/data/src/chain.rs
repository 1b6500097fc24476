//! A chain of transforms and the generators of its random ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use byoc::{Error, ErrorCode, Random, Result, Sample, Transform, Value, panic_message};

/// Makes the transforms of a chain. They are `Send` but not `Sync`, so each worker thread gets a chain of its own.
pub type ChainFactory = Arc<dyn Fn() -> Result<Vec<ChainStep>> + Send + Sync>;

/// A transform and its name in messages.
pub struct ChainStep {
    /// The component's name: `Spacingd`.
    pub name: String,
    /// The transform.
    pub transform: Box<dyn Transform>,
}

/// Transforms one after the other, MONAI's `Compose`.
pub struct Chain {
    steps: Vec<ChainStep>,
}

/// Which item is transformed, for its generators and for messages.
#[derive(Debug, Clone, Copy)]
pub struct ItemContext {
    /// The run's seed.
    pub seed: u64,
    /// The epoch; deterministic transforms do not care.
    pub epoch: u64,
    /// The index in the data list.
    pub item: usize,
}

impl Chain {
    /// A chain of these steps.
    pub fn new(steps: Vec<ChainStep>) -> Self {
        Self { steps }
    }

    /// The number of transforms before the first random one: what may be cached.
    pub fn deterministic_len(&self) -> usize {
        self.steps.iter().position(|step| step.transform.is_random()).unwrap_or(self.steps.len())
    }

    /// Applies the transforms before the first random one, and lets that one prepare what it can compute beforehand.
    pub fn apply_deterministic(&self, sample: Sample, context: ItemContext) -> Result<Vec<Sample>> {
        let end = self.deterministic_len();
        let mut samples = self.apply_range(vec![sample], 0..end, context)?;
        if let Some(step) = self.steps.get(end) {
            for sample in &mut samples {
                let origin = describe(sample);
                guarded(|| step.transform.prepare(sample)).map_err(|error| in_step(error, step, context, &origin))?;
            }
        }
        Ok(samples)
    }

    /// Applies the first random transform and all after it.
    pub fn apply_random(&self, samples: Vec<Sample>, context: ItemContext) -> Result<Vec<Sample>> {
        self.apply_range(samples, self.deterministic_len()..self.steps.len(), context)
    }

    /// Applies all transforms.
    pub fn apply(&self, sample: Sample, context: ItemContext) -> Result<Vec<Sample>> {
        self.apply_range(vec![sample], 0..self.steps.len(), context)
    }

    fn apply_range(
        &self,
        mut samples: Vec<Sample>,
        range: std::ops::Range<usize>,
        context: ItemContext,
    ) -> Result<Vec<Sample>> {
        for position in range {
            let step = &self.steps[position];
            let mut transformed = Vec::with_capacity(samples.len());
            for (branch, sample) in samples.into_iter().enumerate() {
                let seed = [context.seed, context.epoch, context.item as u64, position as u64, branch as u64];
                let mut random = Random::from_seed(Random::derive_seed(&seed));
                let origin = describe(&sample);
                let result = guarded(|| step.transform.apply_many(sample, &mut random));
                transformed.extend(result.map_err(|error| in_step(error, step, context, &origin))?);
            }
            samples = transformed;
        }
        Ok(samples)
    }
}

/// Runs component code; a panic in it (tch's operators panic on shapes that do not fit) becomes an error.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|payload| Err(Error::new(ErrorCode::PANICKED, panic_message(&*payload))))
}

fn in_step(error: Error, step: &ChainStep, context: ItemContext, origin: &str) -> Error {
    error.context(format!("`{}` failed on case {} ({origin})", step.name, context.item))
}

/// What a case is called in messages: the file of its image, or its keys.
fn describe(sample: &Sample) -> String {
    let name = |value: &Value| match value {
        Value::Json(json) => json.as_str().map(str::to_owned),
        Value::Image(image) => image.meta.get("filename_or_obj").and_then(|name| name.as_str()).map(str::to_owned),
        Value::Tensor(_) => None,
    };
    let image = sample.get("image").ok().and_then(name);
    image.or_else(|| sample.iter().find_map(|(_, value)| name(value))).unwrap_or_else(|| {
        let keys: Vec<_> = sample.keys().collect();
        keys.join(", ")
    })
}
