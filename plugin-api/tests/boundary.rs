//! Components of each kind through the plugin boundary, linked into the test instead of opened from a file: what they do
//! there must be what they do when called directly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use byoc::host::{PluginLibrary, cancel_by};
use byoc::{
    CheckpointRequest, Component, Constructor, Engine, EngineRole, EngineState, Error, ErrorCode, Event, Handler,
    Image, Kind, Loss, LossInput, Metric, Network, NetworkComponent, Random, Result, Sample, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Device, Kind as Dtype, Tensor};

mod plugin {
    use super::*;

    /// Mean of |input - target| times a weight.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct WeightedArgs {
        /// The weight.
        weight: f64,
    }

    pub(crate) struct Weighted(WeightedArgs);

    impl Component for Weighted {
        type Args = WeightedArgs;

        fn new(args: WeightedArgs) -> Result<Self> {
            assert!(args.weight < 100.0, "weights end at 100");
            byoc::ensure!(args.weight > 0.0, "`weight` must be greater than 0, found {}", args.weight);
            Ok(Self(args))
        }
    }

    impl Loss for Weighted {
        fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
            // the operator panics where shapes do not fit, as an author's code would
            Ok((input - target).abs().mean(Dtype::Float) * self.0.weight)
        }

        fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
            let loss = self.forward(call.input()?, call.target()?)?;
            let factor =
                call.batch.map_or(Ok(1.0), |batch| batch.json("factor").map(|it| it.as_f64().unwrap_or(0.0)))?;
            match call.mask {
                Some(mask) => Ok(loss * mask.sum(Dtype::Float) * factor),
                None => Ok(loss * factor),
            }
        }
    }

    /// A layer that doubles at first.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct ScaleArgs {}

    pub(crate) struct Scale {
        factor: Tensor,
        calls: Tensor,
    }

    impl NetworkComponent for Scale {
        type Args = ScaleArgs;

        fn new(_: ScaleArgs, path: &tch::nn::Path<'_>) -> Result<Self> {
            let layer = path / "layer";
            Ok(Self {
                factor: layer.f_var("factor", &[1], tch::nn::Init::Const(2.0))?,
                calls: layer.f_zeros_no_train("calls", &[1])?,
            })
        }
    }

    impl Network for Scale {
        fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
            if train {
                let _ = self.calls.shallow_clone().f_add_scalar_(1.0)?;
            }
            Ok(x.f_mul(&self.factor)?)
        }
    }

    /// Mean of the predictions.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct AverageArgs {}

    #[derive(Default)]
    pub(crate) struct Average(Vec<f64>);

    impl Component for Average {
        type Args = AverageArgs;

        fn new(_: AverageArgs) -> Result<Self> {
            Ok(Self::default())
        }
    }

    impl Metric for Average {
        fn reset(&mut self) {
            self.0.clear();
        }

        fn update(&mut self, y_pred: &Tensor, _y: &Tensor) -> Result<()> {
            self.0.push(y_pred.f_mean(Dtype::Double)?.f_double_value(&[])?);
            Ok(())
        }

        fn compute(&self) -> Result<f64> {
            Ok(self.0.iter().sum::<f64>() / self.0.len() as f64)
        }

        fn details(&self) -> Option<Tensor> {
            (!self.0.is_empty()).then(|| Tensor::from_slice(&self.0).view([-1, 1]))
        }

        fn results(&self) -> Result<Vec<(String, Tensor)>> {
            Ok(vec![("count".into(), Tensor::from(self.0.len() as i64))])
        }

        fn state(&self) -> Result<Vec<(String, Tensor)>> {
            Ok(vec![("means".into(), Tensor::from_slice(&self.0))])
        }

        fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
            let (name, means) = &state[0];
            byoc::ensure!(name == "means", "unknown state `{name}`");
            self.0 = means.try_into()?;
            Ok(())
        }
    }

    /// Adds noise, and notes it.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct NoisedArgs {
        /// How many samples become of one.
        #[serde(default)]
        copies: usize,
    }

    pub(crate) struct Noised(NoisedArgs);

    impl Component for Noised {
        type Args = NoisedArgs;

        fn new(args: NoisedArgs) -> Result<Self> {
            Ok(Self(args))
        }
    }

    impl Transform for Noised {
        fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
            let image = sample.image("image")?;
            let mut changed = image.with_tensor(&image.tensor + random.normal_tensor(&image.tensor.size()));
            changed.meta.insert("noised".into(), true.into());
            sample.insert("image", changed);
            Ok(())
        }

        fn apply_many(&self, sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
            (0..self.0.copies)
                .map(|_| {
                    let mut copy = sample.shallow_clone();
                    self.apply(&mut copy, random)?;
                    Ok(copy)
                })
                .collect()
        }

        fn is_random(&self) -> bool {
            true
        }

        fn prepare(&self, sample: &mut Sample) -> Result<()> {
            sample.insert("prepared", json!([1, 2]));
            Ok(())
        }
    }

    /// Asks the engine for everything.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct AskerArgs {}

    #[derive(Default)]
    pub(crate) struct Asker {
        seen: u64,
    }

    impl Component for Asker {
        type Args = AskerArgs;

        fn new(_: AskerArgs) -> Result<Self> {
            Ok(Self::default())
        }
    }

    impl Handler for Asker {
        fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
            self.seen += 1;
            if event != Event::IterationCompleted {
                return Ok(());
            }
            assert!(!byoc::cancelled(), "the user wants to stop");
            let loss = engine.state().loss.unwrap_or(0.0);
            let predicted = engine.output()[0].tensor("pred")?.f_double_value(&[0])?;
            let details = engine.metric_details("dice").map_or(0.0, |it| it.double_value(&[0]));
            engine.record("sum", loss + predicted + details)?;
            engine.run_validation()?;
            engine.step_lr_scheduler(Some(0.5))?;
            engine.save_checkpoint(&CheckpointRequest {
                path: "a.pt".into(),
                objects: vec![("model".into(), "model".into())],
                strict: false,
            })?;
            engine.request_stop("seen enough");
            Ok(())
        }

        fn state(&self) -> Result<Json> {
            Ok(json!({"seen": self.seen}))
        }

        fn load_state(&mut self, state: &Json) -> Result<()> {
            self.seen = state["seen"].as_u64().ok_or_else(|| Error::data("no `seen`"))?;
            Ok(())
        }
    }

    byoc::export_plugin! {
        module: "boundary",
        networks: [Scale],
        losses: [Weighted = "WeightedLoss" | "Weighted"],
        metrics: [Average],
        transforms: [Noised = "Noised"],
        handlers: [Asker],
    }
}

