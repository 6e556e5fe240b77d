"""`cluster`: what belongs together in a folder of pictures or a file of texts, without labels."""

import argparse
import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from tl_helpers.cli.texts import add_columns
from tl_helpers.cli.train import place, runs, told, whole_number
from tl_helpers.errors import CourseError, count
from tl_helpers.sources import writable, write_atomically

KS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)
ON_MAP = 2000  # the most rows that a map shows


def add(command: Callable) -> None:
    """The command's arguments and their help."""
    made = command("cluster", run, "Group pictures or texts without labels; write a page to look at and a table.")
    text = "a folder of pictures, loose or in one folder per class; texts: .csv, .tsv, .jsonl, or .txt with one per line; or a set's name"
    made.add_argument("data", metavar="DIR|FILE", help=text)
    made.add_argument("--k", default="auto", metavar="N|auto", help="how many clusters; default: auto, by a criterion")
    made.add_argument("--method", choices=("kmeans", "gmm"), default="kmeans", help="default: kmeans")
    criteria = ("silhouette", "bic", "gap", "stability")
    text = "how k is chosen; default: silhouette for kmeans, bic for gmm"
    made.add_argument("--criterion", choices=criteria, help=text)
    made.add_argument("--backbone", metavar="NAME", help="for pictures; default: efficientnet_lite0")
    made.add_argument("--size", **whole_number(8), help="pixels per side; default: 128")
    made.add_argument("--seed", **whole_number(0), default=0, help="for the starts and the draws; default: 0")
    made.add_argument("--map", choices=("tsne", "umap", "pca"), default="tsne", help="default: tsne")
    add_columns(made)
    made.add_argument("--skip-bad", action="store_true", help="leave out pictures and rows that can't be read")
    made.add_argument("--out", type=place, metavar="DIR", help="for index.html and assignments.csv; default: in runs/")
    made.add_argument("--json", action="store_true", help="print the results again as JSON, on the last line")


def run(arguments: argparse.Namespace) -> int:
    """Compute features, find the clusters, write a page and a table."""
    os.environ.setdefault("SCIPY_ARRAY_API", "1")  # read when scipy is imported; lets a mixture be fitted on a GPU
    from tl_helpers.device import pick_device
    from tl_helpers.recipes.clustering import evaluate, fit, prepare

    if arguments.k != "auto" and not (arguments.k.isdecimal() and int(arguments.k)):
        raise CourseError(f"--k is a whole number of at least 1, or auto; found {arguments.k!r}.")
    if arguments.k != "auto" and arguments.criterion:
        raise CourseError("--criterion has no effect here: --k gives the number. Leave one of them out.")
    hardware, items = pick_device(), read(arguments)
    if arguments.out:
        writable(arguments.out)
    print("\n".join([told(items), *getattr(items, "notes", ()), hardware.line()]), flush=True)
    first, of = _different(items)
    distinct = items.subset(first) if len(first) < len(items) else items
    points = prepare(features_of(distinct, arguments, hardware))[of]
    choice = _choose(points, arguments) if arguments.k == "auto" else None
    if choice:
        print(f"How many clusters? {choice.criterion}, mean ± spread of {len(choice.values)} draws:\n{choice}")
    k = choice.k if choice else int(arguments.k)
    method = "minibatch" if arguments.method == "kmeans" and len(points) > 100_000 else arguments.method
    found = fit(points, k, method, seed=arguments.seed, device=hardware.device)
    metrics = evaluate(found, items.labels) if len(items.classes) > 1 else {}
    what = [Path(arguments.data).resolve().name, arguments.method, arguments.k, arguments.criterion, arguments.map]
    what += [arguments.text_column, arguments.label_column, arguments.backbone, arguments.size]
    folder = writable(arguments.out or runs(arguments.data, ["cluster", *filter(None, what), f"seed{arguments.seed}"]))
    write_atomically(folder / "assignments.csv", _table(items, found))
    write_atomically(folder / "index.html", _page(items, found, metrics, choice, arguments))
    answer = {"k": found.k, "method": found.method, "sizes": found.sizes.tolist(), "metrics": metrics}
    answer |= {"criterion": choice and choice.criterion, "flat": choice and choice.flat, "notes": found.notes}
    print(*found.notes, f"{found.k} clusters of {', '.join(map(str, found.sizes))}", sep="\n")
    print("\n".join(f"  {name.replace('_', ' '):15}{value:.3f}" for name, value in metrics.items()))
    print(f"The page: {folder / 'index.html'}; the table: {folder / 'assignments.csv'}")
    if arguments.json:
        print(json.dumps(answer))
    return 0


def read(arguments: argparse.Namespace):
    """An ImageSet or a TextSet; without labels, and so with a single class, if the pictures or lines have none."""
    from tl_helpers.data import is_text, load
    from tl_helpers.data.load import OFFLINE, ONLINE, TEXTS
    from tl_helpers.data.rows import ENDINGS

    where = Path(arguments.data).expanduser()
    reads = is_text(arguments.data) or where.suffix.lower() == ".txt"
    if reads and (arguments.backbone or arguments.size):
        raise CourseError("--backbone and --size are for pictures; texts are read by MiniLM.")
    arguments.backbone, arguments.size = arguments.backbone or "efficientnet_lite0", arguments.size or 128
    if where.suffix.lower() in (".txt", *ENDINGS) and where.is_file():
        return read_texts(where, arguments)
    names = (*OFFLINE, *TEXTS, *ONLINE)
    if not where.exists() and arguments.data not in names:
        raise CourseError(f"There is no folder of pictures, file of texts or set {where}. Sets: {', '.join(names)}.")
    if where.is_dir() and arguments.data not in names and not reads:
        return read_pictures(where, arguments)
    columns = {"text_column": arguments.text_column, "label_column": arguments.label_column}
    return load(arguments.data, skip_bad=arguments.skip_bad, **columns)


