"""Features extracted once and kept on disk, so that a second probe takes only a moment."""

import contextlib
import functools
import hashlib

import torch
import torchvision
from torch import Tensor

from ..data import ImageSet, TextSet
from ..device import Hardware, for_extraction, pick_device
from ..engine import checkpoint as files
from ..engine.metrics import predict
from ..engine.progress import say
from ..errors import CourseError
from ..models import Classifier
from ..models.encoder import Encoder
from ..models.text_encoders import TextEncoder
from ..sources import cache_dir
from .sets import asked_size, batches_for, check_set, tokenizer_of


def features(
    backbone: Encoder,
    images: ImageSet | TextSet,
    *,
    size: int | None = None,
    max_tokens: int | None = None,
    batch_size: int = 64,
    hardware: Hardware | None = None,
) -> Tensor:
    """The backbone's features of every image, float32 (n, width) on the CPU, in the set's order.

    Kept in `data/cache/features` under a key of weights, preprocessing, size, precision and pixels: if one of them
    changes, so does the file. (Pixels are taken to stay as they are: change a copy of the set, not its images in place.)
    The backbone is left in eval mode.

    Args:
        size, max_tokens: pixels a side for pictures, tokens for texts; by default the backbone's own.
    """
    if isinstance(backbone, Classifier) or not hasattr(backbone, "fingerprint"):
        raise CourseError("features takes a backbone (load_backbone), not the whole model: give it model.backbone.")
    check_set(images)
    size = asked_size(backbone, size, max_tokens)
    hardware = quick_precision(backbone.eval(), size, pick_device(hardware))
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"  # which resizes the images
    key = f"{versions} {backbone.fingerprint} {images.fingerprint} {size} {hardware.precision} {hardware.device.type}"
    if isinstance(backbone, TextEncoder):
        key += tokenizer_of(backbone).to_str()
    kept = cache_dir() / "features" / f"{backbone.name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    if kept.exists():
        with contextlib.suppress(CourseError):  # a damaged file is computed again
            return files.load(kept)[0]["features"]
    batches = batches_for(backbone, images, size=size, batch_size=batch_size, hardware=hardware)
    found, _, _ = predict(backbone, batches, hardware)
    with contextlib.suppress(CourseError):  # a full disk costs the next call its shortcut, not this one its work
        files.save(kept, {"features": found}, {"key": key[:300]})
    return found


_say_once = functools.cache(say)


def quick_precision(backbone: Encoder, size: int, hardware: Hardware, what: str = "features") -> Hardware:
    """The hardware, with bf16 if a timed pass of this backbone over 16 samples of this size shows that it pays off.

    Then one line says so, once: `what` is computed in bf16.
    """
    if hardware.device.type != "cpu":
        return hardware
    if isinstance(backbone, TextEncoder):
        ones = torch.ones(16, size, dtype=torch.int64)
        unit, some = "tokens", {"input_ids": ones, "attention_mask": ones}
    else:
        unit, some = "px", torch.zeros(16, 3, size, size, dtype=torch.uint8)
    use = f"{backbone.name} {size} {unit}"
    with hardware.lend(backbone.eval()):
        chosen = for_extraction(hardware, use, lambda: backbone(some))
    if chosen.precision != hardware.precision:
        _say_once(f"{use}: {what} in {chosen.precision}, which is faster here (measured; `doctor` says how much).")
    return chosen
