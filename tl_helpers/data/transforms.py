"""Augmentation: torchvision v2 transforms from one uint8 picture to another, drawn anew for each picture."""

from torchvision.transforms import v2

from tl_helpers.errors import CourseError

AUGMENTATIONS = ("none", "flip-crop", "colour", "trivial", "shift", "cells")


def augmentation(name: str, size: int) -> v2.Transform:
    """A transform from uint8 (1 or 3, H, W) to uint8 (1 or 3, size, size), for one picture at a time.

    none: only brought to size. flip-crop: a random part of 60-100 % of the area, mirrored half of the time.
    colour: the same, with brightness, contrast and saturation jittered, and grey one time in ten.
    trivial: flip-crop, then one of TrivialAugment's fourteen changes at a random strength (Müller and Hutter, 2021), on white.
    shift: turned up to 10 degrees and moved up to 8 %, never mirrored: for digits, letters, and whatever has a side.
    cells: mirrored both ways, turned by quarters, a part of 80-100 %, contrast jittered: what may happen to a solar cell.
    Geometry comes first, so that colours are jittered on the small picture.
    """
    mirror = v2.RandomHorizontalFlip()
    if name == "none":
        return v2.Compose(_to_square(size))
    if name == "flip-crop":
        return v2.Compose([_part(size, 0.6), mirror])
    if name == "colour":
        jitter = v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3)
        return v2.Compose([_part(size, 0.6), mirror, jitter, v2.RandomGrayscale(0.1)])
    if name == "trivial":
        return v2.Compose([_part(size, 0.6), mirror, v2.TrivialAugmentWide(fill=255)])
    if name == "shift":
        move = v2.RandomAffine(degrees=10, translate=(0.08, 0.08), interpolation=v2.InterpolationMode.BILINEAR)
        return v2.Compose([*_to_square(size), move])
    if name == "cells":
        quarters = v2.RandomChoice([v2.Identity(), *(v2.RandomRotation((angle, angle)) for angle in (90, 180, 270))])
        jitter = v2.ColorJitter(brightness=0.1, contrast=0.1)
        return v2.Compose([_part(size, 0.8), mirror, v2.RandomVerticalFlip(), quarters, jitter])
    raise CourseError(f"There is no augmentation {name!r}. There are: {', '.join(AUGMENTATIONS)}.")


def _part(size: int, smallest: float) -> v2.Transform:
    return v2.RandomResizedCrop(size, scale=(smallest, 1.0), ratio=(0.85, 1.18), antialias=True)


def _to_square(size: int) -> list[v2.Transform]:
    return [v2.Resize(size, antialias=True), v2.CenterCrop(size)]
