"""How fast the course trains and extracts features, compared with the article's listing and with the hardware's limit.

    python tests/benchmarks/speed.py            about ten minutes on two cores; writes data/results/speed.json
    python tests/benchmarks/speed.py accuracy   time to a validation balanced accuracy of 0.80 on ELPV; takes half an hour

All variants run in one process, in turn, round after round, on the same photographs (ELPV, 160 px; 128 px for the
time to accuracy) and the same network (EfficientNet-Lite0 with ImageNet weights; the article's loops get it as timm publishes
it, layer by layer). Each speed is the median over rounds, in images per second; what matters is the ratios.
"""

import datetime
import json
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from recipes_table import LONGER
from torch import nn
from torchvision import datasets, transforms
from upper_stages import Maps, lower_maps, train_upper

import tl_helpers as tl
from tl_helpers.data import Batches, augmentation
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.settings import Settings
from tl_helpers.memory import keep_freed_memory
from tl_helpers.models import parameter_groups
from tl_helpers.models.quick_layers import SUITED, exchange
from tl_helpers.recipes.features import quick_precision
from tl_helpers.sources import root, write_atomically

SIZE, BATCH, ROUNDS, IMAGES = 160, 32, 3, 256
MEAN = STD = [0.5, 0.5, 0.5]
CPU = tl.pick_device("cpu", precision="fp32")


def classifier() -> nn.Module:
    """Lite0 with a fresh linear head for two classes."""
    torch.manual_seed(0)
    return tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(2))


def as_published(network: nn.Module) -> nn.Module:
    """The same network with the layers of torch and timm that the course exchanges for ones that suit the device."""
    return exchange(network, {ours: theirs for theirs, ours in SUITED.items()})


def limit(images, labels, precision: str, channels_last: bool, keep: bool = True) -> float:
    """Forward, backward and step, on batches that are already tensors; `keep`: freed memory stays with the process."""
    hardware = replace(CPU, precision=precision, channels_last=channels_last)
    model = hardware.place(classifier()).train()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    with keep_freed_memory() if keep else nullcontext():
        for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
            optimiser.zero_grad()
            with hardware.autocast():
                loss = nn.functional.cross_entropy(model(x).float(), y)
            loss.backward()
            optimiser.step()
    return len(labels) / (time.perf_counter() - start)


def ours(train, val) -> float:
    """`fit` as the recipes call it, augmentation included."""
    model = classifier()
    batches = Batches(train, batch_size=BATCH, size=SIZE, augment=augmentation("cells", SIZE), shuffle=True)
    start = time.perf_counter()
    fit(model, batches, Batches(val, size=SIZE), Settings(1), hardware=CPU, groups=parameter_groups(model, 1e-3))
    return len(train) / (time.perf_counter() - start)


def folder_loader(folder: Path, part: str, workers: int, size: int = SIZE):
    """The article's data path: PIL decodes every file in every epoch."""
    steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    if part == "val":
        steps = [transforms.Resize(size), transforms.CenterCrop(size)]
    transform = transforms.Compose([*steps, transforms.ToTensor()])  # the network normalises inside
    data = datasets.ImageFolder(folder / part, transform)
    return torch.utils.data.DataLoader(data, BATCH, shuffle=part == "train", num_workers=workers)


def listing_epoch(model, optimiser, loader) -> None:
    """The article's loop: fp32, contiguous, one batch after another."""
    model.train()
    for x, y in loader:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()


def listing(folder: Path, workers: int) -> float:
    """Images per second of the article's loop."""
    model, loader = as_published(classifier()), folder_loader(folder, "train", workers)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    start = time.perf_counter()
    listing_epoch(model, optimiser, loader)
    return len(loader.dataset) / (time.perf_counter() - start)


def extraction(train) -> float:
    """Images per second when extracting features as the recipes do, in bf16 where it pays, without their cache."""
    backbone = tl.load_backbone("efficientnet_lite0").eval()
    hardware = quick_precision(backbone, SIZE, tl.pick_device("cpu"))  # measured once per machine, then kept
    start = time.perf_counter()
    predict(hardware.place(backbone), Batches(train, batch_size=64, size=SIZE), hardware)
    return len(train) / (time.perf_counter() - start)


@torch.no_grad()
def plain_extraction(folder: Path, workers: int) -> float:
    """Images per second of a plain loop over files: fp32, contiguous."""
    backbone, loader = classifier().backbone.eval(), folder_loader(folder, "train", workers)
    as_published(backbone)
    start = time.perf_counter()
    for x, _ in loader:
        backbone(x)
    return len(loader.dataset) / (time.perf_counter() - start)


@torch.inference_mode()
def extraction_limit(images, precision: str, channels_last: bool, rows: int) -> float:
    """Images per second of the forward pass alone, on batches of `rows` that are already tensors."""
    hardware = replace(CPU, precision=precision, channels_last=channels_last)
    backbone = hardware.place(tl.load_backbone("efficientnet_lite0")).eval()
    start = time.perf_counter()
    with keep_freed_memory(), hardware.autocast():
        for x in images.split(rows):
            backbone(x)
    return len(images) / (time.perf_counter() - start)


