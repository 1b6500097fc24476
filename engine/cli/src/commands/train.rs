//! `mmar train`

use std::path::PathBuf;

use clap::Args;
use mmar_train::{Resume, RunLog, RunRequest, SafePoint, WatchRequest};

use crate::arguments::ConfigArguments;
use crate::commands::plugin::source::SourceWatch;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::Display;
use crate::{logging, signals};

/// Arguments of `mmar train`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Go on with an earlier run: the latest one of this archive, or a run folder, or its `last.pt`
    #[arg(long, value_name = "latest|PATH", num_args = 0..=1, default_missing_value = "latest")]
    resume: Option<String>,
    /// Resume although the network, the optimizer or the schedule of the config changed
    #[arg(long, requires = "resume")]
    allow_changed: bool,
    /// Build everything, run one training and one validation step, print the shapes, keep nothing
    #[arg(long)]
    dry_run: bool,
    /// Fail if there is no GPU instead of training on the CPU
    #[arg(long)]
    require_gpu: bool,
    /// Write `train_stats.json` beside the checkpoints
    #[arg(long, alias = "write_train_stats")]
    pub(crate) write_train_stats: bool,
    /// The folder of this run, which must be empty or not exist; the next free `run-NNNN` if not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Let plugins that are rebuilt while the run goes on take over
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,
    /// When a rebuilt plugin takes over: at the end of the epoch, or of the step
    #[arg(long, value_name = "POINT", value_enum, default_value_t = At::Epoch, requires = "watch")]
    at: At,
    /// Look for rebuilt plugins again and again, where the file system tells nothing (network drives)
    #[arg(long, requires = "watch")]
    poll: bool,
    /// A plugin's crate that is built and installed now, and again whenever one of its files is saved
    #[arg(long, value_name = "CRATE", requires = "watch")]
    source: Vec<PathBuf>,
    /// More of the log on the terminal; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// When a rebuilt plugin takes over.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum At {
    /// Between two epochs
    Epoch,
    /// Between two steps
    Step,
}

/// Trains.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let log = RunLog::new();
    logging::start(&log, arguments.verbose);
    let request = RunRequest {
        resume: arguments.resume.map(|run| if run == "latest" { Resume::Latest } else { Resume::Path(run.into()) }),
        allow_changed: arguments.allow_changed,
        watch: arguments.watch.then_some(WatchRequest {
            at: match arguments.at {
                At::Epoch => SafePoint::Epoch,
                At::Step => SafePoint::Step,
            },
            poll: arguments.poll,
        }),
        dry_run: arguments.dry_run,
        require_gpu: arguments.require_gpu,
        write_train_stats: arguments.write_train_stats,
        output: arguments.output,
        ..run_request(arguments.config, log)
    };
    let sources = arguments.source.iter().map(|folder| SourceWatch::start(folder, &request.mmar_root, printer));
    let sources: Vec<SourceWatch> = sources.collect::<Result<_, _>>()?;
    let interrupt = signals::catch()?;
    let mut display = Display::new(printer, arguments.verbose > 0);
    let outcome = mmar_train::train(&request, &mut display, &interrupt);
    display.finish();
    drop(sources);
    let summary = outcome?;
    if let Some(reason) = &summary.stopped {
        printer.note(&format!("stopped before the last epoch: {reason}"));
    }
    if let (Some(label), Some((value, epoch))) = (&summary.key_metric, summary.best_metric) {
        printer.note(&format!("best {label} {value:.4}, of epoch {epoch}"));
    }
    for file in &summary.files {
        printer.result(file.display())?;
    }
    Ok(())
}

/// The part of a run's request that training and evaluation share.
pub(crate) fn run_request(config: ConfigArguments, log: RunLog) -> RunRequest {
    RunRequest {
        environment: config.env,
        overrides: config.overrides,
        log,
        ..RunRequest::new(config.mmar, config.config)
    }
}
