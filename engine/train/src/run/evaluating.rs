//! `mmar evaluate`.

use std::time::Instant;

use mmar_config::Role;

use super::training::context;
use super::{dry, records};
use crate::build::{Builder, device};
use crate::files::RunFolder;
use crate::workflow::wording;
use crate::{Banner, Failure, Interrupt, Observer, RunRequest, Summary};

/// Runs a validation or inference config.
pub(crate) fn evaluate(
    request: &RunRequest,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    let started = Instant::now();
    if request.resume.is_some() {
        return Err(Failure::usage("cannot-resume", "an evaluation cannot be resumed: start it again"));
    }
    let session = super::open(request, observer)?;
    let plan = session.plan();
    let (Role::Evaluate, Some(section)) = (plan.role, &plan.validate) else {
        return Err(Failure::usage(
            "not-an-evaluation-config",
            format!("`{}` is a training config", plan.config_file.display()),
        )
        .help("training configs are run by `mmar train`; its `validate` section is run there"));
    };
    let output_folder = super::folder(plan, "MMAR_EVAL_OUTPUT_PATH", "eval");
    let device = device::choose(&plan.settings, section.device.as_deref(), request.require_gpu, observer)?;
    device::set_switches(&plan.settings)?;
    let temporary = if request.dry_run { Some(RunFolder::temporary()?) } else { None };
    let scratch = temporary.as_ref().map(|folder| folder.file("outputs"));
    let builder = Builder::new(&session, device, super::seed(plan), scratch);
    let watch = super::watch(&output_folder, observer);
    let objects = builder.evaluation_objects(section)?;
    let mut evaluator = builder.evaluator(section, "evaluation", observer)?;
    let folder = match temporary {
        Some(temporary) => temporary,
        None => RunFolder::create(&output_folder, request.output.as_deref())?,
    };
    let banner = Banner {
        command: "evaluate".into(),
        config: plan.config_file.clone(),
        config_sha256: records::config_hash(plan),
        device: wording::device(device),
        precision: evaluator.core.precision.to_string(),
        libtorch: torch_ext::libtorch_version(),
        threads: torch_ext::threads::of_current_thread(),
        plugins: builder.plugins(),
        seed: builder.seed,
        deterministic: plan.settings.random_seed.is_some(),
        network: objects.model.label.clone(),
        parameters: objects.model.parameter_count(),
        training_items: None,
        validation_items: Some(evaluator.core.loader.dataset().len()),
        epochs: 1,
        steps_per_epoch: evaluator.core.state.epoch_length,
        run_folder: folder.path().to_owned(),
        output_folder: output_folder.clone(),
        resumed: None,
    };
    records::begin(&folder, plan, request, &banner)?;
    observer.banner(&banner);
    let mut context = context(objects, &builder, folder, output_folder, watch, observer, interrupt)?;
    let result = if request.dry_run {
        dry::evaluate(&mut evaluator, &mut context)
    } else {
        evaluator.run(&mut context, 1, evaluator.core.state.epoch_length)
    };
    let state = &evaluator.core.state;
    let result = result.map(|()| Summary {
        run_folder: context.folder.path().to_owned(),
        epochs: 1,
        steps: state.iteration,
        train_loss: None,
        metrics: state.metrics.clone(),
        key_metric: state.key_metric.clone(),
        best_metric: state.best_metric,
        stopped: None,
        files: context.files.clone(),
        duration: started.elapsed(),
    });
    records::end(&context.folder, result.as_ref());
    result
}
