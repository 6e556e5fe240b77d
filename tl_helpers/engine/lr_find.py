"""The learning-rate range test: one short training with a rising rate shows which rates a model tolerates."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import nn
from torch.nn import functional as F

from ..device import Hardware, own_chance, pick_device
from ..errors import CourseError, out_of_memory
from ..models.freezing import train_mode
from . import checkpoint as files
from .metrics import check_labels, unpack
from .protocol import order_kept, refuse_test

SETTLE = 10  # steps at the lowest rate that only fill the mean: one easy first batch would pass for the lowest loss


@dataclass(frozen=True)
class RateCurve:
    """rates: those tried, rising. losses: at each, smoothed, in nats. suggestion: a peak for a one-cycle schedule."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def lr_find(
    model: nn.Module,
    train: Iterable,
    *,
    groups: list[dict] | None = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
    hardware: Hardware | None = None,
    seed: int = 0,
) -> RateCurve:
    """Train as the rate rises from `low` to `high` in `steps` steps, after ten at `low`; then restore everything, random state and batch order too.

    Follows Smith (2017): the bound is where the loss begins to rise. The suggestion stays below it by a factor of three,
    which suits a random head, whose loss falls first, and one that was probed, whose loss hardly falls (the steepest
    fall, which other finders use, says nothing there). It stops as soon as the smoothed loss exceeds four times the lowest seen.

    Args:
        train: batches of (inputs, labels) or (inputs, labels, weights); taken again from the start when they run out.
        groups: discriminative rates as `fit` takes them: all keep their ratio to the largest, which is the one tried.

    Raises:
        CourseError: fewer than ten rates were asked for, or tried before the loss exploded; no batch; a test set.
    """
    refuse_test(train, ())
    if steps < 10 or not 0 < low < high:
        raise CourseError(f"A curve needs ten rates or more, rising from above 0; found {steps}, from {low} to {high}.")
    hardware = pick_device(hardware)
    with hardware.lend(model):
        before, modes = files.snapshot(model), {module: module.training for module in model.modules()}
        asked = {parameter: parameter.grad for parameter in model.parameters()}
        try:
            with own_chance(seed), order_kept(train):
                rates, losses = _rise(model, train, groups, low, high, steps, hardware)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise CourseError(
                "A batch does not fit into memory, and only `fit` cuts batches. Take smaller ones, or smaller pictures."
            ) from None
        finally:
            model.load_state_dict(before)
            for module, training in modes.items():
                module.training = training
            for parameter, gradient in asked.items():
                parameter.grad = gradient
    if len(rates) < 10:
        raise CourseError(
            f"The loss exploded after {len(rates)} of {steps} rates, starting from {low:.2g}: begin lower, with low=…; or, if "
            "the model has learnt these data already and its loss is close to 0, take larger batches or a fresh model."
        )
    return RateCurve(rates, losses, _suggest(rates, losses))


def _rise(model, train, groups, low, high, steps, hardware) -> tuple[list[float], list[float]]:
    """The rates that were tried, and the smoothed loss at each."""
    groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if not any(group["params"] for group in groups):
        raise CourseError("Every parameter of this model is frozen: unfreeze its head or a stage to find its rate.")
    peaks = [group.get("lr", 1.0) for group in groups]
    shares = [peak / max(peaks) for peak in peaks]
    optimiser = torch.optim.AdamW([{k: v for k, v in group.items() if k != "name"} for group in groups], lr=low)
    rates, losses, mean, scaler = [], [], 0.0, hardware.scaler()
    train_mode(model)
    batches = _endless(train)
    for step in range(-SETTLE, steps):
        rate = low * (high / low) ** (max(0, step) / (steps - 1))
        for group, share in zip(optimiser.param_groups, shares, strict=True):
            group["lr"] = rate * share
        inputs, labels, weights = (hardware.send(part) for part in unpack(next(batches)))
        with hardware.autocast():
            logits = model(inputs).float()
        if step == -SETTLE:
            check_labels(logits, labels)
        loss = (F.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum().clamp(min=1e-12)
        mean = 0.9 * mean + 0.1 * loss.item()
        smooth = mean / (1 - 0.9 ** (step + SETTLE + 1))
        if not math.isfinite(smooth) or (losses and smooth > 4 * min(losses)):
            break
        if step >= 0:
            rates.append(rate)
            losses.append(smooth)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
    return rates, losses


def _endless(train: Iterable) -> Iterator:
    """Pass after pass over the same batches, the first pass always in the same order."""
    for epoch in count():
        if hasattr(train, "set_epoch"):
            train.set_epoch(epoch)
        batch = None
        for batch in train:
            yield batch
        if batch is None:
            raise CourseError("There is nothing to train on: no batch. Are there fewer items than batch_size?")


def _suggest(rates: list[float], losses: list[float]) -> float:
    """A third of the largest rate at which the loss was still within a tenth of its lowest."""
    near = [rate for rate, loss in zip(rates, losses, strict=True) if loss <= 1.1 * min(losses)]
    return near[-1] / 3
