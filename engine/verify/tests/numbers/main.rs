//! Networks, losses, metrics and transforms without a reference case, and arguments that those leave out, against numbers of MONAI,
//! PyTorch and ignite.
//!
//! `make.py` makes the tables `KIND.json` of the lists `KIND.jsonl`, with Python.

mod losses;
mod metrics;
mod networks;
mod table;
mod transforms;
