"""Sets that torchvision downloads itself, for those with a network, by torchvision's names."""

import socket
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset
from torchvision import datasets
from torchvision.transforms.v2.functional import pil_to_tensor

from tl_helpers import sources
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import StreamedImages, fit_square, read_many, room_for
from tl_helpers.data.splits import Split, make_split
from tl_helpers.errors import CourseError

_PARTS = {  # how torchvision is asked for each part
    "Flowers102": {part: {"split": part} for part in ("train", "val", "test")},
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "CIFAR10": {"train": {"train": True}, "test": {"train": False}},
}
_PETS = "Oxford-IIIT Pet by O. Parkhi, A. Vedaldi, A. Zisserman and C. V. Jawahar (CC-BY-SA-4.0)"
_CREDITS = {  # licence and attribution
    "Flowers102": ("not stated: for research", "Flowers102 by M.-E. Nilsback and A. Zisserman (2008)"),
    "OxfordIIITPet": ("CC-BY-SA-4.0", _PETS),
    "CIFAR10": ("not stated: for research", "CIFAR-10 by A. Krizhevsky (2009)"),
}
PATIENCE = 30  # seconds without a byte until a download counts as failed; urllib would wait for ever


def load_online(name: str, split_seed: int = 0, image_size: int | None = None) -> ImageSet:
    """A torchvision set with its own test part, uint8 (n, 3, size, size); val is its own, or a seventh cut from train.

    Downloaded once into data/cache/torchvision. Raises CourseError without a network, and names the sets that need none.
    """
    size, (licence, attribution) = image_size or (32 if name == "CIFAR10" else 256), _CREDITS[name]
    parts = {role: _open(name, arguments) for role, arguments in _PARTS[name].items()}
    # Flowers102 and OxfordIIITPet keep them as _labels
    labels = {role: np.asarray(getattr(one, "targets", None) or one._labels, np.int64) for role, one in parts.items()}
    whole = ConcatDataset(parts.values())
    ends = [0, *whole.cumulative_sizes]
    positions = {role: np.arange(ends[i], ends[i + 1]) for i, role in enumerate(parts)}
    if "val" not in positions:
        cut = make_split(labels["train"], test=0, seed=split_seed)  # train comes first: positions in it are the set's
        positions |= {"train": cut.train, "val": cut.val}
    read, n = partial(_read, whole, size), len(whole)
    images = room_for(name, n, size)
    if images is None:
        images = StreamedImages(read, torch.arange(n), size, f"{name} {size}")
    else:
        read_many(lambda i: images[i].copy_(read(i)), range(n))
    return ImageSet(
        name=name,
        images=images,
        labels=torch.from_numpy(np.concatenate(list(labels.values()))),
        classes=tuple(parts["train"].classes),
        names=tuple(f"{role} {i}" for role, part in parts.items() for i in range(len(part))),
        licence=licence,
        attribution=attribution,
        split=Split(**positions),
    )


def _open(name: str, arguments: dict) -> Dataset:
    build = partial(getattr(datasets, name), str(sources.cache_dir() / "torchvision"), **arguments)
    try:
        return build()
    except RuntimeError:  # not there yet
        pass
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        return build(download=True)
    except (OSError, RuntimeError) as error:
        raise CourseError(
            f"{name} is not on this machine and can't be downloaded ({error}). Without a network there are: "
            "emoji-google, emoji-twitter, elpv, digits, and any folder of your own."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _read(whole: ConcatDataset, size: int, i: int) -> Tensor:
    return fit_square(pil_to_tensor(whole[i][0].convert("RGB")), size)
