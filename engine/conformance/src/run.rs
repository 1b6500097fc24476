//! All tests of a plugin, each in a child process, several at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use byoc::Kind;

use crate::child::{Order, Told};
use crate::given::GivenFile;
use crate::report::{ComponentName, Report, TestResult};
use crate::suite::{self, Test};

/// What to test, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The plugin's file.
    pub file: PathBuf,
    /// Only components of this kind, and no tests of the file.
    pub kind: Option<Kind>,
    /// Only tests whose `COMPONENT/TEST` (or `file/TEST`) contains one of these; all if there is none.
    pub filter: Vec<String>,
    /// A file with arguments and shapes; see [`GivenFile`].
    pub given: Option<PathBuf>,
    /// What random inputs are drawn with.
    pub seed: u64,
    /// In this process, one after the other, for a debugger. What crashes crashes this process.
    pub in_process: bool,
    /// How long a test may take.
    pub time_limit: Duration,
    /// The program that runs a test when it is called with [`ARGUMENT`](crate::child::ARGUMENT).
    pub program: PathBuf,
}

/// A test to run, and what the report calls it.
struct Job {
    test: &'static Test,
    component: Option<ComponentName>,
    order: Order,
}

/// Runs the tests, tells each result in the order of the suite, and gives them all. An error is one of the request: its
/// file of arguments cannot be read, or names a component that the plugin does not have.
pub fn run(request: &Request, tell: &mut dyn FnMut(&TestResult)) -> Result<Report, String> {
    let given = request.given.as_deref().map(GivenFile::read).transpose()?.unwrap_or_default();
    let inspected = mmar_loader::inspect(&request.file).ok();
    let mut report = Report {
        file: request.file.clone(),
        sha256: inspected.as_ref().map(|plugin| plugin.sha256.clone()),
        module: inspected.map(|plugin| plugin.manifest.plugin.module),
        seed: request.seed,
        results: Vec::new(),
    };
    let file = absolute(&request.file);
    let order = |test: &'static Test, component: Option<(Kind, String)>| Job {
        test,
        component: component.as_ref().map(|(kind, name)| ComponentName { kind: kind.to_string(), name: name.clone() }),
        order: Order {
            file: file.clone(),
            test: test.name.to_owned(),
            component,
            seed: request.seed,
            given: request.given.as_deref().map(absolute),
        },
    };

    // the first test tells what there is to test
    let mut jobs: Vec<Job> = suite::tests().filter(|test| test.is_of_file()).map(|test| order(test, None)).collect();
    let first = jobs.remove(0);
    let told = request.perform(&first.order);
    let components = told.components.clone().unwrap_or_default();
    if told.components.is_some()
        && let Some(unknown) = given.names().find(|name| !components.iter().any(|(_, known)| known == name))
    {
        let known: Vec<_> = components.iter().map(|(_, name)| format!("`{name}`")).collect();
        return Err(format!("arguments are given for `{unknown}`, but the plugin has {}", known.join(", ")));
    }
    if request.asks_for(&first) {
        report.add(&first, told, tell);
    }

    // tests of the file measure times: one after the other
    jobs.retain(|job| request.asks_for(job));
    for job in &jobs {
        let told = request.perform(&job.order);
        report.add(job, told, tell);
    }
    let of_components = components.iter().flat_map(|(kind, name)| {
        let tests = suite::tests().filter(|test| test.is_of(*kind));
        tests.map(|test| order(test, Some((*kind, name.clone()))))
    });
    let jobs: Vec<Job> = of_components.filter(|job| request.asks_for(job)).collect();
    request.perform_all(&jobs, &mut |index, told| report.add(&jobs[index], told, tell));
    Ok(report)
}

impl Request {
    fn asks_for(&self, job: &Job) -> bool {
        let of_kind = match (self.kind, &job.order.component) {
            (None, _) => true,
            (Some(kind), component) => component.as_ref().is_some_and(|(of, _)| *of == kind),
        };
        let component = job.component.as_ref().map_or("file", |component| component.name.as_str());
        let label = format!("{component}/{}", job.test.name);
        of_kind && (self.filter.is_empty() || self.filter.iter().any(|part| label.contains(part.as_str())))
    }

    fn perform(&self, order: &Order) -> Told {
        if self.in_process { order.run() } else { order.run_apart(&self.program, self.time_limit) }
    }

    /// Performs jobs, several at once, and hands the results over in the order of the jobs.
    fn perform_all(&self, jobs: &[Job], take: &mut dyn FnMut(usize, Told)) {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = if self.in_process { 1 } else { workers.min(jobs.len()) };
        if workers <= 1 {
            for (index, job) in jobs.iter().enumerate() {
                take(index, self.perform(&job.order));
            }
            return;
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            for _ in 0..workers {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((index, job)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        jobs.get(index).map(|job| (index, job))
                    } {
                        // whoever listens lives as long as this scope
                        let _ = sender.send((index, self.perform(&job.order)));
                    }
                });
            }
            drop(sender);
            let mut waiting = BTreeMap::new();
            let mut due = 0;
            for (index, told) in results {
                waiting.insert(index, told);
                while let Some(told) = waiting.remove(&due) {
                    take(due, told);
                    due += 1;
                }
            }
        });
    }
}

impl Report {
    fn add(&mut self, job: &Job, told: Told, tell: &mut dyn FnMut(&TestResult)) {
        let result = TestResult {
            test: job.test.name,
            component: job.component.clone(),
            description: job.test.description,
            verdict: told.verdict,
            seconds: told.seconds,
        };
        tell(&result);
        self.results.push(result);
    }
}

fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
