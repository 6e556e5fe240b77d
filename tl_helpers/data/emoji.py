"""844 things drawn by two artists: Google (the source domain) and Twitter (the target domain).

Only those two folders of the package they come in are ever read; its other artists' drawings are proprietary.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from tl_helpers import sources
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import decode, read_many
from tl_helpers.data.kept import kept
from tl_helpers.data.splits import make_split
from tl_helpers.errors import CourseError

ARTISTS = ("google", "twitter")
CLASSES = ("Smileys & Emotion", "Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
NEAR = 8  # bits of 64 in which two drawings' hashes may differ to count as nearly the same
TEST = 207  # items: the same number for every seed, so that results on different splits are comparable


def load_emoji(artist: str, split_seed: int = 0) -> ImageSet:
    """All 844 emoji by one artist, 72x72 RGB on white, in the order of their code points, six categories as classes.

    Row i of both artists' sets shows the same thing, and one `split_seed` splits both alike: 207 test items, and a
    validation set of a seventh of the other 637. Near-duplicates (clock faces, coloured hearts) are groups and stay together.
    """
    folders = [sources.path_of(f"emoji-{name}") for name in ARTISTS]
    pairs = _pairs(folders)
    rows = ("emoji-google", "emoji-twitter", "emoji-labels")
    tensors = kept("emoji", rows, lambda: _decode([file for file, _ in pairs], folders))
    labels = torch.tensor([CLASSES.index(entry["category"]) for _, entry in pairs])
    source = sources.source(f"emoji-{artist}")
    return ImageSet(
        name=source.name,
        images=tensors[artist],
        labels=labels,
        classes=CLASSES,
        names=tuple(entry["name"].lower() for _, entry in pairs),
        groups=tensors["groups"],
        licence=source.licence,
        attribution=source.attribution,
        split=make_split(labels, tensors["groups"], test=TEST, seed=split_seed),
    )


def emoji_files(artist: str) -> list[Path]:
    """The picture files of an artist, in the rows' order, as they were drawn: with transparency and whatever it hides."""
    if artist not in ARTISTS:
        raise CourseError(f"The artists are {' and '.join(ARTISTS)}; found {artist!r}.")
    folders = {name: sources.path_of(f"emoji-{name}") for name in ARTISTS}
    return [folders[artist] / file for file, _ in _pairs(list(folders.values()))]


def _pairs(folders: list[Path]) -> list[tuple[str, dict]]:
    """(file name, label entry) of the emoji that both artists drew, by code point.

    Files with the same bytes in both folders are left out: placeholders whose artist can't be told.
    """
    entries = json.loads(sources.path_of("emoji-labels").read_text(encoding="utf-8"))
    found = []
    for entry in entries:
        points = entry["unified"].split("-")
        file = "-".join(f"U+{point}" for point in points) + ".png"
        drawn = [folder / file for folder in folders if entry["category"] in CLASSES and (folder / file).is_file()]
        if len({path.read_bytes() for path in drawn}) == len(folders):
            found.append(([int(point, 16) for point in points], file, entry))
    return [(file, entry) for _, file, entry in sorted(found, key=lambda row: row[0])]


def _decode(files: list[str], folders: list[Path]) -> dict[str, Tensor]:
    drawn = {
        artist: torch.stack(read_many(lambda i, folder=folder: decode(folder / files[i]), range(len(files))))
        for artist, folder in zip(ARTISTS, folders, strict=True)
    }
    return {**drawn, "groups": near_duplicate_groups(*drawn.values())}


def near_duplicate_groups(first: Tensor, second: Tensor) -> Tensor:
    """Groups of things that look nearly alike in both artists' drawings: uint8 (n, 3, H, W) twice -> int64 (n,).

    Two things are linked when 8x8 difference hashes (dhash of imagehash, on drawings enlarged to 128 px) differ in at most
    NEAR bits for both artists; a chain of links is one group, and a thing with no link is a group of its own.
    """
    import imagehash  # only the first load needs it
    from scipy.sparse.csgraph import connected_components

    links = np.ones((len(first), len(first)), bool)
    for images in (first, second):
        pictures = [to_pil_image(image).resize((128, 128), Image.Resampling.NEAREST) for image in images]
        bits = np.stack([imagehash.dhash(picture).hash.ravel() for picture in pictures])
        links &= (bits[:, None] != bits[None]).sum(-1) <= NEAR
    return torch.from_numpy(connected_components(links, directed=False)[1].astype(np.int64))
