//! Learning-rate schedules, by PyTorch's and MONAI's names, arguments and defaults.
//!
//! [`schedule`] has what they share. Rates are computed as PyTorch computes them, step from step where it does so, and
//! agree with it to the last digits. `LinearLR` and `ExponentialLR` are PyTorch's; MONAI's schedules of these names are
//! found by their paths, `monai.optimizers.LinearLR`, or as `MonaiLinearLR`.

mod cosine;
mod cyclic;
mod defaults;
mod exponential;
mod linear;
mod one_cycle;
mod plateau;
mod polynomial;
mod range_test;
mod schedule;
mod step;
mod warmup_cosine;

pub use cosine::{CosineAnnealingLR, CosineAnnealingWarmRestarts};
pub use cyclic::CyclicLR;
pub use exponential::ExponentialLR;
pub use linear::{ConstantLR, LinearLR};
pub use one_cycle::OneCycleLR;
pub use plateau::ReduceLROnPlateau;
pub use polynomial::PolynomialLR;
pub use range_test::{MonaiExponentialLR, MonaiLinearLR};
pub use schedule::{At, Rule, Schedule};
pub use step::{MultiStepLR, StepLR};
pub use warmup_cosine::WarmupCosineSchedule;
