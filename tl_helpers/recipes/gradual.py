"""Gradual unfreezing, as ULMFiT fine-tunes a language model's encoder (Howard and Ruder, 2018)."""

import time

from ..data import ImageSet, TextSet
from ..device import Hardware, pick_device
from ..engine.fit import fit
from ..engine.settings import Settings
from ..models import Classifier, freeze, freeze_batch_norm, has_counted, parameter_groups, unfreeze, unfreeze_from
from .sets import asked_size, batches_for
from .transfer import Result, decoded


def gradual(
    model: Classifier,
    train: TextSet | ImageSet,
    val: TextSet | ImageSet,
    *,
    epochs: int = 10,
    lr: float = 4e-3,
    rate_decay: float = 1 / 2.6,
    seed: int = 0,
    size: int | None = None,
    max_tokens: int | None = None,
    batch_size: int = 32,
    hardware: Hardware | None = None,
) -> Result:
    """Train the head for an epoch, then one more stage each epoch, from the top; for the rest of `epochs`, all of them.

    Each stage learns `rate_decay` times as fast as the one above it (the paper's 1/2.6), each phase with slanted triangular
    rates. Trains in place; the last weights are kept. size, max_tokens: as in `transfer`. Each stage takes an epoch, so there
    are never fewer epochs than stages, counting the head as one.
    """
    start, hardware = time.perf_counter(), pick_device(hardware)
    common = {"size": asked_size(model, size, max_tokens), "hardware": hardware}
    looks = batches_for(model, val, batch_size=64, **common)
    stages = [None, *reversed(model.backbone.stages)]  # from the head downwards
    lengths = [1] * (len(stages) - 1) + [max(1, epochs - len(stages) + 1)]
    result = Result(model, [], {}, train.classes, "gradual", 0.0)
    result.made = {"data": train.name, "seed": seed, "batch_size": batch_size, "lr": lr, "rate_decay": rate_decay}
    result.made |= decoded(train) | {"hardware": hardware.line()}
    rests = has_counted(model.backbone)
    freeze(model.backbone)
    unfreeze(model.head)
    for phase, (stage, length) in enumerate(zip(stages, lengths, strict=True)):
        if stage is not None:
            unfreeze_from(model, stage)
            if rests:
                freeze_batch_norm(model.backbone)
        own = seed * 31 + phase  # each phase needs an order of its own, because `fit` counts its epochs from 0 again
        batches = batches_for(model, train, batch_size=batch_size, shuffle=True, seed=own, **common)
        settings = Settings(length, lr=lr, schedule="slanted", warmup=0.1, label_smoothing=0.1, keep="last")
        groups = parameter_groups(model, lr, rate_decay)
        name = "head" if stage is None else f"from {stage}"
        fitted = fit(model, batches, looks, settings, hardware=hardware, seed=own, groups=groups, phase=name)
        model.trained_size, model.class_names = common["size"], train.classes
        result.history += fitted.history
        result.val, result.ended = fitted.val or result.val, fitted.ended
        if fitted.ended == "interrupted":
            break
    if model.backbone.source == "random" and any(row["phase"] != "head" for row in result.history):
        model.backbone.source = f"trained here, last on {train.name}"
    result.seconds = time.perf_counter() - start
    return result
