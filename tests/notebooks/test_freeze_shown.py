"""Notebook 04 shows in full what keeps a frozen part at rest when an epoch begins. It does what the imported one does."""

import copy
from collections import OrderedDict

import pytest
import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from torch import nn
from torch.nn import functional as F

import tl_helpers as tl

FROZEN = {
    "nothing": [],
    "the stem": ["stem"],
    "the stem and half of a part": ["stem", "middle.0"],
    "one batch norm": ["middle.1.1"],
    "the scale of a batch norm": ["middle.1.1.weight"],
    "all but the head": ["stem", "middle"],
    "everything": [""],
}


@pytest.fixture(scope="module")
def shown():
    """The functions that the notebook's own cells define: `settle` and `begin_epoch`."""
    path = next(path for path in ALL_NOTEBOOKS if path.name.startswith("04_"))
    names, wanted = {}, {"settle", "begin_epoch"}
    for cell in Lesson(path).code:
        if cell.binds & wanted:
            exec(compile(cell.python, f"notebook 04, cell {cell.index}", "exec"), names)
    assert wanted <= set(names)
    return names


@pytest.fixture
def network():
    """Batch norm and dropout in parts, between parts and in the head, two levels deep."""
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.4))
    one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    other = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.2))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 3))
    parts = {"stem": stem, "middle": nn.Sequential(one, other), "between": nn.Dropout(0.3), "head": head}
    return nn.Sequential(OrderedDict(parts))


def _freeze(network: nn.Module, names: list[str]) -> None:
    """No gradient for these parts or parameters; no mode is changed."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(name == part or name.startswith(part and f"{part}.") for part in names))


def _modes(network: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in network.named_modules()}


def _study(network: nn.Module, begin, epochs: int = 3) -> list[dict]:
    """A loop of one's own, with an optimiser that is given everything and decays it; the gradients of each step."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    gradients = []
    torch.manual_seed(1)  # dropout draws the same in both
    for _ in range(epochs):
        begin(network)
        for _ in range(2):
            loss = F.cross_entropy(network(torch.rand(5, 3, 9, 9)), torch.tensor([0, 1, 2, 0, 1]))
            optimiser.zero_grad()
            if loss.requires_grad:
                loss.backward()
            gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
            optimiser.step()
        network.eval()
    return gradients


@pytest.mark.parametrize("names", FROZEN.values(), ids=FROZEN.keys())
def test_modes_statistics_and_gradients_are_those_of_what_is_imported(shown, network, names):
    _freeze(network, names)
    before = copy.deepcopy(network.state_dict())
    ours, imported = copy.deepcopy(network), copy.deepcopy(network)
    shown["begin_epoch"](ours)
    assert _modes(ours) == _modes(tl.models.train_mode(imported))
    gradients = _study(ours, shown["begin_epoch"])
    for step, other in zip(gradients, _study(imported, tl.models.train_mode), strict=True):
        assert step.keys() == other.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
        assert all(torch.equal(step[name], other[name]) for name in step)
    for (name, value), other in zip(ours.state_dict().items(), imported.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    # running statistics move exactly where a batch norm has a parameter that learns
    learns = {name.rpartition(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    for name, value in ours.state_dict().items():
        if "running" in name:
            assert torch.equal(value, before[name]) == (name.rpartition(".")[0] not in learns), name


def test_the_same_with_the_courses_own_networks(shown):
    model = tl.attach_head(tl.load_backbone("resnet18", weights=None), tl.heads.linear(3))
    tl.models.unfreeze_from(model, "layer4")
    ours, imported = copy.deepcopy(model), copy.deepcopy(model)
    shown["begin_epoch"](ours)
    modes = _modes(imported.train())  # they settle by themselves
    assert _modes(ours) == modes and set(modes.values()) == {True, False}


def test_what_learns_again_wakes_up(shown, network):
    _freeze(network, ["stem", "middle"])
    shown["begin_epoch"](network)
    assert not network.stem.training and network.between.training and network.head.training
    _freeze(network, ["stem"])
    shown["begin_epoch"](network)
    assert not network.stem.training and all(module.training for module in network.middle.modules())


def test_a_plain_train_moves_what_is_frozen(shown, network):
    """The control: without what is shown, the statistics drift."""
    _freeze(network, ["stem"])
    plain, rested = copy.deepcopy(network), copy.deepcopy(network)
    _study(plain, nn.Module.train, epochs=1)
    _study(rested, shown["begin_epoch"], epochs=1)
    assert torch.equal(plain.stem[0].weight, network.stem[0].weight)
    assert not torch.equal(plain.stem[1].running_mean, network.stem[1].running_mean)
    assert torch.equal(rested.stem[1].running_mean, network.stem[1].running_mean)
