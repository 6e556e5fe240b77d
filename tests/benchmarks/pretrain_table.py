"""Notebook 05's tables: the value of pretraining on drawn characters, or without labels. Every run is a row.

    python tests/benchmarks/pretrain_table.py            all parts: methods, layers, sources, size, simclr,
                                                         patience (ten times the steps)
    python tests/benchmarks/pretrain_table.py methods    one part
    python tests/benchmarks/pretrain_table.py --minutes 8

A run that is already in data/results/pretrain.json is not repeated, so the command resumes where it stopped. The functions
are those defined in the notebook's cells. Each seed draws a new source, split, few labels and weights. Rates were compared
on validation digits of split 0 with the CNN (and, from scratch, the others); steps were cut to fit the time; nothing was
chosen on test data (gentle views were first tried on the validation emoji of split 0).
"""

import argparse
import ast
import copy
import dataclasses
import datetime
import itertools
import json
import sys
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import tl_helpers as tl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from torch.nn import functional as F

from tl_helpers.data import DIGITS, LETTERS, Batches, drawn_characters
from tl_helpers.engine.settings import Settings
from tl_helpers.sources import root, write_atomically

TABLE = root() / "data" / "results" / "pretrain.json"
SEEDS = (0, 1, 2)
KINDS = ("small_cnn", "small_gru", "small_attention", "small_resnet")
LABELS = (1, 5, 20, 100)
SIZES = (100, 400, 1600, 6400)
STEPS = 300
SETTINGS = {
    "source": "4,096 drawn digits, 8x8 (of which 72 % train)",
    "pretraining": {"steps": STEPS, "batch": 32, "rates": {"small_attention": 1e-3, "others": 3e-3}},
    "written digits": {"steps": 100, "batch": 32, "rate pretrained": 1e-3, "rate from random weights": 3e-3},
    "simclr": {"epochs": 20, "batch": 128, "rate": 2e-3, "pixels": 32},
}
GENTLE = {"part": 0.75, "colour": 0.1, "grey": 0.0, "mirror": 0.0}
SPOILT = ("mirror", "upside-down", "black on white", "names exchanged", "random labels")
PLAIN = {
    "digits as they were inked": {"characters": DIGITS, "size": 8},
    "digits drawn sharper (16 × 16)": {"characters": DIGITS, "size": 16},
    "digits, fonts as they are": {"characters": DIGITS, "size": 8, "distortion": 0},
    "letters only": {"characters": LETTERS, "size": 8},
    "digits and letters": {"characters": DIGITS + LETTERS, "size": 8},
}


def cells() -> SimpleNamespace:
    """The functions that notebook 05 defines in its cells."""
    lesson = Lesson(next(path for path in ALL_NOTEBOOKS if path.name.startswith("05_")))
    names = {"tl": tl, "torch": torch, "F": F, "copy": copy, "dataclasses": dataclasses}
    names |= {"Batches": Batches, "Settings": Settings}
    for cell in lesson.code:
        functions = [node for node in cell.tree.body if isinstance(node, ast.FunctionDef)]
        if "exercise" not in cell.tags:
            exec(compile(ast.Module(functions, []), f"notebook 05, cell {cell.index}", "exec"), names)
    return SimpleNamespace(**names)


nb = cells()


