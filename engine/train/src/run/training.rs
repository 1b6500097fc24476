//! `mmar train`.

use std::time::Instant;

use byoc::CheckpointRequest;
use mmar_config::{Plan, Role};
use serde_json::json;

use super::{dry, records, resuming};
use crate::build::{Builder, device};
use crate::calls::CallWatch;
use crate::checkpoint::last::Point;
use crate::files::{Recorder, RunFolder, atomic};
use crate::reload::Reloader;
use crate::workflow::{Context, Evaluator, Objects, Trainer, wording};
use crate::{Banner, Failure, Interrupt, Level, Observer, RunRequest, Summary};

/// The final weights, whatever the config's handlers save.
const FINAL_MODEL: &str = "final_model.pt";

/// Everything that a training is made of.
pub(super) struct Parts {
    pub(super) objects: Objects,
    pub(super) trainer: Trainer,
    pub(super) evaluator: Option<Evaluator>,
}

/// Trains as the request says.
pub(crate) fn train(
    request: &RunRequest,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    let started = Instant::now();
    let session = super::open(request, observer)?;
    let plan = session.plan();
    if plan.role != Role::Train {
        return Err(Failure::usage(
            "not-a-training-config",
            format!("`{}` has no `train` section", plan.config_file.display()),
        )
        .help("validation and inference configs are run by `mmar evaluate`"));
    }
    let output_folder = super::folder(plan, "MMAR_CKPT_DIR", "models");
    let resume = match &request.resume {
        Some(resume) => {
            let point = resuming::find(resume, &output_folder)?;
            resuming::check(&point, plan, request.allow_changed, observer)?;
            Some(point)
        }
        None => None,
    };
    let seed = resume.as_ref().map_or_else(|| super::seed(plan), |point| point.seed);
    let wanted = plan.train.as_ref().and_then(|section| section.device.as_deref());
    let device = device::choose(&plan.settings, wanted, request.require_gpu, observer)?;
    device::set_switches(&plan.settings)?;
    let temporary = if request.dry_run { Some(RunFolder::temporary()?) } else { None };
    let scratch = temporary.as_ref().map(|folder| folder.file("outputs"));
    let builder = Builder::new(&session, device, seed, scratch);
    let watch = super::watch(&output_folder, observer);
    let parts = build(&builder, observer)?;
    if let Some(point) = &resume {
        resuming::compare_plugins(point, &builder.plugins(), observer);
    }
    let folder = match (temporary, &resume) {
        (Some(temporary), _) => temporary,
        (None, Some(point)) => RunFolder::reopen(&resuming::folder_of(point)),
        (None, None) => RunFolder::create(&output_folder, request.output.as_deref())?,
    };
    let banner = banner(plan, &builder, &parts, &folder, &output_folder, resume.as_ref());
    records::begin(&folder, plan, request, &banner)?;
    observer.banner(&banner);

    let Parts { objects, mut trainer, mut evaluator } = parts;
    let mut context = context(objects, &builder, folder, output_folder, watch, observer, interrupt)?;
    if let Some(watch) = request.watch {
        context.reloader = Some(Reloader::start(&builder, watch)?);
    }
    let result = if request.dry_run {
        dry::train(&mut trainer, evaluator.as_mut(), &mut context)
    } else {
        run(&mut trainer, evaluator.as_mut(), &mut context, resume.as_ref())
    };
    let result = result.and_then(|()| {
        let summary = summary(&trainer, evaluator.as_ref(), &context, started);
        if request.write_train_stats && !request.dry_run {
            write_train_stats(&mut context, &summary)?;
        }
        Ok(summary)
    });
    records::end(&context.folder, result.as_ref());
    result
}

fn build(builder: &Builder<'_>, observer: &mut dyn Observer) -> Result<Parts, Failure> {
    let plan = builder.plan();
    let Some(section) = &plan.train else { return Err(Failure::bug("a training without a section")) };
    let objects = builder.training_objects(section)?;
    let trainer = builder.trainer(section, observer)?;
    let evaluator =
        plan.validate.as_ref().map(|section| builder.evaluator(section, "validation", observer)).transpose()?;
    Ok(Parts { objects, trainer, evaluator })
}

/// The context of a run.
pub(super) fn context<'a>(
    objects: Objects,
    builder: &Builder<'_>,
    folder: RunFolder,
    output_folder: std::path::PathBuf,
    watch: CallWatch,
    observer: &'a mut dyn Observer,
    interrupt: &'a Interrupt,
) -> Result<Context<'a>, Failure> {
    let metrics = folder.file("metrics.jsonl");
    let recorder = Recorder::open(&metrics)
        .map_err(|error| Failure::new("cannot-write", format!("cannot write `{}`: {error}", metrics.display())))?;
    watch.record_in(folder.path());
    Ok(Context {
        observer,
        interrupt,
        watch,
        reloader: None,
        objects,
        device: builder.device,
        seed: builder.seed,
        mmar_root: builder.root.clone(),
        folder,
        output_folder,
        recorder,
        recorded_curves: None,
        files: vec![metrics],
        stop: None,
        failure: None,
    })
}

