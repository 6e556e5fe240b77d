"""Complete ways of transferring a pretrained network to new data: probe, fine-tune, LP-FT, and scratch to compare with."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torchvision.transforms import v2

from ..data import ImageSet, TextSet
from ..data.mixing import augmentation_parts
from ..device import Hardware, pick_device
from ..engine import checkpoint as files
from ..engine.fit import fit
from ..engine.lr_find import lr_find
from ..engine.metrics import measure
from ..engine.progress import say
from ..engine.settings import Settings
from ..errors import CourseError
from ..models import Classifier, freeze, freeze_batch_norm, has_counted, parameter_groups, unfreeze
from ..models.text_encoders import TextEncoder
from .features import features, quick_precision
from .probe import probe
from .saved import MODEL, save_model
from .sets import asked_size, batches_for, check_set

# The head's peak learning rate of each recipe, for pictures and for texts: lp-ft's was compared on emoji splits 10 to 12,
# scratch's for texts on R8's split 10, MiniLM's on ten labels per class of 20 Newsgroups; the others are not tuned.
RATES = {"probe": 1e-3, "fine-tune": 1e-3, "lp-ft": 7e-4, "scratch": 2e-3}
TEXT_RATES = {"probe": 1e-3, "fine-tune": 1e-4, "lp-ft": 1e-4, "scratch": 4e-3}
RECIPES = tuple(RATES)
# The last weights, not the best epoch's: one-cycle ends at a rate of zero, and on a small validation set (90 emoji: a
# standard error of five points) the choice of an epoch would be luck.
KEEP = "last"
TRAINING = "training.safetensors"  # what an interrupted training resumes from, in its folder


@dataclass
class Result:
    """What a training produced. `val` contains the metrics of the weights that were kept, `history` a row per epoch."""

    model: nn.Module
    history: list[dict]
    val: dict[str, float]
    classes: tuple[str, ...]
    recipe: str
    seconds: float
    checkpoint: Path | None = None
    ended: str = "all epochs"
    made: dict = field(default_factory=dict)  # what the results depend on: data, split, seed, settings, hardware


def transfer(
    model: Classifier,
    data: ImageSet | TextSet,
    recipe: str = "lp-ft",
    *,
    epochs: int = 10,
    lr: float | Literal["auto"] | None = None,
    ema: float | None = None,
    seed: int = 0,
    size: int | None = None,
    max_tokens: int | None = None,
    batch_size: int = 32,
    augment: str | v2.Transform = "none",
    weight_decay: float = 0.01,
    label_smoothing: float = 0.1,
    rate_decay: float = 0.85,
    images: int | None = None,
    hardware: Hardware | None = None,
    checkpoint: Path | str | None = None,
    each_epoch: Callable[[dict], None] | None = None,
) -> Result:
    """Train `model` in place on `data.train`, choose on `data.val`; `data.test` is never touched.

    probe: the backbone is frozen, the head is a logistic regression on its features.
    fine-tune: every layer from the start, slower towards the stem (Howard and Ruder, 2018).
    lp-ft: the probe first, then every layer (Kumar et al., 2022), so that no random head distorts the features.
    scratch: every layer of a backbone with random weights, at one rate: the control experiment.

    Args:
        lr: the head's peak rate; None takes the recipe's own, "auto" that of the learning-rate finder.
        size, max_tokens: pixels a side for pictures, tokens for texts; by default the backbone's own.
        augment: a name of `data.AUGMENTATIONS`, "mixup", "cutmix", or one of each ("trivial+mixup"); or a transform.
        rate_decay: each stage below the head learns this many times as fast as the one above.
        images: train on at most about this many images, the same number of each class that has enough.
        checkpoint: a folder; every epoch is saved there, and the same call resumes after an interruption.
        each_epoch: called with each epoch's row of the history, as in `fit`; `recipes.search` prunes by it.

    Raises CourseError: an unknown recipe, a head that does not fit the classes, a recipe that does not suit the weights.
    """
    start, hardware, seed = time.perf_counter(), pick_device(hardware), int(seed)
    folder = Path(checkpoint).expanduser() if checkpoint else None
    _check(model, data, recipe, folder, augment)
    how = {"weight_decay": weight_decay, "label_smoothing": label_smoothing, "ema": ema, "keep": KEEP}
    settings = Settings(epochs, _peak(model, recipe, lr), **how)
    asked = {"recipe": recipe, "seed": seed, "images": images, "size": asked_size(model.backbone, size, max_tokens)}
    began = _begin(model, data, recipe, folder, asked)
    hardware, extracting = _quick(model, recipe, asked["size"], hardware)
    parts = _parts(data, images, seed)
    result = Result(model, [began["probe"]] if "probe" in began else [], {}, data.classes, recipe, 0.0)
    result.made = _made(data, asked, augment, batch_size, rate_decay, settings, hardware) | {"weights": began["from"]}
    result.made["probe precision"] = extracting.precision if recipe in ("probe", "lp-ft") else None
    _refuse_another(folder, result)
    if recipe in ("probe", "lp-ft") and not result.history:
        _linear_probe(model, parts, extracting, result, began)
    if recipe != "probe":
        _all_layers(model, parts, settings, lr == "auto", augment, hardware, folder, result, began, each_epoch)
    result.seconds = time.perf_counter() - start
    if folder and result.history:  # an interruption may have come before anything was learnt
        save_model(result, folder / MODEL)
    return result


def _quick(model, recipe, size, hardware) -> tuple[Hardware, Hardware]:
    """What to train on, and to extract a probe's features on: in bf16 where it pays, but pictures train in fp32 on a CPU."""
    reads = isinstance(model.backbone, TextEncoder)
    if recipe == "scratch" or (recipe == "fine-tune" and not reads):
        return hardware, hardware
    both = "probe and training" if reads else "the probe's features (not the training)"
    what = {"probe": "features", "fine-tune": "training"}.get(recipe, both)
    quick = quick_precision(model.backbone, size, hardware, what)
    return quick if reads or recipe == "probe" else hardware, quick


