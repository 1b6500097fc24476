//! The built-in handlers, one file each. They see the run through [`byoc::Engine`] only, as a plugin's handlers do.

mod checkpoint_loader;
mod checkpoint_saver;
mod curves;
mod interval;
mod lr_schedule;
mod metrics_report;
mod metrics_saver;
mod stats;
mod validation;
