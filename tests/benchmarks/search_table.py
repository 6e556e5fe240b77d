"""Measure fusion and search over splits, and keep every run as a row in data/results.

    python tests/benchmarks/search_table.py artists     source alone, target alone, and three ways of using both, by labels
    python tests/benchmarks/search_table.py adabn       batch norm's statistics: ImageNet's, Google's, Twitter's
    python tests/benchmarks/search_table.py backbones   two networks on emoji and on solar cells, and the cell's type
    python tests/benchmarks/search_table.py features    trying every combination compared with halving, on kept features
    python tests/benchmarks/search_table.py finetune    the same on fine-tuning: none, asha, hyperband
    python tests/benchmarks/search_table.py networks    fine-tuning itself: on the source, on the target, on one after the other

A run that is already in the file is not repeated, so the command resumes where it stopped. Nothing here was tuned, but
halving by four was added after halving by three had been seen to stop at half of the rows and to lose on test. `cpu_seconds` are
processor time, which other programs on the machine do not change.
"""

import datetime
import json
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import patch

import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

import tl_helpers as tl
from tl_helpers.engine.metrics import measure
from tl_helpers.recipes import fusion
from tl_helpers.recipes.search import search, search_features
from tl_helpers.sources import root, write_atomically

SIZE = 128
SPACE = {"lr": [1e-4, 3e-4, 1e-3, 3e-3], "weight_decay": [0.01, 0.1], "augment": ["none", "colour"]}
GRID = {"svc__C": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0], "svc__gamma": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]}


def late_fusion(first: Tensor, second: Tensor, labels: Tensor) -> float:
    """How much weight `first` should have in a mean of two networks' probabilities, chosen on validation rows.

    Args:
        first, second: probabilities float32 (n, classes) of the validation rows. labels: int64 (n,).

    Returns:
        The weight out of 0, 0.1 … 1 with the smallest cross-entropy of ``weight * first + (1 - weight) * second``.
    """
    weights = [k / 10 for k in range(11)]
    return min(weights, key=lambda w: measure((w * first + (1 - w) * second).clamp(min=1e-9).log(), labels)["loss"])


def right(head, rows, labels) -> float:
    """Share of correct predictions."""
    with torch.no_grad():
        return float((head(rows).argmax(1) == labels).float().mean())


def artists(split: int) -> Iterator[dict]:
    """Tested on Twitter's drawings of emoji that neither artist showed; `draw` draws the labelled few."""
    source, target = (tl.data.load(f"emoji-{artist}", split_seed=split) for artist in ("google", "twitter"))
    backbone = tl.load_backbone("efficientnet_lite0")
    rows = {name: tl.features(backbone, data, size=SIZE) for name, data in (("google", source), ("twitter", target))}
    train, test, labels = *(torch.as_tensor(part) for part in (source.split.train, source.split.test)), source.labels
    many, look = (rows["google"][train], labels[train]), (rows["twitter"][test], labels[test])
    yield {"method": "source alone", "per_class": 0, "draw": 0, "accuracy": right(tl.probe(many), *look)}
    for per_class in (1, 2, 5, 10, 20, 50, 1000):
        for draw in range(3 if per_class < 1000 else 1):
            few = few_of(target.labels, train, per_class, draw)
            some = rows["twitter"][few], labels[few]
            heads = {
                "target alone": tl.probe(some),
                "both pooled": fusion.pooled(many, some),
                "source, then target": fusion.source_then_target(many, some),
                "concatenated": fusion.concatenated(many, some),
            }
            for method, head in heads.items():
                yield {"method": method, "per_class": per_class, "draw": draw, "accuracy": right(head, *look)}


def few_of(labels, among, per_class: int, draw: int):
    """`per_class` positions of each class out of `among` (all, if it has fewer), drawn with the seed `draw`."""
    order = among[torch.randperm(len(among), generator=torch.Generator().manual_seed(draw))]
    return torch.cat([order[labels[order] == label][:per_class] for label in labels.unique()])


