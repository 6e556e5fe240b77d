"""Compare clusters with labels they never saw, over seeds, and measure how many labels they save; kept in data/results.

    python tests/benchmarks/cluster_table.py table     five sets; raw, random and transferred features; K-means and mixtures
    python tests/benchmarks/cluster_table.py k         what four criteria say about k on the transferred features
    python tests/benchmarks/cluster_table.py labels    which to label: at random, one per cluster, where a probe is unsure

Every set and kind of features is fitted with seeds 0 to 4 (four starts each). For texts, each seed draws its own 2,000 of
the 2,500 documents that features were computed for (seed 0), so the spread includes the draw. k is the number of classes:
the one thing the methods are told. Nothing was tuned on these results except the defaults of `prepare` (rows of length 1,
a PCA of 50 columns), chosen after an earlier look at emoji and texts. What is already in the file is not repeated.
"""

import datetime
import gc
import json
import sys
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

import tl_helpers as tl
from tl_helpers.recipes.choose_k import choose_k
from tl_helpers.recipes.clustering import evaluate, fit, prepare
from tl_helpers.sources import path_of, root, write_atomically

SEEDS = (0, 1, 2, 3, 4)
DOCUMENTS, DRAWN = 2500, 2000
KS = (2, 3, 4, 6, 8, 10, 12, 16, 20, 25, 30)
BUDGETS = {
    "table": "emoji and cells at 128 px, digits at 64, 2,000 texts; five seeds, four starts each",
    "k": "all rows (of texts those that have features: 2,500), seed 0; three draws of at most 1,000 (two for BIC), k to 30",
    "labels": "emoji at 128 px, ten splits, two starts each",
}
METHODS = {"kmeans": {}, "gmm full": {"covariance": "full"}, "gmm tied": {"covariance": "tied"}}
PUBLISHED = [
    {
        "set": "digits",
        "method": "K-means, 4 starts",
        "features": "64 standardised pixels",
        "v_measure": 0.625,
        "ari": 0.465,
        "source": "scikit-learn's example plot_kmeans_digits, output of 0.15 to 0.20 (0.22: 0.633, 0.481)",
        "ours": "standardised pixels",
    },
    {
        "set": "20newsgroups",
        "method": "mini-batch K-means",
        "features": "all-MiniLM-L6-v2",
        "v_measure": 0.4686,
        "spread": 0.0118,
        "source": "MTEB's authors (Muennighoff et al. 2022), results/all-MiniLM-L6-v2/TwentyNewsgroupsClustering.json",
        "differs": "59,545 subject lines of 32 characters on average in ten parts, where ours are whole documents",
        "ours": "MiniLM",
    },
]


@cache
def backbone(trained: bool):
    tl.seed_everything(0)
    return tl.load_backbone("efficientnet_lite0", weights="default" if trained else None)


@cache
def images(name: str) -> tuple:
    """The set, its true labels, and a function for each kind of features."""
    found = tl.data.load(name)
    size, small = {"emoji-google": (128, 16), "elpv": (128, 32), "digits": (64, 8)}[name]
    truths = {"class": found.labels.numpy()}
    if name == "emoji-google":
        entries = json.loads(path_of("emoji-labels").read_text(encoding="utf-8"))
        finer = {entry["name"].lower(): entry["subcategory"] for entry in entries}
        truths = {
            "category": truths["class"],
            "subcategory": np.unique([finer[n] for n in found.names], return_inverse=True)[1],
        }
    if name == "elpv":
        truths = {"mono or poly": found.columns["type"].numpy(), "defective": truths["class"]}
    kinds = {
        "pixels": lambda: found.resized(small).flatten(1).float() / 255,
        "random network": lambda: tl.features(backbone(False), found, size=size),
        "ImageNet network": lambda: tl.features(backbone(True), found, size=size),
    }
    return found, truths, kinds


