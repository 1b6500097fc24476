//! Built-in networks, losses, metrics, transforms, inferers, optimizers and schedules.

pub mod inferers;
pub mod losses;
pub mod metrics;
pub mod networks;
pub mod transforms;
