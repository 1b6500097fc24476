"""MONAI's side of `against_monai.rs`: times what it is told to, one call a line.

Reads the subjects as one line of JSON, then the name of a subject a line; answers each with its seconds.
"""

import json
import sys
import time

import torch
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceLoss
from monai.networks.nets import UNet
from monai.transforms import FgBgToIndicesd
import monai.transforms

subjects = json.loads(sys.stdin.readline())
threads = subjects["threads"]


def make(step):
    return getattr(monai.transforms, step["name"])(**step["args"])


def chain():
    """The input of each transform, and the transform."""
    data = subjects["sample"]
    steps = {}
    for step in subjects["chain"]:
        transform = make(step)
        steps[step["name"]] = (transform, data)
        data = transform(dict(data))
        if isinstance(data, list):
            data = data[0]
    return steps


steps = chain()
crop, before_crop = steps["RandCropByPosNegLabeld"]
indices = FgBgToIndicesd(keys="label", image_key="image", image_threshold=0)(dict(before_crop))
crop_args = next(step["args"] for step in subjects["chain"] if step["name"] == "RandCropByPosNegLabeld")
cached_crop = monai.transforms.RandCropByPosNegLabeld(
    **crop_args, fg_indices_key="label_fg_indices", bg_indices_key="label_bg_indices"
)

network = UNet(**subjects["network"])
loss = DiceLoss(to_onehot_y=True, softmax=True)
optimizer = torch.optim.Adam(network.parameters(), 1e-4)
x = torch.rand(8, 1, 48, 48, 48)
y = (torch.rand(8, 1, 48, 48, 48) > 0.5).float()
volume = torch.rand(1, 1, 144, 144, 144)
inferer = SlidingWindowInferer(roi_size=(96, 96, 96), sw_batch_size=4, overlap=0.5)


def transform(name):
    step, data = steps[name]
    step(dict(data))


def training_step():
    optimizer.zero_grad()
    loss(network(x), y).backward()
    optimizer.step()


def sliding_window():
    network.eval()
    with torch.no_grad():
        inferer(volume, network)
    network.train()


actions = {name: (lambda name=name: transform(name)) for name in steps}
actions["RandCropByPosNegLabeld, voxels of the label known"] = lambda: cached_crop(dict(indices))
actions["training step, 8 x 48^3"] = training_step
actions["sliding window, 144^3 by 96^3"] = sliding_window

print("ready", flush=True)
for line in sys.stdin:
    name = line.rstrip("\n")
    torch.set_num_threads(threads if " " in name and not name.startswith("Rand") else 1)
    start = time.perf_counter()
    actions[name]()
    print(time.perf_counter() - start, flush=True)
