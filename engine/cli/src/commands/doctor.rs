//! `mmar doctor`

use std::fmt;
use std::path::{Path, PathBuf};

use mmar_loader::Registry;

use crate::exit::Exit;
use crate::printer::Printer;

/// A fact about this machine.
struct Finding {
    state: State,
    what: &'static str,
    detail: String,
    /// What to do.
    help: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Works with less.
    Limited,
    Broken,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Good => "ok",
            Self::Limited => "note",
            Self::Broken => "broken",
        })
    }
}

/// Prints a line for each thing that can be wrong; fails if something is.
pub(crate) fn run(printer: &mut Printer) -> Result<(), Exit> {
    // CUDA first: the first question about it decides for the whole process.
    let cuda = cuda();
    let mut findings = vec![program(), libtorch(), cuda, cores(), components()];
    findings.extend(compiler());
    findings.push(temporary());
    findings.push(writable("current folder", Path::new(".")));
    let mut broken = false;
    for Finding { state, what, detail, help } in findings {
        printer.result(format_args!("{state:<7} {what:<15} {detail}"))?;
        if let Some(help) = help {
            printer.result(format_args!("{:23} help: {help}", ""))?;
        }
        broken |= state == State::Broken;
    }
    if broken { Err(Exit::Reported) } else { Ok(()) }
}

fn good(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { state: State::Good, what, detail: detail.into(), help: None }
}

fn program() -> Finding {
    let path = std::env::current_exe().map_or_else(|_| "?".to_owned(), |path| path.display().to_string());
    good("mmar", format!("{} at {path}", env!("CARGO_PKG_VERSION")))
}

fn libtorch() -> Finding {
    let file = mapped("libtorch_cpu.so").map_or_else(|| "?".to_owned(), |path| path.display().to_string());
    good("libtorch", format!("{} at {file}", torch_ext::libtorch_version()))
}

fn cuda() -> Finding {
    match torch_ext::cuda::load_library() {
        Ok(()) if torch_ext::cuda::is_available() => good("GPU", "CUDA is available"),
        Ok(()) => Finding {
            state: State::Limited,
            what: "GPU",
            detail: "libtorch has CUDA, but finds no GPU; runs use the CPU".to_owned(),
            help: Some("check `nvidia-smi`".to_owned()),
        },
        Err(error) => Finding {
            state: State::Limited,
            what: "GPU",
            detail: format!("none: {error}; runs use the CPU"),
            help: Some("on a machine with a GPU: `cargo xtask setup --cuda`".to_owned()),
        },
    }
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    let memory =
        memory.map_or_else(String::new, |kilobytes| format!(", {:.1} GB of memory free", kilobytes as f64 / 1e6));
    good("processor", format!("{cores} cores{memory}"))
}

fn components() -> Finding {
    let count = Registry::with_builtins().entries().len();
    good("components", format!("{count} built in"))
}

/// What building a plugin needs.
fn compiler() -> Vec<Finding> {
    ["cargo", "c++"]
        .into_iter()
        .map(|program| {
            let found = std::env::var_os("PATH").and_then(|path| {
                std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
            });
            match found {
                Some(path) => good(program, path.display().to_string()),
                None => Finding {
                    state: State::Limited,
                    what: program,
                    detail: "not found; only plugins that are built elsewhere can be used".to_owned(),
                    help: Some(
                        if program == "cargo" { "see https://rustup.rs" } else { "install g++ or clang" }.to_owned(),
                    ),
                },
            }
        })
        .collect()
}

/// Plugins are opened as private copies there.
fn temporary() -> Finding {
    writable("temporary files", &std::env::temp_dir())
}

fn writable(what: &'static str, folder: &Path) -> Finding {
    match tempfile::tempfile_in(folder) {
        Ok(_) => good(what, format!("{} is writable", folder.display())),
        Err(error) => Finding {
            state: State::Broken,
            what,
            detail: format!("cannot write into {}: {error}", folder.display()),
            help: Some("change its permissions, or work elsewhere".to_owned()),
        },
    }
}

/// The file from which a library was loaded into this process.
fn mapped(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| line.split_once('/')).find(|(_, path)| path.ends_with(name))?.1;
    Some(PathBuf::from(format!("/{path}")))
}
