"""One look at a set: what a model says about every image in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from ..data import ImageSet, TextSet, views
from ..device import Hardware, pick_device
from ..engine.metrics import measure, predict
from ..errors import CourseError
from .sets import asked_size, batches_for, check_set


@dataclass(frozen=True)
class Report:
    """What one look at a set found. Tensors are on the CPU, in the set's order.

    accuracy, balanced_accuracy (mean recall), f1 (macro): in [0, 1], every image counts once. n: how many images.
    labels, predictions: int64 (n,). probabilities: float32 (n, classes). losses: float32 (n,), cross-entropy in nats.
    confusion: (classes, classes), rows are true. images, model, size: what was looked at, by which model, at what size.
    """

    accuracy: float
    balanced_accuracy: float
    f1: float
    n: int
    labels: Tensor
    predictions: Tensor
    probabilities: Tensor
    losses: Tensor
    confusion: np.ndarray
    classes: tuple[str, ...]
    images: ImageSet
    model: nn.Module
    size: int

    @property
    def figures(self) -> dict[str, float]:
        """The numbers alone, for a table or for JSON."""
        return {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy, "f1": self.f1, "n": self.n}


def evaluate(
    model: nn.Module,
    images: ImageSet | TextSet,
    *,
    size: int | None = None,
    max_tokens: int | None = None,
    batch_size: int = 64,
    tta: str | Sequence[v2.Transform] | None = None,
    hardware: Hardware | None = None,
) -> Report:
    """Look at every image of a set once; with test-time augmentation, at several views of it.

    Args:
        size, max_tokens: pixels a side for pictures, tokens for texts; by default what the model was trained at.
        tta: a name from `data.VIEWS`, or a transform such as `data.augmentation` gives, or several transforms. Probabilities
            are averaged over the views, as in Krizhevsky et al. (2012).

    Raises:
        CourseError: the set has labels for which the head has no output, or classes other than those the model learnt.
    """
    if not isinstance(model, nn.Module):
        raise CourseError(f"evaluate takes a model; found a {type(model).__name__}. A Result has one: result.model.")
    check_set(images)
    learnt = getattr(model, "class_names", images.classes)
    if learnt != images.classes:
        raise CourseError(
            f"The model learnt the classes {', '.join(learnt)}, in this order; {images.name} has {', '.join(images.classes)}. "
            "Class numbers would mean different things: give both sets the same class folders."
        )
    hardware = pick_device(hardware)
    size = asked_size(model, size, max_tokens)
    tta = [tta] if isinstance(tta, nn.Module) else tta  # one transform is one view
    looks = [None] if tta is None else views(tta, size) if isinstance(tta, str) else list(tta)
    batches = partial(batches_for, model, images, batch_size=batch_size, size=size, hardware=hardware)
    seen = [predict(model, batches(augment=look, seed=k), hardware) for k, look in enumerate(looks)]
    if not seen:
        raise CourseError("tta is an empty list: give it at least one transform, or leave it out.")
    logits, labels, _ = seen[0]
    if len(seen) > 1:  # as logits, so that a softmax returns the mean of the probabilities
        logits = torch.stack([one.log_softmax(1) for one, _, _ in seen]).logsumexp(0) - math.log(len(seen))
    if logits.shape[1] != len(images.classes):
        raise CourseError(
            f"The head has {logits.shape[1]} outputs, but {images.name} has {len(images.classes)} classes: "
            f"{', '.join(images.classes)}. Evaluate on a set with the classes it was trained on."
        )
    found = {name: value for name, value in measure(logits, labels).items() if name != "loss"}
    found |= {"labels": labels, "predictions": logits.argmax(1), "probabilities": logits.softmax(1), "n": len(labels)}
    found["losses"] = F.cross_entropy(logits, labels, reduction="none")
    found["confusion"] = confusion_matrix(labels, logits.argmax(1), labels=range(len(images.classes)))
    return Report(**found, classes=images.classes, images=images, model=model, size=size)
