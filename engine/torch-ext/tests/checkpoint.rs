//! Checkpoints against the real Python: what each side writes, the other reads.
//!
//! Python with torch is found in `MMAR_PYTHON`, or where the project's set-up for comparisons puts it; without it the
//! tests say what they leave out.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test says what it leaves out, and fails where it must"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use byoc::{StateKey, StateTree};
use tch::{Device, Kind, Tensor};
use torch_ext::checkpoint::{self, CheckpointError};

/// A Python that has torch.
fn python() -> Option<PathBuf> {
    let cached = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/mmar/python/bin/python"));
    let python = std::env::var_os("MMAR_PYTHON").map(PathBuf::from).or_else(cached).filter(|python| python.exists());
    if python.is_none() {
        eprintln!("left out: the comparison with Python's torch (set MMAR_PYTHON)");
    }
    python
}

fn run(python: &Path, folder: &Path, script: &str) -> String {
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(folder)
        // a libtorch of another build must not get into Python's
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn float(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

/// One of everything that a checkpoint can hold.
fn everything() -> StateTree {
    let matrix = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
    let kinds = [
        Kind::Half,
        Kind::BFloat16,
        Kind::Double,
        Kind::Uint8,
        Kind::Int8,
        Kind::Int16,
        Kind::Int,
        Kind::Int64,
        Kind::Bool,
    ];
    let by_kind = kinds.map(|kind| (format!("{kind:?}"), StateTree::Tensor(float(&[0.0, 1.0, 3.0]).to_kind(kind))));
    StateTree::dict([
        (
            "model",
            StateTree::dict([
                ("a.weight", StateTree::Tensor(matrix.shallow_clone().set_requires_grad(true))),
                ("a.transposed", StateTree::Tensor(matrix.tr())),
                ("a.row", StateTree::Tensor(matrix.get(1))),
                ("a.empty", StateTree::Tensor(Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)))),
                ("a.scalar", StateTree::Tensor(Tensor::from(7i64))),
            ]),
        ),
        ("kinds", StateTree::dict(by_kind)),
        (
            "optimizer",
            StateTree::dict([
                (
                    "state",
                    StateTree::Dict(vec![
                        (StateKey::Int(0), StateTree::dict([("step", StateTree::Tensor(Tensor::from(3f32)))])),
                        (StateKey::Int(1000), StateTree::None),
                    ]),
                ),
                (
                    "param_groups",
                    StateTree::List(vec![StateTree::dict([
                        ("lr", StateTree::Float(2e-4)),
                        ("foreach", StateTree::None),
                        ("amsgrad", StateTree::Bool(false)),
                        ("params", StateTree::List(vec![StateTree::Int(0), StateTree::Int(1)])),
                    ])]),
                ),
            ]),
        ),
        (
            "train_conf",
            StateTree::dict([
                ("epochs", StateTree::Int(1260)),
                ("large", StateTree::Int(-5_000_000_000)),
                ("text", StateTree::Str("Größe \"x\"\n".to_owned())),
                ("infinite", StateTree::Float(f64::INFINITY)),
                ("nothing", StateTree::List(Vec::new())),
                ("empty", StateTree::Dict(Vec::new())),
            ]),
        ),
    ])
}

