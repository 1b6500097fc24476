//! Arguments that mean something only on this machine: paths and devices.

use std::path::Path;

use serde_json::{Map, Value as Json};
use tch::Device;

/// Arguments that name a place to write to.
const OUTPUTS: [&str; 3] = ["output_dir", "save_dir", "log_dir"];

/// Arguments that name a file or folder; relative ones start at the root of the archive.
const PATHS: [&str; 6] = ["output_dir", "save_dir", "log_dir", "load_path", "cache_dir", "data_root_dir"];

/// The arguments as a component gets them: paths made absolute, `"cuda"` replaced where the run has no GPU, and in a
/// dry run all outputs below `scratch`.
pub(crate) fn prepare(args: &Json, root: &Path, device: Device, scratch: Option<&Path>) -> Json {
    let Json::Object(args) = args else { return args.clone() };
    let mut prepared: Map<String, Json> = args.clone();
    for (name, value) in &mut prepared {
        let Json::String(text) = value else { continue };
        if let (Some(scratch), true) = (scratch, OUTPUTS.contains(&name.as_str())) {
            *text = scratch.join(name).display().to_string();
        } else if PATHS.contains(&name.as_str()) {
            *text = root.join(&*text).display().to_string();
        } else if name == "device" && text.starts_with("cuda") && !device.is_cuda() {
            *text = "cpu".into();
        }
    }
    Json::Object(prepared)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use tch::Device;

    use super::prepare;

    #[test]
    fn paths_start_at_the_root_and_devices_are_those_of_the_run() {
        let args = json!({"output_dir": "eval", "load_path": "/a/model.pt", "device": "cuda:0", "keys": "pred"});
        let prepared = prepare(&args, Path::new("/mmar"), Device::Cpu, None);
        assert_eq!(
            prepared,
            json!({"output_dir": "/mmar/eval", "load_path": "/a/model.pt", "device": "cpu", "keys": "pred"})
        );
        let prepared = prepare(&args, Path::new("/mmar"), Device::Cuda(0), Some(Path::new("/elsewhere")));
        assert_eq!(prepared["output_dir"], "/elsewhere/output_dir");
        assert_eq!(prepared["device"], "cuda:0");
    }
}
