"""Measure each augmentation on few labels over several seeds, and keep every run as a row of data/results/augment.json.

    python tests/benchmarks/augment_table.py emoji      LP-FT (upper stages), 20 emoji a class; test: both artists' new ones
    python tests/benchmarks/augment_table.py digits     a small network from scratch on 20 handwritten digits a class
    python tests/benchmarks/augment_table.py letters    the same on b, d, p and q, drawn in fonts not in the test set
    python tests/benchmarks/augment_table.py cells      LP-FT (upper stages) on 50 solar cells a class

Each seed draws its own labels, weights and order, the same for every method, so that differences are paired. Nothing was
tuned or chosen by its results: every method that was tried is in the file. A run that is already in it is not repeated.
"""

import datetime
import json
import sys
from pathlib import Path

import torch
from torch import nn

import tl_helpers as tl
from tl_helpers.engine.settings import Settings
from tl_helpers.models import freeze_batch_norm
from tl_helpers.sources import root, write_atomically

EMOJI = [
    "probe",
    "none",
    "flip",
    "turn",
    "crop",
    "jitter",
    "colour",
    "blur",
    "erase",
    "rand",
    "trivial",
    "mixup",
    "cutmix",
    "flip-crop",
    "flip-crop+mixup",
]
PLANS = {
    "emoji": {
        "methods": EMOJI,
        "seeds": [0, 1, 2, 3, 4],
        "tta": ["none", "flip", "flip-crop"],
        "labels": 20,
        "size": 64,
        "epochs": 10,
        "batch_size": 20,
        "frozen_stages": 6,
    },
    "digits": {
        "methods": ["none", "shift", "flip", "turn 45", "turn 180", "crop", "blur", "erase", "mixup", "cutmix"],
        "seeds": [0, 1, 2, 3, 4],
        "labels": 20,
        "size": 16,
        "epochs": 40,
        "batch_size": 32,
    },
    "letters": {
        "methods": ["none", "shift", "flip", "turn 45", "turn 180", "mixup", "cutmix"],
        "seeds": [0, 1, 2, 3, 4],
        "labels": 20,
        "size": 16,
        "epochs": 40,
        "batch_size": 32,
    },
    "cells": {
        "methods": ["probe", "none", "cells", "turn 45", "mixup"],
        "seeds": [0, 1, 2, 3, 4],
        "tta": ["none", "cells"],
        "labels": 50,
        "size": 96,
        "epochs": 6,
        "batch_size": 20,
        "frozen_stages": 6,
    },
}
STRENGTHS = {"turn 45": ("turn", 0.5), "turn 180": ("turn", 1.0)}


def small_network(classes: int) -> nn.Module:
    """Three convolutions for pictures of 16 pixels: 25,000 weights."""

    class Scale(nn.Module):
        def forward(self, pictures):
            return pictures.float() / 255

    def layer(channels, out):
        return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2))

    return nn.Sequential(Scale(), layer(1, 16), layer(16, 32), layer(32, 64), nn.Flatten(), nn.Linear(256, classes))


def on_black(method: str, size: int):
    """(transform, how to mix) of a method; the corners that a turn uncovers are black."""
    if method in tl.data.MIXES:
        return None, method
    return tl.data.augmentation(*_named(method, size), background=0), None


def _named(method: str, size: int) -> tuple:
    name, *strength = STRENGTHS.get(method, (method,))
    return (name, size, *strength)


