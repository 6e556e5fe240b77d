"""A set of labelled pictures: pixels, labels, names, and which of them are for training, validation and test."""

import functools
import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tl_helpers.data.images import StreamedImages, fit_square, fits_in_memory
from tl_helpers.data.labelled import Labelled
from tl_helpers.data.splits import Split
from tl_helpers.errors import CourseError


@dataclass(frozen=True, eq=False)
class ImageSet(Labelled):
    """Labelled pictures in a fixed order; also a torch map-style dataset: `image_set[i]` is (uint8 (C, H, W), label).

    images: uint8 (n, C, H, W), C = 1 or 3, or StreamedImages of that shape. labels: int64 (n,), positions in `classes`.
    names: what each picture is. weights: float32 (n,) or None (all count alike). groups: int64 (n,) or None; items of one
    group stay on one side of a split. columns: further tensors of length n (ELPV: "probability", "type"). background: what
    shows where a file is transparent.
    role: "all" has `.train`, `.val` and `.test`, which know their role: the engine never trains on a test set.
    """

    by_item = ("images", "labels", "names", "weights", "groups", "columns")
    name: str
    images: Tensor | StreamedImages
    labels: Tensor
    classes: tuple[str, ...]
    names: tuple[str, ...]
    licence: str
    attribution: str
    weights: Tensor | None = None
    groups: Tensor | None = None
    columns: dict[str, Tensor] = field(default_factory=dict)
    role: str = "all"
    split: Split | None = None
    background: str = "white"
    _resized: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)  # by size; the last one only

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        for name in ("classes", "names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
            raise CourseError(f"images have to be uint8 (n, 1 or 3, H, W); found {self.images.dtype} {shape}.")
        columns = {"names": self.names, "weights": self.weights, "groups": self.groups, **self.columns}
        self._check_labels(shape[0], "images", columns)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self._label(index)  # an IndexError ends a plain `for image, label in image_set`

    def __repr__(self) -> str:
        _, channels, height, width = self.images.shape
        return f"ImageSet({self.name!r}, {self.role}: {len(self)} of {channels}x{height}x{width}, {len(self.classes)} classes)"

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of name, pixels (if streamed, their files' names, sizes and times instead) and labels."""
        digest = hashlib.sha256(f"{self.name} {tuple(self.images.shape)}".encode("utf-8", "surrogateescape"))
        if isinstance(self.images, StreamedImages):
            digest.update(self.images.state.encode())
            digest.update(self.images.indices.numpy())
        else:
            digest.update(self.images.contiguous().numpy())
        digest.update(self.labels.contiguous().numpy())
        return digest.hexdigest()

    def resized(self, size: int) -> Tensor:
        """uint8 (n, C, size, size), antialiased bilinear; the last size asked for is kept.

        Raises CourseError if that does not fit into memory: `Batches` then resizes batch by batch.
        """
        if isinstance(self.images, Tensor) and self.images.shape[-2:] == (size, size):
            return self.images
        if size not in self._resized:
            if not self.fits(size):
                raise CourseError(f"{self.name} at {size} px does not fit into memory. Go through it with Batches.")
            chunks = torch.arange(len(self)).split(256)
            kept = torch.cat([fit_square(self.images[chunk], size) for chunk in chunks])
            self._resized.clear()
            self._resized[size] = kept
        return self._resized[size]

    def fits(self, size: int) -> bool:
        """Whether the whole set at this size is in memory, or fits into what is free now."""
        return size in self._resized or fits_in_memory(len(self) * self.images.shape[1] * size**2)