@cache
def pretrained(kind: str, seed: int, source: str = "digits as they were inked", n: int = 4096):
    """A network trained on `n` drawn characters, for about the same number of steps whatever `n` is."""
    base = source if source in PLAIN else "digits as they were inked"
    drawn = drawn_characters(n, seed=seed + 100, **PLAIN[base])
    drawn = nb.spoil(drawn, source) if source in SPOILT else drawn
    model = nb.untrained(kind, len(drawn.classes), seed)
    epochs = max(1, round(STEPS / -(-len(drawn.train) // 32)))
    rate = 1e-3 if kind == "small_attention" else 3e-3
    nb.teach(model, drawn.train, drawn.val, rate=rate, epochs=epochs, seed=seed)
    return model


def moved(model, labels: int, seed: int) -> float:
    """Accuracy on test digits after `labels` examples a class; a head for other classes is replaced by a probe on those."""
    data = tl.data.load("digits", split_seed=seed)
    if labels:
        few = data.train.few(labels, seed)
        model = copy.deepcopy(model)
        if model.spec["classes"] != len(data.classes):
            model = nb.new_head(model, few)
        nb.adapt(model, few, data.val, seed=seed)
    return nb.accuracy(model, data.test)


def methods(kind: str, labels: int, seed: int, start: str) -> float:
    if start == "drawn first":
        return moved(pretrained(kind, seed), labels, seed)
    data = tl.data.load("digits", split_seed=seed)
    few = data.train.few(labels, seed)
    return nb.accuracy(nb.adapt(nb.untrained(kind, 10, seed), few, data.val, rate=3e-3, seed=seed), data.test)


def patience(kind: str, labels: int, seed: int, start: str, steps: int) -> float:
    data = tl.data.load("digits", split_seed=seed)
    few = data.train.few(labels, seed)
    drawn_first = start == "drawn first"
    model = copy.deepcopy(pretrained(kind, seed)) if drawn_first else nb.untrained(kind, 10, seed)
    nb.adapt(model, few, data.val, rate=1e-3 if drawn_first else 3e-3, steps=steps, seed=seed)
    return nb.accuracy(model, data.test)


def layers(k: int, labels: int, seed: int) -> float:
    data = tl.data.load("digits", split_seed=seed)
    model = nb.first_stages(pretrained("small_cnn", seed), k, seed)
    nb.adapt(model, data.train.few(labels, seed), data.val, rate=3e-3, seed=seed)
    return nb.accuracy(model, data.test)


def size(n: int, labels: int, seed: int) -> float:
    return moved(pretrained("small_cnn", seed, n=n), labels, seed)


def sources(source: str, labels: int, seed: int) -> float | None:
    if source == "nothing":
        return methods("small_cnn", labels, seed, "from scratch") if labels else None
    model = pretrained("small_cnn", seed, source)
    return moved(model, labels, seed) if labels or model.spec["classes"] == 10 else None


@cache
def contrasted(seed: int, views: str):
    """A network trained by SimCLR on the training part of both artists' drawings; with views "none", untrained."""
    tl.seed_everything(seed)
    backbone = tl.load_backbone("small_cnn", weights=None)
    if views != "none":
        parts = [tl.data.load(f"emoji-{artist}", split_seed=seed).train.resized(48) for artist in ("google", "twitter")]
        how = GENTLE if views == "gentle" else {}
        nb.simclr(backbone, torch.cat(parts), SETTINGS["simclr"]["epochs"], seed=seed, **how)
    return backbone


def simclr(seed: int, views: str, side: int) -> float:
    google, twitter = (tl.data.load(f"emoji-{artist}", split_seed=seed) for artist in ("google", "twitter"))
    asked = torch.as_tensor(google.split.test)
    if views == "pixels":
        return nb.one_picture(*(x.resized(side).flatten(1) / 255 for x in (google, twitter)), asked)
    network = contrasted(seed, views)
    return nb.one_picture(nb.described(network, google, side), nb.described(network, twitter, side), asked)


def plan() -> list[tuple]:
    """Every run as (function, its arguments), the most important first."""

    def runs(function, **values):
        return [(function, dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())]

    spoilt = ("nothing", *PLAIN, *SPOILT)
    found = []
    for kind in KINDS:
        found += runs(methods, kind=[kind], seed=SEEDS, labels=(0,), start=["drawn first"])
        found += runs(methods, kind=[kind], seed=SEEDS, labels=LABELS, start=["from scratch", "drawn first"])
    found += runs(layers, seed=SEEDS, labels=(1, 10), k=range(5))
    found += runs(sources, source=spoilt, seed=SEEDS, labels=(0, 1, 10))
    found += runs(size, n=SIZES, seed=SEEDS, labels=(0, 1, 10))
    found += runs(simclr, seed=SEEDS, views=["pixels"], side=[16])
    found += runs(simclr, seed=SEEDS, views=("none", "gentle", "bold"), side=(1, 4))
    starts = ["from scratch", "drawn first"]
    return found + runs(patience, kind=["small_attention"], seed=SEEDS, labels=(100, 5), start=starts, steps=[1000])


def main() -> None:
    """Run whatever is missing; the file is written after every run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--minutes", type=float, default=1e9)
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    kept = json.loads(TABLE.read_text("utf-8"))["rows"] if TABLE.exists() else []
    known = {json.dumps({k: v for k, v in row.items() if k not in ("accuracy", "seconds")}): row for row in kept}
    for function, arguments in plan():
        row = {"part": function.__name__, **arguments}
        if json.dumps(row) in known or (asked.parts and row["part"] not in asked.parts):
            continue
        if time.monotonic() > end:
            print("stopped by --minutes; the same command goes on", flush=True)
            return
        start = time.process_time()
        value = function(**arguments)
        if value is None:
            continue
        known[json.dumps(row)] = row | {"accuracy": round(value, 4), "seconds": round(time.process_time() - start, 1)}
        print(json.dumps(known[json.dumps(row)]), flush=True)
        about = {
            "command": "python tests/benchmarks/pretrain_table.py",
            "hardware": tl.pick_device().line(),
            "budget": "as in settings",
            "date": datetime.date.today().isoformat(),
            "settings": SETTINGS | {"seeds": SEEDS},
        }
        lines = ",\n".join(json.dumps(found, ensure_ascii=False) for found in known.values())
        text = json.dumps(about, indent=1, ensure_ascii=False)[:-2] + f',\n "rows": [\n{lines}\n ]\n}}\n'
        write_atomically(TABLE, text)


if __name__ == "__main__":
    main()
