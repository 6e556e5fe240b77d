"""Frozen means frozen: to the byte, whatever loop and optimiser run over it."""

import copy

import pytest
import torch
import torchvision
from torch import nn

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.models import freeze, parameter_groups, train_mode, trainable_table, unfreeze, unfreeze_from


def all_bytes(module: nn.Module) -> dict[str, bytes]:
    return {
        n: t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for n, t in module.state_dict().items()
    }


def model_of(name="resnet18", classes=3):
    torch.manual_seed(0)
    return tl.attach_head(tl.load_backbone(name, weights=None), tl.heads.linear(classes))


def careless_steps(model: nn.Module, steps=3, size=64):
    """A student's own loop: plain `model.train()`, and an optimiser that is given everything and decays it."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    for _ in range(steps):
        model.train()
        loss = nn.functional.cross_entropy(model(torch.rand(4, 3, size, size)), torch.tensor([0, 1, 2, 0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "densenet121", "alexnet", "vit_small"])
def test_a_frozen_backbone_keeps_every_byte(name):
    model = model_of(name)
    freeze(model.backbone)
    body, head = all_bytes(model.backbone), all_bytes(model.head)
    careless_steps(model)
    after = all_bytes(model.backbone)
    assert {n for n in body if body[n] != after[n]} == set(), "running statistics and num_batches_tracked included"
    assert not any(m.training for m in model.backbone.modules()), "batch norm and dropout rest"
    assert all_bytes(model.head) != head and model.head.training


def test_the_trap_is_real_without_us():
    """The control: requires_grad=False alone lets batch norm drift."""
    body = copy.deepcopy(model_of().backbone.body)
    body.requires_grad_(False)
    before = all_bytes(body)
    body.train()(torch.rand(4, 3, 64, 64))
    moved = {n.rpartition(".")[2] for n, b in all_bytes(body).items() if b != before[n]}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_an_old_optimiser_can_not_move_what_was_frozen_later():
    model = model_of()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    for step in range(3):
        model.train()
        model(torch.rand(2, 3, 64, 64)).sum().backward()
        if step == 1:
            freeze(model.backbone)
            before = all_bytes(model.backbone)
        optimiser.step()
    assert all_bytes(model.backbone) == before


@pytest.mark.parametrize("stage", ["stem", "stage3", "top"])
def test_unfreezing_from_a_stage_moves_it_and_what_is_above(stage):
    model = model_of("efficientnet_lite0")
    unfreeze_from(model, stage)
    names = list(model.backbone.stages)
    at = names.index(stage)
    home = {id(t): s for s, ms in model.backbone.stages.items() for m in ms for t in [*m.parameters(), *m.buffers()]}
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    open_ones = {n for n, t in tensors.items() if home.get(id(t)) in names[at:] or n.startswith("head")}
    before = all_bytes(model)
    careless_steps(model)
    after = all_bytes(model)
    # each weight, bias and statistic of the stages named, and not a bit of the others
    assert {n for n in before if before[n] != after[n]} == {n for n in open_ones if n in before}
    resting = {s for s, ms in model.backbone.stages.items() if not any(m.training for m in ms)}
    assert resting == set(names[:at])


def test_train_mode_holds_for_any_network():
    network = nn.Sequential(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout()), nn.Dropout(), nn.Linear(2, 1)
    )
    freeze(network[0])
    assert train_mode(network) is network
    assert not any(m.training for m in network[0].modules())
    assert network[1].training and network[2].training and network.training, "a dropout of nobody's stays awake"
    unfreeze(network[0])
    assert all(m.training for m in train_mode(network).modules())


def test_a_fully_frozen_model_rests():
    model = model_of()
    freeze(model)
    assert not any(m.training for m in model.train().modules())


def test_an_unknown_stage_is_refused_with_the_known():
    with pytest.raises(CourseError, match="no stage 'layer5'; from stem to top: stem, layer1, layer2, layer3, layer4"):
        unfreeze_from(model_of(), "layer5")


def test_the_children_of_a_plain_network_are_its_stages():
    network = torchvision.models.resnet18(weights=None)
    unfreeze_from(network, "layer4")
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad} == {"layer4", "fc"}
    with pytest.raises(CourseError, match="no stage 'layer5'; from stem to top: conv1, bn1, layer1"):
        unfreeze_from(network, "layer5")


def test_the_table_of_what_trains_adds_up():
    model = model_of()
    unfreeze_from(model, "layer4")
    rows = trainable_table(model)
    assert [r["stage"] for r in rows] == ["stem", "layer1", "layer2", "layer3", "layer4", "head", "all"]
    assert [r["share"] for r in rows[:-1]] == [0, 0, 0, 0, 1, 1]
    assert (
        rows[-1]["parameters"] == sum(p.numel() for p in model.parameters()) == sum(r["parameters"] for r in rows[:-1])
    )
    assert rows[-1]["trainable"] == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert [r["stage"] for r in trainable_table(nn.Sequential(nn.Linear(2, 2)))] == ["0", "all"]


def test_rates_fall_from_the_head_down_and_norms_do_not_decay():
    model = model_of()
    groups = parameter_groups(model, lr=0.1, decay=0.5)
    rates = {g["name"].split()[0]: g["lr"] for g in groups}
    assert rates == {
        "head": 0.1,
        "layer4": 0.05,
        "layer3": 0.025,
        "layer2": 0.0125,
        "layer1": 0.00625,
        "stem": 0.003125,
    }
    assert [*rates] == ["head", "layer4", "layer3", "layer2", "layer1", "stem"]
    light = [p for g in groups if g.get("weight_decay") == 0 for p in g["params"]]
    assert {id(p) for p in light} == {id(p) for n, p in model.named_parameters() if p.ndim == 1}
    grouped = [id(p) for g in groups for p in g["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))
    torch.optim.AdamW(groups, weight_decay=0.1)


@pytest.mark.parametrize("name", ["poolformer_s12", "vit_small", "efficientnet_lite0"])
def test_groups_cover_every_parameter_exactly_once(name):
    """Also where a part of the body has the name of the head (poolformer: timm's metaformers)."""
    model = model_of(name)
    grouped = [id(p) for g in parameter_groups(model, lr=0.1) for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert trainable_table(model)[-1]["parameters"] == sum(p.numel() for p in model.parameters())


def test_frozen_parameters_are_in_no_group():
    model = model_of()
    unfreeze_from(model, "layer3")
    groups = parameter_groups(model, lr=0.1, decay=0.5)
    assert {g["name"].split()[0]: g["lr"] for g in groups} == {"head": 0.1, "layer4": 0.05, "layer3": 0.025}
    assert all(p.requires_grad for g in groups for p in g["params"])
    freeze(model)
    with pytest.raises(CourseError, match="frozen"):
        parameter_groups(model, lr=0.1)


def test_tokens_and_positions_do_not_decay():
    model = model_of("vit_small")
    light = {id(p) for g in parameter_groups(model, lr=0.1) if g.get("weight_decay") == 0 for p in g["params"]}
    assert {id(model.backbone.body.pos_embed), id(model.backbone.body.cls_token)} <= light


@pytest.mark.parametrize(("lr", "decay"), [(0, 0.5), (-1, 0.5), (float("nan"), 0.5), (0.1, 0), (0.1, 1.1)])
def test_rates_out_of_range_are_refused(lr, decay):
    with pytest.raises(CourseError, match="above 0"):
        parameter_groups(nn.Linear(2, 2), lr, decay)
