//! Threads: data workers and several runs call different objects of one component at the same time.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::object::{Object, Response};
use crate::specimen::Specimen;
use crate::stimulus::Stimulus;
use crate::suite::Test;
use crate::verdict::{Found, Verdict};

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("threads-apart", "four objects in four threads give what each gives alone", &[], apart),
    Test::of_component("threads-moved", "an object that was made in one thread works in another", &[], moved),
];

const THREADS: usize = 4;
/// Calls in each thread of something quick; what is slow is called until the time is up, but twice at least.
const ROUNDS: usize = 60;
const TIME: Duration = Duration::from_secs(4);

/// An object that another thread takes over. Every component is `Send`; the enum around them only has to say so, which
/// it does by itself.
struct Task {
    object: Object,
    stimulus: Stimulus,
    expected: Response,
}

fn apart(specimen: &Specimen) -> Found {
    let mut tasks = Vec::new();
    for number in 0..THREADS as u64 {
        let stimulus = specimen.stimulus(number)?;
        let expected = specimen.steady_answer(&stimulus)?;
        tasks.push(Task { object: specimen.make()?, stimulus, expected });
    }
    // handlers remember their run: each round has an object of its own, made here
    let is_handler = matches!(tasks[0].object, Object::Handler(_));
    let rounds = if is_handler { 1 } else { ROUNDS };
    let start = Barrier::new(THREADS);
    let outcomes: Vec<Result<usize, Verdict>> = std::thread::scope(|scope| {
        let workers: Vec<_> = tasks
            .into_iter()
            .map(|mut task| {
                let start = &start;
                scope.spawn(move || {
                    torch_ext::threads::limit_current_thread(1);
                    start.wait();
                    let began = Instant::now();
                    let mut done = 0;
                    while done < rounds && (done < 2 || began.elapsed() < TIME) {
                        task.round()?;
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<usize, Verdict>>| {
            worker.join().unwrap_or_else(|_| Err(Verdict::skipped("the test itself panicked: please report it")))
        };
        workers.into_iter().map(join).collect()
    });
    let done = outcomes.into_iter().collect::<Result<Vec<usize>, _>>()?;
    let fewest = done.into_iter().min().unwrap_or_default();
    Ok(Verdict::success(format!("{THREADS} threads, {fewest} calls each")))
}

impl Task {
    fn round(&mut self) -> Result<(), Verdict> {
        let help =
            "keep nothing in statics; where objects must share something, guard the whole of its use with one lock";
        let found = self.object.respond(&self.stimulus.copy()).map_err(|error| {
            Verdict::failed(format!("while others work it gives an error: {}", crate::verdict::said(&error)), help)
        })?;
        match self.expected.difference(&found)? {
            None => Ok(()),
            Some(difference) => {
                Err(Verdict::failed(format!("while others work it gives another result: {difference}"), help))
            }
        }
    }
}

fn moved(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let expected = specimen.steady_answer(&stimulus)?;
    let task = Task { object: specimen.make()?, stimulus, expected };
    let outcome = std::thread::spawn(move || {
        let Task { mut object, stimulus, expected } = task;
        torch_ext::threads::limit_current_thread(1);
        let found = object.respond(&stimulus.copy())?;
        expected.difference(&found)
    });
    let outcome =
        outcome.join().unwrap_or_else(|_| Err(Verdict::skipped("the test itself panicked: please report it")))?;
    match outcome {
        None => Ok(Verdict::success("the same in another thread")),
        Some(difference) => Err(Verdict::failed(
            format!("in another thread than that it was made in, it gives another result: {difference}"),
            "keep state in the struct, not in a `thread_local`: the engine makes components in one thread and calls them in \
             others",
        )),
    }
}
