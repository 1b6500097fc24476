//! Compiles the C++ shim against the libtorch that tch was built with.

use std::env;
use std::path::{Path, PathBuf};

const SHIM: [&str; 6] = ["autocast.cpp", "checkpoint.cpp", "context.cpp", "gradient.cpp", "optim.cpp", "view.cpp"];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");

    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").pic(true).warnings(false);
    build.define("_GLIBCXX_USE_CXX11_ABI", Some(env::var("LIBTORCH_CXX11_ABI").as_deref().unwrap_or("1")));
    for directory in include_directories() {
        // libtorch's own headers are not ours to warn about
        build.flag("-isystem").flag(directory);
    }
    build.files(SHIM.map(|file| Path::new("shim").join(file)));
    build.compile("mmar_torch_ext");
}

/// torch-sys says where the libraries are; the headers lie beside them, or where `LIBTORCH_INCLUDE` says.
fn include_directories() -> [PathBuf; 2] {
    let root = env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from).or_else(|| {
        let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB")?;
        Path::new(&libraries).parent().map(Path::to_path_buf)
    });
    let root = root.unwrap_or_else(|| panic!("torch-sys did not say where libtorch is: run `cargo xtask setup`"));
    let include = root.join("include");
    assert!(
        include.join("ATen").is_dir(),
        "no libtorch headers in `{}`: run `cargo xtask setup`, or set LIBTORCH_INCLUDE to the folder that has `include`",
        root.display()
    );
    [include.join("torch/csrc/api/include"), include]
}
