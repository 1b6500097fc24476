//! The run that handlers are tried with.

use byoc::EngineRole;
use mmar_verify::rehearsal::Script;

const EPOCHS: u64 = 24;
const STEPS: u64 = 2;

/// A training that learns for six epochs and then gets worse: early stopping, best checkpoints and schedules all have
/// something to do.
pub(crate) fn script() -> Script {
    let loss = |epoch: u64| if epoch <= 6 { 1.0 - 0.1 * epoch as f64 } else { 0.4 + 0.01 * epoch as f64 };
    let losses = (1..=EPOCHS).flat_map(|epoch| (0..STEPS).map(move |step| loss(epoch) + 0.001 * step as f64)).collect();
    let metric = |epoch| 1.0 - loss(epoch);
    Script {
        role: EngineRole::Trainer,
        epoch_length: STEPS,
        epochs: EPOCHS,
        losses,
        metrics: vec![("val_mean_dice".to_owned(), (1..=EPOCHS).map(metric).collect())],
        folder: std::env::temp_dir(),
    }
}
