"""`train`: load, train, look at the test set once, write the checkpoint."""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from tl_helpers.budget import BUDGETS, pick_budget
from tl_helpers.cli import texts
from tl_helpers.cli.searching import SEARCHED, choose
from tl_helpers.errors import CourseError, count
from tl_helpers.sources import command as typed
from tl_helpers.sources import writable, write_atomically

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "macro F1"}
# What leaves the class of these as it is, the default first (data/results: *_recipes.json, augment.json); the rest is
# for a search. For a folder of your own nobody knows: a flipped letter is not a letter.
AUGMENT = dict.fromkeys(("emoji-google", "emoji-twitter"), ("flip-crop", "none", "trivial"))
AUGMENT |= {"digits": ("shift", "none"), "elpv": ("none", "cells")}


def add(command: Callable) -> None:
    """The command's arguments and their help."""
    train = command("train", run, "Train on pictures or texts; after an interruption, the same command continues.")
    sets = "emoji-google, emoji-twitter, elpv, digits, or a folder of your own: DIR/class/*.jpg, or train/ val/ test/ in it;"
    sets += " texts: reuters-r8, reuters-r52, 20newsgroups, or a .csv, .tsv or .jsonl file with a column of texts and one of labels"
    train.add_argument("data", metavar="DATA", help=sets)
    train.add_argument("--target", metavar="DATA", help="also test on the test part of this set of the same classes")
    text = f"default: efficientnet_lite0; texts: minilm, of {', '.join(texts.ENCODERS)}"
    train.add_argument("--backbone", metavar="NAME", help=text)
    text, recipes = "default: lp-ft, for small text encoders: scratch", ("probe", "fine-tune", "lp-ft", "scratch")
    train.add_argument("--recipe", choices=recipes, help=f"how to transfer; {text}")
    train.add_argument("--budget", choices=BUDGETS, help="sets epochs and size; default: TL_BUDGET, else class")
    train.add_argument("--epochs", **whole_number(1), help="for training all layers; default: the budget's")
    train.add_argument("--size", **whole_number(8), help="pixels per side; default: the budget's")
    train.add_argument("--max-tokens", **whole_number(3), help="the length documents are cut to; default: 128")
    texts.add_columns(train)
    text = "such as flip-crop or trivial+mixup (an unknown name lists all); default: one that suits the course's sets, else none"
    train.add_argument("--augment", metavar="NAME", help=text)
    text = "peak learning rate, or auto: the learning-rate finder's; default: the recipe's own"
    rate = number(lambda value: 0 < value < math.inf, "rate above 0, such as 3e-4, or auto")
    train.add_argument("--lr", type=lambda said: said if said == "auto" else rate(said), metavar="RATE", help=text)
    text = "keep a moving average of the weights; at each step it retains this share of itself, such as 0.99"
    share = number(lambda value: 0 < value < 1, "share between 0 and 1, such as 0.99")
    train.add_argument("--ema", type=share, metavar="SHARE", help=text)
    decay = number(lambda value: 0 <= value < math.inf, "number of 0 or more, such as 0.01")
    train.add_argument("--weight-decay", type=decay, metavar="DECAY", help="default: 0.01")
    text = "first try N settings of rate, weight decay and augmentation on validation, stopping the worse ones early"
    train.add_argument("--search", **whole_number(1), help=text)
    train.add_argument("--seed", **whole_number(0), default=0, help="for the head and the order; default: 0")
    train.add_argument("--split-seed", **whole_number(0), default=0, help="draws the test set; default: 0")
    train.add_argument("--skip-bad", action="store_true", help="leave out pictures or rows that can't be read")
    text = "for checkpoints and the split; default: one in runs/ named after the rest"
    train.add_argument("--out", type=place, metavar="DIR", help=text)
    train.add_argument("--json", action="store_true", help="print the results again as JSON, on the last line")


