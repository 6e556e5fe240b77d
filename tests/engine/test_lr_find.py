"""The range test on real emoji: it suggests a rate that trains, and leaves everything as it found it."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

import tl_helpers as tl
from tl_helpers.data import Batches
from tl_helpers.data.cloze_batches import RowBatches
from tl_helpers.engine.lr_find import _suggest
from tl_helpers.errors import CourseError
from tl_helpers.models import freeze, parameter_groups


@pytest.fixture(scope="module")
def emoji():
    return tl.data.load("emoji-google")


def model_of(seed=0):
    torch.manual_seed(seed)
    return tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(6))


def test_weights_modes_gradients_and_random_state_are_left_as_found(emoji):
    model = model_of()
    model.train()
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    batches = Batches(emoji.train.few(4), size=64, batch_size=8, shuffle=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    tl.seed_everything(5)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    tl.seed_everything(5)
    curve = tl.lr_find(model, batches, groups=parameter_groups(model, 1e-3, 0.7), steps=12)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(next(model.parameters()).grad, torch.ones_like(next(model.parameters())))
    assert curve.rates == sorted(curve.rates) and min(curve.rates) / 3 <= curve.suggestion < max(curve.rates)


@pytest.mark.parametrize("own", ["batches", "generator", "sampler", "batch sampler"])
def test_a_training_that_is_under_way_goes_on_as_if_nobody_had_looked_for_a_rate(own):
    def steps(looks: bool) -> torch.Tensor:
        """Two passes of a loop of one's own over shuffled batches, with a search for a rate between them or none."""
        tl.seed_everything(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
        rows, labels = torch.randn(24, 4), torch.arange(24) % 3
        if own == "batches":
            batches = RowBatches([{"x": row} for row in rows], labels, "train", batch_size=6, shuffle=True)
        else:
            draw = torch.Generator().manual_seed(3)
            data = TensorDataset(rows, labels)
            order = RandomSampler(data, generator=draw)
            how = {"batch_size": 6, "sampler": order}
            if own == "generator":
                how = {"batch_size": 6, "shuffle": True, "generator": draw}
            if own == "batch sampler":
                how = {"batch_sampler": BatchSampler(order, 6, drop_last=False)}
            batches = DataLoader(data, **how)
        model = torch.nn.Sequential(Unpack(), model)
        for looked in (False, looks):
            if looked:
                tl.lr_find(model, batches, steps=12)
            for inputs, wanted, *_ in batches:
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(model(inputs), wanted).backward()
                optimiser.step()
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(steps(False), steps(True))


class Unpack(torch.nn.Module):
    def forward(self, inputs):
        return inputs["x"] if isinstance(inputs, dict) else inputs


def test_the_suggestion_lies_where_a_head_learns_and_the_same_call_suggests_the_same(emoji):
    model = model_of()
    freeze(model.backbone)
    some = Batches(emoji.train.few(8), size=48, batch_size=16, shuffle=True)
    one, two = (tl.lr_find(model, some, steps=30) for _ in range(2))
    assert one == two
    assert 1e-4 < one.suggestion < 0.4
    assert min(one.losses) < one.losses[0]


def test_a_test_set_and_rates_that_explode_at_once_are_refused(emoji):
    for images in (emoji.test.few(2), emoji):  # the whole set contains the test part
        with pytest.raises(CourseError, match="neither can be the test set"):
            tl.lr_find(model_of(), Batches(images, size=64))
    with pytest.raises(CourseError, match="begin lower"):
        tl.lr_find(model_of(), Batches(emoji.train.few(2), size=64), low=1e3, high=1e6, steps=20)


def test_too_few_rates_no_batch_and_a_loss_that_is_no_number_are_told(emoji):
    some = Batches(emoji.train.few(4), size=64, batch_size=8)
    with pytest.raises(CourseError, match="ten rates or more"):
        tl.lr_find(model_of(), some, steps=9)
    with pytest.raises(CourseError, match="no batch"):
        tl.lr_find(model_of(), [])
    broken = model_of()
    torch.nn.init.constant_(broken.head.weight, float("nan"))
    with pytest.raises(CourseError, match="exploded after 0 of 60"):
        tl.lr_find(broken, some)


def test_groups_are_taken_as_fit_takes_them_and_the_bound_is_divided_by_three():
    assert _suggest([1e-3, 1e-2, 1e-1], [2.0, 1.0, 5.0]) == pytest.approx(1e-2 / 3)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 3))
    rows = torch.randn(13, 4, generator=torch.Generator().manual_seed(0))
    batches = DataLoader(TensorDataset(rows, torch.arange(13) % 3), batch_size=5)
    head, stem = ({"params": [*layer.parameters()]} for layer in (model[1], model[0]))
    still = [head | {"lr": 1.0}, stem | {"lr": 0.0}]  # no rate at all, however high the head's
    one, other = (tl.lr_find(model, batches, groups=groups, steps=20) for groups in (still, [head]))
    assert one.losses == pytest.approx(other.losses)
    with pytest.raises(CourseError, match="frozen"):
        tl.lr_find(model.requires_grad_(False), batches)


def test_a_batch_that_does_not_fit_into_memory_is_told():
    class Small(torch.nn.Linear):
        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(CourseError, match="only `fit` cuts batches"):
        tl.lr_find(Small(4, 3), [(torch.ones(5, 4), torch.arange(5) % 3)], steps=12)


def test_a_batch_that_counts_for_nothing_stops_no_search():
    torch.manual_seed(0)
    rows, labels, counts = torch.randn(15, 4), torch.arange(15) % 3, torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(5)
    batches = DataLoader(TensorDataset(rows, labels, counts), batch_size=5)
    assert len(tl.lr_find(torch.nn.Linear(4, 3), batches, steps=20).rates) > 10


def test_a_model_that_has_learnt_the_data_is_told_what_helps():
    model, labels = torch.nn.Linear(3, 3, bias=False), torch.arange(60) % 3
    model.weight.data = torch.eye(3)
    sure = torch.tensor([10.0] * 11 + [5.0]).repeat_interleave(5)  # in the last batch less so: 1e-4 and 0.013 as losses
    rows = torch.nn.functional.one_hot(labels, 3) * sure[:, None]
    with pytest.raises(CourseError, match=r"exploded after 1 of 60.*learnt these data already.*larger batches"):
        tl.lr_find(model, DataLoader(TensorDataset(rows, labels), batch_size=5))


def test_one_easy_batch_at_the_start_is_not_the_lowest_loss():
    """A model that is as good as it gets: its loss is level until the rate is too high, whatever the first batch was."""
    draw = torch.Generator().manual_seed(0)
    model = torch.nn.Linear(4, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]))
        model.bias.zero_()
    batches = [(torch.randn(32, 4, generator=draw), torch.randint(2, (32,), generator=draw)) for _ in range(79)]
    easy = torch.randn(32, 4, generator=draw)
    batches = [(easy, (easy[:, 0] < 0).long()), *batches]
    assert tl.lr_find(model, batches).suggestion > 1e-4
