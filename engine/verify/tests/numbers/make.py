"""Makes the tables of what MONAI, PyTorch and ignite compute, which the tests beside this file compare with.

    python make.py networks|losses|metrics|transforms [NAME...]     all entries, or those of these components and the new ones

`KIND.jsonl` lists what to compute, `KIND.json` is the result. Weights and inputs follow from names and shapes as the fill
rule of the reference cases has it, so the tables hold neither. Made with MONAI 1.6.1, PyTorch 2.11.0, torchvision 0.26.0
and ignite 0.5.5 on a CPU; some transforms of MONAI also need scipy and scikit-image.
"""

import importlib
import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch

warnings.filterwarnings("ignore")
SEED = 20260001
FOLDER = Path(__file__).parent
SAMPLES = 8


def uniform(name, count):
    """Numbers in [0, 1) that depend on the name only."""
    with np.errstate(over="ignore"):
        s = np.uint32(zlib.crc32(name.encode()) ^ SEED)
        h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + s
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(13)
        h *= np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float64) / 16777216.0


def fill(name, shape):
    """A parameter or buffer."""
    n = int(np.prod(shape))
    u = uniform(name, n)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        v = 0.5 + u
    elif leaf == "running_mean" or (leaf == "bias" and len(shape) == 1):
        v = (2 * u - 1) * 0.1
    elif len(shape) <= 1:
        v = 0.1 + 0.3 * u if n == 1 else 0.75 + 0.5 * u
    else:
        v = (2 * u - 1) * np.sqrt(3.0 / (n / shape[0]))
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def made(name, spec):
    """An input: numbers from `low` to `high`, or so many `classes` from 0 on, `whole` if they are to be integers; 1 above a
    `threshold` of numbers from 0 to 1; or 0 but for some `marks`, each a value and where it is."""
    u = uniform(name, int(np.prod(spec["shape"])))
    low, high = spec.get("low", -1.0), spec.get("high", 1.0)
    v = np.floor(u * spec["classes"]) + spec.get("first", 0) if "classes" in spec else low + (high - low) * u
    if "signs" in spec:
        v = np.where(u < 0.5, -1.0, 1.0)
    if "threshold" in spec:
        v = np.where(u > spec["threshold"], 1.0, 0.0)
    if "marks" in spec:
        v = np.zeros(spec["shape"])
        for value, *place in spec["marks"]:
            v[tuple(place)] = value
    return torch.from_numpy(v.astype(np.int64 if spec.get("whole") else np.float32).reshape(spec["shape"]))


def flatten(value):
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in flatten(item)]


def summary(tensor):
    flat = tensor.detach().double().flatten()
    at = [(i * 2654435761 + 12345) % flat.numel() for i in range(SAMPLES)]
    return {
        "shape": list(tensor.shape),
        "sum": flat.sum().item(),
        "magnitude": flat.abs().sum().item(),
        "samples": [flat[i].item() for i in at],
    }


def component(path, args):
    module, name = path.rsplit(".", 1)
    args = {key: argument(value) for key, value in args.items()}
    return getattr(importlib.import_module(module), name)(**args)


def argument(value):
    if isinstance(value, dict) and set(value) == {"path", "args"}:
        return component(value["path"], value["args"])
    if isinstance(value, list) and value and isinstance(value[0], list):
        return torch.tensor(value)
    return tuple(value) if isinstance(value, list) else value