def run(arguments: argparse.Namespace) -> int:
    """Load, train, look at the test set once, write the checkpoint."""
    from tl_helpers.data import augmentation_parts, is_text
    from tl_helpers.device import pick_device, seed_everything
    from tl_helpers.models import attach_head, heads
    from tl_helpers.recipes.transfer import transfer

    budget, hardware = pick_budget(arguments.budget), pick_device()
    _refuse_what_has_no_effect(arguments, is_text(arguments.data))
    given = {name: vars(arguments)[name] for name in SEARCHED if vars(arguments)[name] is not None}
    if reads := is_text(arguments.data):
        texts.settle(arguments)
        given["augment"] = "none"  # there is nothing to search
    arguments.backbone, arguments.recipe = arguments.backbone or "efficientnet_lite0", arguments.recipe or "lp-ft"
    size, epochs = arguments.size or budget.image_size, arguments.epochs or budget.epochs
    suitable = AUGMENT.get(arguments.data, ("none",))
    arguments.augment = arguments.augment or suitable[0]
    augmentation_parts(arguments.augment, size)  # report a wrong name now, not after the probe
    # `images` keeps live cells quick; a command trains on everything, unless it only has to prove that it runs
    images = budget.images if budget.name == "ci" else None
    data, target = _sets(arguments)
    seed_everything(arguments.seed)
    backbone = texts.encoder(arguments, data) if reads else _backbone(arguments)
    if not arguments.size and (fitting := backbone.row.nearest(size)) != size:
        print(f"{arguments.backbone} does not take {size} pixels a side, this budget's size: {fitting} are used.")
        size = fitting
    model = attach_head(backbone, heads.linear(len(data.classes)))
    folder = _out(arguments, budget.name, f"{size}{'tokens' if reads else 'px'}", epochs)  # nothing has been refused
    changed = "as searched" if arguments.search else arguments.augment
    at = f"at {size} {'tokens' if reads else 'px'}"
    if arguments.recipe != "probe":
        at = f"{count(epochs, 'epoch')} {at}" + ("" if reads else f", augmentation {changed}")
    notes = [*getattr(data, "notes", ()), *(texts.cut(backbone, data, size) if reads else ())]
    print("\n".join([told(data), *notes, hardware.line()]))
    print(f"{arguments.backbone}, {arguments.recipe}: {at}, kept in {folder}", flush=True)
    fixed = {"epochs": epochs, "images": images, "hardware": hardware, "ema": arguments.ema}
    fixed["max_tokens" if reads else "size"] = size
    if arguments.search:
        choose(arguments, given, suitable, model, data, folder, **fixed)
    trained: list[dict] = []
    settings = {name: vars(arguments)[name] for name in ("recipe", "seed", "augment", "lr")}
    settings["weight_decay"] = 0.01 if arguments.weight_decay is None else arguments.weight_decay
    result = transfer(model, data, **settings, **fixed, checkpoint=folder, each_epoch=trained.append)
    write_atomically(folder / "split.json", data.split.written())  # only now: another training's folder is refused
    if result.ended == "interrupted":
        raise KeyboardInterrupt
    if not trained and arguments.recipe != "probe":
        print("This training had finished already. Its results:")
    return _look_once(arguments, model, data, target, result, hardware)


def _refuse_what_has_no_effect(arguments: argparse.Namespace, reads: bool) -> None:
    """CourseError for options that this training would ignore."""
    from tl_helpers.data import TEXTS

    why = {}
    if arguments.recipe == "probe":  # a logistic regression on features that are computed once
        options = ("epochs", "lr", "ema", "weight_decay", "augment", "search")
        why |= dict.fromkeys(options, "a probe has no epochs: its head is a logistic regression on stored features")
    if not reads:
        why |= dict.fromkeys(("max_tokens", "text_column", "label_column"), f"{arguments.data} is not a set of texts")
    elif arguments.data in TEXTS:
        why |= dict.fromkeys(("text_column", "label_column"), f"the columns of {arguments.data} are known")
    if reads and arguments.search and arguments.lr and arguments.weight_decay is not None:
        why["search"] = "rate and weight decay are given, and texts have no augmentation"
    if arguments.search and all(vars(arguments)[name] is not None for name in SEARCHED):
        why["search"] = "rate, weight decay and augmentation are all given"
    for name in why:
        if vars(arguments)[name] is not None:
            raise CourseError(f"--{name.replace('_', '-')} has no effect here: {why[name]}. Leave it out.")


def _sets(arguments: argparse.Namespace):
    """The set, and the target with the same classes, or None."""
    from tl_helpers.data import OFFLINE, is_text, load
    from tl_helpers.data.folders import DEFAULT_SIZE

    def read(name: str):
        large = not is_text(name) and name not in OFFLINE and (arguments.size or 0) > DEFAULT_SIZE
        return load(name, image_size=arguments.size if large else None, **reading)  # else pictures would be blown up

    reading = {key: vars(arguments)[key] for key in ("split_seed", "skip_bad", "text_column", "label_column")}
    data, target = read(arguments.data), arguments.target and read(arguments.target)
    if arguments.backbone in texts.ENCODERS and hasattr(data, "images"):
        raise CourseError(f"{arguments.backbone} reads texts, but {data.name} has pictures: leave --backbone out.")
    if target and type(target) is not type(data):
        raise CourseError(f"--target takes a set of the same kind; of {data.name} and {target.name} one has texts.")
    if target and target.classes != data.classes:
        wanted, found = (f"{one.name} ({', '.join(one.classes)})" for one in (data, target))
        raise CourseError(f"--target needs the classes of {wanted}, but this is {found}.")
    return data, target


def _backbone(arguments: argparse.Namespace):
    from tl_helpers.models import load_backbone

    try:
        return load_backbone(arguments.backbone, weights=None if arguments.recipe == "scratch" else "default")
    except CourseError as error:
        here = " On the command line: --recipe scratch." if "weights=None" in str(error) else ""
        raise CourseError(f"{error}{here}") from error


