"""The loop, on data small enough to check by hand and on real emoji where it matters."""

import random

import numpy as np
import pytest
import torch
import tqdm.notebook
from sklearn.metrics import f1_score, recall_score
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import tl_helpers as tl
from tl_helpers.data import Batches
from tl_helpers.device import pick_device
from tl_helpers.engine import progress
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.protocol import in_pieces
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError

CPU = pick_device("cpu", precision="fp32")


def points(n=13, classes=3, seed=0):
    labels = torch.arange(n) % classes
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)) + 3 * F.one_hot(labels, 4)
    return TensorDataset(x, labels)


def loader(n=13, batch_size=5, shuffle=False):
    return DataLoader(points(n), batch_size=batch_size, shuffle=shuffle)


def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def test_it_learns_and_history_rows_are_plain():
    model = linear()
    result = fit(model, loader(shuffle=True), loader(), Settings(20, lr=0.1), hardware=CPU)
    assert result.val["accuracy"] == 1.0 and not model.training
    row = result.history[0]
    assert {
        "phase",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_balanced_accuracy",
        "val_f1",
        "lr",
    } <= set(row)
    assert all(isinstance(value, str | int | float) for value in row.values())


def test_the_ragged_last_batch_counts_for_what_it_is():
    model = linear()
    x, y = points().tensors
    expected = F.cross_entropy(model(x), y).item()
    settings = Settings(1, lr=1e-12, keep="last", label_smoothing=0.3)  # what is shown is never smoothed
    row = fit(model, loader(), loader(), settings, hardware=CPU).history[0]
    assert row["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_accumulating_batches_equals_one_large_batch():
    one, many = linear(), linear()
    settings = {"lr": 0.05, "clip": None, "schedule": "constant", "keep": "last"}
    fit(one, loader(batch_size=13), loader(), Settings(3, **settings), hardware=CPU)
    fit(many, loader(batch_size=5), loader(), Settings(3, accumulate=3, **settings), hardware=CPU)
    torch.testing.assert_close(one.weight, many.weight, rtol=1e-4, atol=1e-6)


def test_sample_weights_and_class_weights_change_the_gradient_as_repeating_samples_does():
    x, y = points(6).tensors
    weights = torch.tensor([1.0, 2, 1, 1, 2, 1])  # class 1 counts twice
    settings = {"lr": 0.05, "clip": None, "schedule": "constant", "keep": "last"}
    twice = torch.cat([torch.arange(6), torch.tensor([1, 4])])
    trained = []
    for data, extra in (
        (TensorDataset(x, y, weights), {}),
        (TensorDataset(x, y), {"class_weights": (1.0, 2.0, 1.0)}),
        (TensorDataset(x[twice], y[twice]), {}),
    ):
        model = linear()
        fit(model, DataLoader(data, batch_size=8), loader(), Settings(3, **settings, **extra), hardware=CPU)
        trained.append(model.weight)
    torch.testing.assert_close(trained[0], trained[1])
    torch.testing.assert_close(trained[0], trained[2])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def weights(seed):
        torch.manual_seed(99)  # what happened before must not matter
        model = linear()
        fit(model, loader(shuffle=True), loader(), Settings(2, lr=0.1, keep="last"), hardware=CPU, seed=seed)
        return model.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def contrary():
    """The points with the next class's label: whoever learns gets worse on them."""
    x, y = points().tensors
    return DataLoader(TensorDataset(x, (y + 1) % 3), batch_size=5)


@pytest.mark.parametrize(("keep", "epoch"), [("best", 1), ("last", 6)])
def test_the_weights_of_the_best_epoch_or_of_the_last_are_kept(keep, epoch):
    model, wrong = linear(), contrary()  # the accuracy is 0 throughout, and the loss decides
    result = fit(model, loader(), wrong, Settings(6, lr=0.1, keep=keep), hardware=CPU)
    assert result.best_epoch == epoch and result.val["loss"] == result.history[epoch - 1]["val_loss"]
    assert measure(*predict(model, wrong, CPU))["loss"] == pytest.approx(result.val["loss"])


def test_patience_counts_epochs_without_progress():
    result = fit(linear(), loader(), loader(), Settings(50, lr=1e-12, patience=2), hardware=CPU)
    assert len(result.history) == 3 and "no better" in result.ended
    assert len(fit(linear(), loader(), loader(), Settings(8, lr=0.05, patience=1), hardware=CPU).history) == 8
    assert len(fit(linear(), loader(), contrary(), Settings(8, lr=0.05, patience=2), hardware=CPU).history) == 3


def test_every_group_learns_at_its_own_rate():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    stem, head = (layer.weight.detach().clone() for layer in model)
    groups = [{"params": [*model[1].parameters()], "lr": 0.1}, {"params": [*model[0].parameters()], "lr": 1e-12}]
    settings = Settings(1, lr=0.1, weight_decay=0, keep="last")
    fit(model, loader(), loader(), settings, hardware=CPU, groups=groups)
    torch.testing.assert_close(model[0].weight, stem)
    assert (model[1].weight - head).abs().max() > 0.01


def test_the_moving_average_lies_between_the_first_weights_and_the_last():
    how = {"lr": 0.1, "schedule": "constant", "keep": "last"}
    one, three, slow, quick = (linear() for _ in range(4))
    for model, epochs, ema in ((one, 1, None), (three, 3, None), (slow, 3, 1 - 1e-6), (quick, 3, 1e-6)):
        fit(model, loader(batch_size=13), loader(), Settings(epochs, ema=ema, **how), hardware=CPU)
    torch.testing.assert_close(slow.weight, one.weight, atol=1e-5, rtol=0)  # it begins after the first step
    torch.testing.assert_close(quick.weight, three.weight)


def test_clipping_and_smoothing_change_what_is_learnt():
    clipped, before = linear(), linear().weight.detach()
    settings = Settings(1, lr=0.1, clip=1e-12, weight_decay=0, keep="last")
    fit(clipped, loader(), loader(), settings, hardware=CPU)
    assert (clipped.weight - before).abs().max() < 1e-3  # without clipping: 0.15
    plain, smooth = linear(), linear()
    fit(plain, loader(), loader(), Settings(3, lr=0.1), hardware=CPU)
    fit(smooth, loader(), loader(), Settings(3, lr=0.1, label_smoothing=0.3), hardware=CPU)
    assert not torch.allclose(plain.weight, smooth.weight)


def test_a_last_step_of_few_batches_is_a_step():
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            seen.extend([len(x)] * self.training)
            return super().forward(x)

    fit(Spy(4, 3), loader(), loader(), Settings(1, accumulate=2), hardware=CPU)
    assert seen == [5, 5, 3]


def test_schedules_rise_and_fall():
    for name in ("one-cycle", "cosine"):
        rates = [Settings(1, schedule=name).rate(step, 100) for step in range(100)]
        top = rates.index(max(rates))
        assert max(rates) == pytest.approx(1.0) and top == 30
        assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
        assert 0 < rates[-1] < 0.01
    assert all(Settings(1, schedule=name).rate(0, 1) == 1.0 for name in ("cosine", "slanted", "constant"))


def test_a_test_set_is_refused_as_validation():
    digits = tl.data.load("digits")
    good, test = Batches(digits.train, size=8), Batches(digits.test, size=8)
    part = DataLoader(Subset(digits.test, range(9)))
    loaders = (good, DataLoader(digits.test)), (DataLoader(digits.test), good), (good, part)
    loaders += (Batches(digits, size=8), good), (good, DataLoader(digits))  # whole sets contain their test parts
    for train, val in ((good, test), (test, good), *loaders):
        with pytest.raises(CourseError, match="neither can be the test set"):
            fit(linear(), train, val, Settings(1), hardware=CPU)


def test_a_sample_of_weight_zero_counts_nowhere_and_no_gradient_is_left():
    logits, labels = torch.tensor([[9.0, 0, 0], [9, 0, 0], [0, 9, 0]]), torch.tensor([0, 1, 1])
    weights = torch.tensor([1.0, 0.0, 1.0])
    assert measure(logits, labels, weights) == measure(logits[::2], labels[::2])
    model = linear()
    unseen = [
        (torch.randn(12, 4), torch.zeros(12, dtype=torch.int64), torch.zeros(12).index_fill(0, torch.arange(3), 1.0))
    ]
    result = fit(model, unseen, unseen, Settings(1, lr=1e-9), hardware=CPU)
    assert result.history[0]["train_accuracy"] == pytest.approx(result.val["accuracy"])
    assert all(p.grad is None for p in model.parameters())


def test_labels_may_be_distributions_and_those_of_one_class_change_nothing():
    def soft(rows):
        return DataLoader(TensorDataset(*rows), batch_size=5)

    inputs, labels = points().tensors
    for settings in (Settings(3, lr=0.1), Settings(3, lr=0.1, label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0))):
        hard, same, half = linear(), linear(), linear()
        first = fit(hard, loader(), loader(), settings, hardware=CPU)
        second = fit(same, soft((inputs, F.one_hot(labels, 3).float())), loader(), settings, hardware=CPU)
        torch.testing.assert_close(hard.weight, same.weight)
        for key in ("train_loss", "train_accuracy", "val_loss"):
            assert first.history[-1][key] == pytest.approx(second.history[-1][key], abs=1e-6)
        fit(half, soft((inputs, torch.full((13, 3), 1 / 3))), loader(), settings, hardware=CPU)
        assert not torch.allclose(half.weight, hard.weight)


