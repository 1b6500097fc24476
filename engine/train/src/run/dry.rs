//! `--dry-run`: one step of everything, and a checkpoint written and read again. Handlers are made but not called, and
//! components write below a temporary folder, so that nothing of the user's changes.

use std::fmt::Write as _;

use byoc::{Sample, StateTree};
use mmar_data::Batch;

use crate::checkpoint;
use crate::workflow::{Context, Core, Evaluator, Trainer, evaluator, wording};
use crate::{Failure, Progress};

/// One training step, one validation step, one checkpoint.
pub(super) fn train(
    trainer: &mut Trainer,
    validator: Option<&mut Evaluator>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    trainer.core.state.epoch = 1;
    trainer.core.state.iteration = 1;
    let batch = first_batch(&trainer.core)?;
    stage(context, "training batch", describe(&batch.sample));
    let step = trainer.step(&batch, context)?;
    stage(context, "training step", describe(&step));
    tch::no_grad(|| trainer.core.finish_step(&batch, &step, 0))?;
    finished(&mut trainer.core, "training output", context)?;
    if let Some(validator) = validator {
        evaluate_step(validator, context)?;
    }
    checkpoint_and_back(context)?;
    memory(context);
    Ok(())
}

/// One step of an evaluation.
pub(super) fn evaluate(validator: &mut Evaluator, context: &mut Context<'_>) -> Result<(), Failure> {
    evaluate_step(validator, context)?;
    memory(context);
    Ok(())
}

fn evaluate_step(validator: &mut Evaluator, context: &mut Context<'_>) -> Result<(), Failure> {
    let core = &mut validator.core;
    core.state.epoch = 1;
    core.state.iteration = 1;
    let batch = first_batch(core)?;
    stage(context, "validation batch", describe(&batch.sample));
    let step = evaluator::step_of(core, &batch, 0, context)?;
    stage(context, "validation step", describe(&step));
    finished(core, "validation output", context)
}

fn first_batch(core: &Core) -> Result<Batch, Failure> {
    match core.loader.epoch(1, 0).next() {
        Some(batch) => batch.map_err(|error| wording::plain(&error)),
        None => Err(Failure::new("bad-data", "the data loader gives no batch")
            .help("with `drop_last` the list needs at least `batch_size` cases")),
    }
}

fn finished(core: &mut Core, what: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    if let Some(first) = core.outputs.first() {
        let first = describe(first);
        stage(context, what, first);
    }
    core.finish_epoch()?;
    let metrics: Vec<String> = core.state.metrics.iter().map(|(label, value)| format!("{label} {value:.4}")).collect();
    if !metrics.is_empty() {
        stage(context, "metrics", metrics.join(" · "));
    }
    Ok(())
}

fn checkpoint_and_back(context: &mut Context<'_>) -> Result<(), Failure> {
    let path = context.folder.file("dry-run.pt");
    let mut objects = vec!["model", "optimizer"];
    objects.extend(context.objects.lr_scheduler.is_some().then_some("lr_scheduler"));
    let objects: Vec<(String, String)> = objects.into_iter().map(|name| (name.to_owned(), name.to_owned())).collect();
    let failed =
        |error: String| Failure::new("checkpoint-not-saved", format!("the checkpoint does not come back: {error}"));
    let tree = checkpoint::collect(&context.objects, &objects).map_err(|error| failed(error.to_string()))?;
    torch_ext::checkpoint::write(&path, &tree).map_err(|error| failed(error.to_string()))?;
    let back = torch_ext::checkpoint::read(&path).map_err(|error| failed(error.to_string()))?;
    let same = match (tree.get("model"), back.get("model")) {
        (Some(before), Some(after)) => before.entries().iter().zip(after.entries()).all(|(a, b)| equal(a, b)),
        _ => false,
    };
    if !same {
        return Err(failed("its weights are not those that were saved".into()));
    }
    checkpoint::restore(&mut context.objects, &back, &objects, true).map_err(|error| failed(error.to_string()))?;
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let names: Vec<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
    stage(context, "checkpoint", format!("{} written and read again, {:.1} MB", names.join(", "), size as f64 / 1e6));
    Ok(())
}

fn equal<K: PartialEq>(a: &(K, StateTree), b: &(K, StateTree)) -> bool {
    a.0 == b.0
        && match (a.1.as_tensor(), b.1.as_tensor()) {
            (Some(a), Some(b)) => {
                a.size() == b.size() && a.kind() == b.kind() && a.to_device(tch::Device::Cpu).equal(b)
            }
            _ => false,
        }
}

/// The most memory that the process held at any time, where the system tells it.
fn memory(context: &mut Context<'_>) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = peak_of(&status) {
        stage(context, "memory", format!("{:.2} GB at its peak", peak as f64 / 1e9));
    }
}

/// The peak in bytes in Linux's `/proc/PID/status`.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn stage(context: &mut Context<'_>, stage: &str, detail: String) {
    context.observer.progress(&Progress::DryRun { stage: stage.to_owned(), detail });
}

/// The tensors of a sample, and the loss.
fn describe(sample: &Sample) -> String {
    let tensors: Vec<(&str, &tch::Tensor)> =
        sample.iter().filter_map(|(key, value)| Some((key, value.as_tensor()?))).collect();
    let mut text = wording::tensors(&tensors);
    if let Ok(loss) = sample.json("loss") {
        let _ = write!(text, " · loss {loss}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::peak_of;

    #[test]
    fn the_peak_is_read_from_the_status_of_the_process() {
        assert_eq!(peak_of("Name:\tmmar\nVmHWM:\t  123456 kB\nVmRSS:\t 99 kB\n"), Some(126_418_944));
        assert_eq!(peak_of("Name:\tmmar\n"), None);
    }
}
