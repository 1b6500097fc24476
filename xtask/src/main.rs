//! `cargo xtask`: everything that a checkout can be asked to do, in plain Rust, so that set-up needs no shell, no make
//! and nothing installed but Rust, a C++ compiler and `python3 -m pip`.
//!
//! It depends on no crate of the workspace: it must build in seconds, before libtorch is there.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool that talks to a terminal")]

mod bench;
mod build;
mod check;
mod demo;
mod generate;
mod libtorch;
mod process;
mod python;
mod test;
mod tidy;
mod tools;
mod wheel;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Set-up, build, demo, test, check, generate, bench.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or fetch libtorch, and link it into this checkout so that plain cargo commands work
    Setup {
        /// Take the whole of libtorch with its CUDA libraries (about 5 GB) instead of the CPU part (0.5 GB)
        #[arg(long)]
        cuda: bool,
    },
    /// Set up, then build the engine and the first-party plugins
    Build {
        /// Build `target/release/mmar` instead of `target/debug/mmar`
        #[arg(long)]
        release: bool,
    },
    /// Set up, build, make a data set, train, evaluate; ends with a model and pictures
    Demo {
        /// A folder with `dataset.json` (as the Medical Segmentation Decathlon has it) to use instead of synthetic data
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Set up, then build and run every test
    Test {
        /// Passed on to `cargo test`: a filter, `-p CRATE`, or `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Formatting, lints, documentation, the rules of the house, licences
    Check,
    /// Write the files that are generated from the code: references of the command line and of configs
    Generate {
        /// Compare only; exit 1 if a file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Run the benchmarks
    Bench {
        /// Passed on to `cargo bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Pack what a GPU machine without network needs to run the tests (not built yet)
    GpuBundle,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Setup { cuda } => libtorch::set_up(&workspace, cuda),
        Task::Build { release } => build::run(&workspace, release),
        Task::Demo { data } => demo::run(&workspace, data.as_deref()),
        Task::Test { arguments } => test::run(&workspace, &arguments),
        Task::Check => check::run(&workspace),
        Task::Generate { check } => generate::run(&workspace, check),
        Task::Bench { arguments } => bench::run(&workspace, &arguments),
        Task::GpuBundle => {
            anyhow::bail!("`gpu-bundle` is not built yet; `cargo xtask setup --cuda` sets up a GPU machine")
        }
    }
}