@pytest.mark.parametrize("wrong", [torch.ones(13, 3), torch.full((13, 4), 0.25)])
def test_labels_that_are_no_distribution_are_explained(wrong):
    batches = DataLoader(TensorDataset(points().tensors[0], wrong), batch_size=5)
    with pytest.raises(CourseError, match=r"\(batch, 3\) here, with rows summing to 1"):
        fit(linear(), batches, loader(), Settings(1), hardware=CPU)


def test_labels_without_a_logit_are_explained():
    torch.manual_seed(0)
    with pytest.raises(CourseError, match="head has 2 outputs"):
        fit(nn.Linear(4, 2), loader(), loader(), Settings(1), hardware=CPU)


def test_a_trained_model_is_back_on_the_device_that_it_came_from():
    moves = []

    class Recorder(nn.Linear):
        def to(self, *where, **how):
            moves.append(where or how)
            return super().to(*where, **how)

    fit(Recorder(4, 3), loader(), loader(), Settings(1), hardware=CPU)
    assert (
        moves[-1] == (torch.device("cpu"),) and len(moves) == 6
    )  # there and back, and once more to look at validation


def test_a_wrong_label_is_found_in_any_batch():
    x, y = points().tensors
    late = DataLoader(TensorDataset(x, torch.where(torch.arange(13) == 12, 3, y)), batch_size=5)
    with pytest.raises(CourseError, match="head has 3 outputs"):
        fit(linear(), late, loader(), Settings(1), hardware=CPU)


