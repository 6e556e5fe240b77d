"""A folder of your own pictures as a set: `root/class/*.png`, or `root/train/class/*.png` with val and test next to it."""

import os
from collections import Counter
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import StreamedImages, check_colour, decode, picture_size, read_many, room_for
from tl_helpers.data.splits import Split, make_split
from tl_helpers.errors import CourseError, count
from tl_helpers.sources import state_of

PARTS = ("train", "val", "test")
ALIASES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")  # usual endings; any other is tried too
LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")  # and whatever starts with a dot
LARGEST_KEPT = 512  # pixels: a folder of equal squares up to this size stays as it is
DEFAULT_SIZE = 256


def load_folder(
    root: Path, split_seed: int = 0, *, skip_bad: bool = False, background: str = "white", image_size: int | None = None
) -> ImageSet:
    """The pictures below `root` as uint8 (n, 3, size, size), sorted by class and name; classes are the sorted folder names.

    A folder with `train/` inside brings its own split; a part that it lacks is cut from train. Files with the same bytes are
    one group: a cut keeps them together, and one printed line reports them. Pictures that are all squares of one size (at
    most 512 px) keep that size; of others the shorter side is resized to `image_size` (default 256) and the middle cut out.
    They are decoded into memory if they fit; otherwise they are read when needed, and one printed line says so.
    Files that are broken or not pictures raise an error that lists them; `skip_bad=True` leaves them out and prints which.
    """
    if not root.is_dir():
        raise CourseError(
            f"{root} is a file. For pictures, give the folder that contains one folder per class; save texts with labels as "
            ".csv, .tsv or .jsonl."
        )
    root = root.resolve()  # "." has no name
    classes, items = _find(root)
    files = [file for file, _, _ in items]
    pixels, good = read_files(root, files, skip_bad, background, image_size)
    labels = torch.tensor([items[i][1] for i in good], dtype=torch.int64)
    _check_classes(root, classes, labels)
    groups = _equal_files([files[i] for i in good])
    repeated = len(groups) - len(np.unique(groups))
    if repeated:
        print(
            f"{root.name}: {count(repeated, 'repeated file')}, byte for byte. Where a part is cut off, they stay on one "
            "side; parts that you bring stay as they are."
        )
    return ImageSet(
        name=root.name,
        images=pixels,
        labels=labels,
        classes=classes,
        names=tuple(files[i].relative_to(root).as_posix() for i in good),
        licence="your own",
        attribution="",
        groups=torch.from_numpy(groups) if repeated else None,
        split=_split(classes, np.array([items[i][2] for i in good]), labels.numpy(), groups, split_seed),
        background=background,
    )


def read_files(
    root: Path, files: list[Path], skip_bad: bool, background: str = "white", image_size: int | None = None
) -> tuple[Tensor | StreamedImages, list[int]]:
    """The pictures as in `load_folder`, and the positions in `files` of those that can be used."""
    check_colour(background)  # once, and not as a problem of every picture
    if image_size is not None and image_size < 1:
        raise CourseError(f"image_size is a number of pixels, 1 or more; found {image_size}.")
    sizes = _read_or_name(lambda i: picture_size(files[i]), range(len(files)))
    good = [i for i, found in enumerate(sizes) if not isinstance(found, CourseError)]
    size = image_size or _common_size([sizes[i] for i in good])
    read = partial(_decode_item, tuple(map(str, files)), background, size)
    problems = {i: found for i, found in enumerate(sizes) if isinstance(found, CourseError)}
    pixels = room_for(root.name, len(good), size)

    def look(row: int) -> None:
        # once, even if it is not kept: a truncated file is reported now, not in the middle of training
        picture = read(good[row])
        if pixels is not None:
            pixels[row] = picture

    outcome = _read_or_name(look, range(len(good)))
    problems |= {good[row]: found for row, found in enumerate(outcome) if isinstance(found, CourseError)}
    if pixels is not None and any(outcome):
        pixels = pixels[[row for row, found in enumerate(outcome) if found is None]]
    good = [i for i in good if i not in problems]
    if pixels is None:
        state = f"{background} {state_of([files[i] for i in good])}"
        pixels = StreamedImages(read, torch.tensor(good), size, state)
    report_bad(root, [str(problems[i]) for i in sorted(problems)], skip_bad)
    return pixels, good