def _thing(items) -> str:
    return "picture" if hasattr(items, "images") else "document"


def told(items) -> str:
    """A set in one line: its name, how many items of which kind it has, in how many classes, and what memory they take."""
    classes = f" of {len(items.classes)} classes" if len(items.classes) > 1 else ""
    memory = getattr(getattr(items, "images", None), "nbytes", None)  # streamed pictures have none
    kept = f", {memory / 1e6:,.1f} MB in memory" if memory else ""
    return f"{items.name}: {count(len(items), _thing(items))}{classes}{kept}"


def _look_once(arguments, model, data, target, result, hardware) -> int:
    """Look at the test set, and the target's, at the very end, and print the results."""
    import torch

    from tl_helpers.recipes.evaluate import evaluate

    looks = {"test": data.test} | ({"target": target.test} if target else {})
    reports = {part: evaluate(model, look, hardware=hardware) for part, look in looks.items()}
    figures = {part: report.figures for part, report in reports.items()}
    figures["val"] = {name: result.val[name] for name in FIGURES} | {"n": len(data.val)}
    # if a training went on after a stop, the epochs before the stop count too
    seconds = max(result.seconds, sum(row["seconds"] for row in result.history))
    gpu = torch.cuda.max_memory_allocated(hardware.device) if hardware.device.type == "cuda" else 0
    figures |= {"seconds": round(seconds, 2), "peak_memory_mb": round((gpu or _peak_memory()) / 2**20)}
    figures["checkpoint"] = str(result.checkpoint)
    for part, report in reports.items():
        chance = report.labels.bincount().max().item() / report.n  # for always naming the largest class
        items = count(report.n, _thing(report.images))
        print(f"\n{part}: {items} of {report.images.name} (the largest class alone: {chance:.3f})")
        print("\n".join(f"  {title:18}{figures[part][name]:.3f}" for name, title in FIGURES.items()))
        # Agresti and Coull (1998): an error even if all are right
        share = (report.accuracy * report.n + 2) / (report.n + 4)
        luck = 2 * (share * (1 - share) / (report.n + 4)) ** 0.5
        print(f"  One run: which {items} these are moves the accuracy by ± {luck:.3f} (95 %).")
    last = figures["val"]["accuracy"]
    probed = next((row["val_accuracy"] for row in result.history if row["phase"] == "probe"), last)
    if last < probed:
        print(f"\nOn validation: {last:.3f}, below its own probe's {probed:.3f}. Try --recipe probe, or more --epochs.")
    print(f"\n{seconds:.0f} s, peak memory {figures['peak_memory_mb']} MB. The model: {result.checkpoint}")
    items = "YOUR_PICTURES" if hasattr(data, "images") else "YOUR_TEXTS.txt"
    print(f"To use it: {typed('tl_helpers predict')} {shlex.quote(str(result.checkpoint))} {items}")
    if arguments.json:
        print(json.dumps(figures))
    return 0


def _out(arguments: argparse.Namespace, budget: str, size: str, epochs: int) -> Path:
    """Make the folder of this training; its default name has all that sets this training apart from any other."""
    probes = arguments.recipe == "probe"  # no epochs, no augmentation
    what = [Path(arguments.data).resolve().name, arguments.backbone, arguments.recipe, budget]
    what += [arguments.augment] * (not probes)
    options = ("lr", "ema", "weight_decay", "search", "text_column", "label_column")
    what += [f"{name}{value}" for name in options if (value := getattr(arguments, name)) is not None]
    numbers = f"{size}{'' if probes else f'-{epochs}epochs'}-seed{arguments.seed}-split{arguments.split_seed}"
    return writable(arguments.out or runs(arguments.data, [*what, numbers]))


def runs(data: str, what: list) -> Path:
    """The default folder of results; CourseError if it would lie among the pictures, to be taken for a class next time."""
    if Path.cwd().is_relative_to(Path(data).expanduser().resolve()):
        raise CourseError(f"Results go into {Path.cwd()}, among the pictures: choose a folder elsewhere with --out.")
    return Path("runs", "-".join(map(str, what)).replace("/", "-"))


def _peak_memory() -> int:
    """The most memory that this process has used, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def place(text: str) -> Path:
    """A path for argparse; the shell leaves it to us to expand the ~ of --out=~/runs."""
    return Path(text).expanduser()


def number(fits: Callable[[float], bool], told: str) -> Callable[[str], float]:
    """A type for argparse: a number for which `fits` is true."""

    def parsed(text: str) -> float:
        try:
            if fits(value := float(text)):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is not a {told}")

    return parsed


def whole_number(least: int) -> dict:
    """What argparse has to know of a whole number N of at least `least`, and no larger than a seed may be."""

    def whole(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least} (and below 2**32)")
        return int(text)

    return {"type": whole, "metavar": "N"}