def test_whatever_stops_a_training_leaves_the_last_whole_epoch():
    model, weights = linear(), []

    def each_epoch(row):
        weights.append(model.weight.detach().clone())
        if row["epoch"] == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(model, loader(), loader(), Settings(3, lr=0.1, keep="last"), hardware=CPU, each_epoch=each_epoch)
    assert torch.equal(model.weight, weights[1]) and not model.training


def test_a_loss_that_is_not_finite_stops_with_advice():
    broken = TensorDataset(torch.full((4, 4), float("nan")), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(CourseError, match=r"loss became nan in epoch 1, at step 1, at a learning rate of"):
        fit(linear(), DataLoader(broken, batch_size=2), loader(), Settings(1), hardware=CPU)


def test_gradients_that_are_not_finite_are_noticed_and_nothing_broken_is_kept():
    class Broken(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            if out.requires_grad:
                out.register_hook(lambda gradient: gradient * float("nan"))
            return out

    torch.manual_seed(0)
    model = Broken(4, 3)
    before = model.weight.detach().clone()
    with pytest.raises(CourseError, match="on the validation set"):  # its only step breaks it, and no loss tells
        fit(model, loader(batch_size=13), loader(), Settings(1), hardware=CPU)
    assert torch.equal(model.weight, before)


def test_no_batch_and_too_few_class_weights_are_explained():
    with pytest.raises(CourseError, match="no batch"):
        fit(linear(), DataLoader(points(3), batch_size=4, drop_last=True), loader(), Settings(1), hardware=CPU)
    with pytest.raises(CourseError, match="class_weights has 2"):
        fit(linear(), loader(), loader(), Settings(1, class_weights=(1.0, 1.0)), hardware=CPU)
    x, y = points().tensors[:2]
    soft = DataLoader(TensorDataset(x, F.one_hot(y, 3).float()), batch_size=4)
    for wrong in ((1.0, 1.0), (1.0, 1.0, 1.0, 1.0)):
        with pytest.raises(CourseError, match=f"class_weights has {len(wrong)} entries, but the labels have 3"):
            fit(linear(), soft, loader(), Settings(1, class_weights=wrong), hardware=CPU)


def test_everything_frozen_is_explained():
    model = linear().requires_grad_(False)
    with pytest.raises(CourseError, match="frozen"):
        fit(model, loader(), loader(), Settings(1), hardware=CPU)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 1, "lr": 0},
        {"epochs": 1, "weight_decay": -1},
        {"epochs": 1, "weight_decay": float("nan")},
        {"epochs": 1, "schedule": "step"},
        {"epochs": 1, "label_smoothing": 2},
        {"epochs": 1, "clip": 0},
        {"epochs": 1, "lr": "1e-3"},
        {"epochs": 1, "lr": float("inf")},
        {"epochs": 1, "lr": None},
        {"epochs": "three"},
        {"epochs": float("nan")},
        {"epochs": float("inf")},
        {"epochs": 1, "accumulate": 1.5},
        {"epochs": 1, "clip": "1"},
    ],
)
def test_wrong_settings_are_explained(wrong):
    with pytest.raises(CourseError):
        Settings(**wrong)


