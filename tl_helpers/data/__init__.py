"""Labelled pictures: loaded, split, augmented and handed out in batches."""

from tl_helpers.data.batches import Batches
from tl_helpers.data.export import as_folders
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import StreamedImages, decode, fit_square
from tl_helpers.data.load import OFFLINE, ONLINE, load
from tl_helpers.data.splits import Split, make_split
from tl_helpers.data.transforms import AUGMENTATIONS, augmentation

__all__ = [
    "AUGMENTATIONS",
    "OFFLINE",
    "ONLINE",
    "Batches",
    "ImageSet",
    "Split",
    "StreamedImages",
    "as_folders",
    "augmentation",
    "decode",
    "fit_square",
    "load",
    "make_split",
]