def read_pictures(folder: Path, arguments: argparse.Namespace):
    """An ImageSet of all pictures below a folder, whichever folders they are in; no class is too small.

    The folders are the classes if every picture is in one of two or more; otherwise there are no labels.
    """
    import torch

    from tl_helpers.data import ImageSet
    from tl_helpers.data.folders import PICTURES, class_of, files_below, is_split, read_files
    from tl_helpers.data.rows import UNLABELLED

    files = files_below(folder)
    if any(file.parent != folder for file in files):  # next to folders, a README is not a broken picture
        files = [file for file in files if file.parent != folder or file.suffix.lower() in PICTURES]
    images, good = read_files(folder, files, arguments.skip_bad, image_size=arguments.size)
    if not good:
        raise CourseError(f"{folder} has no picture in it. Give a folder of pictures, or a folder of such folders.")
    names = tuple(files[i].relative_to(folder).as_posix() for i in good)
    split = is_split(folder)
    found = [class_of(name, split) for name in names]
    if len(set(found)) < 2 or "" in found:
        found = [UNLABELLED] * len(names)
    classes = tuple(sorted(set(found)))
    labels = torch.tensor([classes.index(name) for name in found])
    return ImageSet(folder.resolve().name, images, labels, classes, names, "your own", "")


def read_texts(file: Path, arguments: argparse.Namespace):
    """A TextSet of the lines of a .txt, or of the rows of a .csv, .tsv or .jsonl, with their labels if they have any."""
    import torch

    from tl_helpers.data.rows import UNLABELLED, read_rows
    from tl_helpers.data.text import TextSet

    notes: list[str] = []
    columns = arguments.text_column, arguments.label_column
    texts, labels, names = zip(*read_rows(file, columns, arguments.skip_bad, notes, labelled=False), strict=True)
    if UNLABELLED in labels and len(set(labels)) > 1:
        notes.append(f"{count(labels.count(UNLABELLED), 'row')} without a label: the others' labels are not used.")
        labels = (UNLABELLED,) * len(labels)
    classes = tuple(sorted(set(labels)))
    numbers = torch.tensor([classes.index(label) for label in labels], dtype=torch.int64)
    return TextSet(file.name, texts, numbers, classes, names, notes=tuple(notes))


def _different(items) -> tuple:
    """The position of each different item's first copy, int64 (different,), and which of these each item is, (n,).

    Equal items get features once: computed twice, they might differ in the last digit, by their place in the batch.
    """
    import numpy as np
    import torch

    if hasattr(items, "texts"):
        what = items.texts
    elif isinstance(items.images, torch.Tensor):
        what = [hashlib.sha256(one.numpy()).digest() for one in items.images]
    else:
        what = items.names  # streamed: not read twice just to be compared
    number: dict = {}
    of = [number.setdefault(one, len(number)) for one in what]
    return np.unique(of, return_index=True)[1], of


def features_of(items, arguments: argparse.Namespace, hardware):
    """float32 (n, width): from a pretrained backbone for pictures, from MiniLM for texts."""
    from tl_helpers.models import load_backbone, load_text_encoder
    from tl_helpers.recipes.features import features

    if hasattr(items, "images"):
        return features(load_backbone(arguments.backbone), items, size=arguments.size, hardware=hardware)
    return features(load_text_encoder(), items, hardware=hardware)


def _choose(points, arguments: argparse.Namespace):
    from tl_helpers.recipes.choose_k import choose_k

    criterion = arguments.criterion or ("bic" if arguments.method == "gmm" else "silhouette")
    ks = [k for k in ((1, *KS) if criterion in ("gap", "bic") else KS) if k < len(points) * 4 // 5]
    if not ks:
        raise CourseError(f"{count(len(points), 'item')}: too few to choose k by {criterion}; give it with --k.")
    return choose_k(points, ks, criterion, method=arguments.method, seed=arguments.seed)


def _table(items, found) -> str:
    out = io.StringIO()
    out.write("\ufeff")  # this tells Excel that the file is UTF-8
    table = csv.writer(out)
    table.writerow(["item", "cluster", "sureness", "distance"])
    for name, *row in zip(items.names, found.labels, found.sureness, found.distances, strict=True):
        table.writerow([name, int(row[0]), f"{row[1]:.4f}", f"{row[2]:.4f}"])
    return out.getvalue()


def _page(items, found, metrics: dict, choice, arguments: argparse.Namespace) -> str:
    import numpy as np

    from tl_helpers.cli.cluster_page import page
    from tl_helpers.recipes.cluster_views import FEWEST, describe, layout, map_svg

    n, texts = len(items), getattr(items, "texts", None)
    shown = np.sort(np.random.default_rng(arguments.seed).permutation(n)[:ON_MAP])
    made = arguments.map if len(shown) >= FEWEST else "pca"
    xy = layout(found.points[shown], made, arguments.seed)
    map_ = map_svg(xy, found.labels[shown], names=[items.names[i] for i in shown], title=f"{made} map")
    what = "MiniLM" if texts else f"{arguments.backbone} at {arguments.size} px"
    facts = [f"Features: {what}, rows of length 1, PCA. Method: {found.method}, seed {arguments.seed}.", *found.notes]
    facts.append(f"The map is made by {made}" + (f", from {ON_MAP:,} of {n:,} rows." if n > ON_MAP else "."))
    title = f"{found.k} clusters of {n:,} from {items.name}"
    return page(title, facts, metrics, choice, map_, describe(found, texts), items)