def _peak(model, recipe, lr) -> float:
    """The head's peak rate: the one asked for, else the recipe's own (until the finder has one)."""
    return (TEXT_RATES if isinstance(model.backbone, TextEncoder) else RATES)[recipe] if lr in (None, "auto") else lr


def _made(data, asked: dict, augment, batch_size, rate_decay, settings, hardware) -> dict:
    """What the results of a training depend on, apart from the weights it begins with."""
    made = {"data": data.name, "contents": data.fingerprint, "split": data.split.hash, **asked, "augment": str(augment)}
    made |= {"batch_size": batch_size, "rate_decay": rate_decay, "settings": asdict(settings)}
    return made | decoded(data) | {"hardware": hardware.line()}


def decoded(data: ImageSet | TextSet) -> dict:
    """How a set's pictures were read from their files, so that `predict` reads others the same way; empty for texts."""
    return {"side": data.images.shape[-1], "background": data.background} if hasattr(data, "images") else {}


def _begin(model, data, recipe, folder, asked: dict) -> dict:
    """Check the arguments and return what the training begins from: its folder accepts no other.

    If this model has been trained by the same call before, the folder knows how to continue: then it is what that call
    began from, with the row of its probe, because head and backbone have both learnt since.
    """
    place, began = folder and folder.resolve(), getattr(model, "began", {})
    what = len(data.train), data.name, data.split.hash  # a part, or a set without a split, has no .train and says so
    call = [place, *what, asked]
    if folder and began.get("call", [None])[0] == place and (folder / TRAINING).exists():
        if began["call"] == call:
            return began
        raise CourseError(f"{folder} has a training of this model by another call: give this one a folder of its own.")
    _look_at_weights(model, recipe)
    source = model.backbone.source  # random weights count as the same, even if drawn anew
    known = source if source == "random" or not folder else model.backbone.fingerprint
    rests = recipe != "scratch" and has_counted(model.backbone)
    return {"call": call, "from": f"{recipe} from {known}", "batch norm rests": rests}


def _learns(model, result, began) -> None:
    """From here on the weights are this training's, and so are the size and the classes that `evaluate` goes by."""
    model.trained_size, model.class_names, model.began = result.made["size"], result.classes, began


def _refuse_another(folder: Path | None, result: Result) -> None:
    """CourseError if the folder's finished model came from another training; `fit` checks a training in progress."""
    then = files.load(folder / MODEL)[1].get("made", {}) if folder and (folder / MODEL).exists() else {}
    same = ("recipe", "contents", "split", "weights", "seed", "images", "size")
    if differs := [key for key in same if key in then and then[key] != result.made[key]]:
        raise CourseError(
            f"{folder / MODEL} is the model of another training: it differs in {', '.join(differs)}. Give this one a folder "
            "of its own (such as --out runs/second), or delete the folder to start over."
        )


def _look_at_weights(model, recipe) -> None:
    """Say what may surprise a reader about random, trained or frozen weights; refuse trained ones for scratch."""
    random = model.backbone.source == "random"
    if recipe == "scratch" and not random:
        raise CourseError(
            f"The recipe 'scratch' starts from random weights, not from these ({model.backbone.source}). Make a new "
            "model: load_backbone(name, weights=None), or text_encoder(kind, tokenizer=…) for texts."
        )
    if recipe == "lp-ft" and random:
        say("This backbone has random weights, so nothing is transferred: a control experiment, or a mistake?")
    if getattr(model, "trained_size", None):
        say("This model has been trained before: it continues from its current weights, not from the source's.")
    elif recipe != "probe" and not all(parameter.requires_grad for parameter in model.parameters()):
        say(f"{recipe} trains every layer, so frozen layers are unfrozen. To keep them frozen, train with tl.fit.")


