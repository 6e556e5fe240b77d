"""Augmentation: torchvision v2 transforms from one uint8 picture to another, drawn anew for each picture."""

import math

from torchvision.transforms import v2

from tl_helpers.errors import CourseError

SINGLE = ("flip", "turn", "crop", "jitter", "blur", "erase", "rand")
AUGMENTATIONS = ("none", *SINGLE, "flip-crop", "colour", "trivial", "shift", "cells")
VIEWS = ("none", "flip", "square")


def augmentation(name: str, size: int, strength: float = 0.5, background: int = 255) -> v2.Transform:
    """A transform from uint8 (1 or 3, H, W) to uint8 (1 or 3, size, size), for one picture at a time.

    none: only resized and cropped to a square. flip-crop: a random part of 60-100 % of the area, mirrored half of the time.
    colour: the same, with brightness, contrast and saturation jittered, and turned grey one time in ten.
    trivial: flip-crop, then one of TrivialAugment's fourteen changes at a random strength (Müller and Hutter, 2021).
    shift: turned up to 10 degrees and moved up to 8 %, never mirrored: for digits, letters, and whatever has a left and a right. What
    it uncovers is black, whatever `background` says: the digits and letters of this course are white on black.
    cells: mirrored both ways, turned by quarters, a part of 80-100 %, brightness and contrast jittered: what may happen to a solar cell.
    The rest make one change alone, as strong as `strength` (0..1) says; their range at 1: flip (mirrored, with a chance of `strength`),
    turn (180 degrees either way; 45 at 0.5), crop (down to a tenth of the area), jitter (colours), blur (a Gaussian of a tenth of
    the side, cut off at its sigma), erase (a grey box of up to half the area), rand (RandAugment's two changes; Cubuk et al., 2020).
    What turn, rand and trivial uncover is filled with `background`, 0 black to 255 white. Geometry comes first, so that colours are jittered on the small picture.
    """
    square, part, mirror = _to_square(size), _part(size, 0.6), v2.RandomHorizontalFlip()
    move = v2.RandomAffine(degrees=10, translate=(0.08, 0.08), interpolation=v2.InterpolationMode.BILINEAR)
    quarters = v2.RandomChoice([v2.Identity(), *(v2.RandomRotation((angle, angle)) for angle in (90, 180, 270))])
    made = {
        "none": square,
        "flip-crop": [part, mirror],
        "colour": [part, mirror, v2.ColorJitter(0.3, 0.3, 0.3), v2.RandomGrayscale(0.1)],
        "trivial": [part, mirror, v2.TrivialAugmentWide(fill=background)],
        "shift": [*square, move],
        "cells": [_part(size, 0.8), mirror, v2.RandomVerticalFlip(), quarters, v2.ColorJitter(0.1, 0.1)],
    }
    if name in SINGLE and not 0 <= strength <= 1:
        raise CourseError(f"There is no {name!r} of strength {strength}: a strength lies in 0..1.")
    if name not in AUGMENTATIONS:
        more = "in training also mixup, cutmix, or one of each, as in trivial+mixup"
        raise CourseError(f"There is no augmentation {name!r}. There are: {', '.join(AUGMENTATIONS)}; {more}.")
    return v2.Compose(_single(name, size, strength, background) if name in SINGLE else made[name])


def views(name: str, size: int) -> list[v2.Transform]:
    """The fixed views that test-time augmentation looks at: flip, the picture and its mirror image; square, all eight ways
    to lay a square; none, the picture alone. The transforms are like those of `augmentation`."""
    if name not in VIEWS:
        raise CourseError(f"There are no views {name!r}. There are: {', '.join(VIEWS)}.")
    angles = (0, 90, 180, 270) if name == "square" else (0,)
    mirrors = (0, 1) if name != "none" else (0,)
    return [
        v2.Compose([*_to_square(size), v2.RandomHorizontalFlip(mirror), v2.RandomRotation((angle, angle))])
        for angle in angles
        for mirror in mirrors
    ]


def _single(name: str, size: int, strength: float, background: int) -> list[v2.Transform]:
    if name == "crop":
        return [_part(size, max(1 - strength, 0.1))]
    linear, part = v2.InterpolationMode.BILINEAR, 0.5 * strength
    # padded with background before a turn; otherwise torchvision draws a fine grey line where the picture ends
    if name == "turn":
        pad, turn = math.ceil(0.21 * size), v2.RandomRotation(180 * strength**2, interpolation=linear, fill=background)
        return [*_to_square(size), v2.Pad(pad, fill=background), turn, v2.CenterCrop(size)]
    changes = {
        "flip": lambda: v2.RandomHorizontalFlip(strength),
        "jitter": lambda: v2.ColorJitter(strength, strength, strength, 0.3 * strength),
        "blur": lambda: v2.GaussianBlur(2 * round(0.1 * size) + 1, (0.05, max(0.06, 0.1 * size * strength))),
        "erase": lambda: v2.RandomErasing(1.0, (0.02, max(0.03, part)), value=128),
        "rand": lambda: v2.RandAugment(magnitude=round(30 * strength), fill=background),
    }
    return [*_to_square(size), changes[name]()]


def _part(size: int, smallest: float) -> v2.Transform:
    return v2.RandomResizedCrop(size, scale=(smallest, 1.0), ratio=(0.85, 1.18), antialias=True)


def _to_square(size: int) -> list[v2.Transform]:
    return [v2.Resize(size, antialias=True), v2.CenterCrop(size)]