def test_out_of_memory_halves_the_pieces_and_keeps_the_effective_batch(capsys):
    class Small(nn.Linear):
        """A device that holds three samples and no more."""

        def forward(self, x):
            if len(x) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    torch.manual_seed(0)
    small, plain = Small(4, 3), linear()
    settings = Settings(2, lr=0.05, keep="last")
    runs = [
        fit(model, loader(batch_size=13), loader(batch_size=13), settings, hardware=CPU) for model in (small, plain)
    ]
    torch.testing.assert_close(small.weight, plain.weight, rtol=1e-4, atol=1e-6)
    assert runs[0].val["loss"] == pytest.approx(runs[1].val["loss"], rel=1e-4)
    assert "effective batch size stays 13" in capsys.readouterr().out


def test_out_of_memory_counts_rows_not_words(capsys):
    class Small(nn.Embedding):
        """A language model with a score for each word of a row, on a device that holds three rows and no more."""

        def forward(self, rows):
            if len(rows) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(rows).flatten(0, 1)

    words = torch.randint(0, 7, (8, 6), generator=torch.Generator().manual_seed(0))
    batches, sizes = [(words, words.flatten())], []
    result = fit(Small(7, 7), batches, batches, Settings(1), hardware=CPU)
    assert "now come in 4 pieces" in (said := capsys.readouterr().out) and "effective batch size stays 8" in said
    assert "8 pieces" not in said and result.val["loss"] > 0
    logits, labels, _ = predict(Small(7, 7), batches, CPU)
    assert logits.shape == (48, 7) and torch.equal(labels, words.flatten())

    class Full(Small):
        def forward(self, rows):
            sizes.append(len(rows))
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(CourseError, match="can't be cut any further"):
        fit(Full(7, 7), batches, batches, Settings(1), hardware=CPU)
    assert sizes == [8, 4, 2, 1]  # and not 48 times


def test_inputs_may_be_a_dict():
    class Text(nn.Linear):
        def forward(self, batch):
            return super().forward(batch["x"] * batch["mask"])

    class Batched(list):
        pass

    x, y = points(6).tensors
    batches = Batched([({"x": x, "mask": torch.ones_like(x)}, y)])
    torch.manual_seed(0)
    assert len(fit(Text(4, 3), batches, batches, Settings(2), hardware=CPU).history) == 2


def test_frozen_bytes_do_not_change_while_the_head_learns():
    emoji = tl.data.load("emoji-google")
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(6))
    tl.models.freeze(model.backbone)
    before = model.backbone.fingerprint, model.head.weight.detach().clone()
    train, val = Batches(emoji.train.few(3), size=64, shuffle=True), Batches(emoji.val.few(2), size=64)
    fit(model, train, val, Settings(2, lr=0.01, weight_decay=0.5), hardware=CPU)
    assert model.backbone.fingerprint == before[0]
    assert not torch.equal(model.head.weight, before[1])


