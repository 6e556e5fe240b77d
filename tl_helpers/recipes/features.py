"""Features extracted once and kept on disk, so that a second probe takes a moment."""

import contextlib
import hashlib
from typing import TYPE_CHECKING

import torch
import torchvision
from torch import Tensor

from ..device import Hardware, for_extraction, pick_device
from ..engine import checkpoint as files
from ..engine.metrics import predict
from ..errors import CourseError
from ..models import Backbone
from ..sources import cache_dir

if TYPE_CHECKING:
    from ..data import ImageSet


def features(
    backbone: Backbone,
    images: "ImageSet",
    *,
    size: int | None = None,
    batch_size: int = 64,
    hardware: Hardware | None = None,
) -> Tensor:
    """The backbone's features of every image, float32 (n, width) on the CPU, in the set's order.

    Kept in `data/cache/features` under a key of weights, preprocessing, size, precision and pixels: whatever changes one
    of them gives another file. The backbone is left in eval mode.

    Args:
        size: pixels a side that the images are brought to; the backbone's own size where it is not given.
    """
    from ..data import Batches

    size = size or backbone.preprocess.size
    hardware = hardware or pick_device()
    hardware.place(backbone).eval()
    some = torch.zeros(16, 3, size, size, dtype=torch.uint8)
    hardware = for_extraction(hardware, f"{backbone.name} {size} px", lambda: backbone(some))
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"  # which resizes the images
    key = f"{versions} {backbone.fingerprint} {images.fingerprint} {size} {hardware.precision} {hardware.device.type}"
    kept = cache_dir() / "features" / f"{backbone.name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    if kept.exists():
        with contextlib.suppress(CourseError):  # a damaged file is computed again
            return files.load(kept)[0]["features"]
    batches = Batches(
        images, batch_size=batch_size, size=size, workers=hardware.workers, pin_memory=hardware.pin_memory
    )
    # predict() checks labels against logits; features have no labels, so each row gets the label 0.
    unlabelled = ((inputs, torch.zeros_like(labels)) for inputs, labels, _ in batches)
    found, _, _ = predict(backbone, unlabelled, hardware)
    files.save(kept, {"features": found}, {"key": key})
    return found
