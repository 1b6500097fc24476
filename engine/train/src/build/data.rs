//! Transforms, datasets and loaders.

use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use byoc::{Constructor, Create, Kind, Transform};
use mmar_config::{Component, Section};
use mmar_data::{
    CacheDatasetArgs, CacheSize, ChainFactory, ChainStep, DataLoader, DataLoaderArgs, Dataset, DatasetArgs,
    LoaderOptions, load_data_list,
};
use serde_json::Value as Json;

use super::Builder;
use crate::workflow::wording;
use crate::{Failure, Observer, Progress};

/// Threads that fill a cache when the config does not say how many.
const DEFAULT_WORKERS: usize = 1;

/// A transform's name in messages, how to make it, and from what.
type NamedTransform = (String, Create<Box<dyn Transform>>, Json);

impl Builder<'_> {
    /// The transforms of a list. They are made once here, so that what is wrong with one is told at its place in the
    /// config, and again in each worker.
    pub(crate) fn chain(&self, components: &[Component]) -> Result<ChainFactory, Failure> {
        let mut steps: Vec<NamedTransform> = Vec::with_capacity(components.len());
        for component in components {
            let (entry, args) = self.look_up(Kind::TRANSFORM, component)?;
            let Constructor::Transform(create) = entry.constructor else {
                return Err(Self::wrong_constructor(Kind::TRANSFORM));
            };
            self.made(component, || create(&args))?;
            steps.push((component.id.label().to_owned(), create, args));
        }
        Ok(Arc::new(move || {
            let make =
                |(name, create, args): &NamedTransform| Ok(ChainStep { name: name.clone(), transform: create(args)? });
            steps.iter().map(make).collect()
        }))
    }

    /// The loader of a section. `what` is told while a cache is filled.
    pub(crate) fn loader(
        &self,
        section: &Section,
        what: &str,
        observer: &mut dyn Observer,
    ) -> Result<DataLoader, Failure> {
        let factory = self.chain(&section.pre_transforms)?;
        let (cache, workers) = self.cache(&section.dataset.component)?;
        let options = self.loader_options(&section.dataloader)?;
        let mut cases = self.cases(section)?;
        if self.dry_run {
            cases.truncate(options.batch_size.max(1));
        }
        let seed = self.seed;
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let progress = move |done: usize, total: usize| {
            // nobody listens any more only when the dataset is given up
            let _ = tell.lock().unwrap_or_else(PoisonError::into_inner).send((done, total));
        };
        let dataset = thread::scope(|scope| {
            let filling = scope.spawn(move || Dataset::new(cases, factory, seed, cache, workers, &progress));
            for (done, total) in told {
                observer.progress(&Progress::Preparing { what: what.to_owned(), done, total });
            }
            filling.join()
        });
        let dataset = dataset.map_err(|payload| Failure::bug(byoc::panic_message(&*payload)))?;
        let dataset = dataset.map_err(|error| wording::plain(&error))?;
        Ok(DataLoader::new(Arc::new(dataset), options))
    }

    fn cases(&self, section: &Section) -> Result<Vec<byoc::Sample>, Failure> {
        let dataset = &section.dataset;
        let wrong =
            |message: String| Failure::config(self.plan().component_error(&dataset.component, message, Vec::new()));
        let Some(list) = &dataset.data_list_file_path else {
            return Err(wrong("the dataset has no `data_list_file_path`: it names the file with the cases".into()));
        };
        let beside = list.parent().unwrap_or(Path::new("."));
        let base = dataset.data_file_base_dir.as_deref().map_or_else(|| beside.to_owned(), Path::to_owned);
        let key = dataset.data_list_key.as_deref().unwrap_or("training");
        load_data_list(list, &base, key).map_err(|error| wrong(error.to_string()))
    }

    fn cache(&self, component: &Component) -> Result<(CacheSize, usize), Failure> {
        let (entry, args) = self.look_up(Kind::DATASET, component)?;
        match entry.descriptor.name.as_str() {
            "Dataset" => {
                self.made(component, || byoc::args::parse::<DatasetArgs>(&args))?;
                Ok((CacheSize::NONE, DEFAULT_WORKERS))
            }
            "CacheDataset" => {
                let args: CacheDatasetArgs = self.made(component, || byoc::args::parse(&args))?;
                let cores = thread::available_parallelism().map_or(DEFAULT_WORKERS, std::num::NonZero::get);
                let size = CacheSize { num: args.cache_num.unwrap_or(usize::MAX), rate: args.cache_rate };
                let size = if self.dry_run { CacheSize::NONE } else { size };
                Ok((size, args.num_workers.unwrap_or(cores).max(1)))
            }
            other => {
                let message = format!("the dataset `{other}` cannot be made by this version");
                Err(Failure::config(self.plan().component_error(component, message, Vec::new())))
            }
        }
    }

    fn loader_options(&self, component: &Component) -> Result<LoaderOptions, Failure> {
        let (_, args) = self.look_up(Kind::DATALOADER, component)?;
        let args: DataLoaderArgs = self.made(component, || byoc::args::parse(&args))?;
        Ok(LoaderOptions {
            batch_size: args.batch_size,
            shuffle: args.shuffle,
            drop_last: args.drop_last,
            num_workers: args.num_workers,
            seed: self.seed,
        })
    }
}
