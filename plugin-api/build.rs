//! Finds out what this build is made of, for the manifest of plugins and the engine's own checks: libtorch's version and
//! flavour, the compiler, the target.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let lib = PathBuf::from(env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch lies"));
    let root = lib.parent().expect("libtorch's `lib` lies in a folder");
    let version = libtorch_version(&root.join("include/torch/headeronly/version.h"));
    tell("BYOC_LIBTORCH", &version);
    tell("BYOC_LIBTORCH_FLAVOUR", &flavour(root));
    // torch-sys compiles with the new ABI of std::string unless this says otherwise
    tell("BYOC_CXX11_ABI", &env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned()));
    tell("BYOC_RUSTC", &rustc_version());
    tell("BYOC_TARGET", &env::var("TARGET").expect("cargo sets TARGET"));
    tell("BYOC_PROFILE", &env::var("PROFILE").expect("cargo sets PROFILE"));
}

fn tell(name: &str, value: &str) {
    println!("cargo:rustc-env={name}={value}");
}

/// `2.11.0`, from the three numbers in libtorch's header; the Python wheel has no `build-version` file.
fn libtorch_version(header: &Path) -> String {
    println!("cargo:rerun-if-changed={}", header.display());
    let text = fs::read_to_string(header)
        .unwrap_or_else(|error| panic!("cannot read libtorch's version from `{}`: {error}", header.display()));
    let number = |name: &str| {
        let line = text.lines().find(|line| line.starts_with("#define") && line.contains(name));
        line.and_then(|line| line.split_whitespace().last())
            .unwrap_or_else(|| panic!("`{}` does not define `{name}`", header.display()))
            .to_owned()
    };
    format!("{}.{}.{}", number("TORCH_VERSION_MAJOR"), number("TORCH_VERSION_MINOR"), number("TORCH_VERSION_PATCH"))
}

/// `cu130` for a build of libtorch with CUDA, `cpu` for one without. What is linked is the CPU part either way.
fn flavour(root: &Path) -> String {
    let file = root.join("version.py");
    println!("cargo:rerun-if-changed={}", file.display());
    let text = fs::read_to_string(file).unwrap_or_default();
    let cuda = text.lines().filter(|line| line.starts_with("cuda")).find_map(|line| line.split('\'').nth(1));
    cuda.map_or_else(|| "cpu".to_owned(), |version| format!("cu{}", version.replace('.', "")))
}

fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
