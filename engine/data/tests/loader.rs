//! The loader's promises: same batches whatever the number of workers, each epoch its own draws, errors that name the
//! transform and the case, and an epoch that can be left at any point.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use byoc::{Random, Result, Sample, Transform, Value};
use mmar_data::{CacheSize, Chain, ChainStep, DataLoader, Dataset, LoaderOptions, decollate};
use tch::Tensor;

/// Loads a number from the data list; counts its calls.
struct Load(Arc<AtomicUsize>);

impl Transform for Load {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let value = sample.json("image")?.as_f64().ok_or_else(|| byoc::Error::data("no number"))?;
        sample.insert("image", Tensor::from_slice(&[value as f32]));
        Ok(())
    }
}

/// Gives two samples, each with a draw of its own.
struct DrawTwo;

impl Transform for DrawTwo {
    fn apply(&self, _: &mut Sample, _: &mut Random) -> Result<()> {
        Ok(())
    }

    fn apply_many(&self, sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        byoc::ensure!(sample.contains("_prepared"), "was not prepared");
        (0..2)
            .map(|_| {
                let mut sample = sample.shallow_clone();
                let drawn = sample.tensor("image")?.f_add_scalar(random.uniform(0.0, 1.0))?;
                sample.set_tensor("image", drawn)?;
                Ok(sample)
            })
            .collect()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn prepare(&self, sample: &mut Sample) -> Result<()> {
        sample.insert("_prepared", serde_json::json!(true));
        Ok(())
    }
}

/// Panics, as tch's operators do on shapes that do not fit.
struct Panicking;

impl Transform for Panicking {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let image = sample.tensor("image")?;
        if image.double_value(&[0]) as i64 == 3 {
            let _ = Tensor::from_slice(&[1f32, 2.0]).view([1, 2]).matmul(image);
        }
        Ok(())
    }
}

fn cases(n: usize) -> Vec<Sample> {
    (0..n).map(|i| Sample::from_iter([("image".to_owned(), Value::Json(serde_json::json!(i)))])).collect()
}

fn loader(n: usize, num_workers: usize, cache: CacheSize, calls: &Arc<AtomicUsize>) -> DataLoader {
    let calls = Arc::clone(calls);
    let factory = Arc::new(move || {
        Ok(vec![
            ChainStep { name: "Load".into(), transform: Box::new(Load(Arc::clone(&calls))) },
            ChainStep { name: "DrawTwo".into(), transform: Box::new(DrawTwo) },
        ])
    });
    let dataset = Dataset::new(cases(n), factory, 7, cache, 2, &|_, _| ()).unwrap();
    let options = LoaderOptions { batch_size: 3, shuffle: true, drop_last: false, num_workers, seed: 7 };
    DataLoader::new(Arc::new(dataset), options)
}

const ALL: CacheSize = CacheSize { num: usize::MAX, rate: 1.0 };

fn values(loader: &DataLoader, epoch: u64, first: usize) -> Vec<Vec<f64>> {
    loader
        .epoch(epoch, first)
        .map(|batch| Vec::<f64>::try_from(batch.unwrap().sample.tensor("image").unwrap().view(-1)).unwrap())
        .collect()
}

#[test]
fn batches_do_not_depend_on_workers_and_a_resumed_epoch_goes_on_where_it_was() {
    let calls = Arc::default();
    let reference = values(&loader(8, 0, ALL, &calls), 2, 0);
    assert_eq!(reference.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 4]);
    for workers in 1..5 {
        assert_eq!(values(&loader(8, workers, ALL, &calls), 2, 0), reference, "{workers} workers");
    }
    assert_eq!(values(&loader(8, 2, ALL, &calls), 2, 1), reference[1..]);
    assert_ne!(values(&loader(8, 0, ALL, &calls), 3, 0), reference, "another epoch has other draws");
    let whole: Vec<i64> = {
        let mut all: Vec<i64> = reference.concat().iter().map(|value| *value as i64).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(whole, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
}

#[test]
fn deterministic_transforms_run_once_for_cached_cases() {
    let calls: Arc<AtomicUsize> = Arc::default();
    let loader = loader(8, 2, CacheSize { num: 100, rate: 0.5 }, &calls);
    assert_eq!((loader.dataset().cached_len(), calls.load(Ordering::Relaxed)), (4, 4));
    assert_eq!(loader.dataset().cached_bytes(), 4 * 4);
}

#[test]
fn an_epoch_can_be_left_early() {
    let loader = loader(64, 3, ALL, &Arc::default());
    let mut batches = loader.epoch(1, 0);
    let first = batches.next().unwrap().unwrap();
    assert_eq!(decollate(&first, &first.sample).unwrap().len(), 6);
    drop(batches);
    assert_eq!(values(&loader, 1, 0).len(), 22);
}

#[test]
fn an_error_names_the_transform_and_the_case_and_ends_the_epoch() {
    let factory = Arc::new(|| {
        Ok(vec![
            ChainStep { name: "Load".into(), transform: Box::new(Load(Arc::default())) as Box<dyn Transform> },
            ChainStep { name: "Panicking".into(), transform: Box::new(Panicking) },
        ])
    });
    let cached = Dataset::new(cases(6), factory.clone(), 0, ALL, 2, &|_, _| ()).err().unwrap();
    assert!(cached.to_string().starts_with("`Panicking` failed on case 3 (image): size mismatch"), "{cached}");

    let dataset = Dataset::new(cases(6), factory, 0, CacheSize::NONE, 1, &|_, _| ()).unwrap();
    let options = LoaderOptions { batch_size: 1, shuffle: false, drop_last: false, num_workers: 2, seed: 0 };
    let loader = DataLoader::new(Arc::new(dataset), options);
    let results: Vec<_> =
        loader.epoch(1, 0).map(|batch| batch.map(|_| ()).map_err(|error| error.to_string())).collect();
    assert_eq!(results.len(), 4, "nothing comes after the error: {results:?}");
    assert!(results[3].as_ref().unwrap_err().starts_with("`Panicking` failed on case 3 (image)"), "{results:?}");
}

#[test]
fn a_chain_without_random_transforms_is_cached_whole() {
    let chain = Chain::new(vec![ChainStep { name: "Load".into(), transform: Box::new(Load(Arc::default())) }]);
    assert_eq!(chain.deterministic_len(), 1);
}
