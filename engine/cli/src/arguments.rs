//! The arguments of `mmar`, Clara's spellings included.
//!
//! Clara's scripts pass `--set a=1 b=2 …` as one list, write `--write_train_stats` with underscores, and sometimes leak
//! a GPU number into the arguments: the first two work, the third is a warning.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    check, completions, components, conformance, demo_data, evaluate, explain, plot, plugin, probe, schema, show,
    train, verify,
};

/// What the environment sets.
const ENVIRONMENT: &str = "\
Environment:
  MMAR_PLUGIN_PATH       Further folders with plugins, separated as in PATH
  MMAR_CACHE_DIR         Where private copies of plugins are kept (~/.cache/mmar)
  MMAR_PROBE_TIMEOUT     Seconds that an unknown plugin may take to load (30)
  MMAR_WATCHDOG_SECONDS  Seconds after which a call into a plugin is told to be slow (30)
  MMAR_LOG               What is logged on the terminal: warn, info, debug, mmar_loader=debug ...
  MMAR_NO_PROGRESS       Plain lines instead of progress bars
  NO_COLOR               No colours";

/// Train medical imaging models from a Medical Model Archive (MMAR): a folder with configs, data lists, plugins, models
/// and results.
#[derive(Debug, Parser)]
#[command(name = "mmar", version, arg_required_else_help = true, max_term_width = 100, after_help = ENVIRONMENT)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model
    Train(train::Arguments),
    /// Evaluate a model, or segment with it: validation and inference configs
    Evaluate(evaluate::Arguments),
    /// Check a config: every error at once, no training
    Check(check::Arguments),
    /// Print the resolved config, with where each value came from
    Show(show::Arguments),
    /// List the components a config can name, with their arguments
    Components(components::Arguments),
    /// Explain a component with its arguments, or the code of an error
    Explain(explain::Arguments),
    /// Write the JSON Schema of configs, with which an editor completes and checks them
    Schema(schema::Arguments),
    /// Run reference cases against components
    Verify(verify::Arguments),
    /// Make, build, check, install, list and inspect plugins
    Plugin(plugin::Arguments),
    /// Draw curves of a run, or slices with label and prediction
    Plot(plot::Arguments),
    /// Make a synthetic CT data set
    DemoData(demo_data::Arguments),
    /// Print what a shell needs to complete the arguments of `mmar`
    Completions(completions::Arguments),
    /// Say what works on this machine, and what to do about the rest
    Doctor,
    /// Open a plugin on behalf of another `mmar`, which survives if this one does not
    #[command(name = "__probe", hide = true)]
    Probe(probe::Arguments),
    /// Run one test of a plugin on behalf of another `mmar`
    #[command(name = "__check", hide = true)]
    Conformance(conformance::Arguments),
}

/// The config of a run, and what changes it.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The archive: relative paths of the config start here
    #[arg(short, long, value_name = "MMAR")]
    pub(crate) mmar: PathBuf,
    /// The config file, relative to the current folder, to the archive or to its `config` folder
    #[arg(short, long, value_name = "CONFIG", visible_alias = "train_config")]
    pub(crate) config: PathBuf,
    /// Variables of this place; `config/environment.json` of the archive if not given
    #[arg(short, long, value_name = "ENV", visible_alias = "environment")]
    pub(crate) env: Option<PathBuf>,
    /// Change values of the config: variables (`epochs=2`) or any value by its path (`train.loss.args.smooth=1e-5`)
    #[arg(long = "set", value_name = "KEY=VALUE", num_args = 1.., action = clap::ArgAction::Append)]
    pub(crate) overrides: Vec<String>,
    /// Clara's logging config; Python's, so it is not used
    #[arg(short, long, visible_alias = "log_config", value_name = "FILE", hide = true)]
    pub(crate) log_config: Option<PathBuf>,
    /// Arguments that belong nowhere
    #[arg(hide = true)]
    pub(crate) stray: Vec<String>,
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) command: Command,
    /// What was passed over.
    pub(crate) warnings: Vec<String>,
}

/// The definition of the command line, without what is not for people.
pub(crate) fn definition() -> clap::Command {
    let whole = Line::command();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("mmar").version(env!("CARGO_PKG_VERSION")).subcommands(visible.collect::<Vec<_>>())
}

/// Parses a command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let Line { mut command } = Line::try_parse_from(arguments)?;
    let mut warnings = Vec::new();
    if let Some(config) = command.config_mut() {
        config.sort_out(&mut warnings);
    }
    Ok(Parsed { command, warnings })
}

impl Command {
    fn config_mut(&mut self) -> Option<&mut ConfigArguments> {
        match self {
            Self::Train(train) => Some(&mut train.config),
            Self::Evaluate(evaluate) => Some(&mut evaluate.config),
            Self::Check(check) => Some(&mut check.config),
            Self::Show(show) => Some(&mut show.config),
            _ => None,
        }
    }
}

impl ConfigArguments {
    /// Takes out what cannot be meant.
    fn sort_out(&mut self, warnings: &mut Vec<String>) {
        let (overrides, words): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.overrides).into_iter().partition(|it| it.contains('='));
        self.overrides = overrides;
        for word in self.stray.drain(..).chain(words) {
            warnings.push(format!("the argument `{word}` is passed over: it is no option and no KEY=VALUE"));
        }
        if self.log_config.take().is_some() {
            warnings
                .push("`--log_config` is passed over: logging is set by MMAR_LOG, as in `MMAR_LOG=debug`".to_owned());
        }
    }

    /// The same as the loader of configs wants it.
    pub(crate) fn request(self) -> mmar_config::Request {
        mmar_config::Request {
            mmar_root: self.mmar,
            config: self.config,
            environment: self.env,
            overrides: self.overrides,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(line.split_whitespace().map(OsString::from)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_definition_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn claras_train_script_is_understood() {
        let line = "mmar train -m /m -c config/a.json -e config/environment.json --write_train_stats --set epochs=1 \
                    learning_rate=2e-4 print_conf=True";
        let Command::Train(train) = parsed(line).command else { panic!("no training") };
        assert!(train.write_train_stats);
        assert_eq!(train.config.overrides, ["epochs=1", "learning_rate=2e-4", "print_conf=True"]);
        assert_eq!(train.config.env.as_deref(), Some(std::path::Path::new("config/environment.json")));
    }

    #[test]
    fn several_sets_are_one_list() {
        let Command::Check(check) = parsed("mmar check -m . -c a.json --set a=1 --set b=2 c=3").command else {
            panic!("no check")
        };
        assert_eq!(check.config.overrides, ["a=1", "b=2", "c=3"]);
    }

    #[test]
    fn a_leaked_gpu_number_is_a_warning() {
        for line in ["mmar train 0 -m . -c a.json", "mmar train -m . -c a.json --set epochs=1 0"] {
            let parsed = parsed(line);
            assert_eq!(parsed.warnings.len(), 1, "{line}");
            assert!(parsed.warnings[0].contains("`0`"), "{:?}", parsed.warnings);
        }
    }

    #[test]
    fn what_is_needed_is_asked_for() {
        let error = parse(["mmar", "train", "-m", "."].map(OsString::from)).unwrap_err();
        assert!(error.to_string().contains("--config"), "{error}");
    }
}