/// Equal in structure, keys, order, dtypes, shapes and values.
fn assert_same(a: &StateTree, b: &StateTree, path: &str) {
    match (a, b) {
        (StateTree::Tensor(a), StateTree::Tensor(b)) => {
            assert_eq!((a.size(), a.kind()), (b.size(), b.kind()), "{path}");
            assert!(a.equal(b), "{path}");
        }
        (StateTree::List(a), StateTree::List(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                assert_same(a, b, &format!("{path}[{index}]"));
            }
        }
        (StateTree::Dict(a), StateTree::Dict(b)) => {
            let keys =
                |entries: &[(StateKey, StateTree)]| entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            assert_eq!(keys(a), keys(b), "{path}");
            for ((key, a), (_, b)) in a.iter().zip(b) {
                assert_same(a, b, &format!("{path}.{key:?}"));
            }
        }
        (a, b) => assert_eq!(format!("{a:?}"), format!("{b:?}"), "{path}"),
    }
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    checkpoint::write(&path, &everything()).unwrap();
    let tree = checkpoint::read(&path).unwrap();
    assert_same(&everything(), &tree, "");
    // views still look into one storage
    let model = tree.get("model").unwrap();
    let mut weight = model.get("a.weight").unwrap().as_tensor().unwrap().shallow_clone();
    let _ = weight.fill_(-1.0);
    assert_eq!(model.get("a.row").unwrap().as_tensor().unwrap().double_value(&[2]), -1.0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn python_opens_what_is_written() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    checkpoint::write(&folder.path().join("model.pt"), &everything()).unwrap();
    let printed = run(
        &python,
        folder.path(),
        r"
import torch
c = torch.load('model.pt', weights_only=True)
m = c['model']
assert list(c) == ['model', 'kinds', 'optimizer', 'train_conf'], list(c)
assert torch.equal(m['a.weight'], torch.arange(12.).view(3, 4)) and not m['a.weight'].requires_grad
assert torch.equal(m['a.transposed'], m['a.weight'].T) and torch.equal(m['a.row'], m['a.weight'][1])
assert m['a.row'].untyped_storage().data_ptr() == m['a.weight'].untyped_storage().data_ptr()
assert m['a.empty'].shape == (0, 3) and m['a.scalar'].item() == 7 and m['a.scalar'].shape == ()
kinds = {'Half': torch.float16, 'BFloat16': torch.bfloat16, 'Double': torch.float64, 'Uint8': torch.uint8,
         'Int8': torch.int8, 'Int16': torch.int16, 'Int': torch.int32, 'Int64': torch.int64, 'Bool': torch.bool}
assert {k: v.dtype for k, v in c['kinds'].items()} == kinds
assert all(torch.equal(v.double(), torch.tensor([0., 1., 1. if k == 'Bool' else 3.]).double()) for k, v in c['kinds'].items())
assert list(c['optimizer']['state']) == [0, 1000] and c['optimizer']['state'][0]['step'].item() == 3
assert c['optimizer']['param_groups'] == [{'lr': 2e-4, 'foreach': None, 'amsgrad': False, 'params': [0, 1]}]
assert c['train_conf'] == {'epochs': 1260, 'large': -5000000000, 'text': 'Größe \x22x\x22\n', 'infinite': float('inf'),
                           'nothing': [], 'empty': {}}, c['train_conf']
print('same')
",
    );
    assert_eq!(printed.trim(), "same");
}

#[test]
fn what_python_wrote_is_read() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    run(
        &python,
        folder.path(),
        r"
import torch, collections
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
net(torch.rand(1, 1, 5, 5, 5)).sum().backward(); opt.step()
conf = {'epochs': 5, 'roi': (96, 96, 96), 'lr': 1e-4, 'amp': True, 'big': 2 ** 70, 'none': None,
        'size': torch.Size([2, 3]), 'device': torch.device('cuda', 1), 'dtype': torch.float32, 'keys': {'image'}}
torch.save({'model': net.state_dict(), 'optimizer': opt.state_dict(), 'train_conf': conf}, 'clara.pt')
torch.save(net.state_dict(), 'bare.pt')
x = torch.arange(10.)
torch.save({'x': x[2:8:2], 'same': x, 'p': torch.nn.Parameter(torch.ones(2)), 'bf': x.bfloat16(), 'h': x.half(), 'b': x > 4,
            'c': torch.complex(x, x), 'i': x.to(torch.int16), 't': x.view(2, 5).T}, 'views.pt')
torch.save(net, 'module.pt')
class Bad:
    def __reduce__(self):
        import os
        return (os.system, ('touch HACKED',))
torch.save({'model': Bad()}, 'bad.pt')
torch.save([1, 2], 'legacy.pt', _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(net), 'model.ts')
torch.save({'model': {'w': torch.ones(3)}}, 'protocol4.pt', pickle_protocol=4)
",
    );
    let read = |name: &str| checkpoint::read(&folder.path().join(name));

    let clara = read("clara.pt").unwrap();
    let keys: Vec<_> = clara.entries().iter().map(|(key, _)| format!("{key:?}")).collect();
    assert_eq!(keys, [r#"Str("model")"#, r#"Str("optimizer")"#, r#"Str("train_conf")"#]);
    let model = clara.get("model").unwrap();
    assert_eq!(model.get("0.weight").unwrap().as_tensor().unwrap().size(), [2, 1, 3, 3, 3]);
    assert_eq!(model.get("1.num_batches_tracked").unwrap().as_i64(), Some(1));
    assert_eq!(model.entries().len(), 7, "an OrderedDict's attributes are no entries");
    let optimizer = clara.get("optimizer").unwrap();
    let (key, first) = &optimizer.get("state").unwrap().entries()[0];
    assert_eq!((key, first.get("step").unwrap().as_f64()), (&StateKey::Int(0), Some(1.0)));
    let conf = clara.get("train_conf").unwrap().to_json();
    assert_eq!(
        conf,
        serde_json::json!({"epochs": 5, "roi": [96, 96, 96], "lr": 1e-4, "amp": true, "big": 2f64.powi(70), "none": null,
            "size": [2, 3], "device": "cuda:1", "dtype": "torch.float32", "keys": ["image"]})
    );
    assert_same(model, &read("bare.pt").unwrap(), "bare");
    assert_eq!(read("protocol4.pt").unwrap().get("model").unwrap().entries().len(), 1);

    let views = read("views.pt").unwrap();
    let get = |key: &str| views.get(key).unwrap().as_tensor().unwrap();
    assert_eq!(Vec::<f32>::try_from(get("x").contiguous()).unwrap(), [2.0, 4.0, 6.0]);
    let _ = get("same").shallow_clone().fill_(9.0);
    assert_eq!(get("x").double_value(&[1]), 9.0, "a view of the same storage");
    let kinds = ["p", "bf", "h", "b", "c", "i", "t"].map(|key| get(key).kind());
    let expected = [Kind::Float, Kind::BFloat16, Kind::Half, Kind::Bool, Kind::ComplexFloat, Kind::Int16, Kind::Float];
    assert_eq!(kinds, expected);
    assert_eq!((get("b").int64_value(&[5]), get("t").size()), (1, vec![5, 2]));

    for (name, message) in [
        ("module.pt", "asks for Python's `torch.nn.modules.container.Sequential`"),
        ("bad.pt", "asks for Python's `posix.system`"),
        ("legacy.pt", "the format from before PyTorch 1.6"),
        ("model.ts", "it is a TorchScript model"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name), "{error}");
    }
    assert!(!folder.path().join("HACKED").exists());
}

#[test]
fn damaged_and_foreign_files_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    checkpoint::write(&path, &everything()).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [5, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = checkpoint::read(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{length} bytes: {error}");
    }
    // a flipped bit in each part: an error, or a value that nobody can tell from a right one, never a panic
    for at in (0..whole.len()).step_by(37) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        let _ = checkpoint::read(&path);
    }
    for (bytes, message) in [
        (&b""[..], "it is empty"),
        (b"hello world, no zip", "does not begin like a zip file"),
        (b"\x80\x04\x95\x00", "a bare Python pickle"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = checkpoint::read(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(checkpoint::read(&path), Err(CheckpointError::Read { .. })));
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let old = StateTree::dict([("epoch", StateTree::Int(1))]);
    checkpoint::write(&path, &old).unwrap();
    let sparse = Tensor::eye(3, (Kind::Float, Device::Cpu)).to_sparse(None, None::<i64>, None);
    let error = checkpoint::write(&path, &StateTree::dict([("w", StateTree::Tensor(sparse))])).unwrap_err();
    assert!(error.to_string().contains("only dense tensors"), "{error}");
    assert_same(&old, &checkpoint::read(&path).unwrap(), "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("missing/model.pt");
    assert!(matches!(checkpoint::write(&nowhere, &old), Err(CheckpointError::Write { .. })));
}

/// A disk that is full after a megabyte: a limit on file sizes does the same to a child process.
#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_beside_it() {
    const FOLDER: &str = "MMAR_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let large = Tensor::zeros([1 << 20], (Kind::Float, Device::Cpu));
        let tree = StateTree::dict([("w", StateTree::Tensor(large))]);
        let error = checkpoint::write(&Path::new(&folder).join("model.pt"), &tree).unwrap_err();
        assert!(matches!(error, CheckpointError::Write { .. }), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let old = StateTree::dict([("epoch", StateTree::Int(1))]);
    checkpoint::write(&folder.path().join("model.pt"), &old).unwrap();
    // the signal that comes with the limit is ignored, so that the write fails as on a full disk
    let script =
        r#"trap "" XFSZ; ulimit -f 1024; exec "$0" --exact a_full_disk_leaves_the_old_file_and_nothing_beside_it"#;
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_same(&old, &checkpoint::read(&folder.path().join("model.pt")).unwrap(), "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
