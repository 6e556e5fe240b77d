"""Augmentation across classes: two pictures become one, and its label says how much of each is in it."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from tl_helpers.data.batches import Batches, Passes, derived_seed, digest
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.transforms import augmentation
from tl_helpers.errors import CourseError

MIXES = ("mixup", "cutmix")


def mixup(images: Tensor, partners: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Overlay each picture with its partner (Zhang et al., 2018): uint8 (b, C, H, W) again, and the share kept, (b,).

    share: float32 (b,) in [0, 1], how much of each picture stays. torchvision's v2.MixUp draws one share for a whole batch.
    """
    kept = share.view(-1, 1, 1, 1)
    return (kept * images + (1 - kept) * partners).round().to(torch.uint8), share


def cutmix(images: Tensor, partners: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a box of its partner into each picture (Yun et al., 2019): uint8 (b, C, H, W), and the share kept, (b,).

    The box covers 1 - `share` of the area and its centre may be anywhere; it is cut off at the picture's edge, and the
    share that is returned counts the pixels that stayed.
    """
    (height, width), n = images.shape[-2:], len(images)
    half = (1 - share).sqrt().view(n, 1) / 2
    centre = torch.rand(2, n, 1)
    rows = ((torch.arange(height) + 0.5) / height - centre[0]).abs() < half
    columns = ((torch.arange(width) + 0.5) / width - centre[1]).abs() < half
    box = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(box, partners, images), 1 - box.float().mean((1, 2, 3))


def mixed(batch: tuple, how: str, classes: int, alpha: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """A batch (images uint8, labels int64 (b,), weights) with every picture mixed with a random one of the batch.

    Labels become distributions, float32 (b, classes), each row the shares of its two pictures. A share is drawn for each
    picture separately, from Beta(alpha, alpha): 1 is uniform, 0.2 leaves most pictures nearly as they were. A picture's
    weight is mixed like its label.
    """
    images, labels, weights = batch
    other = torch.randperm(len(labels))
    share = torch.distributions.Beta(alpha, alpha).sample((len(labels),))
    images, share = {"mixup": mixup, "cutmix": cutmix}[how](images, images[other], share)
    known = F.one_hot(labels, classes).float()
    soft = share[:, None] * known + (1 - share[:, None]) * known[other]
    return images, soft, share * weights + (1 - share) * weights[other]


class Mixed(Passes):
    """Batches whose pictures are mixed within each batch, afresh each epoch by (seed, epoch, batch); see `mixed`."""

    def __init__(self, batches: Batches, how: str, alpha: float = 1.0) -> None:
        if how not in MIXES or not alpha > 0:
            raise CourseError(f"Pictures are mixed by {' or '.join(MIXES)} with alpha > 0; found {how!r}, {alpha}.")
        self.batches, self.how, self.alpha = batches, how, alpha
        self.role, self.n, self.size, self.image_set = batches.role, batches.n, batches.size, batches.image_set

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of what is mixed, and how."""
        return digest(self.batches.fingerprint, self.how, self.alpha)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        epoch = self._begin()
        self.batches.set_epoch(epoch)
        for number, batch in enumerate(self.batches):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(derived_seed(self.batches.seed, epoch, number, 1))
                ours = mixed(batch, self.how, len(self.batches.image_set.classes), self.alpha)
            yield ours


def training_batches(
    image_set: ImageSet, augment: str | v2.Transform = "none", *, size: int, **settings
) -> Batches | Mixed:
    """Shuffled batches, augmented by name (see `augmentation_parts`) or by a transform. `settings` go to Batches."""
    transform, how = augmentation_parts(augment, size) if isinstance(augment, str) else (augment, None)
    batches = Batches(image_set, size=size, augment=transform, shuffle=True, **settings)
    return Mixed(batches, how) if how else batches


def augmentation_parts(name: str, size: int) -> tuple[v2.Transform | None, str | None]:
    """The transform of single pictures that a name stands for, and how pictures are mixed; None for neither.

    A name is one of AUGMENTATIONS, "mixup" or "cutmix", or one of each, as in "trivial+mixup"; CourseError for any other.
    """
    names = name.split("+")
    how = names.pop() if names[-1] in MIXES else None
    if len(names) > 1:
        raise CourseError(f"{name!r}: one augmentation, then one of {', '.join(MIXES)}, as in 'trivial+mixup'.")
    return (augmentation(names[0], size) if names and names != ["none"] else None), how