fn library() -> PluginLibrary {
    let (library, manifest) = PluginLibrary::from_static(&plugin::BYOC_PLUGIN).expect("loads");
    assert_eq!((manifest.plugin.module.as_str(), manifest.plugin.name.as_str()), ("boundary", "byoc"));
    library
}

fn constructor(kind: Kind, name: &str) -> Constructor {
    let components = library().components;
    let found = components.into_iter().find(|(it, _)| it.kind == kind && it.answers_to(name));
    found.expect("listed").1
}

macro_rules! make {
    ($kind:ident, $variant:ident, $name:literal, $args:expr) => {
        match constructor(Kind::$kind, $name) {
            Constructor::$variant(make) => make(&$args),
            _ => panic!("another kind"),
        }
    };
}

#[test]
fn components_are_described_in_order_with_schema_and_aliases() {
    let components = library().components;
    let names: Vec<&str> = components.iter().map(|(it, _)| it.name.as_str()).collect();
    assert_eq!(names, ["Scale", "WeightedLoss", "Average", "Noised", "Asker"]);
    let (loss, _) = &components[1];
    assert_eq!(loss.summary, "Mean of |input - target| times a weight");
    assert!(loss.answers_to("Weighted") && loss.schema["properties"]["weight"].is_object());
    assert!(components[3].0.answers_to("NoiseDict"));
}