def _find(root: Path) -> tuple[tuple[str, ...], list[tuple[Path, int, str]]]:
    """Classes, and (file, label, part) for every file below them; part is "" where the folder brings no split."""
    names = {folder: _part(folder.name) for folder in _folders(root)}
    parts = {part: folder for part in PARTS for folder, name in names.items() if name == part}
    if len(parts) == len(names) > 1 and not is_split(root):
        raise CourseError(f"{root}: {' and '.join(parts)} need a folder per class in them, such as train/cat/1.png.")
    if not is_split(root):
        parts = {"": root}
    elif len(parts) < len(names):
        raise CourseError(
            f"{root} has {', '.join(sorted(folder.name for folder in names))}. Next to a train folder there may be one "
            "val and one test folder, and nothing else; otherwise give one folder per class and no train."
        )
    classes = tuple(sorted({folder.name for folder in _folders(next(iter(parts.values())))}))
    if not classes:
        raise CourseError(
            f"{root} has no folders of pictures in it. Expected one folder per class, such as {root.name}/cat/1.png and "
            f"{root.name}/dog/2.png, or train/, val/ and test/ with those inside. (`cluster` groups pictures without classes.)"
        )
    items = []
    for part, folder in parts.items():
        inside = folder.iterdir() if part else ()
        if loose := [file for file in inside if is_item(file) and file.suffix.lower() in PICTURES]:
            raise CourseError(
                f"{folder} contains {count(len(loose), 'picture')} outside any class folder, such as {loose[0].name}, so the "
                "class is unknown. Move them into the folders of their classes, or elsewhere."
            )
        for top in _folders(folder):
            if top.name not in classes:
                raise CourseError(f"{top} is a class that {parts['train']} does not have, so it could not be learnt.")
            items += [(file, classes.index(top.name), part) for file in files_below(top)]
    return classes, items


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _part(name: str) -> str:
    return ALIASES.get(name.lower(), name.lower())


def holds_classes(root: Path) -> bool:
    """Whether `root`, or its train folder if it has one, contains two folders or more with pictures (by their endings)."""
    train = [folder for folder in _folders(root) if _part(folder.name) == "train"]
    inside = [files_below(folder) for folder in _folders(train[0] if train else root)]
    return sum(any(file.suffix.lower() in PICTURES for file in files) for files in inside) > 1


def is_split(root: Path) -> bool:
    """Whether `root` has a train folder with folders in it; one without them is a class, like bus and car."""
    return any(_part(folder.name) == "train" and _folders(folder) for folder in _folders(root))


def class_of(name: str, split: bool) -> str:
    """The class folder of a file, by its path `name` below a root (below one of its parts if it is split); "" for none."""
    first, second, *_ = *Path(name).parts[:-1], "", ""
    return second if split and _part(first) in PARTS else first


def files_below(folder: Path) -> list[Path]:
    """The files at any depth that are meant to be pictures, sorted; hidden folders are skipped."""
    if not os.access(folder, os.R_OK | os.X_OK):  # rglob would silently find nothing
        raise CourseError(f"{folder} can't be read (permission denied).")
    found = [file for file in sorted(folder.rglob("*")) if is_item(file)]
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def is_item(file: Path) -> bool:
    """Whether a file is meant to be a picture: neither hidden nor left behind by the operating system."""
    return file.is_file() and not file.name.startswith(".") and file.name.lower() not in LEFT_BY_SYSTEMS


