//! What the tests share: the binary, a data set, archives to run in, the Python packages to compare with.

#![expect(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// Values that make the archive's training config small enough for a test: coarse voxels, a narrow network, few steps.
const SMALL: [&str; 12] = [
    "epochs=2",
    "num_interval_per_valid=1",
    "use_gpu=false",
    "train.pre_transforms.Spacingd.args.pixdim=[8.0, 8.0, 10.0]",
    "train.pre_transforms.RandCropByPosNegLabeld.args.spatial_size=[16, 16, 16]",
    "train.model={\"name\": \"BasicUNet\", \"args\": {\"spatial_dims\": 3, \"in_channels\": 1, \"out_channels\": 2, \
     \"features\": [4, 4, 8, 8, 8, 4], \"norm\": \"batch\"}}",
    "train.loss={\"name\": \"DiceLoss\", \"args\": {\"to_onehot_y\": true, \"softmax\": true}}",
    "train.pre_transforms.MyRandAdditiveNoised={\"name\": \"RandScaleIntensityd\", \"args\": {\"keys\": \"image\", \
     \"factors\": 0.1, \"prob\": 0.5}}",
    "train.dataset.args.num_workers=0",
    "train.dataloader.args.num_workers=1",
    "validate.inferer.args.roi_size=[32, 32, 32]",
    "validate.dataset.args.num_workers=0",
];

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is in a workspace").to_owned()
}

/// The folder with real data and reference cases, where there is one.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("MMAR_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if folder.is_dir() {
        return folder.canonicalize().ok();
    }
    println!("left out: `{}` is not there", folder.display());
    None
}

/// The Python with torch, MONAI, nibabel and TensorBoard, where there is one.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MMAR_PYTHON").map(PathBuf::from).filter(|python| python.exists());
    if python.is_none() {
        println!("left out: MMAR_PYTHON does not name a Python to compare with; `cargo xtask test` sets it");
    }
    python
}

/// Runs a Python script and gives what it printed.
#[track_caller]
pub(crate) fn run_python(python: &Path, script: &str, arguments: &[&Path]) -> String {
    let mut command = Command::new(python);
    command.arg("-W").arg("ignore").arg("-c").arg(script).args(arguments);
    // The engine's libtorch must not get into Python's.
    command.env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
    let output = command.output().expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The folder that this test's binary and the engine are built into.
pub(crate) fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps").to_owned()
}

/// The engine, built from the current sources. Runs without any environment of cargo's.
pub(crate) fn mmar() -> Command {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "mmar", "-p", "myLoss", "-p", "myNetworkArch", "-p", "myTransformation"]);
        let status = cargo.current_dir(root()).stdin(Stdio::null()).status().expect("cargo starts");
        assert!(status.success(), "the engine does not build");
    });
    let mut command = Command::new(profile_folder().join("mmar"));
    for variable in ["LD_LIBRARY_PATH", "LIBTORCH", "MMAR_LOG", "MMAR_PLUGIN_PATH", "RUST_BACKTRACE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// A finished process.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Fails the test unless the process succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless the process ended with this code and one clear message that holds these parts.
    #[track_caller]
    pub(crate) fn failure(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        // what Rust itself prints; a message of ours may say that a plugin panicked
        assert!(!self.stderr.contains("panicked at"), "{}", self.stderr);
        let errors = self.stderr.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "one message, not {errors}:\n{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in:\n{}", self.stderr);
        }
        self
    }
}

/// Runs the engine.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    mmar().args(arguments).output().expect("the engine starts").into()
}

/// A synthetic data set that all tests read.
pub(crate) fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        run(&["demo-data", &folder.path().display().to_string(), "--cases", "4", "--seed", "7"]).success();
        folder
    })
    .path()
}

/// A copy of the repository's archive.
pub(crate) struct Archive {
    folder: TempDir,
}

impl Archive {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("config")).expect("made");
        let configs = root().join("mmars/spleen_ct_segmentation/config");
        for entry in configs.read_dir().expect("the archive has configs") {
            let entry = entry.expect("readable");
            fs::copy(entry.path(), folder.path().join("config").join(entry.file_name())).expect("copied");
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read_json(&self, name: &str) -> Json {
        serde_json::from_str(&fs::read_to_string(self.path(name)).expect("readable")).expect("JSON")
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        self.put(name, content.as_bytes());
    }

    /// Puts a file of any kind into it.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, bytes).expect("written");
        path
    }

    /// Installs first-party plugins into a folder of it.
    pub(crate) fn install(&self, plugins: &[&str], folder: &str) {
        mmar();
        for plugin in plugins {
            let library = profile_folder().join(format!("lib{plugin}.so")).display().to_string();
            let root = self.path("").display().to_string();
            let installed = run(&["plugin", "install", &library, "-m", &root, "--folder", folder]).success();
            assert!(Path::new(installed.stdout.trim()).is_file(), "{}", installed.stdout);
        }
    }

    /// Waits until a run that is going on has done so many steps.
    pub(crate) fn wait_for_steps(&self, run: &str, steps: usize) {
        let metrics = self.path(&format!("models/{run}/metrics.jsonl"));
        let start = Instant::now();
        while !fs::read_to_string(&metrics).is_ok_and(|text| text.matches("train_step").count() >= steps) {
            assert!(start.elapsed() < Duration::from_mins(2), "no step after two minutes");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A command on a config of the archive with the shared data set.
    pub(crate) fn command(&self, command: &str, config: &str, overrides: &[&str]) -> Command {
        let mut mmar = mmar();
        mmar.arg(command).arg("-m").arg(self.folder.path()).arg("-c").arg(config).arg("--set");
        mmar.arg(format!("DATA_ROOT={}", data().display()));
        mmar.arg(format!("DATASET_JSON={}", data().join("dataset.json").display()));
        mmar.args(overrides);
        mmar
    }

    /// A small training run; later overrides win.
    pub(crate) fn training(&self, overrides: &[&str]) -> Command {
        let mut all = SMALL.to_vec();
        all.extend(overrides);
        self.command("train", "config/config_train.json", &all)
    }

    pub(crate) fn train(&self, overrides: &[&str]) -> Finished {
        self.training(overrides).output().expect("the engine starts").into()
    }

    /// The lines of a run's `metrics.jsonl` of a kind; of repeated steps the last one.
    pub(crate) fn metrics(&self, run: &str, kind: &str) -> Vec<Json> {
        let text = fs::read_to_string(self.path(&format!("models/{run}/metrics.jsonl"))).expect("a run has metrics");
        let mut lines: Vec<Json> = Vec::new();
        for line in text.lines() {
            let line: Json = serde_json::from_str(line).expect("JSON");
            if line["kind"] == kind {
                lines.retain(|earlier| earlier["step"] != line["step"]);
                lines.push(line);
            }
        }
        lines
    }

    /// The training losses of a run, in full precision.
    pub(crate) fn losses(&self, run: &str) -> Vec<f64> {
        self.metrics(run, "train_step").iter().map(|line| line["train_loss"].as_f64().expect("a number")).collect()
    }
}
