//! Files that other programs read, read by those programs.

use std::fs;

use crate::support::{Archive, Finished, python, run_python};

/// An inference config that feeds whole small volumes to the network and saves its raw output.
const RAW_OUTPUT: &str = r#"{
  "CLARA_TRAIN_VERSION": "4.1.0", "use_gpu": false, "amp": false,
  "model": [{"ckpt_path": "{MMAR_CKPT}"}],
  "pre_transforms": [
    {"name": "LoadImaged", "args": {"keys": "image"}},
    {"name": "EnsureChannelFirstd", "args": {"keys": "image"}},
    {"name": "ScaleIntensityRanged", "args": {"keys": "image", "a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0}},
    {"name": "ToTensord", "args": {"keys": "image"}}
  ],
  "dataset": {"name": "Dataset", "data_list_file_path": "{DATASET_JSON}", "data_file_base_dir": "{DATA_ROOT}",
    "data_list_key": "test", "args": {"transform": "@pre_transforms"}},
  "dataloader": {"name": "DataLoader", "args": {"dataset": "@dataset", "batch_size": 1}},
  "inferer": {"name": "SimpleInferer"},
  "handlers": [{"name": "CheckpointLoader", "args": {"load_path": "{MMAR_CKPT}", "load_dict": {"model": "@model"}}}],
  "post_transforms": [
    {"name": "SaveImaged", "args": {"keys": "pred", "meta_keys": "image_meta_dict", "output_dir": "{MMAR_EVAL_OUTPUT_PATH}",
      "resample": false}}
  ],
  "evaluator": {"name": "SupervisedEvaluator", "args": {"val_data_loader": "@dataloader", "network": "@model",
    "inferer": "@inferer", "postprocessing": "@post_transforms", "val_handlers": "@handlers"}}
}"#;

/// Loads the weights into MONAI's network, feeds it the same volume and prints the largest difference to our output.
const SAME_OUTPUT: &str = "
import sys, glob, nibabel, numpy, torch
from monai.networks.nets import UNet, BasicUNet
root, name = sys.argv[1], sys.argv[2]
checkpoint = torch.load(root + '/models/model.pt', weights_only=True)
args = checkpoint['train_conf']['train']['model']['args']
network = {'UNet': UNet, 'BasicUNet': BasicUNet}[name](**args)
network.load_state_dict(checkpoint['model'], strict=True)
network.eval()
image = nibabel.load(root + '/small.nii.gz').get_fdata(dtype=numpy.float32)
x = torch.from_numpy((image + 57) / 221)[None, None]
with torch.no_grad():
    expected = network(x)[0].permute(1, 2, 3, 0).numpy()
[path] = glob.glob(root + '/eval/small/*.nii.gz')
found = nibabel.load(path).get_fdata(dtype=numpy.float32)
assert found.shape == expected.shape, (found.shape, expected.shape)
print(numpy.abs(found - expected).max() / numpy.abs(expected).max())
";

const SMALL_VOLUME: &str = "
import sys, nibabel, numpy
generator = numpy.random.default_rng(0)
voxels = generator.integers(-100, 200, (32, 32, 16)).astype(numpy.int16)
nibabel.save(nibabel.Nifti1Image(voxels, numpy.diag([2, 2, 3, 1])), sys.argv[1] + '/small.nii.gz')
";

#[test]
fn a_model_loads_into_monai_and_gives_the_same_output() {
    let Some(python) = python() else { return };
    let unet = "train.model={\"name\": \"UNet\", \"args\": {\"spatial_dims\": 3, \"in_channels\": 1, \"out_channels\": 2, \
                \"channels\": [4, 8, 8], \"strides\": [2, 2], \"num_res_units\": 2, \"norm\": \"batch\"}}";
    for (name, model) in [("BasicUNet", None), ("UNet", Some(unet))] {
        let archive = Archive::new();
        archive.train(model.as_slice()).success();
        run_python(&python, SMALL_VOLUME, &[&archive.path("")]);
        archive.write("config/raw.json", RAW_OUTPUT);
        archive.write("list.json", "{\"test\": [\"small.nii.gz\"]}");
        let (list, root) = (format!("DATASET_JSON={}", archive.path("list.json").display()), archive.path(""));
        let root_variable = format!("DATA_ROOT={}", root.display());
        let output =
            archive.command("evaluate", "config/raw.json", &[&list, &root_variable]).output().expect("started");
        Finished::from(output).success();
        let difference = run_python(&python, SAME_OUTPUT, &[&root, name.as_ref()]);
        let difference: f64 = difference.parse().expect("a number");
        assert!(difference < 1e-5, "{name}: MONAI's output differs by {difference}");
    }
}

/// MONAI's network with the weights of `model.pt`, as TorchScript.
const TRACE: &str = "
import sys, torch
from monai.networks.nets import BasicUNet
checkpoint = torch.load(sys.argv[1] + '/models/model.pt', weights_only=True)
network = BasicUNet(**checkpoint['train_conf']['train']['model']['args'])
network.load_state_dict(checkpoint['model'], strict=True)
network.eval()
torch.jit.trace(network, torch.rand(1, 1, 32, 32, 16)).save(sys.argv[1] + '/models/model.ts')
";

#[test]
fn a_torchscript_file_is_evaluated_as_the_checkpoint_is() {
    let Some(python) = python() else { return };
    let archive = Archive::new();
    archive.train(&["epochs=1"]).success();
    let root = archive.path("");
    run_python(&python, TRACE, &[&root]);
    run_python(&python, SMALL_VOLUME, &[&root]);
    archive.write("list.json", "{\"test\": [\"small.nii.gz\"]}");
    let script = RAW_OUTPUT.replace("ckpt_path", "ts_path").replace("{MMAR_CKPT}\"}]", "models/model.ts\"}]");
    // the weights are in the file: there is nothing to load
    let loader = script.find("{\"name\": \"CheckpointLoader\"").expect("there");
    let end = loader + script[loader..].find("}}}").expect("its end") + 3;
    archive.write("config/script.json", &[&script[..loader], &script[end..]].concat());
    archive.write("config/raw.json", RAW_OUTPUT);
    for (config, folder) in [("config/raw.json", "from_checkpoint"), ("config/script.json", "from_script")] {
        let overrides = [
            format!("DATASET_JSON={}", archive.path("list.json").display()),
            format!("DATA_ROOT={}", root.display()),
            format!("MMAR_EVAL_OUTPUT_PATH={}", archive.path(folder).display()),
        ];
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        Finished::from(archive.command("evaluate", config, &overrides).output().expect("started")).success();
    }
    let script = "
import sys, glob, nibabel, numpy
first, second = (nibabel.load(glob.glob(sys.argv[1] + '/from_' + name + '/small/*.nii.gz')[0]).get_fdata() for name in ('checkpoint', 'script'))
print(numpy.abs(first - second).max() / numpy.abs(first).max())
";
    let difference: f64 = run_python(&python, script, &[&root]).parse().expect("a number");
    assert!(difference < 1e-5, "the outputs differ by {difference}");
}

#[test]
fn tensorboard_reads_the_events() {
    let Some(python) = python() else { return };
    let archive = Archive::new();
    archive.train(&[]).success();
    let script = "
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
print(json.dumps({tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()['scalars']}))
";
    let read = run_python(&python, script, &[&archive.path("models")]);
    let read: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    let losses = read["train_loss"].as_array().unwrap_or_else(|| panic!("no train_loss in {read:#}"));
    let ours = archive.losses("run-0001");
    assert_eq!(losses.len(), ours.len());
    for (event, loss) in losses.iter().zip(&ours) {
        assert!((event[1].as_f64().expect("a number") - loss).abs() < 1e-6, "{event} is not {loss}");
    }
    assert_eq!(read["val_mean_dice"].as_array().map(Vec::len), Some(2), "{read:#}");
}

#[test]
fn an_evaluation_writes_masks_and_tables() {
    let archive = Archive::new();
    archive.train(&["epochs=1"]).success();
    let overrides =
        ["use_gpu=false", "pre_transforms.Spacingd.args.pixdim=[8.0, 8.0, 10.0]", "inferer.args.roi_size=[32, 32, 32]"];
    let output = archive.command("evaluate", "config/config_validation.json", &overrides).output().expect("started");
    let finished = Finished::from(output).success();
    assert!(finished.stdout.contains("val_mean_dice"), "{}", finished.stdout);
    for file in ["metrics.csv", "val_mean_dice_raw.csv", "val_mean_dice_summary.csv"] {
        let text =
            fs::read_to_string(archive.path(&format!("eval/{file}"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!text.is_empty(), "{file}");
    }
    let list = crate::support::data().join("dataset.json").display().to_string();
    let (eval, picture) =
        (archive.path("eval").display().to_string(), archive.path("slices.png").display().to_string());
    // Only volumes on the grid of their image can be laid over it.
    crate::support::run(&["plot", "slices", "--data-list", &list, "--predictions", &eval, "-o", &picture]).success();
    let run = archive.path("models/run-0001").display().to_string();
    crate::support::run(&["plot", "curves", &run]).success();
    assert!(archive.path("models/run-0001/curves.png").is_file());
}
