"""One loader for every set, by name or by folder."""

import difflib
import os
from numbers import Integral
from pathlib import Path

import torch

from tl_helpers.data.drawn import load_drawn
from tl_helpers.data.elpv import load_elpv
from tl_helpers.data.emoji import load_emoji
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.splits import make_split
from tl_helpers.data.text import TEXTS, TextSet, is_text, load_text
from tl_helpers.errors import CourseError

OFFLINE = ("emoji-google", "emoji-twitter", "elpv", "digits", "drawn-digits", "drawn-characters")
ONLINE = ("Flowers102", "OxfordIIITPet", "CIFAR10")


def load(
    name_or_path: str | Path,
    *,
    split_seed: int = 0,
    split: str = "default",
    skip_bad: bool = False,
    background: str = "white",
    image_size: int | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
) -> ImageSet | TextSet:
    """A set of labelled pictures or texts with a split drawn by `split_seed`: learn from `.train`, choose by `.val`, keep `.test` for the end.

    By name: "emoji-google", "emoji-twitter", "elpv" (split="blocks" keeps runs of neighbouring cells together),
    "digits" (scikit-learn's 8x8 handwriting), "drawn-digits" and "drawn-characters" (in fonts, 16x16), and with a network torchvision's "Flowers102", "OxfordIIITPet", "CIFAR10".
    By path: a folder `root/class/*.png`, or one with `train/`, `val/` and `test/` inside (see `load_folder`), to which
    `skip_bad`, `background` and `image_size` apply. Texts: "reuters-r8", "reuters-r52", "20newsgroups", or a .csv, .tsv or .jsonl file (see `load_text`).
    Raises CourseError for anything else, naming what is available.
    """
    name = str(name_or_path)
    path = Path(os.path.expanduser(name))
    if not name:
        raise CourseError("load takes the name of a set, or a path; found an empty text.")
    if not isinstance(split_seed, Integral) or split_seed < 0:
        raise CourseError(f"split_seed is 0 or more; found {split_seed!r}.")
    if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):
        raise CourseError(f"{path} can't be read (permission denied).")
    if split != "default" and name != "elpv":
        raise CourseError(f"split={split!r} is for elpv; {name} has only the default split.")
    if (name in OFFLINE or is_text(name)) and (image_size or background != "white"):
        raise CourseError(f"image_size and background are for folders; {name} is kept as it came. Batches take a size.")
    if name.startswith("emoji-") and name in OFFLINE:
        return load_emoji(name.removeprefix("emoji-"), split_seed)
    if name == "elpv":
        return load_elpv(split_seed, split)
    if name == "digits":
        return load_digits(split_seed)
    if name in ("drawn-digits", "drawn-characters"):
        return load_drawn(name, split_seed)
    if is_text(name):
        return load_text(name, split_seed, text_column=text_column, label_column=label_column, skip_bad=skip_bad)
    if name in ONLINE:
        from tl_helpers.data.online import load_online

        return load_online(name, split_seed, image_size)
    if os.path.exists(path):
        from tl_helpers.data.folders import load_folder

        return load_folder(path, split_seed, skip_bad=skip_bad, background=background, image_size=image_size)
    close = difflib.get_close_matches(name, [*OFFLINE, *TEXTS, *ONLINE], 1)
    raise CourseError(
        f"There is no set or folder {name!r}{f'; did you mean {close[0]!r}?' if close else '.'} The names are "
        f"{', '.join([*OFFLINE, *TEXTS])}, with a network also {', '.join(ONLINE)}; or give a folder that contains one "
        "folder per class, or a .csv, .tsv or .jsonl file of texts and labels."
    )


def load_digits(split_seed: int = 0) -> ImageSet:
    """scikit-learn's 1,797 handwritten digits (UCI, Alpaydin and Kaynak 1998): uint8 (1797, 1, 8, 8), 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits as read

    digits = read()
    labels = torch.from_numpy(digits.target).long()
    return ImageSet(
        name="digits",
        images=torch.from_numpy(digits.images * 255 / 16).round().to(torch.uint8)[:, None],
        labels=labels,
        classes=tuple("0123456789"),
        names=tuple(f"digit {i}" for i in range(len(labels))),
        licence="CC-BY-4.0",
        attribution="Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak, UCI repository (CC-BY-4.0)",
        split=make_split(labels, seed=split_seed),
    )
