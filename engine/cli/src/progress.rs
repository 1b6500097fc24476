//! A run on the terminal: a banner, a bar for the epoch, a line of metrics; plain lines where nothing can be redrawn.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use byoc::EngineRole;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use mmar_train::{Banner, Level, Observer, Progress, ReloadState};

use crate::printer::Printer;

/// How many steps the time that is left is estimated from.
const REMEMBERED_STEPS: usize = 101;

/// Draws what a run tells.
pub(crate) struct Display<'a> {
    printer: &'a mut Printer,
    /// Bars and log lines do not go together.
    redraws: bool,
    bar: Option<ProgressBar>,
    recent: VecDeque<Duration>,
    /// The last preparation that was begun, in plain mode.
    preparing: String,
}

impl<'a> Display<'a> {
    pub(crate) fn new(printer: &'a mut Printer, logs: bool) -> Self {
        let redraws = printer.redraws() && !logs;
        Self { printer, redraws, bar: None, recent: VecDeque::new(), preparing: String::new() }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn start_bar(&mut self, length: u64, title: String) {
        self.finish();
        if !self.redraws {
            return;
        }
        let bar = self.printer.bars().add(ProgressBar::new(length));
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(title);
        self.bar = Some(bar);
    }

    fn prepare(&mut self, what: &str, done: usize, total: usize) {
        if self.preparing != what {
            what.clone_into(&mut self.preparing);
            self.start_bar(total as u64, what.to_owned());
            if !self.redraws {
                self.printer.note(&format!("{what}: {total} items"));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
        if done >= total {
            self.finish();
            self.preparing.clear();
        }
    }

    fn step(&mut self, step: u64, steps: u64, loss: Option<f64>, duration: Duration) {
        if self.recent.len() == REMEMBERED_STEPS {
            self.recent.pop_front();
        }
        self.recent.push_back(duration);
        let Some(bar) = &self.bar else { return };
        bar.set_position(step);
        let mut message = loss.map(|loss| format!("loss {loss:.4}")).unwrap_or_default();
        let left = median(&self.recent) * u32::try_from(steps.saturating_sub(step)).unwrap_or(u32::MAX);
        if left > Duration::from_secs(3) {
            let _ = write!(message, "  {} left", HumanDuration(left));
        }
        bar.set_message(message);
    }
}

impl Observer for Display<'_> {
    fn banner(&mut self, banner: &Banner) {
        self.finish();
        self.printer.note(&describe(banner));
    }

    fn progress(&mut self, progress: &Progress) {
        match progress {
            Progress::Preparing { what, done, total } => self.prepare(what, *done, *total),
            Progress::EpochStarted { role, epoch, max_epochs, steps, done } => {
                self.recent.clear();
                let title = match role {
                    EngineRole::Trainer => format!("epoch {epoch}/{max_epochs}"),
                    EngineRole::Evaluator => "validating".to_owned(),
                };
                self.start_bar(*steps, title);
                if let Some(bar) = &self.bar {
                    bar.set_position(*done);
                }
            }
            Progress::Step { step, steps, loss, duration, .. } => self.step(*step, *steps, *loss, *duration),
            Progress::EpochCompleted { role, epoch, max_epochs, metrics, key_metric, is_new_best, duration } => {
                self.finish();
                let mut line = match role {
                    EngineRole::Trainer => format!("epoch {epoch}/{max_epochs}"),
                    EngineRole::Evaluator => "  validation".to_owned(),
                };
                for (label, value) in metrics {
                    let _ = write!(line, "  {label} {value:.4}");
                    if *is_new_best && key_metric.as_ref() == Some(label) {
                        line.push_str(" (best)");
                    }
                }
                let _ = write!(line, "  {:.1} s", duration.as_secs_f64());
                self.printer.note(&line);
            }
            Progress::CheckpointSaved { path } => tracing::info!(path = %path.display(), "checkpoint saved"),
            Progress::Reload { plugin, state, text } => {
                self.printer.note(&reload_line(plugin, *state, text));
            }
            Progress::DryRun { stage, detail } => self.printer.note(&format!("{stage:<20} {detail}")),
        }
    }

    fn message(&mut self, level: Level, text: &str) {
        match level {
            Level::Info => self.printer.note(text),
            Level::Warning => self.printer.warn(text),
        }
    }
}

/// A line about a plugin that changes while a run goes on.
pub(crate) fn reload_line(plugin: &str, state: ReloadState, text: &str) -> String {
    format!("[watch] {plugin} {}: {}", state.name(), text.trim_end().replace('\n', "\n        "))
}

/// The banner: at most six lines and a line for a resumed run.
fn describe(banner: &Banner) -> String {
    let short = |hash: &str| hash.chars().take(8).collect::<String>();
    let mut text = String::new();
    let _ = writeln!(text, "{:<8} {} ({})", banner.command, banner.config.display(), short(&banner.config_sha256));
    let _ = writeln!(
        text,
        "device   {}, {}, libtorch {}, {} threads",
        banner.device, banner.precision, banner.libtorch, banner.threads
    );
    let _ = writeln!(text, "network  {}, {} parameters", banner.network, grouped(banner.parameters));
    let mut data = Vec::new();
    if let Some(items) = banner.training_items {
        data.push(format!("{items} for training"));
    }
    if let Some(items) = banner.validation_items {
        data.push(format!("{items} for {}", if banner.training_items.is_some() { "validation" } else { "evaluation" }));
    }
    let seed = if banner.deterministic { "" } else { " (not fixed by the config)" };
    let _ = writeln!(
        text,
        "data     {}; {} epochs of {} steps; seed {}{seed}",
        data.join(", "),
        banner.epochs,
        banner.steps_per_epoch,
        banner.seed
    );
    if !banner.plugins.is_empty() {
        let plugins: Vec<_> = banner
            .plugins
            .iter()
            .map(|plugin| format!("{} ({}, generation {})", plugin.name, short(&plugin.sha256), plugin.generation))
            .collect();
        let _ = writeln!(text, "plugins  {}", plugins.join(", "));
    }
    if let Some(resumed) = &banner.resumed {
        let _ = writeln!(text, "resumed  {resumed}");
    }
    let _ = write!(text, "output   {}", banner.run_folder.display());
    text
}

/// `4 809 634`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn median(durations: &VecDeque<Duration>) -> Duration {
    let mut sorted: Vec<_> = durations.iter().copied().collect();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(7, "7"), (1000, "1 000"), (4_809_634, "4 809 634")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_median_step_ignores_one_slow_one() {
        let steps = [10, 11, 900, 12, 9].map(Duration::from_millis);
        assert_eq!(median(&steps.into_iter().collect()), Duration::from_millis(11));
        assert_eq!(median(&VecDeque::new()), Duration::ZERO);
    }
}