def networks(case):
    network = component(case["path"], case["args"])
    state = network.state_dict()
    lines = sorted(f"{name} {list(tensor.shape)}\n".replace(" ", "") for name, tensor in state.items())
    result = {"state": f"{zlib.crc32(''.join(lines).encode()):08x}"}
    names = {}  # of tensors that go by several names, the first in the alphabet
    for name, tensor in sorted(network.state_dict(keep_vars=True).items()):
        names.setdefault(id(tensor), name)
    parameters = [names[id(parameter)] for parameter in network.parameters() if parameter.requires_grad]
    result["parameters"] = f"{zlib.crc32(chr(10).join(parameters).encode()):08x}"
    if "input" not in case:
        return result
    with torch.no_grad():
        for name, tensor in sorted(state.items(), reverse=True):  # of several names the first counts
            if tensor.is_floating_point():
                tensor.copy_(fill(name, tuple(tensor.shape)))
    network.train(case.get("mode", "eval") == "train")
    x = made("x", {"shape": case["input"]}).requires_grad_()
    outputs = flatten(network(x))
    result["outputs"] = [summary(output) for output in outputs]
    try:
        sum((output * output).mean() for output in outputs).backward()
        result["gradient"] = summary(x.grad)
    except RuntimeError:
        pass  # MONAI's variational networks overwrite a tensor outside training that a gradient would need
    return result


def losses(case):
    loss = component(case["path"], case["args"])
    inputs = [made(f"input{i}", spec).requires_grad_() for i, spec in enumerate(case["inputs"])]
    given = [made(name, case[name]) for name in ("target", "mask") if name in case]
    value = loss(inputs if len(inputs) > 1 else inputs[0], *given)
    value.sum().backward()
    return {"value": summary(value), "gradients": [summary(x.grad) for x in inputs]}


def metrics(case):
    metric = component(case["path"], case["args"])
    y_pred, y = made("y_pred", case["y_pred"]), made("y", case["y"])
    handler = hasattr(metric, "update")
    start = 0
    for size in case["batches"]:
        batch = y_pred[start : start + size], y[start : start + size]
        metric.update(batch) if handler else metric(*batch)
        start += size
    value = metric.compute() if handler else metric.aggregate()
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    value = torch.as_tensor(value, dtype=torch.float64)
    return {"value": value.tolist()}


AFFINE = np.array([[0.9, 0.1, 0, -10], [-0.1, 1.1, 0.05, 5], [0, 0.02, 2, 20], [0, 0, 0, 1]])


def transforms(case):
    """A transform of a dictionary; what is random has one possible outcome."""
    from monai.data import MetaTensor

    # a frequency of a spectrum is a tuple, as an index is
    args = {key: [tuple(v) if isinstance(v, list) else v for v in value] if key == "loc" else value
            for key, value in case["args"].items()}
    module, name = case["path"].rsplit(".", 1)
    transform = getattr(importlib.import_module(module), name)(**args)
    item = json.loads(json.dumps(case.get("json", {})))
    for key, spec in case["inputs"].items():
        value = made(key, spec)
        axes = [0, 1, 2, 3] if value.dim() == 4 else [0, 1, 3]
        item[key] = MetaTensor(value, affine=AFFINE[axes][:, axes]) if key in case.get("affine", []) else value
    done = transform(item)
    items = done if isinstance(done, list) else [done]
    result = {"outputs": {}}
    for key in case.get("collect", case["inputs"]):
        values = [as_tensor(item[key]) for item in items]
        result["outputs"][key] = summary(values[0] if len(values) == 1 else torch.stack(values))
    if case.get("affine") and len(items) == 1:
        result["affines"] = {key: items[0][key].affine.tolist() for key in case["affine"]}
    if "meta" in case:
        result["noted"] = {key: {name: float(items[0][f"{key}_meta_dict"][name]) for name in names}
                           for key, names in case["meta"].items()}
    return result


def as_tensor(value):
    if isinstance(value, (list, tuple)):
        return torch.stack([as_tensor(item) for item in value])
    return torch.as_tensor(value)


def main():
    kind, *chosen = sys.argv[1:]
    cases = [json.loads(line) for line in (FOLDER / f"{kind}.jsonl").read_text().splitlines() if line.strip()]
    file = FOLDER / f"{kind}.json"
    known = json.loads(file.read_text()) if file.exists() else []
    entries = []
    for case in cases:
        name = case["path"].rsplit(".", 1)[-1]
        entry = next((it for it in known if {key: it.get(key) for key in case} == case), None)
        if entry is None or not chosen or name in chosen:
            entry = case | globals()[kind](case)
            print(name, flush=True)
        entries.append(entry)
    file.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


main()
