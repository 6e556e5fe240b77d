"""The two functions of the article the course is built on, with its arguments in its order; training is `fit`."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ..device import Hardware, own_chance, pick_device
from ..errors import CourseError
from .fit import fit
from .metrics import check_labels, measure, predict
from .protocol import order_kept, sampler_of
from .settings import Settings


def train_model(
    device: torch.device | str,
    dataloaders: Mapping,
    dataset_sizes: Mapping[str, int],
    classes: Sequence[str],
    model: nn.Module,
    lr: float = 0.001,
    weight_decay: float = 0.01,
    *,
    epochs: int = 10,
    seed: int = 0,
    checkpoint: Path | str | None = None,
) -> nn.Module:
    """Fine-tune, in place, every layer of `model` that is not frozen; returns it with its best weights, in eval mode.

    Args:
        dataloaders: "train" and "val", each yielding (inputs, labels).
        dataset_sizes: how many samples "train" and "val" have; checked against the loaders.
        classes: their names; checked against the labels by means of the logits.
        lr: the peak of a one-cycle schedule. weight_decay: AdamW's.

    Raises:
        CourseError: "train" or "val" is missing or empty, sizes don't agree, the head doesn't fit the classes, or
            `checkpoint` is from a training with other classes, sizes or settings.
    """
    for name, given in (("dataloaders", dataloaders), ("dataset_sizes", dataset_sizes)):
        if not {"train", "val"} <= set(given):
            raise CourseError(f"{name} needs the parts 'train' and 'val', found {sorted(given)}.")
    for part in ("train", "val"):
        found = _samples(dataloaders[part])
        if found == 0:
            raise CourseError(f"The loader of the part {part!r} yields no sample. Is its folder or its subset empty?")
        if found not in (None, dataset_sizes[part]):
            raise CourseError(f"dataset_sizes[{part!r}] is {dataset_sizes[part]}, but its loader has {found} samples.")
    if len(classes) < 2:
        raise CourseError(f"There is nothing to tell apart: found only {list(classes)} as classes. It takes two.")
    hardware = pick_device(device)
    _check_head(model, dataloaders["val"], classes, hardware)
    settings = Settings(epochs=epochs, lr=lr, weight_decay=weight_decay)
    kept = {"checkpoint": checkpoint, "start": f"classes {list(classes)}, samples {dict(dataset_sizes)}"}
    fit(model, dataloaders["train"], dataloaders["val"], settings, hardware=hardware, seed=seed, **kept)
    return model


def _samples(loader) -> int | None:
    """How many samples one pass of a loader contains; None if that can't be known without a pass."""
    for owner in (sampler_of(loader), getattr(loader, "dataset", None)):
        with contextlib.suppress(TypeError):  # an iterable data set has no length
            return len(owner)
    return getattr(loader, "n", None)


def _check_head(model: nn.Module, batches, classes: Sequence[str], hardware: Hardware) -> None:
    """Ask the model itself how many logits it gives: its last linear layer need not be its head."""
    with own_chance(0), order_kept(batches):
        first = [batch for _, batch in zip(range(1), batches, strict=False)]
    logits, labels, _ = predict(model, first, hardware)
    outputs = logits.shape[-1]
    if logits.ndim == 2 and outputs != len(classes):
        raise CourseError(
            f"The head has {outputs} outputs for {len(classes)} classes: replace the model's last layer by one with "
            f"{len(classes)} outputs, such as nn.Linear(…, {len(classes)})."
        )
    check_labels(logits, labels)


def test_model(model: nn.Module, device: torch.device | str, testloader) -> float:
    """The share of right answers on `testloader`, in [0, 1]. Every sample counts once, even in a ragged last batch."""
    logits, labels, _ = predict(model, testloader, pick_device(device))
    return measure(logits, labels)["accuracy"]


test_model.__test__ = False  # its name, which is the article's, would make pytest collect it