def test_a_batch_is_cut_by_its_rows_also_where_a_row_has_many_labels():
    inputs, labels = torch.arange(10).view(5, 2), torch.arange(10)
    cut = list(in_pieces([(inputs, labels, torch.ones(10))], 2))
    assert [len(one) for one, _, _ in cut] == [3, 2]
    assert all(torch.equal(one.flatten(), said) and len(weights) == len(said) for one, said, weights in cut)


def test_figures_of_one_who_always_says_the_same():
    figures = measure(torch.tensor([[1.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
    assert (figures["accuracy"], figures["balanced_accuracy"]) == (0.75, 0.5)
    assert figures["f1"] == pytest.approx(3 / 7)  # the mean of 6/7 and 0


def test_figures_are_scikit_learns():
    draw = torch.Generator().manual_seed(0)
    for classes, n in ((2, 5), (6, 20), (20, 30)):  # some classes are never said, some never there
        logits, labels = torch.randn(n, classes, generator=draw), torch.randint(classes, (n,), generator=draw)
        figures, said, present = measure(logits, labels), logits.argmax(1), labels.unique()
        assert figures["f1"] == pytest.approx(f1_score(labels, said, average="macro", zero_division=0.0))
        recall = recall_score(labels, said, labels=present, average="macro", zero_division=0.0)
        assert figures["balanced_accuracy"] == pytest.approx(recall)


def test_large_pictures_are_looked_at_sixteen_at_a_time_on_a_cpu():
    model, sizes = tl.attach_head(tl.load_backbone("resnet18", weights=None), tl.heads.linear(3)), []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    pictures, labels = torch.rand(40, 3, 96, 96), torch.zeros(40, dtype=torch.int64)
    logits, _, _ = predict(model, [(pictures, labels)], CPU)
    assert sizes == [16, 16, 8]
    with torch.inference_mode():
        assert torch.allclose(logits, model(pictures), atol=1e-5)
    predict(model, [(pictures[..., :64, :64], labels)], CPU)
    assert sizes[-1] == 40


def test_one_class_alone_is_measured_as_any_other():
    logits, labels = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), torch.zeros(3, dtype=torch.int64)
    figures = measure(logits, labels)
    assert figures["balanced_accuracy"] == pytest.approx(2 / 3) == figures["accuracy"]


def test_an_empty_validation_is_explained_at_once():
    with pytest.raises(CourseError, match="or to validate on"):
        fit(linear(), loader(), [], Settings(1), hardware=CPU)


def test_a_full_memory_in_the_optimisers_step_is_told(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(CourseError, match="can't be cut any further"):
        fit(linear(), loader(), loader(), Settings(1), hardware=CPU)


def test_chance_outside_is_left_as_it_was():
    drawn = []
    for trains in (False, True):
        model = linear()
        tl.seed_everything(11)
        if trains:
            fit(model, loader(shuffle=True), loader(), Settings(1), seed=3)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("weights", ["balanced", 2.0])
def test_class_weights_of_another_kind_are_explained(weights):
    with pytest.raises(CourseError, match="not of the kind"):
        Settings(1, class_weights=weights)


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 5.0}, (1.0, -1.0), (0.0, 0.0), (float("nan"), 1.0), ()], ids=str)
def test_class_weights_are_numbers_in_the_order_of_the_classes(weights):
    with pytest.raises(CourseError, match="order of the classes"):
        Settings(1, class_weights=weights)


def test_epochs_are_whole_and_numpys_integers_are_some():
    assert type(Settings(np.int64(2)).epochs) is int
    assert fit(linear(), loader(), loader(), Settings(1, accumulate=2.0), hardware=CPU).ended == "all epochs"
    with pytest.raises(CourseError, match="whole number"):
        Settings(1.5)


@pytest.mark.parametrize("class_weights", [None, (1.0, 2.0, 3.0)], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "labels",
    [torch.arange(13, dtype=torch.int32) % 3, torch.zeros(13, 1, dtype=torch.int64), torch.zeros(13)],
    ids=["int32", "column", "float"],
)
def test_labels_of_another_kind_are_explained(labels, class_weights):
    rows = torch.ones(13, linear().in_features)
    batches = DataLoader(TensorDataset(rows, labels), batch_size=5)
    with pytest.raises(CourseError, match="int64 of shape"):
        fit(linear(), batches, batches, Settings(1, class_weights=class_weights))


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ([torch.ones(5, 4)], "a list of Tensor"),
        ({"x": torch.ones(5, 4)}, "a dict"),
        ((np.ones((5, 4)), np.zeros(5, int)), "a tuple of ndarray, ndarray"),
    ],
    ids=["no labels", "dict", "NumPy"],
)
def test_batches_of_another_kind_are_explained(batch, found):
    with pytest.raises(CourseError, match=rf"with labels and weights as tensors; found {found}\."):
        fit(linear(), [batch], loader(), Settings(1), hardware=CPU)


