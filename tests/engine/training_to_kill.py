"""A small real training, run as a process of its own so that a test can kill it. Writes its final weights to a file.

python training_to_kill.py FOLDER [--slow] [--contiguous] [--ema]
"""

import sys
import time
from pathlib import Path

import torch

import tl_helpers as tl
from tl_helpers.data import Batches, augmentation
from tl_helpers.engine import checkpoint
from tl_helpers.engine.fit import fit
from tl_helpers.engine.settings import Settings

folder, slow = Path(sys.argv[1]), "--slow" in sys.argv
torch.set_num_threads(1)
tl.seed_everything(0)
emoji = tl.data.load("emoji-google")
model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.mlp(6, hidden=16, dropout=0.5))
train = Batches(emoji.train.few(3), size=64, batch_size=8, augment=augmentation("colour", 64), shuffle=True, seed=5)
val = Batches(emoji.val.few(2), size=64)


class Slowed:
    """The same batches, a moment apart, so that the kill falls into the middle of an epoch."""

    fingerprint = None

    def __len__(self):
        return len(train)

    def set_epoch(self, epoch):
        train.set_epoch(epoch)

    def __iter__(self):
        for batch in train:
            time.sleep(1 if slow else 0)
            yield batch


hardware = tl.pick_device("cpu", precision="fp32", channels_last="--contiguous" not in sys.argv)
result = fit(
    model,
    Slowed(),
    val,
    Settings(epochs=4, lr=3e-3, accumulate=2, ema=0.9 if "--ema" in sys.argv else None),
    hardware=hardware,
    seed=7,
    checkpoint=folder / "training.safetensors",
)
checkpoint.save(folder / "end.safetensors", model.state_dict(), {"epochs": [row["epoch"] for row in result.history]})
