//! Trainer, evaluator, events and handlers, checkpoints, run folders.