def test_a_model_with_two_results_is_explained():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(CourseError, match="found a tuple"):
        fit(Two(4, 3), loader(), loader(), Settings(1), hardware=CPU)


def test_distributions_are_measured_by_their_largest_share():
    x, y = points().tensors
    hard, soft = (measure(linear()(x).detach(), labels) for labels in (y, F.one_hot(y, 3).float()))
    assert soft == pytest.approx(hard)


def test_batches_without_a_length_are_explained_at_once():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(points())

    for once in (DataLoader(Stream(), batch_size=5), (batch for batch in loader())):
        for train, val in ((once, loader()), (loader(), once)):
            with pytest.raises(CourseError, match="how many there are"):
                fit(linear(), train, val, Settings(1), hardware=CPU)


def test_groups_may_be_iterators_and_one_that_was_read_has_nothing_left_to_train():
    model, groups = linear(), lambda: [{"params": model.parameters(), "lr": 0.1}]
    before, read = model.weight.detach().clone(), groups()
    fit(model, loader(), loader(), Settings(1), hardware=CPU, groups=read)
    assert not torch.equal(model.weight, before)
    with pytest.raises(CourseError, match="frozen"):
        fit(model, loader(), loader(), Settings(1), hardware=CPU, groups=read)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_numpys_integers_are_the_same_seeds(kind):
    def weights(seed):
        model = linear()
        train = DataLoader(points(), batch_size=5, shuffle=True, generator=torch.Generator())
        fit(model, train, loader(), Settings(2, lr=0.1, keep="last"), hardware=CPU, seed=seed)
        return model.weight

    assert torch.equal(weights(kind(3)), weights(3))


def test_a_models_layout_is_left_as_it_was_also_by_a_training_that_can_not_begin():
    batches = [(x.view(-1, 2, 1, 2), y) for x, y in loader()]
    model = nn.Sequential(nn.Conv2d(2, 3, (1, 2)), nn.Flatten())
    twice = [{"params": [*model.parameters()]}] * 2
    with pytest.raises(ValueError, match="more than one parameter group"):
        fit(model, batches, batches, Settings(1), hardware=CPU, groups=twice)
    assert model[0].weight.is_contiguous()
    fit(model, batches, batches, Settings(1), hardware=CPU)
    assert model[0].weight.is_contiguous()


def test_an_interruption_while_weights_are_kept_leaves_the_figures_of_those_kept_before():
    class Interrupted(nn.Linear):
        kept = 0

        def state_dict(self, *given, **named):
            Interrupted.kept += 1
            if Interrupted.kept == 3:  # after the start's and the first epoch's
                raise KeyboardInterrupt
            return super().state_dict(*given, **named)

    model = Interrupted(4, 3)
    result = fit(model, loader(), loader(), Settings(3, lr=0.1, keep="last"), hardware=CPU)
    assert result.ended == "interrupted" and result.best_epoch == 1
    assert measure(*predict(model, loader(), CPU))["loss"] == pytest.approx(result.val["loss"])


@pytest.mark.parametrize("ema", [0.9, 0.95, 0.9999])
def test_numbers_that_count_are_not_averaged(ema):
    """Positions and the like are whole numbers; their mean with themselves has to be themselves."""

    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.register_buffer("places", torch.arange(500))

    model = Counting()
    fit(model, loader(), loader(), Settings(3, ema=ema), hardware=CPU)
    assert torch.equal(model.places, torch.arange(500))


def test_a_training_that_ends_early_leaves_no_bar_standing_in_a_notebook(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "tqdm", tqdm.notebook.tqdm)
    asked = []
    monkeypatch.setattr(tqdm.notebook.tqdm, "display", lambda self, **how: asked.append(how))
    with pytest.raises(InterruptedError), progress.training_bar("fine-tune", 10, 0) as bar:
        bar.update(3)
        raise InterruptedError
    assert any(how.get("close") for how in asked) and not any(how.get("bar_style") == "danger" for how in asked)
