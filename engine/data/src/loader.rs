//! The data loader: worker threads that prepare batches ahead of the training step.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use byoc::{Error, ErrorCode, Random, Result};

use crate::batch::{Batch, collate};
use crate::chain::Chain;
use crate::dataset::Dataset;

/// Told apart from the generators of transforms, which derive from the same seed.
const SHUFFLE_STREAM: u64 = 0x5348_5546;

/// How a [`DataLoader`] makes batches.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Cases per batch. A case may give several samples, so a batch may hold more.
    pub batch_size: usize,
    /// Whether each epoch has its own random order.
    pub shuffle: bool,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
    /// Worker threads; with 0 there is one, which still works ahead of the step.
    pub num_workers: usize,
    /// The run's seed.
    pub seed: u64,
}

/// Batches of a dataset, epoch by epoch. The batches of an epoch depend on the seed and the epoch only, never on the
/// number of workers.
pub struct DataLoader {
    dataset: Arc<Dataset>,
    options: LoaderOptions,
    /// Chains that are not in use; building one may mean opening components across the plugin boundary.
    idle_chains: Arc<Mutex<Vec<Chain>>>,
}

impl DataLoader {
    /// A loader over this dataset.
    pub fn new(dataset: Arc<Dataset>, options: LoaderOptions) -> Self {
        Self { dataset, options, idle_chains: Arc::default() }
    }

    /// The dataset.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// The number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let (cases, size) = (self.dataset.len(), self.options.batch_size.max(1));
        if self.options.drop_last { cases / size } else { cases.div_ceil(size) }
    }

    /// The batches of an epoch, from `first` on (0 unless a run is resumed within an epoch).
    pub fn epoch(&self, epoch: u64, first: usize) -> Batches {
        let order = if self.options.shuffle {
            let seed = Random::derive_seed(&[self.options.seed, epoch, SHUFFLE_STREAM]);
            Random::from_seed(seed).permutation(self.dataset.len())
        } else {
            (0..self.dataset.len()).collect()
        };
        let size = self.options.batch_size.max(1);
        let batches: Vec<Vec<usize>> =
            order.chunks(size).take(self.batches_per_epoch()).map(<[usize]>::to_vec).collect();
        Batches::start(self, epoch, batches, first)
    }
}

/// The batches of one epoch, in their order.
pub struct Batches {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    dataset: Arc<Dataset>,
    epoch: u64,
    batches: Vec<Vec<usize>>,
    /// How far the workers may be ahead of the step.
    ahead: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    /// The next batch that a worker takes on.
    next: usize,
    /// The next batch that the step gets.
    wanted: usize,
    /// Finished batches that are waiting for their turn.
    ready: BTreeMap<usize, Result<Batch>>,
    stopped: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch to prepare, once it is not too far ahead; none when there is nothing left to do.
    fn take_on(&self) -> Option<usize> {
        let mut queue = self.queue();
        loop {
            if queue.stopped || queue.next >= self.batches.len() {
                return None;
            }
            if queue.next < queue.wanted + self.ahead {
                queue.next += 1;
                return Some(queue.next - 1);
            }
            queue = self.wait(queue);
        }
    }

    fn work(&self, chain: Result<Chain>) -> Option<Chain> {
        torch_ext::threads::limit_current_thread(1);
        let chain = match chain {
            Ok(chain) => chain,
            Err(error) => {
                if let Some(batch) = self.take_on() {
                    self.hand_over(batch, Err(error));
                }
                return None;
            }
        };
        while let Some(batch) = self.take_on() {
            let made = catch_unwind(AssertUnwindSafe(|| self.make(batch, &chain)));
            let made = made.unwrap_or_else(|_| Err(Error::new(ErrorCode::PANICKED, "a data loader worker panicked")));
            self.hand_over(batch, made);
        }
        Some(chain)
    }

    fn make(&self, batch: usize, chain: &Chain) -> Result<Batch> {
        let mut samples = Vec::new();
        for &item in &self.batches[batch] {
            samples.extend(self.dataset.get(item, self.epoch, chain)?);
        }
        collate(samples)
    }

    fn hand_over(&self, batch: usize, made: Result<Batch>) {
        let mut queue = self.queue();
        queue.ready.insert(batch, made);
        self.changed.notify_all();
    }
}

impl Batches {
    fn start(loader: &DataLoader, epoch: u64, batches: Vec<Vec<usize>>, first: usize) -> Self {
        let remaining = batches.len().saturating_sub(first);
        let workers = loader.options.num_workers.clamp(1, remaining.max(1));
        let shared = Arc::new(Shared {
            dataset: Arc::clone(&loader.dataset),
            epoch,
            batches,
            // one batch per worker in the making and one that waits keep the step busy; more only costs memory
            ahead: workers + 1,
            queue: Mutex::new(Queue { next: first, wanted: first, ready: BTreeMap::new(), stopped: false }),
            changed: Condvar::new(),
        });
        let workers = (0..workers)
            .map(|_| {
                let shared = Arc::clone(&shared);
                let idle = Arc::clone(&loader.idle_chains);
                std::thread::spawn(move || {
                    let ready_made = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let chain = ready_made.map_or_else(|| shared.dataset.chain(), Ok);
                    if let Some(chain) = shared.work(chain) {
                        idle.lock().unwrap_or_else(PoisonError::into_inner).push(chain);
                    }
                })
            })
            .collect();
        Self { shared, workers }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut queue = self.shared.queue();
        if queue.wanted >= self.shared.batches.len() || queue.stopped {
            return None;
        }
        loop {
            let wanted = queue.wanted;
            if let Some(batch) = queue.ready.remove(&wanted) {
                queue.wanted += 1;
                queue.stopped |= batch.is_err();
                self.shared.changed.notify_all();
                return Some(batch);
            }
            queue = self.shared.wait(queue);
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.queue().stopped = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // a worker's panic was already handed over as an error
            let _ = worker.join();
        }
    }
}