def adabn(split: int) -> Iterator[dict]:
    """A probe on Google's drawings, tested on Twitter's; whose statistics batch norm has, in training and in the test."""
    source, target = (tl.data.load(f"emoji-{artist}", split_seed=split) for artist in ("google", "twitter"))
    imagenet = tl.load_backbone("efficientnet_lite0")
    nets = {"ImageNet": imagenet}
    nets["Google"] = fusion.adapt_batch_norm(imagenet, source.train, size=SIZE)
    nets["Twitter"] = fusion.adapt_batch_norm(imagenet, target.train, size=SIZE)
    for learnt, tested in (
        ("ImageNet", "ImageNet"),
        ("ImageNet", "Twitter"),
        ("Google", "Google"),
        ("Google", "Twitter"),
    ):
        head = tl.probe((tl.features(nets[learnt], source.train, size=SIZE), source.train.labels))
        found = {"twitter": right(head, tl.features(nets[tested], target.test, size=SIZE), target.test.labels)}
        found["google"] = right(head, tl.features(nets[learnt], source.test, size=SIZE), source.test.labels)
        yield {"learnt": learnt, "tested": tested, **found}


def backbones(split: int) -> Iterator[dict]:
    """Two networks apart, joined early and late; the cell's type as a column, and guessed from the features."""
    for name in ("emoji-google", "elpv"):
        data = tl.data.load(name, split_seed=split)
        train, val, test = (torch.as_tensor(part) for part in (data.split.train, data.split.val, data.split.test))
        edges = fusion.AllStages(tl.load_backbone("vgg16_edges"))
        blocks = {"Lite0": tl.features(tl.load_backbone("efficientnet_lite0"), data, size=SIZE)}
        blocks["edges"] = tl.features(edges, data, size=96)
        blocks["both, early"] = torch.cat(list(blocks.values()), dim=1)
        if name == "elpv":
            kind = torch.nn.functional.one_hot(data.columns["type"]).float()
            blocks["Lite0 + type"] = torch.cat([blocks["Lite0"], kind], dim=1)
            blocks["type alone"] = kind
        said = {}
        for block, rows in blocks.items():
            head = tl.probe((rows[train], data.labels[train]), (rows[val], data.labels[val]))
            with torch.no_grad():
                said[block] = head(rows).softmax(1)
        weight = late_fusion(said["Lite0"][val], said["edges"][val], data.labels[val])
        said["both, late"] = weight * said["Lite0"] + (1 - weight) * said["edges"]
        for block, p in said.items():
            hit = p[test].argmax(1) == data.labels[test]
            yield {"data": name, "block": block, "accuracy": float(hit.float().mean()), "weight": weight}
        if name == "elpv":
            head = tl.probe((blocks["Lite0"][train], data.columns["type"][train]))
            found = right(head, blocks["Lite0"][test], data.columns["type"][test])
            yield {"data": name, "block": "type guessed from Lite0", "accuracy": found}


def features(split: int) -> Iterator[dict]:
    """Settings of an RBF-SVM on Lite0's features of train and val, chosen within them, tested once."""
    data = tl.data.load("emoji-google", split_seed=split)
    rows = tl.features(tl.load_backbone("efficientnet_lite0"), data, size=SIZE)
    known = [*data.split.train, *data.split.val]
    images = data.subset(known, role="train")
    for method, factor in (("grid", 3), ("halving", 3), ("halving", 4)):
        start = time.process_time()
        found = search_features(svm(), rows[known], images, GRID, method=method, factor=factor, seed=split)
        row = {
            "method": method,
            "factor": factor,
            "last_round": found.best.at[-1],
            "cpu_seconds": round(time.process_time() - start, 1),
            "spent": found.spent,
        }
        row |= {
            "trials": len(found.trials),
            "fits": sum(len(t.curve) for t in found.trials),
            "best": found.best.settings,
        }
        row |= {"val": found.best.curve[-1]}
        yield row | {"test": float(found.model.score(rows[data.split.test].numpy(), data.test.labels.numpy()))}


