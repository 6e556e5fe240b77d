"""Measuring a model on a set: logits gathered over batches, and metrics weighted by samples, never by batches."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..device import Hardware
from ..errors import CourseError, out_of_memory
from .protocol import part_of, rows_of

TOO_LARGE = (
    "What can't be cut any further does not fit into the device's memory: use smaller images, shorter texts or fewer "
    "classes of pairs; on a GPU, try TL_DEVICE=cpu."
)


def unpack(batch: tuple | list) -> tuple:
    """A batch as (inputs, labels, weights); weights are ones if a loader gives only (inputs, labels)."""
    if not isinstance(batch, tuple | list) or len(batch) < 2 or not isinstance(batch[1], Tensor):
        kinds = ", ".join(type(part).__name__ for part in batch) if isinstance(batch, tuple | list) else ""
        raise CourseError(
            "A batch is (inputs, labels) or (inputs, labels, weights), with labels and weights as tensors; found a "
            f"{type(batch).__name__}{f' of {kinds}' if kinds else ''}."
        )
    inputs, labels, *rest = batch
    _check_kind(labels)
    return inputs, labels, rest[0] if rest else torch.ones(len(labels))


def predict(model: nn.Module, batches: Iterable, hardware: Hardware) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, classes) float32, labels (n,) int64 and weights (n,) float32 of all batches, on the CPU.

    Batches sorted by length are put back into the order of the set, if they know it (`in_order`).

    The model is put into eval mode and left there, on the device that it came from; no gradient is kept.
    """
    model.eval()
    gathered = []
    with hardware.lend(model), torch.inference_mode():
        for batch in batches:
            inputs, labels, weights = unpack(batch)
            parts = [logits_of(model, part, hardware) for part in _quick_parts(inputs, hardware)]
            gathered.append((torch.cat(parts), labels, weights))
    if not gathered:
        raise CourseError("Nothing to look at: this set has no batch. Is it empty, or smaller than one (drop_last)?")
    in_order = getattr(batches, "in_order", None)
    if not callable(in_order):  # torch's own DataLoader has an `in_order` too, but it is a switch
        in_order = torch.Tensor.contiguous
    return tuple(in_order(torch.cat(column)) for column in zip(*gathered, strict=True))


def _quick_parts(inputs, hardware: Hardware) -> tuple:
    """Large pictures 16 at a time on a CPU: their maps then fit into the 32 MB that `memory` keeps, so no page is taken anew.

    (tests/benchmarks/speed.py prints what that is worth.)
    """
    large = isinstance(inputs, Tensor) and inputs.ndim == 4 and inputs.shape[-1] >= 96  # pixels a side
    return inputs.split(16) if large and hardware.device.type == "cpu" else (inputs,)


def logits_of(model: nn.Module, inputs, hardware: Hardware) -> Tensor:
    """Logits (n, classes) float32 on the CPU; if a batch does not fit into memory, its halves one by one."""
    try:
        with hardware.autocast():
            return model(hardware.send(inputs)).float().cpu()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        rows = rows_of(inputs)
        if rows < 2 or getattr(model, "in_one_piece", False):
            raise CourseError(TOO_LARGE) from None
    halves = slice(0, rows // 2), slice(rows // 2, rows)
    return torch.cat([logits_of(model, part_of(inputs, half), hardware) for half in halves])


def measure(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> dict[str, float]:
    """Loss (weighted), accuracy, balanced accuracy (mean recall over classes) and F1 (macro), each in its own unit.

    Every sample counts once in accuracy, balanced accuracy and F1, uncertain ones included, unless its weight is 0 (a word
    that nobody has to guess); the loss uses the weights.
    """
    check_labels(logits, labels)
    weights = torch.ones(len(labels)) if weights is None else weights
    logits, labels, weights = (column[weights > 0] for column in (logits, labels, weights))
    losses = F.cross_entropy(logits, labels, reduction="none")
    labels = labels.argmax(1) if labels.ndim == 2 else labels  # of a distribution, the class with the largest share
    predicted = logits.argmax(1)
    rows = labels, predicted, labels[predicted == labels]  # scikit-learn's scores, counted: 20 times as fast
    truly, said, right = (torch.bincount(column, minlength=logits.shape[1]).double() for column in rows)
    return {
        "loss": float((losses * weights).sum() / weights.sum()),
        "accuracy": float((predicted == labels).float().mean()),
        "balanced_accuracy": float((right / truly)[truly > 0].mean()),
        "f1": float((2 * right / (truly + said))[truly + said > 0].mean()),
    }


def calibration_bins(probabilities: Tensor, labels: Tensor, bins: int = 10) -> Tensor:
    """Answers sorted into `bins` bins of equal width by confidence; empty bins are left out.

    Args:
        probabilities: float32 (n, classes). labels: int64 (n,).

    Returns:
        float32 (bins, 3): mean confidence, accuracy, share of all answers that are in the bin.
    """
    if not ((probabilities.sum(1) - 1).abs() < 0.01).all():
        raise CourseError("Calibration is about probabilities, rows that sum to 1; for logits: logits.softmax(1).")
    sure, said = probabilities.max(dim=1)
    place = (sure * bins).long().clamp(max=bins - 1)
    columns = torch.ones_like(sure), sure, (said == labels).float()
    counts, sums, hits = (torch.bincount(place, column, bins) for column in columns)
    return torch.stack([sums / counts, hits / counts, counts / len(labels)], dim=1)[counts > 0]


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al., 2015): the bins' |accuracy - confidence|, weighted by samples."""
    sure, right, share = calibration_bins(probabilities, labels, bins).unbind(dim=1)
    return float((share * (right - sure).abs()).sum())


def _check_kind(labels: Tensor) -> None:
    if not ((labels.dtype == torch.int64 and labels.ndim == 1) or (labels.is_floating_point() and labels.ndim == 2)):
        raise CourseError(
            f"Labels are int64 of shape (batch,), or distributions as floats; found {labels.dtype} {tuple(labels.shape)}."
        )


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """CourseError if a label has no logit (the head was made for fewer classes than the data has) or is not a distribution."""
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise CourseError(f"The model should give logits (batch, classes), found {found}. Is a head missing?")
    _check_kind(labels)
    if labels.is_floating_point():
        if labels.shape != logits.shape or not ((labels.sum(1) - 1).abs() <= 1e-3).all():
            raise CourseError(
                f"Labels as distributions are (batch, {logits.shape[1]}) here, with rows summing to 1; found {tuple(labels.shape)}."
            )
        return
    low, high, width = int(labels.min()), int(labels.max()), logits.shape[1]
    if low < 0 or high >= width:
        raise CourseError(
            f"The labels run from {low} to {high}, but the head has {width} outputs. "
            "Labels count from 0, and each class has an output: heads.linear(len(data.classes)), probe(…, classes=…)."
        )
