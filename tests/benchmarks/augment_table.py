"""Measure each augmentation over seeds on few labels, and keep every run in data/results/augment.json, one row each.

    python tests/benchmarks/augment_table.py emoji      LP-FT on 20 Google emoji a class; new emoji by Google and by Twitter
    python tests/benchmarks/augment_table.py digits     a small network from scratch on 20 handwritten digits a class
    python tests/benchmarks/augment_table.py letters    the same on b, d, p and q, drawn in fonts that the test set lacks
    python tests/benchmarks/augment_table.py cells      LP-FT on 100 solar cells a class

Each seed draws its own labels, weights and order, the same for every method, so that differences are paired. Nothing was
tuned, and no figure chose anything: every method that was tried is in the file. A run that is there already is not repeated.
"""

import datetime
import json
import sys

import torch
from torch import nn

import tl_helpers as tl
from tl_helpers.engine.settings import Settings
from tl_helpers.sources import root, write_atomically

EMOJI = [
    "none",
    "flip",
    "turn",
    "crop",
    "jitter",
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
    "emoji": {"methods": EMOJI, "seeds": [0, 1, 2, 3], "labels": 20, "size": 64, "epochs": 12, "batch_size": 16},
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
        "methods": ["none", "cells", "turn 45", "mixup"],
        "seeds": [0, 1, 2],
        "labels": 100,
        "size": 96,
        "epochs": 6,
        "batch_size": 16,
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
    """(transform, how to mix) of a method, what a turn uncovers being black."""
    if method in tl.data.MIXES:
        return None, method
    return tl.data.augmentation(*_named(method, size), background=0), None


def _named(method: str, size: int) -> tuple:
    name, *strength = STRENGTHS.get(method, (method,))
    return (name, size, *strength)


def from_scratch(name: str, method: str, seed: int, plan: dict) -> dict:
    """A small network on digits or letters; also how often it takes one class for its turned or mirrored twin."""
    if name == "digits":
        data, twins = tl.data.load("digits", split_seed=seed), (("6", "9"),)
    else:
        from tl_helpers.data.drawn import drawn_characters

        data, twins = drawn_characters(1200, seed, characters="bdpq", size=plan["size"]), (("b", "d"), ("p", "q"))
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
    """LP-FT of Lite0; the test set seen plainly and with test-time augmentation."""
    data = tl.data.load("emoji-google" if name == "emoji" else "elpv", split_seed=seed)
    size, augment = plan["size"], method
    if name == "cells" and method in STRENGTHS:
        augment = tl.data.augmentation(*_named(method, size), background=0)
    tl.seed_everything(seed)
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(len(data.classes)))
    images = plan["labels"] * len(data.classes)
    settings = {"epochs": plan["epochs"], "size": size, "batch_size": plan["batch_size"], "seed": seed}
    result = tl.transfer(model, data, "lp-ft", augment=augment, images=images, **settings)
    row = {"train": result.history[-1]["train_accuracy"], "probe": result.history[0]["val_accuracy"]}
    looks, view = {"test": data.test}, "square" if name == "cells" else "flip"
    if name == "emoji":
        looks["target"] = tl.data.load("emoji-twitter", split_seed=seed).test
    row |= {part: tl.evaluate(model, look).figures for part, look in looks.items()}
    seen = {part: tl.evaluate(model, look, tta=view).figures for part, look in looks.items()}
    row["tta"] = {
        f"{view}, {part}": seen[part]["balanced_accuracy" if name == "cells" else "accuracy"] for part in seen
    }
    return row | {"seconds": round(result.seconds, 1)}


def main(name: str) -> None:
    """Run what is missing of a plan; the file is written after every run."""
    plan, path = PLANS[name], root() / "data" / "results" / "augment.json"
    torch.set_num_threads(2 if name in ("emoji", "cells") else 1)
    for seed in plan["seeds"]:
        for method in plan["methods"]:
            table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            rows = table.setdefault(name, {}).get("rows", [])
            if any((row["method"], row["seed"]) == (method, seed) for row in rows):
                continue
            run = from_scratch if name in ("digits", "letters") else fine_tuned
            rows.append({"method": method, "seed": seed, **run(name, method, seed, plan)})
            print(json.dumps(rows[-1]), flush=True)
            table[name] = {
                "command": f"python tests/benchmarks/augment_table.py {name}",
                "hardware": tl.pick_device().line(),
                "budget": "as in settings",
                "date": datetime.date.today().isoformat(),
                "settings": plan,
                "rows": rows,
            }
            write_atomically(path, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
