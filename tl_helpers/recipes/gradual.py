"""Gradual unfreezing, as ULMFiT fine-tunes a language model's encoder (Howard and Ruder, 2018)."""

import time
from typing import TYPE_CHECKING

from ..device import Hardware, pick_device
from ..engine.fit import fit
from ..engine.settings import Settings
from ..models import Classifier, freeze, parameter_groups, unfreeze, unfreeze_from
from .transfer import Result

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..data import TextSet


def gradual(
    model: Classifier,
    data: "TextSet",
    tokenizer: "Tokenizer",
    *,
    epochs: int = 10,
    lr: float = 4e-3,
    rate_decay: float = 1 / 2.6,
    seed: int = 0,
    max_tokens: int = 128,
    batch_size: int = 32,
    few: int | None = None,
    hardware: Hardware | None = None,
) -> Result:
    """Train the head for an epoch, then one stage more each epoch, from the top; in what is left of `epochs`, all of them.

    Each stage learns `rate_decay` times as fast as the one above it (the paper's 2.6), each phase with slanted triangular
    rates. Trains in place, on `data.train` or on `few` texts a class of it; the last weights are kept.
    """
    from ..data import TextBatches

    start, hardware = time.perf_counter(), hardware or pick_device()
    train = data.train if few is None else data.train.few(few, seed)
    batches = TextBatches(train, tokenizer, batch_size=batch_size, max_tokens=max_tokens, shuffle=True, seed=seed)
    val = TextBatches(data.val, tokenizer, batch_size=64, max_tokens=max_tokens)
    stages = [None, *reversed(model.backbone.stages)]  # from the head downwards
    lengths = [1] * (len(stages) - 1) + [max(1, epochs - len(stages) + 1)]
    result = Result(model, [], {}, data.classes, "gradual", sum(lengths), 0.0)
    unfreeze(model.head)
    for phase, (stage, length) in enumerate(zip(stages, lengths, strict=True)):
        if stage is None:
            freeze(model.backbone)
        else:
            unfreeze_from(model, stage)
        settings = Settings(length, lr=lr, schedule="slanted", warmup=0.1, label_smoothing=0.1, keep="last")
        groups = parameter_groups(model, lr, rate_decay)
        name = f"{'head' if stage is None else f'from {stage}'}"
        fitted = fit(
            model, batches, val, settings, hardware=hardware, seed=seed * 31 + phase, groups=groups, phase=name
        )
        result.history += fitted.history
        result.val, result.ended = fitted.val, fitted.ended
    result.seconds = time.perf_counter() - start
    return result
