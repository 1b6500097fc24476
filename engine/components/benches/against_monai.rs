//! The engine against MONAI on the same libtorch, the same data and the same machine, in turns: each step of the data
//! path of a published config (`config_train_Unet.json`: one real CT, four crops of 96³), a training step, and sliding
//! window inference. Prints the least seconds of each side and their ratio; above 1 the engine is faster.
//!
//! `cargo bench -p mmar-components --bench against_monai [-- ROUNDS] [NAME]`: with a name, only what has it in its own.
//! Needs a Python with MONAI (`MMAR_PYTHON`) and the
//! CT (`MMAR_SHARED`, else `../shared`); `cargo xtask bench` sets both up.

#![expect(clippy::print_stdout, reason = "the result")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use byoc::{BuiltNetwork, Constructor, Inferer, Kind, Loss, Optimizer, ParameterGroup, Random, Sample, Transform};
use mmar_components as _;
use mmar_loader::Registry;
use serde_json::{Value as Json, json};
use tch::{Device, Kind as Dtype, Tensor};

type Failure = Box<dyn std::error::Error>;

const PYTHON: &str = include_str!("against_monai.py");
const CROP: &str = "RandCropByPosNegLabeld";
const PREPARED_CROP: &str = "RandCropByPosNegLabeld, voxels of the label known";
const TRAINING_STEP: &str = "training step, 8 x 48^3";
const SLIDING_WINDOW: &str = "sliding window, 144^3 by 96^3";

