"""Search and fusion on real emoji, small: reproducible by seed, never near the test set, and what they promise."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torchvision.transforms import v2

import tl_helpers as tl
from tl_helpers.errors import CourseError, DivergedError
from tl_helpers.recipes import search as module
from tl_helpers.recipes.search import Search, search, search_features

SPACE = {"lr": [1e-5, 1e-3, 3e-3], "weight_decay": [0.01, 0.1]}
GRID = {"C": [0.1, 1.0, 10.0], "gamma": [0.01, 0.1, 1.0]}


@pytest.fixture(scope="module")
def emoji():
    return tl.data.load("emoji-google")


@pytest.fixture(scope="module")
def blobs():
    """A set of 96 pictures in three groups of four classes, and features in which the classes can be told apart."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 3
    rows = torch.randn(96, 6, generator=draw) + 1.5 * torch.nn.functional.one_hot(labels, 6)
    names = tuple(map(str, range(96)))
    pictures = torch.zeros(96, 1, 4, 4, dtype=torch.uint8)
    return rows, tl.data.ImageSet("blobs", pictures, labels, ("a", "b", "c"), names, "", "", role="train")


@pytest.fixture
def trained(monkeypatch):
    """`transfer` replaced by curves that follow from the settings, and what it was called with."""
    calls = []

    def transfer(model, data, recipe, *, epochs, each_epoch, lr, weight_decay, **more):
        calls.append({"lr": lr, "weight_decay": weight_decay})
        for epoch in range(epochs):
            each_epoch({"val_accuracy": 0.5 + 100 * lr * (epoch + 1) - weight_decay, "val_loss": 1.0})
        return dataclasses.make_dataclass("Result", [("ended", str, "all epochs")])()

    monkeypatch.setattr(module, "transfer", transfer)
    return calls


def model():
    torch.manual_seed(0)
    return tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(6))


def told(found: Search) -> list:
    return [(trial.settings, trial.at, trial.curve, trial.pruned) for trial in found.trials]


@pytest.mark.parametrize("role", ["test", "all"])
def test_a_search_on_features_refuses_what_holds_the_test_set(blobs, role):
    rows, images = blobs
    with pytest.raises(CourseError, match="can't see"):
        search_features(SVC(), rows, images.subset(range(96), role=role), GRID)


@pytest.mark.parametrize("method", ["grid", "halving"])
def test_a_search_on_features_is_reproducible_and_finds_good_settings(blobs, method):
    rows, images = blobs
    found, again = (search_features(SVC(), rows, images, GRID, method=method, seed=3) for _ in range(2))
    assert told(found) == told(again)
    assert len(found.trials) == 9 and found.best.curve[-1] > 0.6
    assert found.best.settings == {key: found.model.get_params()[key] for key in GRID}
    assert (found.best.at[-1] == 96) if method == "grid" else found.spent < 9 * 96
    assert any(trial.pruned for trial in found.trials) == (method == "halving")


def test_of_several_equally_good_settings_the_model_has_the_best_ones(blobs):
    rows, images = blobs
    grid = {"n_neighbors": [1, 2, 3], "weights": ["uniform", "distance"]}  # these tie often
    for seed in range(6):
        found = search_features(KNeighborsClassifier(), rows, images, grid, method="halving", seed=seed)
        assert found.best.settings == {key: found.model.get_params()[key] for key in grid}


