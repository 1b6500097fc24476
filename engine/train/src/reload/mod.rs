//! Hot reload: plugins that are rebuilt while a run goes on take over between two steps or epochs.
//!
//! The loader's watcher sees a new build, inspects and probes it. At a safe point it is opened here and everything that
//! the config takes from it is made anew ([`replacement`]), tried on the data of the last step ([`trial`]), and only then
//! put into its place ([`Trainer::reload`]). Whatever fails on the way, the former generation goes on, and the reason is
//! told once for each build. A generation that panics later gives its place back to the former one, too.

mod replacement;
mod trial;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use mmar_loader::{Generation, LoadError, Sighting, Watcher};

use self::replacement::Replacement;
use crate::build::Builder;
use crate::run::records;
use crate::workflow::{Context, Evaluator, Trainer};
use crate::{Failure, Progress, ReloadState, SafePoint, WatchRequest};

/// Follows the plugins of a run.
pub(crate) struct Reloader<'a> {
    builder: &'a Builder<'a>,
    watcher: Watcher,
    at: SafePoint,
    /// Builds that wait for a safe point, the latest of each file.
    ready: Vec<Ready>,
    /// What a generation replaced that took over in this run: its place can be given back.
    former: Option<Arc<Generation>>,
}

/// A build that passed every check outside of this process.
#[derive(Debug, Clone)]
struct Ready {
    file: PathBuf,
    sha256: String,
    seen: Instant,
}

impl<'a> Reloader<'a> {
    /// Follows the files of the plugins that take part in the run.
    pub(crate) fn start(builder: &'a Builder<'a>, request: WatchRequest) -> Result<Self, Failure> {
        let files: Vec<(PathBuf, String)> =
            builder.plugins().into_iter().map(|plugin| (plugin.file, plugin.sha256)).collect();
        if files.is_empty() {
            return Err(Failure::usage("nothing-to-watch", "`--watch` follows plugins, but the config names none")
                .help("a component with `path` comes from a plugin: `\"path\": \"BYOC.myLoss.MyDiceLoss\"`"));
        }
        let watcher = Watcher::start(&files, request.poll).map_err(|error| refused(&error))?;
        Ok(Self { builder, watcher, at: request.at, ready: Vec::new(), former: None })
    }

    /// The name of a plugin in messages.
    fn name_of(&self, file: &Path) -> String {
        let known = self.builder.plugins().into_iter().find(|plugin| plugin.file == file);
        known.map_or_else(|| file.display().to_string(), |plugin| plugin.name)
    }

    /// Tells what the watcher saw.
    fn look(&mut self, tell: &mut dyn FnMut(String, ReloadState, String)) {
        let sightings: Vec<Sighting> = self.watcher.sightings().collect();
        for sighting in sightings {
            match sighting {
                Sighting::Checking { file, sha256 } => {
                    // a newer build is under way: the one that waits is out of date
                    self.ready.retain(|ready| ready.file != file);
                    tell(self.name_of(&file), ReloadState::Checking, format!("a new build, sha {}", short(&sha256)));
                }
                Sighting::Ready { file, sha256, seen } => {
                    let name = self.name_of(&file);
                    let point = match self.at {
                        SafePoint::Epoch => "the next epoch",
                        SafePoint::Step => "the next step",
                    };
                    let took = seen.elapsed().as_secs_f64();
                    let text =
                        format!("sha {} passed its checks in {took:.1} s; takes over at {point}", short(&sha256));
                    tell(name, ReloadState::Waiting, text);
                    self.ready.push(Ready { file, sha256, seen });
                }
                Sighting::Rejected { file, error } => {
                    self.ready.retain(|ready| ready.file != file);
                    let name = self.name_of(&file);
                    tell(name, ReloadState::Rejected, refused(&error).to_string());
                }
                Sighting::Removed { file } => {
                    let name = self.name_of(&file);
                    tell(name, ReloadState::Rejected, "the file was removed; the build in use goes on".to_owned());
                }
            }
        }
    }
}

impl Trainer {
    /// Lets builds that wait take over, if this is a point where they may.
    pub(crate) fn reload(
        &mut self,
        point: SafePoint,
        context: &mut Context<'_>,
        evaluator: Option<&mut Evaluator>,
    ) -> Result<(), Failure> {
        let Some(mut reloader) = context.reloader.take() else { return Ok(()) };
        let observer = &mut *context.observer;
        reloader.look(&mut |plugin, state, text| observer.progress(&Progress::Reload { plugin, state, text }));
        let result = self.take_over(&mut reloader, point, context, evaluator);
        context.reloader = Some(reloader);
        result
    }