fn main() -> Result<(), Failure> {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let Some(python) = std::env::var_os("MMAR_PYTHON").map(PathBuf::from).filter(|python| python.exists()) else {
        println!("left out: MMAR_PYTHON does not name a Python with MONAI");
        return Ok(());
    };
    let shared = std::env::var_os("MMAR_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let case = shared.join("data/spleen");
    if !case.is_dir() {
        println!("left out: there is no CT in `{}`", case.display());
        return Ok(());
    }
    let threads = torch_ext::threads::of_current_thread();
    let subjects = json!({ "sample": sample(&case), "chain": chain(), "network": network(), "threads": threads });
    let mut monai = Monai::start(&python, &subjects)?;
    let mut engine = Engine::new(&subjects, threads)?;
    println!("{:<52} {:>10} {:>10} {:>8}", "seconds, least of the rounds", "engine", "MONAI", "ratio");
    let only = std::env::args().skip(1).find(|argument| argument.parse::<u32>().is_err() && !argument.starts_with('-'));
    for name in engine.names().into_iter().filter(|name| only.as_ref().is_none_or(|only| name.contains(only))) {
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..rounds {
            ours = ours.min(engine.time(&name)?);
            theirs = theirs.min(monai.time(&name)?);
        }
        println!("{name:<52} {ours:>10.4} {theirs:>10.4} {:>7.2}x", theirs / ours);
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn sample(case: &Path) -> Json {
    json!({ "image": case.join("image.nii.gz"), "label": case.join("label.nii.gz") })
}

/// The training transforms of `config_train_Unet.json`.
fn chain() -> Json {
    json!([
        { "name": "LoadImaged", "args": { "keys": ["image", "label"] } },
        { "name": "EnsureChannelFirstd", "args": { "keys": ["image", "label"] } },
        { "name": "Spacingd", "args": { "keys": ["image", "label"], "pixdim": [1.0, 1.0, 1.0], "mode": ["bilinear", "nearest"] } },
        { "name": "ScaleIntensityRanged", "args": { "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0, "clip": true } },
        { "name": "CropForegroundd", "args": { "keys": ["image", "label"], "source_key": "image" } },
        { "name": CROP, "args": { "keys": ["image", "label"], "label_key": "label", "spatial_size": [96, 96, 96], "pos": 1,
            "neg": 1, "num_samples": 4, "image_key": "image", "image_threshold": 0 } },
        { "name": "RandShiftIntensityd", "args": { "keys": "image", "offsets": 0.1, "prob": 1.0 } },
        { "name": "ToTensord", "args": { "keys": ["image", "label"] } },
    ])
}

fn network() -> Json {
    json!({ "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [16, 32, 64, 128, 256],
        "strides": [2, 2, 2, 2], "num_res_units": 2 })
}

/// The other side, waiting for the name of what to do next.
struct Monai {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Monai {
    fn start(python: &Path, subjects: &Json) -> Result<Self, Failure> {
        let mut command = Command::new(python);
        command.args(["-W", "ignore", "-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // the engine's libtorch must not get into Python's
        let mut child = command.env_remove("LD_LIBRARY_PATH").spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("Python has no pipes".into());
        };
        let mut monai = Self { child, input, output: BufReader::new(output) };
        match monai.ask(&subjects.to_string())?.as_str() {
            "ready" => Ok(monai),
            other => Err(format!("Python said `{other}`").into()),
        }
    }

    fn time(&mut self, name: &str) -> Result<f64, Failure> {
        Ok(self.ask(name)?.parse()?)
    }

    fn ask(&mut self, line: &str) -> Result<String, Failure> {
        writeln!(self.input, "{line}")?;
        self.input.flush()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Monai {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This side.
struct Engine {
    steps: Vec<Step>,
    crop_of_prepared: Step,
    network: BuiltNetwork,
    loss: Box<dyn Loss>,
    optimizer: Box<dyn Optimizer>,
    inferer: Box<dyn Inferer>,
    image: Tensor,
    label: Tensor,
    volume: Tensor,
    threads: usize,
}

/// A transform with the sample that it gets.
struct Step {
    name: String,
    transform: Box<dyn Transform>,
    input: Sample,
}

impl Step {
    fn run(&self) -> Result<Vec<Sample>, Failure> {
        Ok(self.transform.apply_many(shared(&self.input), &mut Random::from_seed(1))?)
    }
}

/// The same sample; tensors are shared.
fn shared(sample: &Sample) -> Sample {
    let mut copy = Sample::new();
    for (key, value) in sample.iter() {
        copy.insert(key, value.shallow_clone());
    }
    copy
}

macro_rules! make {
    ($registry:expr, $kind:ident, $variant:ident, $name:expr, $args:expr) => {
        match $registry.find(Kind::$kind, $name)?.constructor {
            Constructor::$variant(create) => create($args)?,
            _ => return Err(format!("`{}` is something else", $name).into()),
        }
    };
}

impl Engine {
    fn new(subjects: &Json, threads: usize) -> Result<Self, Failure> {
        let mut registry = Registry::with_builtins();
        let mut sample = Sample::new();
        for key in ["image", "label"] {
            sample.insert(key, subjects["sample"][key].clone());
        }
        let mut steps = Vec::new();
        let mut crop_of_prepared = None;
        for step in subjects["chain"].as_array().into_iter().flatten() {
            let name = step["name"].as_str().unwrap_or_default();
            let transform = make!(registry, TRANSFORM, Transform, name, &step["args"]);
            if name == CROP {
                let mut input = shared(&sample);
                transform.prepare(&mut input)?;
                let transform = make!(registry, TRANSFORM, Transform, name, &step["args"]);
                crop_of_prepared = Some(Step { name: PREPARED_CROP.to_owned(), transform, input });
            }
            let step = Step { name: name.to_owned(), transform, input: sample };
            sample = step.run()?.into_iter().next().ok_or("a transform gave nothing")?;
            steps.push(step);
        }
        let network = make!(registry, NETWORK, Network, "UNet", &subjects["network"]);
        let loss = make!(registry, LOSS, Loss, "DiceLoss", &json!({ "to_onehot_y": true, "softmax": true }));
        let Constructor::Optimizer(create) = registry.find(Kind::OPTIMIZER, "Adam")?.constructor else {
            return Err("`Adam` is no optimizer".into());
        };
        let parameters = network.state.iter().filter(|named| named.trainable);
        let parameters = parameters.map(|named| named.tensor.shallow_clone()).collect();
        let group = ParameterGroup { parameters, ..ParameterGroup::default() };
        let optimizer = create(&json!({ "lr": 1e-4 }), vec![group])?;
        let inferer = json!({ "roi_size": [96, 96, 96], "sw_batch_size": 4, "overlap": 0.5 });
        let inferer = make!(registry, INFERER, Inferer, "SlidingWindowInferer", &inferer);
        let random = |size: [i64; 5]| Tensor::rand(size, (Dtype::Float, Device::Cpu));
        Ok(Self {
            steps,
            crop_of_prepared: crop_of_prepared.ok_or("the chain has no crop")?,
            network,
            loss,
            optimizer,
            inferer,
            image: random([8, 1, 48, 48, 48]),
            label: random([8, 1, 48, 48, 48]).gt(0.5).to_kind(Dtype::Float),
            volume: random([1, 1, 144, 144, 144]),
            threads,
        })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.steps.iter().map(|step| step.name.clone()).collect();
        names.extend([PREPARED_CROP, TRAINING_STEP, SLIDING_WINDOW].map(str::to_owned));
        names
    }

    /// The data path runs on one thread, as in a worker of either side.
    fn time(&mut self, name: &str) -> Result<f64, Failure> {
        let heavy = name == TRAINING_STEP || name == SLIDING_WINDOW;
        torch_ext::threads::limit_current_thread(if heavy { self.threads } else { 1 });
        let start = Instant::now();
        match name {
            TRAINING_STEP => self.training_step()?,
            SLIDING_WINDOW => self.sliding_window()?,
            PREPARED_CROP => drop(self.crop_of_prepared.run()?),
            _ => {
                let step = self.steps.iter().find(|step| step.name == name).ok_or("no such step")?;
                drop(step.run()?);
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn training_step(&mut self) -> Result<(), Failure> {
        self.optimizer.zero_grad()?;
        let prediction = self.network.network.forward(&self.image, true)?;
        self.loss.forward(&prediction, &self.label)?.f_backward()?;
        Ok(self.optimizer.step()?)
    }

    fn sliding_window(&self) -> Result<(), Failure> {
        let network = &self.network.network;
        let _ = tch::no_grad(|| self.inferer.infer(&self.volume, &mut |window| network.forward(window, false)))?;
        Ok(())
    }
}
