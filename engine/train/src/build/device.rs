//! The device of a run, and libtorch's switches for it.

use mmar_config::Settings;
use tch::Device;

use crate::{Failure, Level, Observer};

/// The GPU if the config wants one and there is one; else the CPU, with one warning.
///
/// Nothing may ask libtorch about CUDA before this: the first question settles the answer for the process.
pub(crate) fn choose(
    settings: &Settings,
    wanted: Option<&str>,
    require_gpu: bool,
    observer: &mut dyn Observer,
) -> Result<Device, Failure> {
    if !settings.use_gpu || wanted == Some("cpu") {
        if require_gpu {
            return Err(Failure::usage("no-gpu", "`--require-gpu` was given, but the config says not to use one")
                .help("set `use_gpu` to true: `--set use_gpu=true`"));
        }
        return Ok(Device::Cpu);
    }
    let available = torch_ext::cuda::load_library().and_then(|()| torch_ext::cuda::devices());
    match available {
        Ok(count) => {
            let index = wanted.and_then(|wanted| wanted.strip_prefix("cuda:")?.parse().ok()).unwrap_or(0);
            if index >= count {
                return Err(Failure::new(
                    "no-gpu",
                    format!("the config wants `cuda:{index}`, but there are {count} GPUs"),
                ));
            }
            if settings.multi_gpu {
                observer.message(Level::Warning, "`multi_gpu` is not supported yet: the run uses one GPU");
            }
            Ok(Device::Cuda(index))
        }
        Err(reason) if require_gpu => Err(Failure::new("no-gpu", format!("a GPU is required: {reason}"))
            .help("`mmar doctor` says what is missing; without `--require-gpu` the run would use the CPU")),
        Err(reason) => {
            observer.message(Level::Warning, &format!("the run uses the CPU: {reason}"));
            Ok(Device::Cpu)
        }
    }
}

/// Precision of float32 products and the choice of algorithms.
pub(crate) fn set_switches(settings: &Settings) -> Result<(), Failure> {
    let deterministic = settings.random_seed.is_some();
    let benchmark = settings.cudnn_benchmark && !deterministic;
    torch_ext::flags::set_tf32(settings.tf32)
        .and_then(|()| torch_ext::flags::set_cudnn(benchmark, deterministic))
        .map_err(|error| Failure::bug(error.to_string()))
}