def _parts(data, images, seed) -> dict:
    """The set to train on, whole or a few of each class, and the set to choose on."""
    if images is not None and images < 1:
        raise CourseError(f"images has to be at least 1, or None for all; found {images}.")
    few = images is not None and images < len(data.train)
    return {"train": data.train.few(max(1, images // len(data.classes)), seed) if few else data.train, "val": data.val}


def _linear_probe(model, parts, hardware, result, began) -> None:
    """Give the head the weights of a logistic regression on the frozen backbone's features, and record how good it is."""
    start = time.perf_counter()
    what = "max_tokens" if isinstance(model.backbone, TextEncoder) else "size"
    how = {what: result.made["size"], "hardware": hardware}
    rows = {part: features(model.backbone, images, **how) for part, images in parts.items()}
    sets = {part: (rows[part], images.labels) for part, images in parts.items()}
    head = probe(sets["train"], sets["val"], classes=len(result.classes), weights=parts["train"].weights)
    _learns(model, result, began)
    model.head.load_state_dict(head.state_dict())
    freeze(model.backbone)
    with torch.inference_mode():
        figures = {p: measure(head(rows[p]), labels, parts[p].weights) for p, (_, labels) in sets.items()}
    row = {"phase": "probe", "epoch": 0}
    row |= {"train_loss": figures["train"]["loss"], "train_accuracy": figures["train"]["accuracy"]}
    row |= {f"val_{name}": value for name, value in figures["val"].items()}
    began["probe"] = {**row, "lr": 0.0, "seconds": time.perf_counter() - start}
    result.history.append(began["probe"])
    result.val = figures["val"]
    model.eval()


def _all_layers(model, parts, settings, find, augment, hardware, folder, result, began, each_epoch) -> None:
    """Train every layer, slower towards the stem; batch norm keeps the source's statistics where it has any."""
    kept = folder / TRAINING if folder else None
    common, seed = {"size": result.made["size"], "hardware": hardware}, result.made["seed"]
    unfreeze(model)
    if began["batch norm rests"]:
        freeze_batch_norm(model.backbone)
    how = {"batch_size": result.made["batch_size"], "augment": augment, "shuffle": True, "seed": seed}
    train = batches_for(model, parts["train"], **how, **common)
    val = batches_for(model, parts["val"], batch_size=64, **common)
    rate_decay = 1.0 if result.recipe == "scratch" else result.made["rate_decay"]
    if find:
        if kept and kept.exists():  # the finder would look at weights that have been trained since
            rate = files.load(kept)[1]["identity"]["settings"]["lr"]
        else:
            groups = parameter_groups(model, 1.0, rate_decay)
            rate = lr_find(model, train, groups=groups, hardware=hardware, seed=seed).suggestion
            say(f"The learning-rate finder suggests a peak of {rate:.2g}.")
        settings = replace(settings, lr=rate)
        result.made["settings"] = asdict(settings)
    _learns(model, result, began)
    start = began["from"] + (", rate found" if find else "") if kept else None
    phase = result.recipe if result.recipe == "scratch" else "fine-tune"
    how = {"hardware": hardware, "seed": seed, "groups": parameter_groups(model, settings.lr, rate_decay)}
    how |= {"checkpoint": kept, "phase": phase, "start": start, "each_epoch": each_epoch}
    fitted = fit(model, train, val, settings, **how)
    if model.backbone.source == "random" and fitted.history:
        model.backbone.source = f"trained from scratch on {result.made['data']}"
    result.history += fitted.history
    result.val, result.ended = fitted.val or result.val, fitted.ended


def _check(model: nn.Module, data: ImageSet, recipe: str, folder: Path | None, augment) -> None:
    if recipe not in RECIPES:
        raise CourseError(f"The recipe {recipe!r} is not known; try one of {', '.join(RECIPES)}.")
    if not isinstance(model, Classifier):
        raise CourseError("transfer takes a backbone with a head: attach_head(load_backbone(…), heads.linear(…)).")
    check_set(data)
    if recipe in ("probe", "lp-ft") and not isinstance(model.head, nn.Linear):
        raise CourseError(f"The recipe {recipe!r} begins with a linear probe: attach heads.linear, or use 'fine-tune'.")
    if isinstance(augment, str):
        augmentation_parts(augment, 32)  # an unknown name is reported before any work is done
    if folder and model.shapes() != model.as_built:
        raise CourseError(
            "A layer of this model was replaced or added after attach_head, so its file could not be read back. Attach the "
            "head with attach_head, merge adapters first, or train without a checkpoint."
        )
    outputs = getattr(model.head, "out_features", model.spec.get("classes"))
    if outputs != len(data.classes):
        raise CourseError(f"The head has {outputs} outputs, but {data.name} has {len(data.classes)} classes.")
