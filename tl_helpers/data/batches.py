"""Batches of a set: order and augmentation depend on (seed, epoch) only, however many workers make them."""

import hashlib
import re
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import fit_square
from tl_helpers.errors import CourseError

Batch = tuple[Tensor, Tensor, Tensor]


class Passes:
    """Batches of `batch_size` out of `n` items. Each pass is one epoch, counted from 0."""

    n: int
    batch_size: int
    _epoch = 0

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass this epoch's, in its order and in whatever else is drawn anew."""
        self._epoch = epoch

    def _begin(self) -> int:
        """The epoch of the pass that begins; the pass after it is the next epoch's."""
        self._epoch += 1
        return self._epoch - 1


class Batches(Passes):
    """Iterable of (inputs uint8 (b, C, size, size), labels int64 (b,), weights float32 (b,)).

    augment: a transform from one uint8 picture to another of `size` (see `augmentation`), called for each picture with
    fresh random numbers; None: pictures are only resized, once. shuffle: a new order each epoch; a last batch of one item
    joins the batch before it, because a batch norm in training can't estimate a spread from one sample.
    Each pass is one epoch, counted from 0; `set_epoch(e)` says which comes next, so that training resumed at epoch e
    sees what an uninterrupted run would have seen. The caller's random state is left as it was.
    workers: processes that prepare batches (0: none, the right choice in a notebook); they affect only the speed.
    """

    def __init__(
        self,
        image_set: ImageSet,
        *,
        batch_size: int = 32,
        size: int = 128,
        augment: v2.Transform | None = None,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 0,
        pin_memory: bool = False,
        drop_last: bool = False,
    ) -> None:
        if isinstance(augment, str):
            raise CourseError(f"Batches take a transform, not a name: augment=augmentation({augment!r}, {size}).")
        if batch_size < 1 or size < 1 or workers < 0 or seed < 0:
            raise CourseError(
                f"batch_size and size have to be at least 1, workers and seed at least 0; found batch_size={batch_size}, "
                f"size={size}, workers={workers}, seed={seed}."
            )
        if not len(image_set):
            raise CourseError(f"The {image_set.role} part of {image_set.name} is empty: nothing to make batches of.")
        self.image_set, self.batch_size, self.shuffle = image_set, int(batch_size), shuffle
        self.seed, self.drop_last, self.size = int(seed), drop_last, int(size)
        self.role, self.n = image_set.role, len(image_set)
        if drop_last:
            self.n -= self.n % batch_size
        self._joins = shuffle and self.n > batch_size and self.n % batch_size == 1
        self.pin_memory = pin_memory and torch.cuda.is_available()
        self._maker = _Maker(image_set, size, augment, seed)
        how = {"batch_size": None, "num_workers": workers, "pin_memory": self.pin_memory, "persistent_workers": True}
        how["generator"] = torch.Generator()  # its own: otherwise the loader draws its base seed from the caller's
        self._loader = DataLoader(self._maker, sampler=_Keys(self), **how) if workers else None

    def __len__(self) -> int:
        return super().__len__() - self._joins

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of everything that determines the batches: pictures, weights, order, size and augmentation."""
        augment = re.sub(r" at 0x\w+", "", repr(self._maker.augment))  # a function's address differs in every process
        what = [self.image_set.fingerprint, self.batch_size, self._maker.size, augment, self._maker.weights.tolist()]
        if self._maker.augment is not None:  # two functions may have the same repr and do different things
            what.append(self._maker._augmented(self._maker.images[torch.arange(min(2, self.n))], 0).tolist())
        return digest(*what, self.seed, self.shuffle, self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        if self._loader is not None:
            yield from self._loader
            return
        for key in self._keys():
            batch = self._maker[key]
            yield tuple(tensor.pin_memory() for tensor in batch) if self.pin_memory else batch

    def _keys(self) -> Iterator[tuple[int, int, Tensor]]:
        """(epoch, batch, positions) of this pass: all that a worker needs to know."""
        epoch = self._begin()
        order = torch.arange(len(self.image_set))
        if self.shuffle:
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(derived_seed(self.seed, epoch)))
        parts = list(order[: self.n].split(self.batch_size)) if self.n else []  # torch splits 0 items into 1 empty part
        if self._joins:
            parts[-2:] = [torch.cat(parts[-2:])]
        for batch, positions in enumerate(parts):
            yield epoch, batch, positions


class _Keys:
    """A sampler that yields `_keys`: each batch carries the numbers from which its seed is derived."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[int, int, Tensor]]:
        return self.batches._keys()


class _Maker:
    """Makes one finished batch from its key; it has no mutable state, so it may live in any process."""

    def __init__(self, image_set: ImageSet, size: int, augment: v2.Transform | None, seed: int) -> None:
        self.size, self.augment, self.seed = size, augment, seed
        self.ready = augment is None and image_set.fits(size)
        self.images = image_set.resized(size) if self.ready else image_set.images
        self.labels = image_set.labels
        self.weights = torch.ones(len(image_set)) if image_set.weights is None else image_set.weights

    def __getitem__(self, key: tuple[int, int, Tensor]) -> Batch:
        epoch, batch, positions = key
        images = self.images[positions]
        if self.augment is not None:
            images = self._augmented(images, derived_seed(self.seed, epoch, batch))
        elif not self.ready:
            images = fit_square(images, self.size)
        return images, self.labels[positions], self.weights[positions]

    def _augmented(self, images: Tensor, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would reseed the GPUs as well
            augmented = torch.stack([self.augment(image) for image in images])
        if augmented.dtype != torch.uint8 or augmented.shape[-2:] != (self.size, self.size):
            raise CourseError(
                f"augment has to return uint8 pictures of {self.size}x{self.size}; found {augmented.dtype} "
                f"{tuple(augmented.shape[1:])}. Give augment the batches' size; normalisation belongs to the backbone."
            )
        return augmented


def digest(*what) -> str:
    """sha256 (hex) of all that determines some batches."""
    return hashlib.sha256(repr(what).encode()).hexdigest()


def derived_seed(*numbers: int) -> int:
    """One 63-bit seed from several small ones, such as (seed, epoch, batch)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
