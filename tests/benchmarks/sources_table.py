"""What each source is worth for two targets, compared like with like; kept in data/results/sources.json.

    python tests/benchmarks/sources_table.py [minutes]

Four sources: ImageNet and random weights in EfficientNet-Lite0; edges (started from ImageNet) and random weights in VGG16.
Features are the mean and the maximum of every stage's maps. Three questions: the kind of new emoji (six splits, trained on
Google's drawings, tested on Google's and Twitter's), the same emoji by the other artist (nearest of 844), defective solar
cells (1,000 of them, six splits by kind and probability). Logistic regression of strength 0.01 throughout; nothing chosen.
Features are kept chunk by chunk, so the command, which stops itself after `minutes`, resumes where it stopped.
"""

import datetime
import json
import sys
import time

import torch
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import normalize

import tl_helpers as tl
from tl_helpers.recipes.fusion import AllStages
from tl_helpers.sources import root, write_atomically

SOURCES = {
    "Lite0, ImageNet": ("efficientnet_lite0", "default"),
    "Lite0, random": ("efficientnet_lite0", None),
    "VGG16, edges": ("vgg16_edges", "default"),
    "VGG16, random": ("vgg16_edges", None),
}
SIZES = {"emoji": 64, "cells": 128}
SPLITS, CELLS = range(6), 1000
PATH = root() / "data" / "results" / "sources.json"


def looked_at(network, images, size: int, until: float) -> torch.Tensor:
    """Features of every picture, in chunks that are kept; exits when time is up."""
    chunks = []
    for rows in torch.arange(len(images)).split(128):
        if time.monotonic() > until:
            sys.exit("the minutes are over; the same command goes on")
        chunks.append(tl.features(network, images.subset(rows), size=size))
    return torch.cat(chunks)


def one_picture(known: torch.Tensor, new: torch.Tensor) -> float:
    """Share of new drawings whose nearest known one shows the same thing; each artist's columns standardised."""
    known, new = (normalize((x - x.mean(0)) / x.std(0).clamp(min=1e-6), dim=1) for x in (known, new))
    return ((new @ known.T).argmax(1) == torch.arange(len(new))).float().mean().item()


def on_emoji(source: str, network, until: float) -> list[dict]:
    """Rows for the questions about emoji."""
    google, twitter = tl.data.load("emoji-google"), tl.data.load("emoji-twitter")
    known, new = (looked_at(network, images, SIZES["emoji"], until) for images in (google, twitter))
    rows = [{"source": source, "task": "one picture", "split": None, "accuracy": one_picture(known, new)}]
    for seed in SPLITS:
        split = tl.data.load("emoji-google", split_seed=seed).split
        head, truth = tl.probe((known[split.train], google.labels[split.train])), google.labels[split.test]
        for task, rows_of in (("kind, Google", known), ("kind, Twitter", new)):
            right = head(rows_of[split.test]).argmax(1) == truth
            rows.append({"source": source, "task": task, "split": seed, "accuracy": right.float().mean().item()})
    return rows


def on_cells(source: str, network, until: float) -> list[dict]:
    """Rows for the question about cells."""
    every = tl.data.load("elpv")
    chosen = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:CELLS].sort().values
    cells, rows = every.subset(chosen), []
    found = looked_at(network, cells, SIZES["cells"], until)
    strata = (cells.columns["probability"] * 3).round().long() * 2 + cells.columns["type"]
    for seed in SPLITS:
        split = tl.data.make_split(strata, seed=seed)
        head = tl.probe((found[split.train], cells.labels[split.train]), weights=cells.weights[split.train])
        said, truth = head(found[split.test]).argmax(1), cells.labels[split.test]
        figures = {"accuracy": (said == truth).float().mean().item()}
        figures["balanced_accuracy"] = float(balanced_accuracy_score(truth, said))
        rows.append({"source": source, "task": "cells", "split": seed, **figures})
    return rows


def main(minutes: float) -> None:
    """Measure whatever is missing; the file is written after every source and question."""
    until = time.monotonic() + 60 * minutes
    rows = json.loads(PATH.read_text(encoding="utf-8"))["rows"] if PATH.exists() else []
    for ask, task in ((on_emoji, "one picture"), (on_cells, "cells")):
        for source, (name, weights) in SOURCES.items():
            if any(row["source"] == source and row["task"] == task for row in rows):
                continue
            tl.seed_everything(0)
            rows += ask(source, AllStages(tl.load_backbone(name, weights=weights)), until)
            table = {
                "command": "python tests/benchmarks/sources_table.py",
                "hardware": tl.pick_device().line(),
                "budget": "as in settings",
                "date": datetime.date.today().isoformat(),
                "settings": {"pixels": SIZES, "splits": len(SPLITS), "cells": CELLS, "random weights": "seed 0"},
                "rows": rows,
            }
            write_atomically(PATH, json.dumps(table, indent=1) + "\n")
            print(source, task, "done", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