def svm():
    """An SVM with an RBF kernel on standardised features."""
    return make_pipeline(StandardScaler(), SVC())


def finetune(split: int) -> Iterator[dict]:
    """Rate, weight decay and augmentation of LP-FT on 10 labels per class at 64 px: 16 combinations, four epochs, 3 pruners.

    Only the whole search is trained; the pruned ones are replayed on its curves.
    """
    data = tl.data.load("emoji-google", split_seed=split)
    model, start, tests = classifier(data), time.process_time(), {}
    settings = {"trials": 16, "epochs": 4, "seed": split}
    whole = search(model, data, SPACE, pruner="none", images=60, size=64, **settings)
    seconds = round(time.process_time() - start, 1)

    def replay(model, data, recipe, *, each_epoch, **asked):
        trial = next(trial for trial in whole.trials if trial.settings.items() <= asked.items())
        for score in trial.curve:
            each_epoch({"score": score})
        return SimpleNamespace(ended="all epochs")

    for pruner in ("none", "asha", "hyperband"):
        with patch("tl_helpers.recipes.search.transfer", replay):
            found = search(model, data, SPACE, pruner=pruner, **settings)
        chosen = json.dumps(found.best.settings)
        if chosen not in tests:
            fresh = classifier(data)
            tl.transfer(fresh, data, epochs=4, images=60, size=64, seed=split, **found.best.settings)
            tests[chosen] = tl.evaluate(fresh, data.test).accuracy
        row = {"pruner": pruner, "epochs": found.spent, "trials": len(found.trials), "best": found.best.settings}
        row |= {
            "whole": sum(not (trial.pruned or trial.diverged) for trial in found.trials),
            "val": found.best.curve[-1],
            "test": tests[chosen],
        }
        row["curves"] = [[round(score, 4) for score in trial.curve] for trial in found.trials]
        yield row | ({"cpu_seconds": seconds} if pruner == "none" else {})


def networks(split: int) -> Iterator[dict]:
    """Every layer trained (LP-FT, 4 epochs, 96 px) on Google's drawings, on 20 a class of Twitter's, on both, in turn."""
    source, target = (tl.data.load(f"emoji-{artist}", split_seed=split) for artist in ("google", "twitter"))
    how = {"epochs": 4, "size": 96, "augment": "flip-crop", "seed": split}
    model = classifier(source)
    tl.transfer(model, source, **how)
    yield {"method": "source alone", "accuracy": tl.evaluate(model, target.test).accuracy}
    tl.transfer(model, target, "fine-tune", images=120, **{**how, "lr": 3e-4})
    yield {"method": "source, then target", "accuracy": tl.evaluate(model, target.test).accuracy}
    model = classifier(target)
    tl.transfer(model, target, images=120, **how)
    yield {"method": "target alone", "accuracy": tl.evaluate(model, target.test).accuracy}


def classifier(data):
    """ImageNet's Lite0 with a new head."""
    tl.seed_everything(0)
    return tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(len(data.classes)))


PLANS = {plan.__name__: plan for plan in (artists, adabn, backbones, features, finetune, networks)}


def main(name: str, splits: int = 5) -> None:
    """Run the splits that are missing; the file is written after each."""
    path = root() / "data" / "results" / f"search_{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    for split in range(splits):
        if any(row["split"] == split for row in rows):
            continue
        rows += [{"split": split, **row} for row in PLANS[name](split)]
        table = {"command": f"python tests/benchmarks/search_table.py {name}", "hardware": tl.pick_device().line()}
        table |= {"budget": PLANS[name].__doc__, "date": datetime.date.today().isoformat(), "rows": rows}
        write_atomically(path, json.dumps(table, indent=1) + "\n")
        print(f"split {split}: {sum(row['split'] == split for row in rows)} rows", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