@cache
def texts(name: str) -> tuple:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from tl_helpers.models.text_encoders import load_text_encoder

    whole = tl.data.load(name)
    found = whole.subset(np.sort(np.random.default_rng(0).permutation(len(whole))[:DOCUMENTS]))

    def lsa():
        table = TfidfVectorizer(sublinear_tf=True, min_df=2, stop_words="english").fit_transform(found.texts)
        return torch.from_numpy(TruncatedSVD(100, random_state=0).fit_transform(table)).float()

    def random_words():
        table = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(found.texts)
        vectors = np.random.default_rng(0).normal(size=(table.shape[1], 384)) / 384**0.5
        return torch.from_numpy(table @ vectors).float()

    kinds = {"TF-IDF, LSA 100": lsa, "random word vectors": random_words}
    kinds["MiniLM"] = lambda: tl.features(load_text_encoder("minilm"), found)
    return found, {"class": found.labels.numpy()}, kinds


def rows_of_a_set(name: str, load: Callable, write: Callable[[list[dict]], None], rows: list[dict]) -> None:
    """Compute what is missing: every truth, kind of features, method and seed."""
    _, truths, kinds = load(name)
    if name == "digits":
        kinds = kinds | {"standardised pixels": kinds["pixels"]}
    for kind, make in kinds.items():
        if all(
            any(row["set"] == name and row["features"] == kind and row["truth"] == truth for row in rows)
            for truth in truths
        ):
            continue
        features = make()
        as_published = {"unit": False, "standardise": True, "components": None} if kind == "standardised pixels" else {}
        new = []
        for seed in SEEDS:
            chosen = np.arange(len(features))
            if load is texts:
                chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:DRAWN])
            points = prepare(features[chosen], **as_published)
            for (truth, labels), (method, more) in ((t, m) for t in truths.items() for m in METHODS.items()):
                if as_published and method != "kmeans":
                    continue
                labels, start = labels[chosen], time.process_time()
                k = len(np.unique(labels))
                if k > 30 and method != "kmeans":
                    continue  # 50 clusters of 17 emoji: too few to learn a covariance from
                found = fit(points, k, method.split()[0], seed=seed, **more)
                row = {
                    "set": name,
                    "truth": truth,
                    "features": kind,
                    "method": method,
                    "seed": seed,
                    "k": k,
                    "n": len(labels),
                }
                new.append(row | {key: round(value, 4) for key, value in evaluate(found, labels).items()})
                new[-1]["cpu_seconds"] = round(time.process_time() - start, 2)
        rows += new
        print(json.dumps(new[0]), flush=True)
        write(rows)
        gc.collect()


def choose(
    points: np.ndarray, labels: torch.Tensor, features: torch.Tensor, way: str, budget: int, seed: int
) -> list[int]:
    """Indices of the `budget` training images to be labelled. Only labels that have been asked for are looked at."""
    if way == "at random":
        return np.random.default_rng(seed).permutation(len(points))[:budget].tolist()
    if way == "one per cluster":
        found = fit(points, budget, seed=seed, restarts=2)
        return [int(found.nearest(c, 1)[0]) for c in range(found.k)]
    known = choose(points, labels, features, "one per cluster" if way.startswith("clusters") else "at random", 12, seed)
    while len(known) < budget:  # a dozen more each time, where the probe's top two guesses are closest
        head = tl.probe((features[known], labels[known]), classes=int(labels.max()) + 1)
        with torch.inference_mode():
            two = head(features).softmax(1).topk(2).values
        margin = two[:, 0] - two[:, 1]
        margin[known] = 2
        known += margin.topk(min(12, budget - len(known)), largest=False).indices.tolist()
    return known


