//! Lets the binary find libtorch wherever it is run from: beside the relative rpath of `.cargo/config.toml`, which holds
//! inside a checkout, it gets the absolute folder of the libtorch that it was linked with.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH") else { return };
    let link = Path::new(&libtorch).join("lib");
    println!("cargo::rerun-if-changed={}", link.display());
    // The link first: it follows a later `cargo xtask setup --cuda`. What it leads to now survives the checkout.
    let mut folders = vec![link.clone()];
    folders.extend(link.canonicalize().ok().filter(|real| *real != link));
    for folder in folders {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{}", folder.display());
    }
}
