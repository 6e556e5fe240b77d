"""A set written as folders of pictures, in the form that torchvision's ImageFolder and the article's second listing read."""

import os
import re
import tempfile
from pathlib import Path

from torchvision.transforms.v2.functional import to_pil_image

from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.load import load
from tl_helpers.errors import CourseError

MARK = ".tl-set"  # says which set a folder contains; neither a picture nor a folder, so ImageFolder never sees it


def as_folders(name: str, directory: Path | str, *, split_seed: int = 0) -> Path:
    """Write `train/`, `val/` and `test/` of a set as `class/00007-its-name.png`, RGB, and return the directory.

    The pixels are those that `load` returns: transparent parts are already on white, where torchvision's own loader would
    show the colour hidden beneath them. The number is the item's row, so both artists' files of one emoji share a name.
    A directory that already contains the same set and split is left as it is; with anything else in it, it is a CourseError.
    """
    target = Path(directory).expanduser()
    whole = load(name, split_seed=split_seed)
    if whole.split is None or not hasattr(whole, "images"):
        raise CourseError(f"{name} has no pictures with a split to write.")
    mark = f"{whole.fingerprint} {whole.split.hash}\n"
    try:
        if _contains(target, mark):
            return target
        if target.exists():
            if not target.is_dir() or any(target.iterdir()):
                raise CourseError(f"{target} contains something else. Choose another directory or remove it.")
            target.rmdir()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            written = Path(temporary) / "set"
            _write(whole, written)
            (written / MARK).write_text(mark)
            written.rename(target)  # so an interrupted run leaves no half-written set behind
    except OSError as error:
        if not _contains(target, mark):  # else another process was quicker
            raise CourseError(f"{target} can't be written ({error.strerror}). Choose a directory elsewhere.") from error
    return target


def _contains(target: Path, mark: str) -> bool:
    return os.path.isfile(target / MARK) and (target / MARK).read_text() == mark


def _write(whole: ImageSet, folder: Path) -> None:
    for role in ("train", "val", "test"):
        for label in whole.classes:
            (folder / role / label).mkdir(parents=True)
        for row in getattr(whole.split, role).tolist():
            image, label = whole[row]
            slug = re.sub(r"[^a-z0-9]+", "-", Path(whole.names[row]).stem.lower()).strip("-")[:60]
            picture = to_pil_image(image).convert("RGB")
            picture.save(folder / role / whole.classes[label] / f"{row:05d}-{slug}.png", compress_level=1)
