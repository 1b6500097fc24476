"""Makes `numbers.json`, what MONAI's networks compute, for `networks.rs` beside this folder.

    python make.py [NAME...]     all entries of CASES, or only those of these networks

Weights and inputs come from the fill rule of the reference cases, so the table needs neither. Made with MONAI 1.6.1 and
PyTorch 2.11.0 on a CPU.
"""

import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from monai.networks import nets

warnings.filterwarnings("ignore")
SEED = 20260001
FILE = Path(__file__).with_name("numbers.json")

# network, arguments, shape of the input, mode
CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text().splitlines() if line.strip()]


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


def flatten(value):
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in flatten(item)]


def summary(tensor):
    flat = tensor.detach().double().flatten()
    at = [(i * 2654435761 + 12345) % flat.numel() for i in range(8)]
    return {
        "shape": list(tensor.shape),
        "sum": flat.sum().item(),
        "magnitude": flat.abs().sum().item(),
        "samples": [flat[i].item() for i in at],
    }


def entry(case):
    args = {key: tuple(value) if isinstance(value, list) else value for key, value in case["args"].items()}
    network = getattr(nets, case["network"])(**args)
    state = network.state_dict()
    lines = sorted(f"{name} {list(tensor.shape)}\n".replace(" ", "") for name, tensor in state.items())
    result = dict(case)
    result["state"] = f"{zlib.crc32(''.join(lines).encode()):08x}"
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
    shape = case["input"]
    x = torch.from_numpy((2 * uniform("x", int(np.prod(shape))) - 1).astype(np.float32).reshape(shape))
    x.requires_grad_()
    outputs = flatten(network(x))
    result["outputs"] = [summary(output) for output in outputs]
    try:
        sum((output * output).mean() for output in outputs).backward()
        result["gradient"] = summary(x.grad)
    except RuntimeError:
        pass  # MONAI's variational networks overwrite a tensor outside training that a gradient would need
    return result


def main():
    chosen = sys.argv[1:]
    known = json.loads(FILE.read_text()) if FILE.exists() and chosen else []
    known = {json.dumps([it["network"], it["args"], it.get("input"), it.get("mode")]): it for it in known}
    entries = []
    for case in CASES:
        key = json.dumps([case["network"], case["args"], case.get("input"), case.get("mode")])
        if key not in known or case["network"] in chosen:
            known[key] = entry(case)
        entries.append(known[key])
        print(case["network"], flush=True)
    FILE.write_text("[\n" + ",\n".join(json.dumps(it) for it in entries) + "\n]\n")


main()
