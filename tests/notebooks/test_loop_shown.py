"""Notebook 07 shows the training loop in full, once. What is shown and what is imported end with the same weights."""

import copy
import math

import pytest
import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from torch import nn
from torch.nn import functional as F

import tl_helpers as tl
from tl_helpers.data import Batches, ImageSet
from tl_helpers.engine.fit import fit
from tl_helpers.engine.settings import Settings


@pytest.fixture(scope="module")
def shown():
    """The names that the notebook's own cells define: `one_cycle`, `look` and `train_loop`."""
    path = next(path for path in ALL_NOTEBOOKS if path.name.startswith("07_"))
    names = {"copy": copy, "math": math, "torch": torch, "nn": nn, "F": F, "tl": tl}
    wanted = {"one_cycle", "look", "train_loop"}
    for cell in Lesson(path).code:
        if cell.binds & wanted:
            exec(compile(cell.python, f"notebook 07, cell {cell.index}", "exec"), names)
    assert wanted <= set(names)
    return names


def _pictures(n: int, seed: int, role: str) -> ImageSet:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (n,), generator=draw)
    noise = torch.randint(0, 200, (n, 3, 12, 12), generator=draw, dtype=torch.uint8)
    return ImageSet(
        name="noise",
        images=noise + (25 * labels).to(torch.uint8).view(n, 1, 1, 1),  # a little brighter from class to class
        labels=labels,
        classes=("a", "b", "c"),
        names=tuple(map(str, range(n))),
        licence="",
        attribution="",
        weights=torch.rand(n, generator=draw) + 0.1,
        role=role,
    )


class _Net(nn.Module):
    """A frozen stem with batch norm, which must rest, and a part with batch norm that learns."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.top = nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(8, 3)
        tl.models.freeze(self.stem)

    def forward(self, images):
        return self.head(self.top(self.stem(images / 255)).flatten(1))


@pytest.mark.parametrize(("epochs", "augment"), [(1, None), (3, "flip-crop")])
def test_the_loop_shown_ends_with_the_weights_of_the_loop_imported(shown, epochs, augment):
    hardware = tl.pick_device("cpu", precision="fp32", channels_last=False)
    transform = tl.data.augmentation(augment, 12) if augment else None
    train = Batches(  # 153: the last batch is ragged
        _pictures(153, 0, "train"), batch_size=16, size=12, augment=transform, shuffle=True, seed=5
    )
    val = Batches(_pictures(300, 1, "val"), batch_size=16, size=12)
    torch.manual_seed(0)
    start = _Net()
    ours, imported = copy.deepcopy(start), copy.deepcopy(start)
    history = shown["train_loop"](ours, train, val, epochs=epochs, lr=0.05, device=hardware.device)
    # the last epoch's weights were chosen by accuracy alone in what is shown; `fit` breaks ties by loss
    result = fit(imported, train, val, Settings(epochs=epochs, lr=0.05), hardware=hardware)
    for row, other in zip(history, result.history, strict=True):
        assert {key: row[key] for key in row} == pytest.approx({key: other[key] for key in row}, abs=1e-5)
    accuracies = [row["val_accuracy"] for row in history]
    assert accuracies.count(max(accuracies)) == 1, "a tie: choose another seed, so that both choose the same epoch"
    for (name, p), q in zip(ours.state_dict().items(), imported.state_dict().values(), strict=True):
        assert torch.allclose(p.double(), q.double(), rtol=0, atol=1e-5), name
    assert not torch.equal(ours.head.weight, start.head.weight)
    for name, buffer in ours.stem.state_dict().items():
        assert torch.equal(buffer, start.stem.state_dict()[name]), f"the frozen {name} moved"


def test_the_rates_shown_are_those_imported(shown):
    for steps in (1, 2, 7, 40):
        for step in range(steps):
            assert shown["one_cycle"](step, steps) == pytest.approx(Settings(1).rate(step, steps), abs=1e-12)
