"""ELPV: 2,624 electroluminescence photographs of solar cells (Buerhop-Lutz et al. 2018, Deitsch et al. 2019)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tl_helpers import sources
from tl_helpers.data.image_set import ImageSet
from tl_helpers.data.images import decode, read_many
from tl_helpers.data.kept import kept
from tl_helpers.data.splits import make_split
from tl_helpers.errors import CourseError

CLASSES = ("functional", "defective")
TYPES = ("mono", "poly")
# Runs of 164 neighbours. The type changes along the file in steps of 60 and 72 cells, a module's size, so most modules
# are whole within one run; with 44 runs, as many as there were modules, most are cut and a probe scores 3 points more.
BLOCKS = 16
# How much a cell counts, by its probability in thirds: as in the paper, cells that the experts doubt count for less.
WEIGHTS = (1.0, 0.33, 0.67, 1.0)


def load_elpv(split_seed: int = 0, split: str = "default") -> ImageSet:
    """All cells, uint8 (2624, 1, 300, 300), in the file's order; the classes are functional and defective.

    As in the paper (arXiv 1807.02894), a cell is defective where the experts' probability is above 0, and an uncertain
    cell counts 0.33 (probability 1/3) or 0.67 (2/3). `columns` has "probability" (float32: 0, 1/3, 2/3, 1) and "type"
    (int64: 0 mono, 1 poly).

    split="default": a quarter is for testing (656 cells; of the other 1,968, a seventh is for validation), stratified by
    probability and type. split="blocks": the file cut into 16 runs of neighbours that stay whole, about a quarter to test.
    The table does not name modules; the cells seem to be in the modules' order, so the runs only approximate modules. This
    split is the hard one: a linear probe (Lite0, 128 px) falls from 0.80 to 0.72.
    """
    if split not in ("default", "blocks"):
        raise CourseError(f"elpv has the splits 'default' and 'blocks'; found {split!r}.")
    source, folder = sources.source("elpv"), sources.path_of("elpv")
    rows = [line.split() for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()]
    thirds = torch.tensor([round(3 * float(probability)) for _, probability, _ in rows])
    types = torch.tensor([TYPES.index(kind) for _, _, kind in rows])
    groups = torch.arange(len(rows)) * BLOCKS // len(rows) if split == "blocks" else None
    strata = thirds * len(TYPES) + types
    return ImageSet(
        name=source.name,
        images=kept("elpv", ("elpv",), lambda: _decode(folder, [path for path, _, _ in rows]))["cells"],
        labels=(thirds > 0).long(),
        classes=CLASSES,
        names=tuple(Path(path).name for path, _, _ in rows),
        weights=torch.tensor(WEIGHTS)[thirds],
        groups=groups,
        columns={"probability": (thirds / 3).float(), "type": types},
        licence=source.licence,
        attribution=source.attribution,
        split=make_split(np.asarray(strata), groups, seed=split_seed),
    )


def _decode(folder: Path, paths: list[str]) -> dict[str, Tensor]:
    return {"cells": torch.stack(read_many(lambda i: decode(folder / paths[i])[:1], range(len(paths))))}
