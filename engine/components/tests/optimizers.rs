//! Optimizers and schedules: states that go to Python and come back. Their reference cases run with all others in
//! `mmar-verify`.

#![expect(clippy::unwrap_used, reason = "a test fails where it must")]

use std::path::PathBuf;
use std::process::Command;

use byoc::{Constructor, Kind, LrScheduler, Optimizer, ParameterGroup, StateTree};
// links the built-in components
use mmar_components as _;
use mmar_loader::Registry;
use serde_json::{Value as Json, json};
use tch::{Device, Tensor};
use torch_ext::{checkpoint, gradient};

/// The Python with torch and MONAI that the test set-up makes, if it is there.
fn python() -> Option<PathBuf> {
    let cached = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/mmar/python/bin/python"));
    std::env::var_os("MMAR_PYTHON").map(PathBuf::from).or_else(cached).filter(|python| python.exists())
}

fn make_optimizer(name: &str, args: &Json, groups: Vec<ParameterGroup>) -> byoc::Result<Box<dyn Optimizer>> {
    match Registry::with_builtins().find(Kind::OPTIMIZER, name).unwrap().constructor {
        Constructor::Optimizer(create) => create(args, groups),
        _ => panic!("`{name}` is no optimizer"),
    }
}

fn make_schedule(name: &str, args: &Json, initial: &[f64]) -> byoc::Result<Box<dyn LrScheduler>> {
    match Registry::with_builtins().find(Kind::LR_SCHEDULER, name).unwrap().constructor {
        Constructor::LrScheduler(create) => create(args, initial),
        _ => panic!("`{name}` is no schedule"),
    }
}

/// Two parameters with known values and an optimizer of them; one group each.
fn optimizer(name: &str, args: &Json) -> (Vec<Tensor>, Box<dyn Optimizer>) {
    let parameters = [vec![1.0f32, -2.0, 3.0, 0.5], vec![0.25f32, -0.75]]
        .map(|values| Tensor::from_slice(&values).set_requires_grad(true));
    let groups = parameters.iter().map(|parameter| ParameterGroup {
        parameters: vec![parameter.shallow_clone()],
        options: serde_json::Map::new(),
    });
    let optimizer = make_optimizer(name, args, groups.collect()).unwrap();
    (parameters.into(), optimizer)
}

fn train(parameters: &[Tensor], optimizer: &mut dyn Optimizer, steps: std::ops::Range<i32>) {
    for step in steps {
        for parameter in parameters {
            let values = parameter.detach() * 0.1 + f64::from(step) * 0.3 - 0.5;
            gradient::set(parameter, &values).unwrap();
        }
        optimizer.step().unwrap();
        optimizer.zero_grad().unwrap();
        assert!(!parameters[0].grad().defined(), "gradients are dropped");
    }
}

fn values(parameters: &[Tensor]) -> Vec<f64> {
    parameters
        .iter()
        .flat_map(|parameter| Vec::<f64>::try_from(parameter.detach().to_kind(tch::Kind::Double)).unwrap())
        .collect()
}

