//! Built-in networks, losses, metrics, transforms, inferers, optimizers and schedules.

pub mod networks;
pub mod transforms;