def _decode_item(files: tuple[str, ...], background: str, size: int, i: int) -> Tensor:
    return decode(files[i], background, size=size)


def _read_or_name(read, indices) -> list:
    """`read(i)` for each, or the CourseError it raised, so that bad files can be listed and not only the first."""

    def attempt(i: int):
        try:
            return read(i)
        except CourseError as error:
            return error

    return read_many(attempt, indices)


def _common_size(sizes: list[tuple[int, int]]) -> int:
    first = sizes[0] if sizes else (0, 1)
    same_squares = first[0] == first[1] <= LARGEST_KEPT and set(sizes) == {first}
    return first[0] if same_squares else DEFAULT_SIZE


def report_bad(root: Path, problems: list[str], skip_bad: bool) -> None:
    """Name the files that can't be used: in a CourseError, or in print if they are to be left out."""
    if not problems:
        return
    shown = "\n  ".join([*problems[:20], *([f"… and {len(problems) - 20} more"] if len(problems) > 20 else [])])
    if not skip_bad:
        raise CourseError(
            f"{len(problems)} of the files in {root} can't be used:\n  {shown}\nMend or remove them, or leave them out with "
            "skip_bad=True (--skip-bad)."
        )
    print(f"{root.name}: left out {count(len(problems), 'file')} that can't be used:\n  {shown}")


def _check_classes(root: Path, classes: tuple[str, ...], labels: Tensor) -> None:
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    if empty := [name for name, count in zip(classes, counts, strict=True) if not count]:
        raise CourseError(f"No picture in {root} for: {', '.join(empty)}. Remove the empty folder or add pictures.")
    if len(classes) < 2:
        inside = [folder.name for folder in _folders(root / classes[0])] if (root / classes[0]).is_dir() else []
        hint = f" {classes[0]} itself contains folders ({', '.join(inside[:3])}): did you mean {root / classes[0]}?"
        one = f"{root} has only one class, {classes[0]!r}. Telling things apart takes two folders or more."
        raise CourseError(one + (hint if len(inside) > 1 else ""))
    _check_counts(classes, labels.numpy(), "to train, to choose and to test")


def _check_counts(classes: tuple[str, ...], labels: np.ndarray, why: str) -> None:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    if few := [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < 3]:
        raise CourseError(f"A class needs three pictures {why}. Too few: {', '.join(few)}.")


def _equal_files(files: list[Path]) -> np.ndarray:
    """int64 (n,): a number for each file, the same for the same bytes. Only files whose size occurs twice are read."""
    sizes = [file.stat().st_size for file in files]
    times, numbers = Counter(sizes), {}
    what = read_many(lambda i: sha256(files[i].read_bytes()).digest() if times[sizes[i]] > 1 else i, range(len(files)))
    return np.array([numbers.setdefault(one, len(numbers)) for one in what], dtype=np.int64)


def _split(classes: tuple[str, ...], parts: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> Split:
    """The split that the folder brings; if val or test is missing, it is cut from train (without a split: from all).

    The first file of a group is assigned by `make_split`, and the others follow it.
    """
    role = np.where(parts == "", "train", parts).astype("U5")
    train = np.flatnonzero(role == "train")
    if unseen := sorted(set(labels.tolist()) - set(labels[train].tolist())):
        raise CourseError(f"train has no picture for {', '.join(classes[i] for i in unseen)}, found in val or test.")
    lacking = [part for part in ("val", "test") if part not in role]
    if lacking:
        _, first, of = np.unique(groups[train], return_index=True, return_inverse=True)
        _check_counts(classes, labels[train][first], f"that differ, from which {' and '.join(lacking)} can be cut")
        # If the folder has its own test part, no other is cut off.
        cut = make_split(labels[train][first], test=0.25 if "test" in lacking else 0, seed=seed)
        for part in lacking:
            role[train[np.isin(of, getattr(cut, part))]] = part
    return Split(*(np.flatnonzero(role == part) for part in PARTS))