def from_scratch(name: str, method: str, seed: int, plan: dict) -> dict:
    """A small network on digits or letters; also how often it mistakes one class for its turned or mirrored twin."""
    if name == "digits":
        data, twins = tl.data.load("digits", split_seed=seed), (("6", "9"),)
    else:
        from tl_helpers.data.drawn import drawn_characters

        data, twins = (
            drawn_characters(1200, seed, characters="bdpq", size=plan["size"]),
            (("b", "d"), ("p", "q"), ("b", "q"), ("d", "p")),
        )
    transform, how = on_black(method, plan["size"])
    common = {"batch_size": plan["batch_size"], "size": plan["size"], "seed": seed}
    train = tl.data.Batches(data.train.few(plan["labels"], seed), augment=transform, shuffle=True, **common)
    val = tl.data.Batches(data.val.few(20, seed), **common)
    tl.seed_everything(seed)
    model = small_network(len(data.classes))
    settings = Settings(plan["epochs"], lr=3e-3, keep="last")
    fitted = tl.fit(model, tl.data.Mixed(train, how) if how else train, val, settings, seed=seed)
    report = tl.evaluate(model, data.test, size=plan["size"])
    taken = {
        f"{a} as {b}": int(report.confusion[data.classes.index(a), data.classes.index(b)])
        for pair in twins
        for a, b in (pair, pair[::-1])
    }
    views = [tl.data.augmentation("none", plan["size"])] + [tl.data.augmentation("shift", plan["size"])] * 7
    row = {"train": fitted.history[-1]["train_accuracy"], "test": report.figures, "taken": taken}
    row["tta"] = {"eight shifts": tl.evaluate(model, data.test, size=plan["size"], tta=views).accuracy}
    return row


def fine_tuned(name: str, method: str, seed: int, plan: dict) -> dict:
    """Lite0 with a probe as its head, then its upper stages trained; the test set seen in one view and in two."""
    data, size = tl.data.load("emoji-google" if name == "emoji" else "elpv", split_seed=seed), plan["size"]
    few = data.train.few(plan["labels"], seed)
    tl.seed_everything(seed)
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(len(data.classes)))
    head = tl.probe((tl.features(model.backbone, few, size=size), few.labels), weights=few.weights)
    model.head.load_state_dict(head.state_dict())
    row = {}
    if method != "probe":
        for stage in list(model.backbone.stages)[: plan["frozen_stages"]]:
            for module in model.backbone.stages[stage]:
                tl.models.freeze(module)
        freeze_batch_norm(model.backbone)
        augment = tl.data.augmentation(*_named(method, size), background=0) if method in STRENGTHS else method
        train = tl.data.training_batches(few, augment, size=size, batch_size=plan["batch_size"], seed=seed)
        val = tl.data.Batches(data.val.few(2, seed), size=size)  # not used to choose: the last weights are kept
        settings = Settings(plan["epochs"], lr=1e-3, label_smoothing=0.1, keep="last")
        groups = tl.models.parameter_groups(model, settings.lr, 0.7)
        fitted = tl.fit(model, train, val, settings, groups=groups, seed=seed)
        row["train"] = fitted.history[-1]["train_accuracy"]
    looks, figure = {"test": data.test}, "balanced_accuracy" if name == "cells" else "accuracy"
    if name == "emoji":
        looks["target"] = tl.data.load("emoji-twitter", split_seed=seed).test
    row |= {part: tl.evaluate(model, look, size=size).figures for part, look in looks.items()}
    if method in plan["tta"]:
        seen = {part: tl.evaluate(model, look, size=size, tta="flip").figures for part, look in looks.items()}
        row["tta"] = {f"flip, {part}": seen[part][figure] for part in seen}
    return row


def main(name: str) -> None:
    """Run whatever is missing from a plan; the file is written after every run."""
    plan, path = PLANS[name], root() / "data" / "results" / "augment.json"
    torch.set_num_threads(2 if name in ("emoji", "cells") else 1)
    for seed in plan["seeds"]:
        for method in plan["methods"]:
            if any((row["method"], row["seed"]) == (method, seed) for row in kept(path).get(name, {}).get("rows", [])):
                continue
            run = from_scratch if name in ("digits", "letters") else fine_tuned
            row = {"method": method, "seed": seed, **run(name, method, seed, plan)}
            row |= {"hardware": tl.pick_device().line(), "date": datetime.date.today().isoformat()}
            print(json.dumps(row), flush=True)
            table = kept(path)  # read again: another plan may have written to it meanwhile
            table[name] = {
                "command": f"python tests/benchmarks/augment_table.py {name}",
                "budget": "as in settings",
                "settings": plan,
                "rows": [*table.get(name, {}).get("rows", []), row],
            }
            write_atomically(path, json.dumps(table, indent=1) + "\n")


def kept(path: Path) -> dict:
    """What has been measured so far, by plan."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


if __name__ == "__main__":
    main(sys.argv[1])
