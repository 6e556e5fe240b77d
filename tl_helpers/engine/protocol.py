"""What the engine requires of its data: batches with a role, inputs that can be cut."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from ..errors import CourseError


def role_of(batches: Iterable) -> str | None:
    """The role of the data behind batches, a DataLoader or torch's Subset: "train", "val", "test", or None if unknown."""
    role = getattr(batches, "role", None)
    return role_of(batches.dataset) if role is None and hasattr(batches, "dataset") else role


def refuse_test(train: Iterable, val: Iterable) -> None:
    """CourseError if a test set, or a whole set that contains one, is used to train or to choose."""
    if "test" in (role_of(train), role_of(val)) or _whole(train) or _whole(val) or role_of(train) == "val":
        raise CourseError(
            "Training learns and validation chooses, so neither can be the test set, or contain it: pass data.train and "
            "data.val, and look at data.test once, last."
        )


def _whole(batches: Iterable) -> bool:
    """Whether these are batches of a set that still contains its test part."""
    items = getattr(batches, "image_set", getattr(batches, "text_set", getattr(batches, "dataset", None)))
    return getattr(items, "role", None) == "all" and items.split is not None


def rows_of(inputs) -> int:
    """How many rows a tensor, or a dict of tensors, has; a language model has a label for each word of a row."""
    return len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)


def part_of(inputs, part: slice):
    """These rows of a tensor, or of each tensor in a dict."""
    return {k: v[part] for k, v in inputs.items()} if isinstance(inputs, dict) else inputs[part]


def begin_pass(batches, epoch: int, seed: int) -> None:
    """Begin pass number `epoch`: the course's own batches are told, a DataLoader's own generators are given `seed`."""
    if hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)
    for generator in _generators(batches):
        generator.manual_seed(seed)


@contextmanager
def order_kept(batches) -> Iterator[None]:
    """Inside, batches may be iterated over; afterwards their next pass is the one it would have been anyway."""
    epoch, drawn = getattr(batches, "_epoch", None), [(one, one.get_state()) for one in _generators(batches)]
    try:
        yield
    finally:
        if epoch is not None:
            batches.set_epoch(epoch)
        for generator, state in drawn:
            generator.set_state(state)


def sampler_of(batches) -> Iterable | None:
    """What draws the order of a DataLoader, also behind a `batch_sampler=` of the caller's; None for other batches."""
    return getattr(getattr(batches, "batch_sampler", None), "sampler", getattr(batches, "sampler", None))


def _generators(batches) -> list[torch.Generator]:
    """A DataLoader's own generator, its batch sampler's and its sampler's, if they have one."""
    owners = batches, getattr(batches, "batch_sampler", None), sampler_of(batches)
    found = (getattr(owner, "generator", None) for owner in owners)
    return [one for one in found if isinstance(one, torch.Generator)]


def in_pieces(taken: list[tuple], pieces: int) -> Iterator[tuple]:
    """Batches of (inputs, labels, weights), each cut into `pieces` pieces; inputs are a tensor or a dict of tensors."""
    for inputs, labels, weights in taken:
        rows = rows_of(inputs)
        size = math.ceil(rows / pieces)
        each = len(labels) // rows
        for start in range(0, rows, size):
            part, said = slice(start, start + size), slice(start * each, (start + size) * each)
            yield part_of(inputs, part), labels[said], weights[said]
