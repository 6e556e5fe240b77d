"""Notebook 03 shows mixup and CutMix in full, just as they are imported, and a crop of a whole batch that does as it says."""

import math

import pytest
import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from torch.nn import functional as F

import tl_helpers as tl


@pytest.fixture(scope="module")
def shown():
    """The functions that the notebook's own cells define: `mix` and `crop_flip`."""
    path = next(path for path in ALL_NOTEBOOKS if path.name.startswith("03_"))
    names = {"math": math, "torch": torch, "F": F}
    wanted = {"mix", "crop_flip"}
    for cell in Lesson(path).code:
        if cell.binds & wanted:
            exec(compile(cell.python, f"notebook 03, cell {cell.index}", "exec"), names)
    assert wanted <= set(names)
    return names


@pytest.mark.parametrize("how", tl.data.MIXES)
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_mixing_shown_is_the_mixing_imported(shown, how, alpha):
    images, labels = torch.randint(0, 256, (9, 3, 20, 28), dtype=torch.uint8), torch.arange(9) % 4
    torch.manual_seed(0)
    pictures, soft = shown["mix"](images, labels, 4, how, alpha)
    torch.manual_seed(0)
    theirs, expected, _ = tl.data.mixed((images, labels, torch.ones(9)), how, 4, alpha)
    assert torch.equal(pictures, theirs)
    torch.testing.assert_close(soft, expected)


def test_the_batch_crop_stays_inside_and_mirrors_half(shown):
    ramp = torch.arange(64, dtype=torch.uint8).expand(400, 3, 64, 64)  # a pixel says its column
    torch.manual_seed(0)
    out = shown["crop_flip"](ramp, 32).float()[:, 0]
    assert out.min() >= 0 and out.max() <= 63
    steps = out[:, 0, -1] - out[:, 0, 0]  # the width seen, negative where mirrored
    assert 0.4 < (steps < 0).float().mean() < 0.6
    assert (steps.abs() * 32 / 31 / 64).min() > 0.6
    assert len({(row[0].item(), row[-1].item()) for row in out[:, 0]}) > 100  # each picture its own