fn run(
    trainer: &mut Trainer,
    evaluator: Option<&mut Evaluator>,
    context: &mut Context<'_>,
    resume: Option<&Point>,
) -> Result<(), Failure> {
    if let Some(point) = resume {
        let line = context.recorder.line("resumed", point.progressed.epoch, point.progressed.iteration, []);
        line.map_err(|error| Failure::new("cannot-write", format!("cannot write `metrics.jsonl`: {error}")))?;
        if point.progressed.closed && point.progressed.epoch >= trainer.core.state.max_epochs {
            let text =
                format!("the run had already done its {} epochs; raise `epochs` to go on", point.progressed.epoch);
            context.message(Level::Warning, &text);
        }
    }
    trainer.run(context, evaluator, resume)?;
    save_final_model(context)
}

/// The final weights beside the best ones, unless a handler has just written them.
fn save_final_model(context: &mut Context<'_>) -> Result<(), Failure> {
    let path = context.output_folder.join(FINAL_MODEL);
    if context.files.contains(&path) {
        return Ok(());
    }
    let mut objects = vec!["model", "optimizer"];
    objects.extend(context.objects.lr_scheduler.is_some().then_some("lr_scheduler"));
    objects.push("train_conf");
    let objects = objects.into_iter().map(|name| (name.to_owned(), name.to_owned())).collect();
    let saved = context.save(&CheckpointRequest { path, objects, strict: true });
    saved.map_err(|error| {
        Failure::new("checkpoint-not-saved", error.to_string())
            .note(format!("the run is complete in {}", context.folder.last_checkpoint().display()))
    })
}

fn summary(trainer: &Trainer, evaluator: Option<&Evaluator>, context: &Context<'_>, started: Instant) -> Summary {
    let state = &trainer.core.state;
    let mut metrics = state.metrics.clone();
    // the evaluator's key metric is what the best model is chosen by
    let key = evaluator.map_or(state, |evaluator| &evaluator.core.state);
    metrics.extend(key.metrics.clone());
    Summary {
        run_folder: context.folder.path().to_owned(),
        epochs: trainer.progressed.epoch,
        steps: trainer.progressed.iteration,
        train_loss: state.loss,
        metrics,
        key_metric: key.key_metric.clone(),
        best_metric: key.best_metric,
        stopped: context.stop.clone(),
        files: context.files.clone(),
        duration: started.elapsed(),
    }
}

/// `train_stats.json`, which the `AutoML` of Clara reads the best metric from.
fn write_train_stats(context: &mut Context<'_>, summary: &Summary) -> Result<(), Failure> {
    let path = context.output_folder.join("train_stats.json");
    let stats = json!({
        "schema": 1,
        "best_validation_metric": summary.best_metric.map(|(value, _)| value),
        "best_validation_epoch": summary.best_metric.map(|(_, epoch)| epoch),
        "key_metric": summary.key_metric,
        "metrics": summary.metrics,
        "train_loss": summary.train_loss,
        "epochs": summary.epochs,
        "steps": summary.steps,
        "seconds": summary.duration.as_secs_f64(),
        "run_folder": summary.run_folder,
    });
    atomic::write_json(&path, &stats)
        .map_err(|error| Failure::new("cannot-write", format!("cannot write `{}`: {error}", path.display())))?;
    context.wrote(&path);
    Ok(())
}

fn banner(
    plan: &Plan,
    builder: &Builder<'_>,
    parts: &Parts,
    folder: &RunFolder,
    output_folder: &std::path::Path,
    resume: Option<&Point>,
) -> Banner {
    let trainer = &parts.trainer.core;
    Banner {
        command: "train".into(),
        config: plan.config_file.clone(),
        config_sha256: records::config_hash(plan),
        device: wording::device(builder.device),
        precision: trainer.precision.to_string(),
        libtorch: torch_ext::libtorch_version(),
        threads: torch_ext::threads::of_current_thread(),
        plugins: builder.plugins(),
        seed: builder.seed,
        deterministic: plan.settings.random_seed.is_some(),
        network: parts.objects.model.label.clone(),
        parameters: parts.objects.model.parameter_count(),
        training_items: Some(trainer.loader.dataset().len()),
        validation_items: parts.evaluator.as_ref().map(|evaluator| evaluator.core.loader.dataset().len()),
        epochs: trainer.state.max_epochs,
        steps_per_epoch: trainer.state.epoch_length,
        run_folder: folder.path().to_owned(),
        output_folder: output_folder.to_owned(),
        resumed: resume.map(Point::describe),
    }
}