const ALL: [(&str, &str); 12] = [
    ("Adam", "{}"),
    ("Adam", r#"{"amsgrad": true, "weight_decay": 0.1, "lr": 0.02}"#),
    ("AdamW", r#"{"lr": 0.05}"#),
    ("SGD", r#"{"lr": 0.05, "momentum": 0.9, "nesterov": true}"#),
    ("SGD", r#"{"lr": 0.05}"#),
    ("RMSprop", r#"{"momentum": 0.5, "centered": true}"#),
    ("Adagrad", r#"{"lr_decay": 0.1}"#),
    ("Adadelta", "{}"),
    ("Adamax", "{}"),
    ("NAdam", r#"{"weight_decay": 0.01, "decoupled_weight_decay": true}"#),
    ("RAdam", r#"{"betas": [0.9, 0.8]}"#),
    ("Novograd", r#"{"amsgrad": true}"#),
];

#[test]
fn a_loaded_state_goes_on_exactly() {
    for (name, args) in ALL {
        let args: Json = serde_json::from_str(args).unwrap();
        let (unbroken, mut optimizer_a) = optimizer(name, &args);
        train(&unbroken, &mut *optimizer_a, 0..3);
        let state = optimizer_a.state().unwrap();
        let saved: Vec<_> = unbroken.iter().map(Tensor::copy).collect();
        train(&unbroken, &mut *optimizer_a, 3..6);

        let (resumed, mut optimizer_b) = optimizer(name, &json!({"lr": 123.0}));
        // the state was shared, so it has moved on with the first optimizer: save it before, as a checkpoint does
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.pt");
        let (fresh, mut optimizer_c) = optimizer(name, &args);
        train(&fresh, &mut *optimizer_c, 0..3);
        drop(state);
        checkpoint::write(&path, &optimizer_c.state().unwrap()).unwrap();
        optimizer_b.load_state(&checkpoint::read(&path).unwrap()).unwrap();
        tch::no_grad(|| resumed.iter().zip(&saved).for_each(|(to, from)| to.shallow_clone().copy_(from)));
        train(&resumed, &mut *optimizer_b, 3..6);
        assert_eq!(values(&resumed), values(&unbroken), "{name} {args}");
        assert_eq!(optimizer_b.learning_rates(), optimizer_a.learning_rates());
    }
}

#[test]
fn python_goes_on_from_our_state_and_we_from_pythons() {
    let Some(python) = python() else {
        eprintln!("left out: the comparison with Python's optimizers (set MMAR_PYTHON)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, args)) in ALL.iter().enumerate() {
        let (parameters, mut optimizer) = optimizer(name, &serde_json::from_str(args).unwrap());
        train(&parameters, &mut *optimizer, 0..3);
        let parameters = StateTree::List(parameters.iter().map(|it| StateTree::Tensor(it.shallow_clone())).collect());
        let tree = StateTree::dict([("parameters", parameters), ("optimizer", optimizer.state().unwrap())]);
        checkpoint::write(&folder.path().join(format!("{number}.pt")), &tree).unwrap();
    }
    let cases: Vec<_> = ALL.iter().map(|(name, args)| json!([name, args])).collect();
    let script = r"
import json, sys, torch, torch.optim as o
try:
    from monai.optimizers import Novograd
except ImportError:
    Novograd = None
def train(ps, opt, steps):
    for s in steps:
        for p in ps:
            p.grad = p.detach() * 0.1 + s * 0.3 - 0.5
        opt.step()
for i, (name, args) in enumerate(json.loads(sys.argv[1])):
    cls = Novograd if name == 'Novograd' else getattr(o, name)
    if cls is None:
        print('left out', name); continue
    c = torch.load(f'{i}.pt', weights_only=True)
    ps = [torch.nn.Parameter(p) for p in c['parameters']]
    opt = cls([{'params': [p]} for p in ps], lr=123.0)
    opt.load_state_dict(c['optimizer'])
    train(ps, opt, range(3, 6))
    torch.save({'parameters': [p.detach() for p in ps], 'optimizer': opt.state_dict()}, f'{i}.python.pt')
    train(ps, opt, range(6, 8))
    torch.save([p.detach() for p in ps], f'{i}.end.pt')
";
    let output = Command::new(&python)
        .args(["-c", script, &json!(cases).to_string()])
        .current_dir(folder.path())
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (number, (name, args)) in ALL.iter().enumerate() {
        let read = |suffix: &str| checkpoint::read(&folder.path().join(format!("{number}{suffix}.pt")));
        let Ok(tree) = read(".python") else { continue };
        // as far as Python went with our state, we get without it
        let args: Json = serde_json::from_str(args).unwrap();
        let (ours, mut unbroken) = optimizer(name, &args);
        train(&ours, &mut *unbroken, 0..6);
        let theirs = tensors(tree.get("parameters").unwrap());
        assert_close(&values(&ours), &values(&theirs), name);
        // and from Python's state we go on as Python does
        let (resumed, mut optimizer) = optimizer(name, &json!({"lr": 123.0}));
        optimizer.load_state(tree.get("optimizer").unwrap()).unwrap();
        tch::no_grad(|| resumed.iter().zip(&theirs).for_each(|(to, from)| to.shallow_clone().copy_(from)));
        train(&resumed, &mut *optimizer, 6..8);
        assert_close(&values(&resumed), &values(&tensors(&read(".end").unwrap())), name);
    }
}

fn tensors(tree: &StateTree) -> Vec<Tensor> {
    match tree {
        StateTree::List(values) => values.iter().map(|value| value.as_tensor().unwrap().shallow_clone()).collect(),
        _ => panic!("no list"),
    }
}

fn assert_close(a: &[f64], b: &[f64], name: &str) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= 1e-6 + 1e-5 * y.abs(), "{name}: {a:?} and {b:?}");
    }
}

#[test]
fn parameters_without_a_gradient_stay_as_they_are() {
    for (name, args) in ALL {
        let (parameters, mut optimizer) = optimizer(name, &serde_json::from_str(args).unwrap());
        gradient::set(&parameters[0], &Tensor::from_slice(&[1f32, 1.0, 1.0, 1.0])).unwrap();
        let before = values(&parameters);
        optimizer.step().unwrap();
        let after = values(&parameters);
        assert_ne!(before[..4], after[..4], "{name}");
        assert_eq!(before[4..], after[4..], "{name}");
        // the momentum of the other one begins later, and undampened
        train(&parameters, &mut *optimizer, 0..1);
    }
}

#[test]
fn memory_layouts_do_not_change_the_values() {
    for (name, args) in ALL {
        let results = [false, true].map(|transposed| {
            let start = Tensor::arange(6, (tch::Kind::Float, Device::Cpu)).view([2, 3]) * 0.3;
            let parameter = if transposed { start.tr().contiguous().tr() } else { start }.set_requires_grad(true);
            let group = ParameterGroup { parameters: vec![parameter.shallow_clone()], options: serde_json::Map::new() };
            let mut optimizer = make_optimizer(name, &serde_json::from_str(args).unwrap(), vec![group]).unwrap();
            for _ in 0..3 {
                let gradient = Tensor::from_slice(&[0.1f32, -0.2, 0.3, 0.4, -0.5, 0.6]).view([2, 3]);
                gradient::set(&parameter, &gradient).unwrap();
                optimizer.step().unwrap();
            }
            values(&[parameter.contiguous().view([-1])])
        });
        // sums over memory may round in another order
        assert_close(&results[0], &results[1], name);
    }
}

#[test]
fn wrong_options_and_states_say_why() {
    let parameter = || Tensor::from_slice(&[1f32]).set_requires_grad(true);
    let group =
        |options: Json| ParameterGroup { parameters: vec![parameter()], options: options.as_object().unwrap().clone() };
    for (args, options, message) in [
        (json!({"lr": -1.0}), json!({}), "`lr` is -1, it must not be negative"),
        (json!({"betas": [0.9, 1.0]}), json!({}), "`betas` has 1"),
        (json!({}), json!({"lr": -2}), "options of parameter group 0: `lr` is -2"),
        (json!({}), json!({"momentum": 0.9}), "unknown field `momentum`"),
    ] {
        let error = make_optimizer("Adam", &args, vec![group(options)]).err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!(make_optimizer("SGD", &json!({"nesterov": true}), vec![group(json!({}))]).is_err());
    let shared = parameter();
    let twice = ParameterGroup { parameters: vec![shared.shallow_clone(), shared], options: serde_json::Map::new() };
    assert!(make_optimizer("SGD", &json!({}), vec![twice]).is_err());
    assert!(make_optimizer("SGD", &json!({}), Vec::new()).is_err());

    let (_, mut two_groups) = optimizer("Adam", &json!({}));
    let mut one_group = make_optimizer("Adam", &json!({}), vec![group(json!({}))]).unwrap();
    let error = one_group.load_state(&two_groups.state().unwrap()).unwrap_err().to_string();
    assert!(error.contains("has 2 parameter groups, this optimizer has 1"), "{error}");
    assert!(two_groups.load_state(&StateTree::None).is_err());
    assert!(two_groups.set_learning_rates(&[1.0]).is_err());
}

const SCHEDULES: [(&str, &str); 14] = [
    ("StepLR", r#"{"step_size": 3, "gamma": 0.3}"#),
    ("MultiStepLR", r#"{"milestones": [2, 5, 5]}"#),
    ("ExponentialLR", r#"{"gamma": 0.9}"#),
    ("ConstantLR", "{}"),
    ("LinearLR", r#"{"total_iters": 4}"#),
    ("PolynomialLR", r#"{"total_iters": 6, "power": 2.0}"#),
    ("CosineAnnealingLR", r#"{"T_max": 4}"#),
    ("CosineAnnealingWarmRestarts", r#"{"T_0": 2, "T_mult": 2}"#),
    (
        "OneCycleLR",
        r#"{"max_lr": [0.5, 0.6], "epochs": 2, "steps_per_epoch": 5, "three_phase": true, "anneal_strategy": "linear"}"#,
    ),
    (
        "CyclicLR",
        r#"{"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "step_size_down": 3, "mode": "exp_range", "gamma": 0.9}"#,
    ),
    ("ReduceLROnPlateau", r#"{"patience": 1, "cooldown": 1}"#),
    ("WarmupCosineSchedule", r#"{"warmup_steps": 3, "t_total": 9, "end_lr": 0.01, "warmup_multiplier": 0.1}"#),
    ("MonaiLinearLR", r#"{"end_lr": 1.0, "num_iter": 10}"#),
    ("MonaiExponentialLR", r#"{"end_lr": 1.0, "num_iter": 10}"#),
];

#[test]
fn schedules_go_on_exactly_from_their_state() {
    let metric = |step: i32| Some(f64::from(1 + step / 4));
    for (name, args) in SCHEDULES {
        let args: Json = serde_json::from_str(args).unwrap();
        let mut unbroken = make_schedule(name, &args, &[0.2, 0.1]).unwrap();
        (0..4).for_each(|step| unbroken.step(metric(step)).unwrap());
        let mut resumed = make_schedule(name, &args, &[0.2, 0.1]).unwrap();
        resumed.load_state(&unbroken.state().unwrap()).unwrap();
        for step in 4..9 {
            unbroken.step(metric(step)).unwrap();
            resumed.step(metric(step)).unwrap();
            assert_eq!(resumed.learning_rates(), unbroken.learning_rates(), "{name}");
            assert_eq!(resumed.momentums(), unbroken.momentums(), "{name}");
        }
    }
}

#[test]
fn schedules_agree_with_python_beyond_the_reference_cases() {
    let Some(python) = python() else {
        eprintln!("left out: the comparison with Python's schedules (set MMAR_PYTHON)");
        return;
    };
    let script = r"
import json, sys, torch, warnings
warnings.simplefilter('ignore')
import torch.optim.lr_scheduler as s
import monai.optimizers as m
out = []
for name, args in json.loads(sys.argv[1]):
    opt = torch.optim.SGD([{'params': [torch.nn.Parameter(torch.ones(1))], 'lr': lr} for lr in (0.2, 0.1)], lr=1.0, momentum=0.5)
    cls = getattr(m, name[5:]) if name.startswith('Monai') else getattr(s, name, None) or getattr(m, name)
    sch = cls(opt, **json.loads(args))
    rows = [[[g['lr'] for g in opt.param_groups], [g['momentum'] for g in opt.param_groups]]]
    for i in range(9):
        opt.step()
        sch.step(1 + i // 4) if name == 'ReduceLROnPlateau' else sch.step()
        rows.append([[g['lr'] for g in opt.param_groups], [g['momentum'] for g in opt.param_groups]])
    out.append(rows)
print(json.dumps(out))
";
    let output = Command::new(&python)
        .args(["-c", script, &json!(SCHEDULES).to_string()])
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Vec<Vec<[Vec<f64>; 2]>> = serde_json::from_slice(&output.stdout).unwrap();
    for ((name, args), rows) in SCHEDULES.iter().zip(expected) {
        let mut schedule = make_schedule(name, &serde_json::from_str(args).unwrap(), &[0.2, 0.1]).unwrap();
        for (step, [rates, momentums]) in rows.iter().enumerate() {
            if step > 0 {
                schedule.step(Some(f64::from(1 + (step as i32 - 1) / 4))).unwrap();
            }
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 + 1e-9 * b.abs());
            assert!(
                close(&schedule.learning_rates(), rates),
                "{name}, step {step}: {:?}, {rates:?}",
                schedule.learning_rates()
            );
            if let Some(ours) = schedule.momentums() {
                assert!(close(&ours, momentums), "{name}, step {step}: {ours:?}, {momentums:?}");
            }
        }
    }
}

#[test]
fn wrong_schedule_arguments_say_why() {
    for (name, args, message) in [
        ("StepLR", json!({"step_size": 0}), "`step_size` is 0"),
        ("StepLR", json!({}), "missing field `step_size`"),
        ("StepLR", json!({"step_size": 2, "last_epoch": 5}), "`last_epoch` must be -1"),
        ("OneCycleLR", json!({"max_lr": 1.0}), "`total_steps` is missing"),
        ("OneCycleLR", json!({"max_lr": [1.0, 2.0, 3.0], "total_steps": 5}), "`max_lr` has 3 values, but 2 are needed"),
        ("ReduceLROnPlateau", json!({"factor": 1.0}), "`factor` is 1"),
    ] {
        let error = make_schedule(name, &args, &[0.2, 0.1]).err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
    let mut schedule = make_schedule("ReduceLROnPlateau", &json!({}), &[0.1]).unwrap();
    assert!(schedule.step(None).unwrap_err().to_string().contains("needs a metric"));
    let mut schedule = make_schedule("OneCycleLR", &json!({"max_lr": 1.0, "total_steps": 2}), &[0.1]).unwrap();
    schedule.step(None).unwrap();
    schedule.step(None).unwrap();
    assert!(schedule.step(None).is_err());
}
