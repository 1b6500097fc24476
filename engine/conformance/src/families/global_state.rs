//! What belongs to the whole process: a component leaves it as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use byoc::Kind as ComponentKind;
use tch::{Device, Kind, Tensor};

use crate::families::lifecycle::exercised;
use crate::numbers::difference;
use crate::plugin::Plugin;
use crate::specimen::Specimen;
use crate::suite::Test;
use crate::verdict::{Found, Verdict};

pub(crate) const TEST_OF_FILE: Test =
    Test::of_file("load-unseen", "loading it changes nothing of the process: numerics, folder, signals", loading);

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("global-seed", "it does not seed libtorch's generator", &[], seed),
    Test::of_component(
        "global-generator",
        "it draws from libtorch's generator only where that is seeded",
        &[],
        generator,
    ),
    Test::of_component("global-switches", "grad mode, threads, autocast and numerics stay as they are", &[], switches),
    Test::of_component(
        "global-process",
        "current folder, environment, signals and threads stay as they are",
        &[],
        process,
    ),
];

/// What the next draw from libtorch's generator would be, after the component has worked from this seed.
fn draw_after(specimen: &Specimen, seed: i64) -> Result<Tensor, Verdict> {
    // made before: making it seeds the generator, as the engine does
    let mut object = specimen.make()?;
    let stimulus = specimen.stimulus(0)?;
    tch::manual_seed(seed);
    object.respond(&stimulus)?;
    Ok(Tensor::f_randn([16], (Kind::Double, Device::Cpu))?)
}

fn seed(specimen: &Specimen) -> Found {
    let (first, second) = (draw_after(specimen, 11)?, draw_after(specimen, 12)?);
    let help = "never call `tch::manual_seed`: dropout and the initialisation of everybody else would repeat themselves. A \
                transform draws from the `Random` that it is given";
    if difference(&first, &second)?.is_none() {
        return Err(Verdict::failed("it sets the seed of libtorch's generator when it is called", help));
    }
    // the same for making it, with a generator that stands elsewhere each time
    let drawn = |seed: i64| -> Result<Tensor, Verdict> {
        let args = specimen.args();
        specimen.make_after(&args, || tch::manual_seed(seed))?;
        Ok(Tensor::f_randn([16], (Kind::Double, Device::Cpu))?)
    };
    if difference(&drawn(11)?, &drawn(12)?)?.is_none() {
        return Err(Verdict::failed("it sets the seed of libtorch's generator when it is made", help));
    }
    Ok(Verdict::success("after other seeds other numbers follow"))
}

fn generator(specimen: &Specimen) -> Found {
    let untouched = {
        tch::manual_seed(11);
        Tensor::f_randn([16], (Kind::Double, Device::Cpu))?
    };
    if difference(&untouched, &draw_after(specimen, 11)?)?.is_none() {
        return Ok(Verdict::success("it does not draw"));
    }
    let (found, help) = match specimen.descriptor.kind {
        ComponentKind::TRANSFORM => (
            "it draws from libtorch's generator, which no two workers share in the same way",
            "draw from the `Random` that `apply` is given: `random.uniform_tensor(…)`, `random.normal_tensor(…)`",
        ),
        // evaluation is what was tried
        ComponentKind::NETWORK => (
            "it draws from libtorch's generator in evaluation mode",
            "leave dropout and other noise out where `train` is false",
        ),
        ComponentKind::LOSS => {
            return Err(Verdict::warning(
                "it draws from libtorch's generator: the loss of a batch depends on the step",
                "that repeats itself, because the engine seeds each step; but a resumed run or a test may expect otherwise",
            ));
        }
        _ => (
            "it draws from libtorch's generator: what comes after it is another run",
            "use a generator of its own with a fixed seed: `byoc::Random::from_seed`",
        ),
    };
    Err(Verdict::failed(found, help))
}

/// The switches of libtorch that code can turn.
#[derive(Debug, PartialEq)]
struct Switches {
    grad_mode: bool,
    threads: usize,
    interop_threads: i32,
    autocast: Option<Kind>,
    tf32: (bool, bool),
    cudnn: (bool, bool),
    deterministic: (bool, bool),
}

impl Switches {
    fn now() -> Result<Self, Verdict> {
        let leaf = Tensor::f_ones([1], (Kind::Float, Device::Cpu))?.set_requires_grad(true);
        Ok(Self {
            grad_mode: leaf.f_mul(&leaf)?.requires_grad(),
            threads: torch_ext::threads::of_current_thread(),
            interop_threads: tch::get_num_interop_threads(),
            autocast: torch_ext::autocast::current(Device::Cpu)?,
            tf32: torch_ext::flags::tf32()?,
            cudnn: torch_ext::flags::cudnn()?,
            deterministic: torch_ext::flags::deterministic_algorithms()?,
        })
    }

