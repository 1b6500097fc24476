//! Puts the files of `byoc-template` into the crate, so that `mmar plugin new` needs nothing but itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../byoc-template");
    let root = root.canonicalize().expect("the template lies beside the engine");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut list = String::from("[\n");
    for file in &files {
        let name = file.strip_prefix(&root).expect("below the root").to_str().expect("names are UTF-8");
        writeln!(list, "    ({name:?}, include_bytes!({:?}).as_slice()),", file.display()).expect("a string takes it");
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("template.rs");
    fs::write(out, list).expect("the folder is cargo's own");
}

/// Every file but what building in the template leaves behind.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("readable").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".libtorch" && name != ".git" {
                collect(&path, files);
            }
        } else if name != "Cargo.lock" {
            files.push(path);
        }
    }
}
