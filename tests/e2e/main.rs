//! End-to-end tests: the real binary on real files, a module for each thing a user does.

mod bad_input;
mod broken_plugins;
mod command_line;
mod conformance;
mod demo_data;
mod editor;
mod explain;
mod files;
mod loader;
mod plugins;
mod published;
mod reference_cases;
mod reload;
mod support;
mod template;
mod training;
