//! One test in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use byoc::Kind;
use mmar_loader::{Generation, child};
use serde::{Deserialize, Serialize};

use crate::given::GivenFile;
use crate::plugin::{Plugin, refused};
use crate::suite;
use crate::verdict::Verdict;

/// The hidden argument that makes the program run one test: `mmar __check …`.
pub const ARGUMENT: &str = "__check";

/// How the line with the outcome begins; a plugin may print, too.
const MARK: &str = "mmar-check: ";

/// One test that is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The plugin, an absolute path.
    pub file: PathBuf,
    /// The test.
    pub test: String,
    /// The component, for tests of components.
    pub component: Option<(Kind, String)>,
    /// What random inputs are drawn with.
    pub seed: u64,
    /// The file with arguments and shapes, an absolute path.
    pub given: Option<PathBuf>,
}

/// What a test gave, as it comes from the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    pub(crate) seconds: f64,
    /// What the plugin provides; `loads` tells it.
    pub(crate) components: Option<Vec<(Kind, String)>>,
}

impl Order {
    /// The words behind the program's name.
    fn words(&self) -> Vec<std::ffi::OsString> {
        let mut words: Vec<std::ffi::OsString> = vec![ARGUMENT.into(), self.file.clone().into()];
        words.extend(["--test".into(), self.test.clone().into(), "--seed".into(), self.seed.to_string().into()]);
        if let Some((kind, name)) = &self.component {
            words.extend(["--component".into(), format!("{}/{name}", kind.0).into()]);
        }
        if let Some(given) = &self.given {
            words.extend(["--args".into(), given.clone().into()]);
        }
        words
    }

    /// Takes `2/MyDiceLoss` apart.
    pub fn parse_component(text: &str) -> Option<(Kind, String)> {
        let (kind, name) = text.split_once('/')?;
        Some((Kind(kind.parse().ok()?), name.to_owned()))
    }

    /// Runs it here.
    pub(crate) fn run(&self) -> Told {
        let start = Instant::now();
        let told = |verdict, components| Told { verdict, seconds: start.elapsed().as_secs_f64(), components };
        let given = match &self.given {
            None => Ok(GivenFile::default()),
            Some(file) => GivenFile::read(file),
        };
        let (Some(test), Ok(given)) = (suite::find(&self.test), given) else {
            return told(Verdict::skipped("there is no such test, or its arguments cannot be read"), None);
        };
        let plugin = Plugin::new(self.file.clone(), given, self.seed);
        if test.name == suite::LOADS {
            return match plugin.try_load() {
                Ok(generation) => {
                    let components: Vec<_> =
                        generation.components.iter().map(|(it, _)| (it.kind, it.name.clone())).collect();
                    told(loaded(&generation), Some(components))
                }
                Err(error) => told(refused(&error), None),
            };
        }
        let verdict = match &self.component {
            None => test.on_file(&plugin),
            Some((kind, name)) => match plugin.specimen(*kind, name) {
                Ok(specimen) => test.on_component(&specimen),
                Err(verdict) => verdict,
            },
        };
        told(verdict, None)
    }

    /// Runs it in a child process.
    pub(crate) fn run_apart(&self, program: &Path, limit: Duration) -> Told {
        let start = Instant::now();
        let mut command = Command::new(program);
        command.args(self.words());
        // several tests run at once, and sums of one thread are the same each time
        command.env("OMP_NUM_THREADS", "1");
        let verdict = match child::run(command, limit) {
            Err(error) => Verdict::skipped(format!("the process for it could not be started: {error}")),
            Ok(ended) => {
                let line = ended.stdout.lines().rev().find_map(|line| line.strip_prefix(MARK));
                let told = line.and_then(|line| serde_json::from_str::<Told>(line).ok());
                match (ended.status, told) {
                    (Some(status), Some(told)) if status.success() => return told,
                    (None, _) => Verdict::crashed(
                        format!("it did not come back in {} seconds", limit.as_secs_f64()),
                        format!("look for a loop or a lock that never ends; {}", self.repeat()),
                    ),
                    (Some(status), told) => {
                        let when = if told.is_some() { " after the test, while it was cleaned up" } else { "" };
                        let last = child::last_lines(&ended.stderr, 5).map(|last| format!("\n{last}"));
                        Verdict::crashed(
                            format!("it {}{when}{}", child::how(status), last.unwrap_or_default()),
                            self.repeat(),
                        )
                    }
                }
            }
        };
        Told { verdict, seconds: start.elapsed().as_secs_f64(), components: None }
    }

    fn repeat(&self) -> String {
        let component = self.component.as_ref().map_or("file", |(_, name)| name.as_str());
        let (file, test) = (self.file.display(), &self.test);
        format!(
            "to see where, run `mmar plugin check {file} --filter {component}/{test} --seed {} --in-process` under a \
             debugger",
            self.seed
        )
    }
}

/// What is said of a plugin that loads.
fn loaded(generation: &Generation) -> Verdict {
    let passed_over: Vec<String> =
        generation.passed_over.iter().map(|it| format!("the {} `{}`", it.kind, it.name)).collect();
    if passed_over.is_empty() {
        return Verdict::success(format!("{} components of `{}`", generation.components.len(), generation.module));
    }
    Verdict::warning(
        format!("this engine does not take {} from a plugin", passed_over.join(", ")),
        "leave components of other kinds than network, loss, metric, transform and handler out",
    )
}

/// The child's side: runs a test and prints the outcome as a line of JSON.
pub fn main(order: &Order) -> std::io::Result<()> {
    child::end_quietly();
    // what a component writes into the current folder is thrown away with it
    let folder = tempfile::tempdir()?;
    std::env::set_current_dir(folder.path())?;
    let told = order.run();
    let line = serde_json::to_string(&told)?;
    #[expect(clippy::print_stdout, reason = "the line that the parent reads")]
    {
        println!("\n{MARK}{line}");
    }
    std::env::set_current_dir("/")
}

#[cfg(test)]
mod tests {
    use byoc::Kind;

    use super::Order;

    #[test]
    fn an_order_is_written_as_the_child_reads_it() {
        let order = Order {
            file: "/a.so".into(),
            test: "loss-gradient".into(),
            component: Some((Kind::LOSS, "MyLoss".into())),
            seed: 7,
            given: None,
        };
        let words: Vec<_> = order.words().into_iter().map(|word| word.into_string().unwrap()).collect();
        let expected = ["__check", "/a.so", "--test", "loss-gradient", "--seed", "7", "--component", "2/MyLoss"];
        assert_eq!(words, expected);
        assert_eq!(Order::parse_component(&words[7]), order.component);
        assert!(order.repeat().contains("--filter MyLoss/loss-gradient --seed 7 --in-process"));
    }
}