#[test]
fn a_loss_keeps_the_graph_and_the_gradient() {
    let loss = make!(LOSS, Loss, "WeightedLoss", json!({"weight": 3.0})).expect("made");
    let input = Tensor::from_slice(&[1f32, 4.0]).set_requires_grad(true);
    let target = Tensor::from_slice(&[0f32, 2.0]);
    let value = loss.forward(&input, &target).expect("a value");
    assert_eq!(value.double_value(&[]), 4.5);
    value.backward();
    assert_eq!(Vec::<f32>::try_from(input.grad()).expect("a gradient"), [1.5, 1.5]);
    let mut batch = Sample::new();
    batch.insert("factor", json!(2.0));
    let mask = Tensor::from_slice(&[1f32, 1.0]);
    let inputs = [input];
    let call = LossInput { inputs: &inputs, target: Some(&target), mask: Some(&mask), batch: Some(&batch) };
    assert_eq!(loss.forward_full(&call).expect("a value").double_value(&[]), 18.0);
    let none = tch::no_grad(|| loss.forward(&inputs[0], &target).expect("a value"));
    assert!(!none.requires_grad(), "the host's grad mode holds in the plugin");
}

#[test]
fn errors_and_panics_arrive_as_errors_and_a_panic_poisons() {
    let make = |weight: f64| make!(LOSS, Loss, "WeightedLoss", json!({ "weight": weight }));
    let refused = make(-1.0).err().expect("refused");
    assert_eq!(refused.message(), "`weight` must be greater than 0, found -1");
    assert!(refused.location().is_some_and(|place| place.contains("boundary.rs")), "{refused:?}");
    let panicked = make(100.0).err().expect("panicked");
    assert_eq!(
        (panicked.code(), panicked.message()),
        (ErrorCode::PANICKED, "`WeightedLoss` panicked: weights end at 100")
    );
    assert!(panicked.location().is_some_and(|place| place.contains("boundary.rs")), "{panicked:?}");
    let misspelt = make!(LOSS, Loss, "WeightedLoss", json!({"wieght": 1.0})).err().expect("refused");
    assert_eq!(misspelt.code(), ErrorCode::INVALID_ARGUMENT);

    let loss = make(1.0).expect("made");
    let (two, three) = (Tensor::from_slice(&[1f32, 2.0]), Tensor::from_slice(&[1f32, 2.0, 3.0]));
    let error = loss.forward(&two, &three).expect_err("shapes do not fit");
    assert_eq!(error.code(), ErrorCode::PANICKED);
    let message = error.message();
    assert!(message.starts_with("`WeightedLoss` panicked: The size of tensor a (2) must match"), "{message}");
    assert!(message.contains("`input` [2] Float Cpu, `target` [3] Float Cpu"), "{message}");
    assert!(!message.contains("Exception raised"), "{message}");
    assert!(error.location().is_some_and(|place| place.contains("boundary.rs")), "{error:?}");
    let poisoned = loss.forward(&two, &two).expect_err("poisoned");
    assert_eq!(poisoned.code(), ErrorCode::POISONED);
}

#[test]
fn a_networks_state_is_the_tensors_it_computes_with() {
    let built = make!(NETWORK, Network, "Scale", json!({})).expect("made");
    let names: Vec<(&str, bool)> = built.state.iter().map(|it| (it.name.as_str(), it.trainable)).collect();
    assert_eq!(names, [("layer.factor", true), ("layer.calls", false)]);
    let x = Tensor::from_slice(&[3f32]);
    assert_eq!(built.network.forward(&x, true).expect("y").double_value(&[0]), 6.0);
    assert_eq!(built.state[1].tensor.double_value(&[0]), 1.0);
    let mut factor = built.state[0].tensor.shallow_clone();
    let _ = tch::no_grad(|| factor.fill_(5.0));
    let y = built.network.forward(&x, false).expect("y");
    assert_eq!(y.double_value(&[0]), 15.0);
    y.sum(Dtype::Float).backward();
    assert_eq!(built.state[0].tensor.grad().double_value(&[0]), 3.0);
    // moving a network replaces what its tensors hold; both sides see it
    factor.set_data(&factor.to_kind(Dtype::Double).to_device(Device::Cpu));
    assert_eq!(built.network.forward(&x, false).expect("y").kind(), Dtype::Double);
    let all = built.network.forward_all(&[x.shallow_clone(), x], false).expect("outputs");
    assert_eq!(all.len(), 1);
}