def label_rows(write: Callable[[list[dict]], None], rows: list[dict]) -> None:
    """Emoji, ten splits: accuracy on the held-out 207 for each number of labels and each way of choosing them."""
    ways = ("at random", "one per cluster", "one per cluster, spread", "doubt", "clusters, then doubt")
    whole = tl.data.load("emoji-google")
    place = {name: i for i, name in enumerate(whole.names)}
    features = tl.features(backbone(True), whole, size=128)
    for split in range(10):
        if any(row["split"] == split for row in rows):
            continue
        data = tl.data.load("emoji-google", split_seed=split)
        train, test = ([place[name] for name in part.names] for part in (data.train, data.test))
        known, labels = features[train], data.train.labels
        points = prepare(known)
        for budget in (12, 24, 48, 96, 192):
            for way in ways:
                if (
                    way == "one per cluster, spread"
                ):  # each label is shared with the third of its cluster nearest the centre
                    found = fit(points, budget, seed=split, restarts=2)
                    near = [found.nearest(c, max(1, int(found.sizes[c]) // 3)) for c in range(found.k)]
                    chosen = np.concatenate(near).tolist()
                    given = labels[[int(own[0]) for own in near]].repeat_interleave(
                        torch.tensor([len(own) for own in near])
                    )
                else:
                    chosen = choose(points, labels, known, way, budget, split)
                    given = labels[chosen]
                kinds = len(given.unique())
                head = tl.probe((known[chosen], given), classes=6)
                with torch.inference_mode():
                    right = (head(features[test]).argmax(1) == data.test.labels).float().mean().item()
                row = {"set": "emoji-google", "split": split, "way": way, "labels": budget, "classes_seen": kinds}
                rows.append(row | {"accuracy": round(right, 4)})
        print(json.dumps(rows[-1]), flush=True)
        write(rows)


def k_rows(write: Callable[[list[dict]], None], rows: list[dict]) -> None:
    """Every criterion's curve on every set, on three draws of 1,000 rows; BIC on two, a curve per form of covariance."""
    for name, (load, kind) in {
        "emoji-google": (images, "ImageNet network"),
        "20newsgroups": (texts, "MiniLM"),
        "reuters-r8": (texts, "MiniLM"),
        "digits": (images, "ImageNet network"),
        "elpv": (images, "ImageNet network"),
    }.items():
        found, _, kinds = load(name)
        points = None
        for criterion, more in [(c, {}) for c in ("silhouette", "stability", "gap")] + [
            ("bic", {"covariance": form}) for form in ("full", "tied", "diag")
        ]:
            if any(row["set"] == name and row["criterion"] == criterion and row["more"] == more for row in rows):
                continue
            points = prepare(kinds[kind]()) if points is None else points
            draws = 2 if criterion == "bic" else 3
            choice = choose_k(points, KS, criterion, draws=draws, sample=1000, **more)
            row = {"set": name, "classes": len(found.classes), "criterion": criterion, "more": more, "k": choice.k}
            row |= {"flat": choice.flat, "near": choice.near, "ks": choice.ks, "sentence": choice.sentence}
            rows.append(row | {"values": np.round(choice.values, 4).tolist()})
            print(json.dumps(rows[-1]), flush=True)
            write(rows)


def main(name: str) -> None:
    """Run whatever is missing from a part; the file is written along the way."""
    path = root() / "data" / "results" / f"cluster_{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []

    def write(rows: list[dict]) -> None:
        table = {"command": f"python tests/benchmarks/cluster_table.py {name}", "hardware": tl.pick_device().line()}
        table |= {
            "budget": BUDGETS[name],
            "seeds": {"labels": list(range(10)), "k": [0]}.get(name, list(SEEDS)),
            "date": datetime.date.today().isoformat(),
        }
        if name == "table":
            table["published"] = PUBLISHED
        write_atomically(path, json.dumps({**table, "rows": rows}, indent=1) + "\n")

    if name in ("labels", "k"):
        {"labels": label_rows, "k": k_rows}[name](write, rows)
        return
    for one, load in [(n, images) for n in ("emoji-google", "digits", "elpv")] + [
        (n, texts) for n in ("20newsgroups", "reuters-r8")
    ]:
        rows_of_a_set(one, load, write, rows)


if __name__ == "__main__":
    main(sys.argv[1])
