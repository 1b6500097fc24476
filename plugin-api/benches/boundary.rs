//! What the plugin boundary costs: each component called directly, and the same component through the tables, guards and
//! wire format that a plugin is called through. The limit is 5 µs a call above the direct one.
//!
//! `cargo bench -p byoc` (or `--profile dev`, which needs no release build of tch).

use byoc::host::PluginLibrary;
use byoc::{Constructor, Image, Kind, Loss, LossInput, Network, Random, Sample, Transform};
use divan::Bencher;
use serde_json::{Value as Json, json};
use tch::{Device, Kind as Dtype, Tensor};

fn main() {
    divan::main();
}

mod plugin {
    use byoc::{Component, Loss, Network, NetworkComponent, Random, Result, Sample, Transform};
    use schemars::JsonSchema;
    use serde::Deserialize;
    use tch::{Kind, Tensor};

    /// No arguments.
    #[derive(Deserialize, JsonSchema)]
    pub(super) struct NoArgs {}

    pub(super) struct Absolute;

    impl Component for Absolute {
        type Args = NoArgs;

        fn new(_: NoArgs) -> Result<Self> {
            Ok(Self)
        }
    }

    impl Loss for Absolute {
        fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
            Ok(input.f_sub(target)?.f_abs()?.f_mean(Kind::Float)?)
        }
    }

    pub(super) struct Shift;

    impl Component for Shift {
        type Args = NoArgs;

        fn new(_: NoArgs) -> Result<Self> {
            Ok(Self)
        }
    }

    impl Transform for Shift {
        fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
            let shifted = sample.tensor("image")?.f_add_scalar(random.uniform(-1.0, 1.0))?;
            sample.set_tensor("image", shifted)
        }
    }

    pub(super) struct Scale(Tensor);

    impl NetworkComponent for Scale {
        type Args = NoArgs;

        fn new(_: NoArgs, path: &tch::nn::Path<'_>) -> Result<Self> {
            Ok(Self(path.f_ones("scale", &[1])?))
        }
    }

    impl Network for Scale {
        fn forward(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
            Ok(x.f_mul(&self.0)?)
        }
    }

    byoc::export_plugin! {
        module: "bench",
        losses: [Absolute],
        transforms: [Shift],
        networks: [Scale],
    }
}

/// The constructor of a component, as an engine gets it (`remote`) or as the plugin's own code has it.
fn constructor(kind: Kind) -> Constructor {
    let (library, _) = PluginLibrary::from_static(&plugin::BYOC_PLUGIN).expect("loads");
    let found = library.components.into_iter().find(|(descriptor, _)| descriptor.kind == kind);
    found.expect("listed").1
}

fn small() -> Tensor {
    Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0])
}

/// As `LoadImaged` and two spatial transforms leave a CT and its label.
fn sample() -> Sample {
    let mut sample = Sample::new();
    for key in ["image", "label"] {
        let mut image = Image::new(Tensor::zeros([1, 4, 4, 4], (Dtype::Float, Device::Cpu)));
        let meta = json!({
            "filename_or_obj": "imagesTr/spleen_2.nii.gz", "original_affine": [[0.79, 0.0, 0.0, -199.6], [0.0, 0.79, 0.0, -215.2],
            [0.0, 0.0, 5.0, -520.0], [0.0, 0.0, 0.0, 1.0]], "spatial_shape": [512, 512, 55],
            "original_channel_dim": "no_channel", "space": "RAS"
        });
        image.meta = meta.as_object().cloned().unwrap_or_default();
        for transform in ["Spacingd", "CropForegroundd"] {
            image.history.push(byoc::AppliedOperation {
                transform: transform.into(),
                operation: "resample".into(),
                parameters: json!({"affine": [[1.0, 0.0], [0.0, 1.0]], "shape": [226, 157, 113]}),
            });
        }
        sample.insert(key, image);
    }
    sample
}

#[divan::bench_group]
mod loss {
    use super::{Bencher, Constructor, Json, Kind, Loss, LossInput, Sample, constructor, plugin, small};

    fn remote() -> Box<dyn Loss> {
        let Constructor::Loss(make) = constructor(Kind::LOSS) else { unreachable!("a loss was asked for") };
        make(&Json::Null).expect("made")
    }

    fn run(bencher: Bencher<'_, '_>, loss: &dyn Loss) {
        let (input, target) = (small(), small());
        bencher.bench_local(|| loss.forward(&input, &target));
    }

    #[divan::bench]
    fn direct(bencher: Bencher<'_, '_>) {
        run(bencher, &plugin::Absolute);
    }

    #[divan::bench]
    fn through_the_boundary(bencher: Bencher<'_, '_>) {
        run(bencher, &*remote());
    }

    fn run_full(bencher: Bencher<'_, '_>, loss: &dyn Loss) {
        let (inputs, target, mut batch) = ([small()], small(), Sample::new());
        batch.insert("image", small());
        batch.insert("label", small());
        let call = LossInput { inputs: &inputs, target: Some(&target), mask: None, batch: Some(&batch) };
        bencher.bench_local(|| loss.forward_full(&call));
    }

    #[divan::bench]
    fn full_direct(bencher: Bencher<'_, '_>) {
        run_full(bencher, &plugin::Absolute);
    }

    #[divan::bench]
    fn full_through_the_boundary(bencher: Bencher<'_, '_>) {
        run_full(bencher, &*remote());
    }
}

#[divan::bench_group]
mod transform {
    use super::{Bencher, Constructor, Json, Kind, Random, Transform, constructor, plugin, sample};

    fn run(bencher: Bencher<'_, '_>, transform: &dyn Transform) {
        let mut random = Random::from_seed(0);
        let mut sample = sample();
        bencher.bench_local(|| transform.apply(&mut sample, &mut random));
    }

    #[divan::bench]
    fn direct(bencher: Bencher<'_, '_>) {
        run(bencher, &plugin::Shift);
    }

    #[divan::bench]
    fn through_the_boundary(bencher: Bencher<'_, '_>) {
        let Constructor::Transform(make) = constructor(Kind::TRANSFORM) else {
            unreachable!("a transform was asked for")
        };
        run(bencher, &*make(&Json::Null).expect("made"));
    }
}

#[divan::bench_group]
mod network {
    use super::{Bencher, Constructor, Device, Json, Kind, Network, constructor, json, plugin, small};

    fn run(bencher: Bencher<'_, '_>, network: &dyn Network) {
        let x = small();
        bencher.bench_local(|| network.forward(&x, true));
    }

    #[divan::bench]
    fn direct(bencher: Bencher<'_, '_>) {
        use byoc::NetworkComponent;
        let store = tch::nn::VarStore::new(Device::Cpu);
        let args = serde_json::from_value(json!({})).expect("no arguments");
        run(bencher, &plugin::Scale::new(args, &store.root()).expect("made"));
    }

    #[divan::bench]
    fn through_the_boundary(bencher: Bencher<'_, '_>) {
        let Constructor::Network(make) = constructor(Kind::NETWORK) else { unreachable!("a network was asked for") };
        run(bencher, &*make(&Json::Null).expect("made").network);
    }
}