#[test]
fn every_call_is_seen_from_its_beginning_to_its_end() {
    struct Seen(std::sync::Mutex<Vec<String>>);
    impl byoc::host::CallObserver for Seen {
        fn entered(&self, call: &byoc::host::Call<'_>) {
            self.0.lock().expect("held by nobody").push(format!("> {} {}", call.component, call.function));
        }
        fn left(&self, call: &byoc::host::Call<'_>) {
            self.0.lock().expect("held by nobody").push(format!("< {} {}", call.component, call.function));
        }
    }
    let seen = std::sync::Arc::new(Seen(Vec::new().into()));
    byoc::host::observe_calls(Some(seen.clone()));
    let metric = make!(METRIC, Metric, "Average", json!({})).expect("made");
    let _ = metric.compute();
    byoc::host::observe_calls(None);
    let _ = metric.compute();
    // other tests of this process may have called meanwhile
    let mut seen = seen.0.lock().expect("held by nobody").clone();
    seen.retain(|call| call.contains("Average"));
    let expected = ["> Average new", "< Average new", "> Average compute", "< Average compute"];
    assert!(expected.iter().all(|call| seen.iter().any(|it| it == call)), "{seen:?}");
}

#[test]
fn a_metric_accumulates_on_its_side() {
    let mut metric = make!(METRIC, Metric, "Average", json!({})).expect("made");
    let (one, three) = (Tensor::from_slice(&[1f32]), Tensor::from_slice(&[3f32]));
    assert!(metric.compute().expect("a value").is_nan());
    assert!(metric.details().is_none());
    metric.update(&one, &one).expect("taken");
    metric.update(&three, &one).expect("taken");
    assert_eq!(metric.compute().expect("a value"), 2.0);
    assert_eq!(metric.details().expect("details").size(), [2, 1]);
    assert_eq!(metric.results().expect("results")[0].1.int64_value(&[]), 2);
    let state = metric.state().expect("a state");
    metric.reset();
    assert!(metric.compute().expect("a value").is_nan());
    metric.load_state(&state).expect("taken over");
    metric.update(&three, &one).expect("taken");
    assert_eq!(metric.compute().expect("a value"), 7.0 / 3.0);
    let unknown = metric.load_state(&[("other".to_owned(), one)]).expect_err("refused");
    assert_eq!(unknown.message(), "unknown state `other`");
}

#[test]
fn a_transform_draws_what_the_same_code_draws_without_the_boundary() {
    let remote = make!(TRANSFORM, Transform, "Noised", json!({"copies": 3})).expect("made");
    let direct: Box<dyn Transform> =
        Box::new(plugin::Noised::new(serde_json::from_value(json!({"copies": 3})).expect("args")).expect("made"));
    assert!(remote.is_random());
    let fresh = || {
        let mut image = Image::new(Tensor::zeros([1, 4, 4], (Dtype::Float, Device::Cpu)));
        image.meta.insert("filename_or_obj".into(), "a.nii.gz".into());
        image.affine[1][3] = 7.5;
        let mut sample = Sample::new();
        sample.insert("image", image);
        sample.insert("note", json!({"keep": [1, null]}));
        sample
    };
    let mut outcomes = Vec::new();
    for transform in [&remote, &direct] {
        let mut random = Random::from_seed(11);
        random.uniform(0.0, 1.0);
        let mut sample = fresh();
        transform.apply(&mut sample, &mut random).expect("applied");
        let many = transform.apply_many(fresh(), &mut random).expect("applied");
        let mut shown: Vec<String> = Vec::new();
        for sample in many.iter().chain([&sample]) {
            let image = sample.image("image").expect("an image");
            let voxels = Vec::<f32>::try_from(image.tensor.view([-1])).expect("voxels");
            shown.push(format!("{voxels:?} {:?} {:?} {:?}", image.affine, image.meta, sample.json("note")));
        }
        outcomes.push((shown, random.next_u64()));
    }
    assert_eq!(outcomes[0].0.len(), 4);
    assert_eq!(outcomes[0], outcomes[1]);

    let mut sample = fresh();
    remote.prepare(&mut sample).expect("prepared");
    assert_eq!(sample.json("prepared").expect("there"), &json!([1, 2]));
    let error = remote.apply(&mut Sample::new(), &mut Random::from_seed(0)).expect_err("no image");
    assert_eq!(error.message(), "the sample has no key `image`; it has ");
}