def speed(folder: Path, elpv) -> dict:
    """Every variant in turn, `ROUNDS` times."""
    train = elpv.train
    labels = train.labels
    ready = train.resized(SIZE).float().div(255)
    layouts = {
        f"{precision} {'channels_last' if last else 'contiguous'}": (precision, last)
        for precision in ("fp32", "bf16")
        for last in (True, False)
    }
    first = {name: limit(ready[:BATCH], labels[:BATCH], *layout) for name, layout in layouts.items()}
    # without instructions for it, bf16 takes fifteen times as long: what has no chance is not run again
    layouts = {name: layout for name, layout in layouts.items() if first[name] > max(first.values()) / 3}
    variants = {f"limit {name}": (limit, ready, labels, *layout) for name, layout in layouts.items()}
    variants |= {"limit fp32 channels_last, memory given back": (limit, ready, labels, "fp32", True, False)}
    variants |= {"ours": (ours, train, elpv.val.few(1))}
    variants |= {f"listing, {workers} workers": (listing, folder, workers) for workers in (4, 2, 1, 0)}
    variants |= {
        f"features limit {name}, {rows} at once": (extraction_limit, ready, *layout, rows)
        for name, layout in layouts.items()
        for rows in (64, 16)
    }
    variants |= {"features ours": (extraction, train)}
    variants |= {
        f"features listing, {workers} workers": (plain_extraction, folder, workers) for workers in (4, 2, 1, 0)
    }
    runs = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (run, *given) in variants.items():
            runs[name].append(run(*given))
            print(f"{name}: {runs[name][-1]:.1f} images/s", flush=True)
    median = {name: statistics.median(values) for name, values in runs.items()}
    kinds = ("limit", "listing", "features limit", "features listing")
    best = {kind: max(value for name, value in median.items() if name.startswith(kind)) for kind in kinds}
    given_back = median["limit fp32 channels_last, memory given back"]
    ratios = {
        "limit: memory kept / given back": median["limit fp32 channels_last"] / given_back,
        "ours / limit": median["ours"] / best["limit"],
        "ours / listing as printed (4 workers)": median["ours"] / median["listing, 4 workers"],
        "ours / listing at its best": median["ours"] / best["listing"],
        "features: ours / limit": median["features ours"] / best["features limit"],
        "features: ours / listing (4 workers)": median["features ours"] / median["features listing, 4 workers"],
        "features: ours / listing at its best": median["features ours"] / best["features listing"],
    }
    return {"first_batch": first, "images_per_second": median, "runs": runs, "ratios": ratios}


def ours_until(elpv, goal: float) -> dict:
    """Seconds until validation first reaches `goal`, training the upper stages on kept maps; includes computing the maps."""
    how, model = dict(LONGER), classifier()
    size = how.pop("size")
    quick = quick_precision(model.backbone, size, tl.pick_device("cpu"))  # measured once per machine, then kept
    start = time.perf_counter()
    learnt = lower_maps(model.backbone, elpv.train, size, hardware=quick)
    watched = lower_maps(model.backbone, elpv.val, size, ways=1, hardware=quick)
    train = Maps(learnt, elpv.train, torch.arange(len(elpv.train)), "train", seed=0)
    val = Maps(watched, elpv.val, torch.arange(len(elpv.val)), "val")
    maps = time.perf_counter() - start
    _, run = train_upper(model, train, val, 0, CPU, **how)
    rows = [row["val_balanced_accuracy"] for row in run.history]
    reached = [i for i, value in enumerate(rows) if value >= goal]
    after = run.history[reached[0] + 1 :] if reached else []
    seconds = time.perf_counter() - start - sum(row["seconds"] for row in after)
    return {
        "seconds": seconds,
        "of these for maps": maps,
        "maps in": quick.precision,
        "rows": rows,
        "reached": bool(reached),
    }


def time_to_accuracy(folder: Path, elpv, goal: float = 0.80, patience: float = 6.0) -> dict:
    """Seconds of training until validation reaches `goal`: ours, then the listing for at most `patience` times as long."""
    tl.seed_everything(0)
    ours = ours_until(elpv, goal)
    print("ours", json.dumps(ours), flush=True)
    loader, val = (folder_loader(folder, part, n, LONGER["size"]) for part, n in (("train", 4), ("val", 0)))
    model = as_published(classifier())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    rows, spent, start = [], 0.0, time.perf_counter()
    while spent < patience * ours["seconds"] and max(rows, default=0.0) < goal:
        listing_epoch(model, optimiser, loader)
        spent = time.perf_counter() - start
        rows.append(measure(*predict(model, val, CPU))["balanced_accuracy"])
        print(f"listing: {rows[-1]:.3f} after {spent:.0f} s", flush=True)
    listing = {"seconds": spent, "rows": rows, "reached": max(rows) >= goal}
    return {
        "size": LONGER["size"],
        "goal": goal,
        "ours": ours,
        "listing": listing,
        "ratios": {"listing / ours, seconds": spent / ours["seconds"]},
    }


def main(what: str) -> None:
    """Write the set as folders once, measure, and save the results."""
    elpv = tl.data.load("elpv")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tl.data.as_folders("elpv", folder)
        if what == "accuracy":
            found = time_to_accuracy(folder, elpv)
        else:
            some = elpv.train.few(IMAGES // 2)
            kept = {f"{name}" for name in some.names}
            for file in (folder / "train").rglob("*.png"):
                if not any(file.stem.endswith(Path(name).stem) for name in kept):
                    file.unlink()
            found = speed(folder, replace_train(elpv, some))
    name = "time_to_accuracy" if what == "accuracy" else "speed"
    table = {"command": f"python tests/benchmarks/speed.py {what}".strip(), "hardware": CPU.line()}
    table |= {"date": datetime.date.today().isoformat(), "size": SIZE, "batch": BATCH, **found}
    write_atomically(root() / "data" / "results" / f"{name}.json", json.dumps(table, indent=1) + "\n")
    print(json.dumps(found.get("ratios", found), indent=1))


def replace_train(elpv, some):
    """The set's parts, with `some` as the training part."""
    from types import SimpleNamespace

    return SimpleNamespace(train=some, val=elpv.val)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