    /// The switches that are not as they were, with both positions.
    fn changed(&self, other: &Self) -> Vec<String> {
        let pairs = [
            ("grad mode", format!("{:?}", self.grad_mode), format!("{:?}", other.grad_mode)),
            ("intra-op threads", self.threads.to_string(), other.threads.to_string()),
            ("inter-op threads", self.interop_threads.to_string(), other.interop_threads.to_string()),
            ("autocast", format!("{:?}", self.autocast), format!("{:?}", other.autocast)),
            ("TF32", format!("{:?}", self.tf32), format!("{:?}", other.tf32)),
            ("cuDNN", format!("{:?}", self.cudnn), format!("{:?}", other.cudnn)),
            ("deterministic algorithms", format!("{:?}", self.deterministic), format!("{:?}", other.deterministic)),
        ];
        pairs.into_iter().filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name}: {a} → {b}")).collect()
    }
}

/// Fails if a switch is not as it was.
fn compare(before: &Switches, when: &str) -> Result<(), Verdict> {
    let changed = before.changed(&Switches::now()?);
    if changed.is_empty() {
        return Ok(());
    }
    Err(Verdict::failed(
        format!("{when}, {}", changed.join(", ")),
        "these belong to the engine and to everybody else: use the guards that end by themselves (`tch::no_grad(|| …)`), and \
         leave threads and numerics to the config",
    ))
}

fn switches(specimen: &Specimen) -> Found {
    // a number that nobody would choose, so that any choice shows; before the component runs for the first time
    torch_ext::threads::limit_current_thread(3);
    let before = Switches::now()?;
    let found = exercised(specimen, 3).and_then(|object| {
        compare(&before, "after it was made and called")?;
        drop(object);
        compare(&before, "after it was dropped")
    });
    torch_ext::threads::limit_current_thread(1);
    found.map(|()| Verdict::success("as before"))
}

fn loading(plugin: &Plugin) -> Found {
    torch_ext::threads::limit_current_thread(3);
    let (switches, process) = (Switches::now()?, Process::now());
    plugin.load()?;
    compare(&switches, "after it was loaded")?;
    process.compare(&Process::now())?;
    Ok(Verdict::success("as before"))
}

/// What the operating system knows of this process.
struct Process {
    folder: Option<PathBuf>,
    environment: BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    /// Which signals are caught, ignored and blocked.
    signals: Vec<String>,
    threads: usize,
}

impl Process {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let threads = line("Threads:").split_whitespace().nth(1).and_then(|count| count.parse().ok());
        Self {
            folder: std::env::current_dir().ok(),
            environment: std::env::vars_os().collect(),
            signals: ["SigBlk:", "SigIgn:", "SigCgt:"].map(line).to_vec(),
            threads: threads.unwrap_or(1),
        }
    }
}

impl Process {
    /// Fails if something is not as it was. Threads are counted where they are known to be the component's.
    fn compare(&self, after: &Self) -> Result<(), Verdict> {
        if self.folder != after.folder {
            let folder = after.folder.clone().unwrap_or_default();
            return Err(Verdict::failed(
                format!("it changes the current folder to `{}`", folder.display()),
                "use absolute paths: relative ones of the whole process would lead elsewhere",
            ));
        }
        if self.environment != after.environment {
            let names = after.environment.iter().filter(|(name, value)| self.environment.get(*name) != Some(value));
            let gone = self.environment.iter().filter(|(name, _)| !after.environment.contains_key(*name));
            let names: Vec<_> = names.chain(gone).map(|(name, _)| format!("`{}`", name.to_string_lossy())).collect();
            return Err(Verdict::failed(
                format!("it changes the environment: {}", names.join(", ")),
                "take settings as arguments; changing the environment while other threads read it is undefined behaviour",
            ));
        }
        if self.signals != after.signals {
            return Err(Verdict::failed(
                "it changes how signals are handled",
                "leave signals to the engine, which finishes the step and saves at Ctrl-C; ask `byoc::cancelled()`",
            ));
        }
        Ok(())
    }
}

fn process(specimen: &Specimen) -> Found {
    let before = Process::now();
    // libtorch's own threads start with its first operations
    drop(exercised(specimen, 1)?);
    let warm = Process::now();
    drop(exercised(specimen, 3)?);
    let after = Process::now();
    before.compare(&after)?;
    if after.threads > warm.threads {
        return Err(Verdict::warning(
            format!("{} threads are left when it is gone", after.threads - warm.threads),
            "join its threads in `Drop`: a run makes components again at each reload and each validation",
        ));
    }
    Ok(Verdict::success("as before"))
}