struct TestEngine {
    state: EngineState,
    output: Vec<Sample>,
    asked: Vec<String>,
}

impl Engine for TestEngine {
    fn state(&self) -> &EngineState {
        &self.state
    }

    fn output(&self) -> &[Sample] {
        &self.output
    }

    fn request_stop(&mut self, reason: &str) {
        self.asked.push(format!("stop: {reason}"));
    }

    fn record(&mut self, label: &str, value: f64) -> Result<()> {
        self.asked.push(format!("record {label} {value}"));
        Ok(())
    }

    fn run_validation(&mut self) -> Result<()> {
        self.asked.push("validate".into());
        Ok(())
    }

    fn step_lr_scheduler(&mut self, metric: Option<f64>) -> Result<Vec<f64>> {
        self.asked.push(format!("step {metric:?}"));
        Ok(vec![])
    }

    fn save_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.asked.push(format!("save {request:?}"));
        Err(Error::msg("the disk is full"))
    }

    fn metric_details(&self, label: &str) -> Option<Tensor> {
        (label == "dice").then(|| Tensor::from_slice(&[0.25f64]))
    }
}

#[test]
fn a_handlers_requests_are_carried_out_when_it_returns() {
    let mut handler = make!(HANDLER, Handler, "Asker", json!({})).expect("made");
    let mut output = Sample::new();
    output.insert("pred", Tensor::from_slice(&[2f32]));
    let state = EngineState {
        role: EngineRole::Trainer,
        epoch: 1,
        max_epochs: 2,
        iteration: 3,
        epoch_length: 4,
        loss: Some(0.5),
        metrics: [].into(),
        key_metric: None,
        best_metric: None,
        is_new_best: false,
        learning_rates: vec![0.1],
    };
    let mut engine = TestEngine { state, output: vec![output], asked: Vec::new() };
    handler.handle(Event::Started, &mut engine).expect("handled");
    assert!(engine.asked.is_empty());
    let error = handler.handle(Event::IterationCompleted, &mut engine).expect_err("saving fails");
    assert_eq!(error.to_string(), "`Asker` asked for it: the disk is full");
    assert_eq!(engine.asked[..3], ["record sum 2.75", "validate", "step Some(0.5)"]);
    assert!(engine.asked[3].contains("a.pt") && engine.asked.len() == 4, "{:?}", engine.asked);

    assert_eq!(handler.state().expect("a state"), json!({"seen": 2}));
    handler.load_state(&json!({"seen": 40})).expect("taken");
    assert!(handler.load_state(&json!({})).is_err());
    let flag = Arc::new(AtomicBool::new(true));
    cancel_by(Arc::clone(&flag));
    let error = handler.handle(Event::IterationCompleted, &mut engine).expect_err("cancelled");
    flag.store(false, Ordering::Relaxed);
    assert_eq!(error.message(), "`Asker` panicked: the user wants to stop");
}

#[test]
fn undefined_tensors_do_not_cross() {
    let loss = make!(LOSS, Loss, "WeightedLoss", json!({"weight": 1.0})).expect("made");
    let error = loss.forward(&Tensor::new(), &Tensor::from_slice(&[1f32])).expect_err("refused");
    assert_eq!(error.code(), ErrorCode::TENSOR);
}

#[test]
fn four_threads_use_objects_of_their_own() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let loss = make!(LOSS, Loss, "WeightedLoss", json!({"weight": 1.0})).expect("made");
                let one = Tensor::from_slice(&[1f32]);
                for _ in 0..100 {
                    assert_eq!(loss.forward(&one, &one).expect("a value").double_value(&[]), 0.0);
                }
            });
        }
    });
}