    fn take_over(
        &mut self,
        reloader: &mut Reloader<'_>,
        point: SafePoint,
        context: &mut Context<'_>,
        mut evaluator: Option<&mut Evaluator>,
    ) -> Result<(), Failure> {
        if point == SafePoint::Step && reloader.at == SafePoint::Epoch {
            return Ok(());
        }
        for ready in std::mem::take(&mut reloader.ready) {
            if point == SafePoint::Step && reloader.builder.reads_data_with(&ready.file) {
                // the batches of this epoch are being made already
                reloader.ready.push(ready);
                continue;
            }
            let plugin = reloader.name_of(&ready.file);
            match self.swap(reloader, &ready, context, evaluator.as_deref_mut()) {
                Ok(None) => {}
                Ok(Some((generation, notes))) => {
                    let position = self.core.position();
                    let text = format!(
                        "generation {} (sha {}) is in use from step {} (epoch {}) on, {:.1} s after the file changed{notes}",
                        generation.number,
                        short(&generation.sha256),
                        position.iteration + 1,
                        if point == SafePoint::Epoch { self.progressed.next_epoch() } else { position.epoch },
                        ready.seen.elapsed().as_secs_f64()
                    );
                    tell(context, &plugin, ReloadState::Active, text);
                    self.note_generation(reloader, &generation, context)?;
                }
                Err(failure) => {
                    tell(context, &plugin, ReloadState::Rejected, failure.to_string());
                }
            }
        }
        Ok(())
    }

    /// Opens a build and puts what the config takes from it into its place; what changed comes back in words. Nothing
    /// has changed if it fails.
    fn swap(
        &mut self,
        reloader: &mut Reloader<'_>,
        ready: &Ready,
        context: &mut Context<'_>,
        evaluator: Option<&mut Evaluator>,
    ) -> Result<Option<(Arc<Generation>, String)>, Failure> {
        let builder = reloader.builder;
        let Some(former) = builder.generation(&ready.file) else {
            return Err(Failure::bug("a plugin that was never loaded"));
        };
        if former.sha256 == ready.sha256 {
            return Ok(None);
        }
        let loaded = builder.load(&ready.file).map_err(|error| refused(&error))?;
        let made = Replacement::make(builder, &ready.file, self, evaluator.as_deref(), context)
            .and_then(|made| made.tried(self, evaluator.as_deref(), context).map(|()| made));
        match made {
            Ok(made) => {
                let notes = made.put_in(self, evaluator, context);
                reloader.former = Some(former);
                Ok(Some((loaded, notes)))
            }
            Err(failure) => {
                builder.reinstate(former);
                Err(failure)
            }
        }
    }

    /// Gives the place of a generation that panicked back to the former one; says whether there was one.
    pub(crate) fn roll_back(
        &mut self,
        failure: &Failure,
        context: &mut Context<'_>,
        evaluator: Option<&mut Evaluator>,
    ) -> Result<bool, Failure> {
        if !failure.is_panic() {
            return Ok(false);
        }
        let Some(mut reloader) = context.reloader.take() else { return Ok(false) };
        let result = match reloader.former.take() {
            None => Ok(false),
            Some(former) => {
                let plugin = former.module.clone();
                let text = format!("generation {} goes on, as the newer one panicked:\n{failure}", former.number);
                tell(context, &plugin, ReloadState::Rejected, text);
                let file = former.file.clone();
                reloader.builder.reinstate(Arc::clone(&former));
                let made = Replacement::make(reloader.builder, &file, self, evaluator.as_deref(), context);
                let noted = made.map(|made| made.put_in(self, evaluator, context));
                noted.and_then(|_| self.note_generation(&reloader, &former, context)).map(|()| true)
            }
        };
        context.reloader = Some(reloader);
        result
    }

    /// Curves and records say from where on another generation was in use.
    fn note_generation(
        &self,
        reloader: &Reloader<'_>,
        generation: &Generation,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let position = self.core.position();
        context.note_generation(generation, position.epoch, position.iteration)?;
        if let Some(plugin) = reloader.builder.note_generation(generation) {
            records::add_build(&context.folder, &context.mmar_root, &plugin);
        }
        Ok(())
    }
}

fn tell(context: &mut Context<'_>, plugin: &str, state: ReloadState, text: String) {
    context.observer.progress(&Progress::Reload { plugin: plugin.to_owned(), state, text });
}

/// A refused plugin as a failure.
fn refused(error: &LoadError) -> Failure {
    let failure = Failure::new(error.code.name(), error.to_string());
    let failure = error.detail.iter().fold(failure, |failure, detail| failure.note(detail.clone()));
    error.help.iter().fold(failure, |failure, help| failure.help(help.clone()))
}

fn short(sha256: &str) -> &str {
    sha256.get(..8).unwrap_or(sha256)
}
