//! `mmar`.
fn main() {}
