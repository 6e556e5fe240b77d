"""A small set of random pictures, and what an evaluation on it might return: enough to draw every figure."""

from types import SimpleNamespace

import torch
from sklearn.metrics import confusion_matrix

from tl_helpers.data.image_set import ImageSet


def image_set(
    name: str = "emoji-google", *, n: int = 40, classes: int = 6, channels: int = 3, attribution: str = "by A"
):
    """`n` random pictures of 24 pixels."""
    draw = torch.Generator().manual_seed(len(name))
    return ImageSet(
        name=name,
        images=torch.randint(0, 256, (n, channels, 24, 24), dtype=torch.uint8, generator=draw),
        labels=torch.arange(n) % classes,
        classes=tuple(f"a class, number {k}" for k in range(classes)),
        names=tuple(f"thing {i} of many that have a long name" for i in range(n)),
        licence="CC0",
        attribution=attribution,
    )


def report(images: ImageSet, **more):
    """What an evaluation of a fairly good model would return."""
    n, k = len(images), len(images.classes)
    noise = torch.randn(n, k, generator=torch.Generator().manual_seed(1))
    probabilities = (noise + 2 * torch.nn.functional.one_hot(images.labels, k)).softmax(1)
    predictions = probabilities.argmax(1)
    return SimpleNamespace(
        accuracy=(predictions == images.labels).float().mean().item(),
        balanced_accuracy=0.5,
        f1=0.5,
        n=n,
        labels=images.labels,
        predictions=predictions,
        probabilities=probabilities,
        losses=-probabilities[torch.arange(n), images.labels].log(),
        classes=images.classes,
        images=images,
        confusion=confusion_matrix(images.labels, predictions, labels=range(k)),
        **more,
    )
