//! Built-in networks, losses, metrics, transforms, inferers, optimizers and schedules.

pub mod inferers;
pub mod losses;
pub mod lr_schedulers;
pub mod metrics;
pub mod networks;
pub mod optimizers;
pub mod transforms;
