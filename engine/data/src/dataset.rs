//! Datasets: cases with their transforms, and the cache of what does not change from epoch to epoch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use byoc::{Error, Result, Sample};

use crate::chain::{Chain, ChainFactory, ItemContext};

/// How many cases a dataset keeps in memory after their deterministic transforms: MONAI's `cache_num` and
/// `cache_rate`, of which the smaller number counts.
#[derive(Debug, Clone, Copy)]
pub struct CacheSize {
    /// At most so many cases.
    pub num: usize,
    /// At most this share of all cases.
    pub rate: f64,
}

impl CacheSize {
    /// Nothing is kept.
    pub const NONE: Self = Self { num: 0, rate: 0.0 };

    fn of(self, len: usize) -> usize {
        self.num.min((len as f64 * self.rate.clamp(0.0, 1.0)) as usize).min(len)
    }
}

/// Called with the number of cases that are cached and that will be.
pub type CacheProgress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Cases with their transforms.
pub struct Dataset {
    /// Tensors are `Send` but not `Sync`: a lock, held for a shallow clone only, lets the workers share them.
    cases: Vec<Mutex<Case>>,
    factory: ChainFactory,
    seed: u64,
}

enum Case {
    /// As the data list has it.
    Listed(Sample),
    /// As it is in front of the first random transform.
    Cached(Vec<Sample>),
}

impl Dataset {
    /// A dataset over these cases. Fills the cache with `workers` threads before it returns.
    ///
    /// # Errors
    /// The first error of a transform, with its name and the case.
    pub fn new(
        cases: Vec<Sample>,
        factory: ChainFactory,
        seed: u64,
        cache: CacheSize,
        workers: usize,
        progress: CacheProgress<'_>,
    ) -> Result<Self> {
        let cached = cache.of(cases.len());
        let cases = cases.into_iter().map(|case| Mutex::new(Case::Listed(case))).collect();
        let dataset = Self { cases, factory, seed };
        dataset.fill_cache(cached, workers, progress)?;
        Ok(dataset)
    }

    /// The number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The number of cases in the cache.
    pub fn cached_len(&self) -> usize {
        self.cases.iter().filter(|case| matches!(*locked(case), Case::Cached(_))).count()
    }

    /// The memory that cached voxels take.
    pub fn cached_bytes(&self) -> usize {
        self.cases
            .iter()
            .map(|case| match &*locked(case) {
                Case::Listed(_) => 0,
                Case::Cached(samples) => samples.iter().map(bytes).sum(),
            })
            .sum()
    }

    /// A chain for one worker.
    pub fn chain(&self) -> Result<Chain> {
        (self.factory)().map(Chain::new)
    }

    /// The samples of a case in an epoch; several where a transform gives several.
    pub fn get(&self, item: usize, epoch: u64, chain: &Chain) -> Result<Vec<Sample>> {
        let context = ItemContext { seed: self.seed, epoch, item };
        let case = locked(&self.cases[item]).shallow_clone();
        match case {
            Case::Listed(sample) => chain.apply(sample, context),
            Case::Cached(samples) => chain.apply_random(samples, context),
        }
    }

    fn fill_cache(&self, n: usize, workers: usize, progress: CacheProgress<'_>) -> Result<()> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        // the first in the list, not in time: the message must not depend on the number of workers
        let failure: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let work = || {
            torch_ext::threads::limit_current_thread(1);
            let chain = self.chain();
            loop {
                let item = next.fetch_add(1, Ordering::Relaxed);
                if item >= n || locked(&failure).is_some() {
                    return;
                }
                match chain.as_ref().map_err(Clone::clone).and_then(|chain| self.cache_case(item, chain)) {
                    Ok(()) => progress(done.fetch_add(1, Ordering::Relaxed) + 1, n),
                    Err(error) => {
                        let mut failure = locked(&failure);
                        if failure.as_ref().is_none_or(|(earlier, _)| item < *earlier) {
                            *failure = Some((item, error));
                        }
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..workers.clamp(1, n.max(1)) {
                scope.spawn(work);
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn cache_case(&self, item: usize, chain: &Chain) -> Result<()> {
        let case = locked(&self.cases[item]).shallow_clone();
        if let Case::Listed(sample) = case {
            let context = ItemContext { seed: self.seed, epoch: 0, item };
            let samples = chain.apply_deterministic(sample, context)?;
            *locked(&self.cases[item]) = Case::Cached(samples);
        }
        Ok(())
    }
}

impl Case {
    fn shallow_clone(&self) -> Self {
        match self {
            Self::Listed(sample) => Self::Listed(sample.shallow_clone()),
            Self::Cached(samples) => Self::Cached(samples.iter().map(Sample::shallow_clone).collect()),
        }
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // whoever panicked with the lock in hand was cloning handles: nothing is left half changed
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(sample: &Sample) -> usize {
    let tensors = sample.iter().filter_map(|(_, value)| value.as_tensor());
    tensors.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum()
}