def test_groups_stay_on_one_side_of_every_fold(blobs, monkeypatch):
    rows, images = blobs
    grouped = dataclasses.replace(images, groups=torch.arange(96) // 4)
    seen = []

    class Spy(module.Folds):
        def split(self, X, y, groups):
            for train, test in super().split(X, y, groups):
                seen.append(set(np.asarray(groups)[train]) & set(np.asarray(groups)[test]))
                yield train, test

    monkeypatch.setattr(module, "Folds", Spy)
    search_features(SVC(), rows, grouped, {"C": [1.0]})
    assert seen and not any(seen)


def test_rows_of_another_set_and_unknown_methods_are_told(blobs):
    rows, images = blobs
    for call in ({"rows": rows[:5]}, {"method": "random"}):
        with pytest.raises(CourseError, match="Found"):
            search_features(SVC(), **{"rows": rows, "images": images, "space": GRID, **call})


def test_asha_cuts_the_worse_and_finds_what_the_whole_grid_finds(emoji, trained):
    whole = search(model(), emoji, SPACE, trials=99, pruner="none")
    assert len(whole.trials) == 6 and whole.spent == 24 and not any(trial.pruned for trial in whole.trials)
    for pruner in ("asha", "hyperband"):
        found = search(model(), emoji, SPACE, trials=99, pruner=pruner)
        assert found.best.settings == whole.best.settings == {"lr": 3e-3, "weight_decay": 0.01}
        assert found.spent < 24 and told(found) == told(search(model(), emoji, SPACE, trials=99, pruner=pruner))
    plans = [[trial.settings for trial in search(model(), emoji, SPACE, trials=4, seed=s).trials] for s in (0, 1)]
    assert plans[0] != plans[1] and len({json.dumps(settings) for settings in plans[0]}) == 4


def test_an_interrupted_search_goes_on_to_the_same_end(emoji, trained, tmp_path):
    whole = search(model(), emoji, SPACE, folder=tmp_path / "a")

    def stop(found):
        if len(found.trials) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(model(), emoji, SPACE, folder=tmp_path / "b", watch=stop)
    trained.clear()
    assert told(search(model(), emoji, SPACE, folder=tmp_path / "b")) == told(whole)
    assert trained == [trial.settings for trial in whole.trials[3:]]
    with pytest.raises(CourseError, match="another search"):
        search(model(), emoji, SPACE, folder=tmp_path / "b", seed=1)
    weighed = dataclasses.replace(emoji, weights=torch.linspace(0.1, 1.0, len(emoji)))
    with pytest.raises(CourseError, match="another search"):
        search(model(), weighed, SPACE, folder=tmp_path / "b")


def test_transforms_may_be_searched_and_kept(emoji, trained, tmp_path):
    space = {"augment": ["none", v2.RandomHorizontalFlip()], "lr": [3e-3], "weight_decay": [0.01]}
    first, again = (search(model(), emoji, space, folder=tmp_path) for _ in range(2))
    assert told(first) == told(again) and len(first.trials) == 2


def test_a_search_refuses_parts_recipes_without_epochs_and_unknown_pruners(emoji):
    for call in ({"data": emoji.test}, {"data": emoji.train}, {"recipe": "probe"}, {"pruner": "axe"}):
        with pytest.raises(CourseError, match="A search takes a whole set"):
            search(**{"model": model(), "data": emoji, "space": SPACE, **call})


def test_too_few_trials_or_items_and_a_folder_that_is_none_are_told(emoji, blobs, trained, tmp_path):
    (tmp_path / "file").write_text("")
    for wrong, told in (
        ({"trials": 0}, "found trials=0"),
        ({"folder": tmp_path / "file"}, r"can't be used \(File exists"),
    ):
        with pytest.raises(CourseError, match=told):
            search(model(), emoji, SPACE, **wrong)
    rows, images = blobs
    with pytest.raises(CourseError, match="largest class has 2 items, too few for 3 folds"):
        search_features(SVC(), rows[:6], images.subset(range(6)), GRID)


def test_a_real_search_never_makes_the_test_part_and_leaves_the_model_alone():
    emoji, start, pictures = tl.data.load("emoji-google"), model(), tl.plots.LiveTrials()
    before = start.backbone.fingerprint
    options = {"trials": 2, "epochs": 2, "images": 24, "size": 32, "recipe": "fine-tune"}
    found = search(start, emoji, SPACE, watch=pictures, **options)
    assert "test" not in vars(emoji)  # cached when first asked for
    assert start.backbone.fingerprint == before
    assert 0 < found.best.curve[-1] < 1 and found.seconds > 0
    assert bytes(pictures.value).startswith(b"\x89PNG")
    assert told(found) == told(search(start, emoji, SPACE, **options))


def test_a_rate_that_explodes_costs_one_trial(emoji, trained, tmp_path, monkeypatch):
    tame = module.transfer

    lead = [0.4]

    def transfer(*given, lr, each_epoch, **how):
        if lr > 1:
            each_epoch({"val_accuracy": lead[0], "val_loss": 1.0})
            raise DivergedError("inf")
        return tame(*given, lr=lr, each_epoch=each_epoch, **how)

    monkeypatch.setattr(module, "transfer", transfer)
    wild = {"lr": [1e30, 1e-3, 2e-3], "weight_decay": [0.01, 0.2]}
    for epochs in (1, 3):
        first, again = (search(model(), emoji, wild, epochs=epochs, folder=tmp_path / str(epochs)) for _ in range(2))
        assert first.best.settings["lr"] < 1 and told(first) == told(again)
        lost = [trial for trial in again.trials if trial.settings["lr"] > 1]
        assert [trial.diverged and not trial.pruned for trial in lost] == [True, True]
        assert lost[0].curve[-1] == 0.0
    lead[0] = 0.95  # ahead of all others, which are pruned, and then lost
    with pytest.raises(DivergedError, match="in 2 of 6 the loss became infinite, the others were pruned"):
        search(model(), emoji, wild, epochs=3)


def test_settings_that_cannot_be_fitted_never_win(blobs):
    rows, images = blobs
    with pytest.warns(Warning, match="fits failed|non-finite"):
        found = search_features(SVC(), rows, images, {"gamma": [-1.0, "scale"]})
    assert found.best.settings == {"gamma": "scale"} and found.trials[0].diverged
