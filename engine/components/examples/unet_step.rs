//! Time of a training step of the spleen config's UNet on the CPU, with and without the memory-format rule of
//! `byoc::nn::memory_format`, in float32 and under bfloat16 autocast.
//!
//! `cargo run --release -p mmar-components --example unet_step [BATCH SIZE [STEPS]]`; by default 2 × 48³, 3 steps. It
//! prints the least CPU time of a step (other work on the machine does not count) and the ratio that the rule brings.

#![expect(clippy::print_stdout, reason = "the result")]

use byoc::nn::memory_format;
use byoc::{Constructor, Kind};
use mmar_components as _;
use mmar_loader::Registry;
use tch::{Device, Kind as Dtype, Tensor};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let numbers: Vec<i64> = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [batch, size, steps] = match numbers.as_slice() {
        [] => [2, 48, 3],
        [batch, size] => [*batch, *size, 3],
        [batch, size, steps] => [*batch, *size, *steps],
        _ => return Err("expected BATCH SIZE [STEPS]".into()),
    };
    let args = serde_json::json!({
        "dimensions": 3, "in_channels": 1, "out_channels": 2, "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2],
        "num_res_units": 2,
    });
    let Constructor::Network(create) = Registry::with_builtins().find(Kind::NETWORK, "UNet")?.constructor else {
        return Err("`UNet` is no network".into());
    };
    tch::manual_seed(0);
    let built = create(&args)?;
    let x = Tensor::randn([batch, 1, size, size, size], (Dtype::Float, Device::Cpu));
    println!("UNet 16–256, {batch} × {size}³, CPU seconds per step (least of {steps})");
    for (name, dtype) in [("float32", None), ("bfloat16", Some(Dtype::BFloat16))] {
        let step = || -> Result<f64, Failure> {
            let start = cpu_seconds()?;
            let y = torch_ext::autocast::with(Device::Cpu, dtype, || built.network.forward(&x, true))?;
            y.to_kind(Dtype::Float).square().mean(Dtype::Float).f_backward()?;
            for named in built.state.iter().filter(|named| named.trainable) {
                let _ = named.tensor.grad().f_zero_()?;
            }
            Ok(cpu_seconds()? - start)
        };
        let least = |step: &dyn Fn() -> Result<f64, Failure>| -> Result<f64, Failure> {
            let mut least = f64::INFINITY;
            for _ in 0..=steps {
                least = least.min(step()?);
            }
            Ok(least)
        };
        let plain = least(&|| memory_format::unchanged(step))?;
        let chosen = least(&step)?;
        println!("{name:9} as it comes {plain:7.3}   with the rule {chosen:7.3}   {:.2} × faster", plain / chosen);
    }
    Ok(())
}

/// CPU time of this process, all threads, from `/proc`: in ticks of 10 ms, enough for steps of seconds.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| {
        fields.get(index).and_then(|field| field.parse::<f64>().ok()).ok_or("unexpected /proc/self/stat")
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
