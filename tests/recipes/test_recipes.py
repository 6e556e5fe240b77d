"""Recipes on a few real emoji at 64 pixels: what they promise, and what they say when they can't."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from torchvision.transforms import v2

import tl_helpers as tl
from tl_helpers.data import Batches
from tl_helpers.engine.fit import FitResult
from tl_helpers.engine.metrics import calibration_error
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError
from tl_helpers.recipes import features, transfer
from tl_helpers.recipes.clustering import prepare
from tl_helpers.recipes.gradual import gradual
from tl_helpers.recipes.saved import load_model, save_model

SMALL = {"size": 64, "batch_size": 16}


@pytest.fixture(scope="module")
def emoji():
    return tl.data.load("emoji-google")


def classifier(weights="default", classes=6):
    torch.manual_seed(0)
    return tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=weights), tl.heads.linear(classes))


def small_classifier(classes=10):
    return tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(classes))


def test_features_are_kept_and_follow_weights_and_pixels(emoji, tmp_path, monkeypatch):
    monkeypatch.setattr("tl_helpers.recipes.features.cache_dir", lambda: tmp_path)
    backbone, some = tl.load_backbone("efficientnet_lite0"), emoji.train.few(2)
    first = tl.features(backbone, some, size=64)
    assert first.shape == (12, 1280) and first.dtype == torch.float32
    monkeypatch.setattr("tl_helpers.recipes.features.predict", None)  # whoever computes again fails
    assert torch.equal(tl.features(backbone, some, size=64), first)
    bf16 = {"hardware": tl.pick_device("cpu", precision="bf16")}
    for change in ({"size": 96}, {"images": emoji.val.few(2)}, bf16):
        with pytest.raises(TypeError):
            tl.features(backbone, **{"images": some, "size": 64, **change})
    with torch.no_grad():
        next(backbone.parameters()).add_(1e-3)
    with pytest.raises(TypeError):
        tl.features(backbone, some, size=64)
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_a_probe_says_in_which_precision_its_features_were_computed(emoji, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    features._say_once.cache_clear()
    monkeypatch.setattr("tl_helpers.recipes.features.cache_dir", lambda: tmp_path)
    monkeypatch.setattr("tl_helpers.device.cache_dir", lambda: tmp_path)
    monkeypatch.setattr("tl_helpers.device._measure_bf16", lambda forward: 2.0)
    few = {"images": 12, "size": 32}
    made = tl.transfer(classifier(), emoji, "probe", **few).made
    assert ", bf16," in made["hardware"] and made["probe precision"] == "bf16"
    assert "efficientnet_lite0 32 px: features in bf16, which is faster here" in capsys.readouterr().out
    for said in (1, 0):  # once
        made = tl.transfer(classifier(), emoji, "lp-ft", epochs=1, checkpoint=tmp_path / f"run{said}", **few).made
        assert ", fp32," in made["hardware"] and made["probe precision"] == "bf16"
        assert load_model(tmp_path / f"run{said}")[1]["made"]["probe precision"] == "bf16"
        assert capsys.readouterr().out.count("the probe's features (not the training) in bf16") == said
    reader = tl.attach_head(tl.models.text_encoder("bag", 50), tl.heads.linear(2))
    for recipe, what in (("fine-tune", "training"), ("lp-ft", "probe and training")):
        assert [one.precision for one in transfer._quick(reader, recipe, 16, tl.pick_device("cpu"))] == ["bf16"] * 2
        assert f"bag 16 tokens: {what} in bf16" in capsys.readouterr().out
    features._say_once.cache_clear()
    monkeypatch.setenv("CI", "1")
    made = tl.transfer(classifier(), emoji, "lp-ft", epochs=1, **few).made
    assert ", fp32," in made["hardware"] and made["probe precision"] == "fp32" and not capsys.readouterr().out


def test_probe_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * 3 + 7
    for classes in (2, 4):
        labels = torch.arange(60) % classes
        rows[:, 0] += labels
        layer = tl.probe((rows, labels))
        scaled = (rows - rows.mean(0)) / rows.std(0)
        reference = LogisticRegression(C=0.01, max_iter=300).fit(scaled.numpy(), labels.numpy())
        found = layer(rows).softmax(1).detach()
        torch.testing.assert_close(
            found, torch.tensor(reference.predict_proba(scaled.numpy())).float(), atol=1e-4, rtol=0
        )


def test_the_probe_weighs_its_rows_and_chooses_its_strength_on_val():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()

    def weight(val, *strengths):
        return tl.probe((x, y), val, strengths=strengths).weight

    assert torch.equal(weight((x, y), 1e-6, 10.0), weight((x, y), 10.0))
    assert torch.equal(weight((x, 1 - y), 1e-6, 10.0), weight((x, y), 1e-6))  # where all it says is wrong, say little
    assert not torch.allclose(tl.probe((x, y), weights=1 + 9.0 * y).weight, tl.probe((x, y)).weight)


def test_the_probe_keeps_to_a_strength_it_is_given():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    weak, plain, strong = (tl.probe((x, y), strengths=one).weight.norm() for one in ((10.0,), None, (1e-3,)))
    assert weak > 2 * plain > 4 * strong  # nothing to choose by, and still not the same layer
    assert torch.equal(tl.probe((x, y)).weight, tl.probe((x, y), strengths=(0.01,)).weight)
    with pytest.raises(CourseError, match="choose by"):
        tl.probe((x, y), strengths=(0.001, 0.1))


@pytest.mark.parametrize("turn", [lambda x: x.numpy(), lambda x: x.double(), lambda x: x.clone().requires_grad_()])
def test_a_probe_takes_features_of_any_make(turn):
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    assert torch.equal(tl.probe((turn(x), y), (turn(x), y)).weight, tl.probe((x, y), (x, y)).weight)


def test_a_feature_that_hardly_varies_is_not_blown_up():
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    rows[:, 5] *= 1e-5
    layer = tl.probe((rows, torch.arange(40) % 2))
    assert layer.weight[:, 5].abs().max() < layer.weight[:, :5].abs().max()


def test_probe_leaves_a_class_without_training_rows_no_hope():
    rows = torch.randn(20, 3)
    layer = tl.probe((rows, torch.arange(20) % 2 * 2), classes=3)
    assert layer.out_features == 3 and not (layer(rows).argmax(1) == 1).any()
    with pytest.raises(CourseError, match="two classes"):
        tl.probe((rows, torch.zeros(20, dtype=torch.long)))


def test_the_probe_recipe_moves_the_head_alone_and_beats_chance(emoji):
    model = classifier()
    before = model.backbone.fingerprint
    result = tl.transfer(model, emoji, "probe", epochs=1, images=120, size=64)
    assert model.backbone.fingerprint == before
    assert result.val["accuracy"] > max(emoji.val.class_counts().values()) / len(emoji.val)
    assert [row["phase"] for row in result.history] == ["probe"]


@pytest.mark.parametrize("recipe", ["lp-ft", "scratch"])
def test_a_recipe_hands_fit_what_it_promises(monkeypatch, recipe):
    digits, seen = tl.data.load("digits"), {}
    parts = {"train": digits.train.few(5), "val": digits.val}

    def spy(model, train, val, settings, *, groups, **_):
        seen.update(roles=(train.role, val.role), n=train.n, keep=settings.keep, smoothing=settings.label_smoothing)
        norms = [m for m in tl.models.train_mode(model).modules() if isinstance(m, torch.nn.BatchNorm2d)]
        seen.update(counting={norm.training for norm in norms}, head=model.head.weight.detach().clone())
        seen["rates"] = [*{group["name"].split()[0]: group["lr"] for group in groups}.values()]
        return FitResult()

    monkeypatch.setattr("tl_helpers.recipes.transfer.fit", spy)
    torch.manual_seed(0)
    model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(10))
    if recipe == "lp-ft":
        model.backbone.source = "as if pretrained"
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.running_mean.fill_(0.1)
        rows = {part: tl.features(model.backbone, of, size=16) for part, of in parts.items()}
        head = tl.probe(*((rows[part], of.labels) for part, of in parts.items()), classes=10).weight
    tl.transfer(model, digits, recipe, epochs=1, images=50, lr=0.1, rate_decay=0.5, label_smoothing=0.2, size=16)
    assert seen["roles"] == ("train", "val") and seen["n"] == 50
    assert (seen["keep"], seen["smoothing"]) == ("last", 0.2)
    assert seen["counting"] == {recipe == "scratch"}
    if recipe == "lp-ft":
        torch.testing.assert_close(seen["head"], head)
    rates = seen["rates"]
    expected = 0.1 * (0.5 if recipe == "lp-ft" else 1.0) ** torch.arange(len(rates))
    torch.testing.assert_close(torch.tensor(rates), expected)
    assert len(rates) > 3


def test_lp_ft_starts_from_the_probe_and_batch_norm_rests(emoji):
    model = classifier()
    statistics = {k: v.clone() for k, v in model.state_dict().items() if "running_" in k or "num_batches" in k}
    stem = next(model.backbone.parameters()).detach().clone()
    result = tl.transfer(model, emoji, "lp-ft", epochs=1, images=48, augment="colour", **SMALL)
    assert [row["phase"] for row in result.history] == ["probe", "fine-tune"]
    assert all(torch.equal(model.state_dict()[name], value) for name, value in statistics.items())
    assert not torch.equal(next(model.backbone.parameters()), stem)


def test_numpys_integers_do_as_well_as_pythons(tmp_path):
    digits = tl.data.load("digits")
    model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(10))
    tl.transfer(model, digits, "probe", images=np.int64(40), batch_size=np.int64(16), checkpoint=tmp_path, size=16)
    assert load_model(tmp_path)[1]["made"]["images"] == 40


def test_the_same_seed_gives_the_same_numbers_and_a_checkpoint_predicts_alone(emoji, tmp_path):
    runs = []
    for folder in ("one", "two"):
        model = classifier()
        result = tl.transfer(
            model, emoji, "fine-tune", epochs=1, images=36, augment="trivial", checkpoint=tmp_path / folder, **SMALL
        )
        runs.append(result)
    assert runs[0].val == runs[1].val
    again, state = load_model(runs[0].checkpoint)
    assert state["classes"] == list(emoji.classes) and state["size"] == 64
    some = emoji.val.few(2)
    one, other = tl.evaluate(runs[1].model, some), tl.evaluate(again, some)
    torch.testing.assert_close(one.probabilities, other.probabilities)
    with pytest.raises(CourseError, match=r"model\.safetensors in the same folder"):
        load_model(tmp_path / "one" / "training.safetensors")


def test_transfer_never_touches_the_test_part(emoji):
    class Guarded:
        """The emoji, with a test part that nobody may ask for."""

        name, role, classes = emoji.name, emoji.role, emoji.classes
        split, fingerprint = emoji.split, emoji.fingerprint
        train, val = emoji.train, emoji.val

        @property
        def test(self):
            raise AssertionError("the test part was looked at")

    tl.transfer(classifier(), Guarded(), "probe", epochs=1, images=24, size=64)


def test_a_report_counts_every_image_once(emoji):
    model = classifier()
    some = emoji.test.few(3)
    report = tl.evaluate(model, some, size=64, batch_size=7)
    assert report.n == len(some) == report.confusion.sum()
    assert report.accuracy == pytest.approx((report.predictions == some.labels).float().mean().item())
    torch.testing.assert_close(report.probabilities.sum(1), torch.ones(len(some)))
    chosen = report.probabilities[torch.arange(len(some)), some.labels]
    torch.testing.assert_close(report.losses, -chosen.log(), atol=1e-4, rtol=1e-4)
    for true, said in zip(some.labels, report.predictions, strict=True):
        report.confusion[true, said] -= 1
    assert not report.confusion.any()


@pytest.mark.parametrize(
    ("recipe", "weights", "classes", "message"),
    [
        ("magic", "default", 6, "lp-ft"),
        ("scratch", "default", 6, "weights=None"),
        ("probe", "default", 5, "5 outputs"),
    ],
)
def test_what_does_not_fit_is_explained(emoji, recipe, weights, classes, message):
    with pytest.raises(CourseError, match=message):
        tl.transfer(classifier(weights, classes), emoji, recipe, epochs=1, **SMALL)


def test_a_second_probe_needs_no_network_pass(emoji, tmp_path, monkeypatch):
    monkeypatch.setattr("tl_helpers.recipes.features.cache_dir", lambda: tmp_path)
    settings = {"epochs": 1, "images": 60, "size": 64}
    first = tl.transfer(classifier(), emoji, "probe", **settings)
    monkeypatch.setattr("tl_helpers.recipes.features.predict", None)
    second = tl.transfer(classifier(), emoji, "probe", **settings)
    assert second.val == first.val


def test_a_checkpoint_says_how_it_was_made_and_knows_its_classes_by_name(emoji, tmp_path):
    result = tl.transfer(classifier(), emoji, "probe", images=12, seed=3, checkpoint=tmp_path, size=64)
    model, state = load_model(result.checkpoint)
    assert state["made"]["split"] == emoji.split.hash and state["made"]["seed"] == 3
    assert state["made"]["hardware"].startswith("hardware: ")
    renamed = dataclasses.replace(emoji.test.few(1), classes=tuple(reversed(emoji.classes)))
    with pytest.raises(CourseError, match="in this order"):
        tl.evaluate(model, renamed)


def test_what_a_reader_may_not_expect_is_said(emoji, capsys):
    model = classifier()
    tl.transfer(model, emoji, "probe", images=12, size=64)
    assert capsys.readouterr().out == ""
    tl.transfer(model, emoji, "probe", images=12, size=64)
    assert "trained before" in capsys.readouterr().out
    model = classifier()
    tl.models.freeze(model.backbone)
    tl.transfer(model, emoji, "fine-tune", epochs=1, images=12, size=64)
    assert "frozen layers are unfrozen" in capsys.readouterr().out


def test_a_checkpoint_knows_that_its_weights_are_not_random(emoji, tmp_path):
    few = {**SMALL, "epochs": 1, "images": 12}
    for weights, recipe, said in (("default", "probe", "lite0"), (None, "scratch", "emoji-google")):
        tl.transfer(classifier(weights), emoji, recipe, checkpoint=tmp_path / recipe, **few)
        model, _ = load_model(tmp_path / recipe)
        assert said in model.backbone.source and model.backbone.licence
        with pytest.raises(CourseError, match="random weights"):
            tl.transfer(model, emoji, "scratch", **few)


def test_what_was_stopped_before_it_learnt_leaves_no_model(emoji, tmp_path, monkeypatch):
    def stopped(*_, **__):
        return FitResult(ended="interrupted")

    monkeypatch.setattr("tl_helpers.recipes.transfer.fit", stopped)
    for recipe, kept in (("fine-tune", False), ("lp-ft", True)):
        result = tl.transfer(classifier(), emoji, recipe, epochs=1, images=12, checkpoint=tmp_path / recipe, **SMALL)
        assert result.ended == "interrupted" and (tmp_path / recipe / "model.safetensors").exists() is kept


def test_a_folder_belongs_to_one_beginning_and_a_call_again_repeats_nothing(emoji, tmp_path, capsys):
    how = {"epochs": 1, "images": 24, "lr": 1e-3, "checkpoint": tmp_path, **SMALL}
    model = classifier()
    first = tl.transfer(model, emoji, "lp-ft", **how)
    capsys.readouterr()
    again = tl.transfer(model, emoji, "lp-ft", **how)
    assert again.history == first.history and again.val == first.val and capsys.readouterr().out == ""
    with pytest.raises(CourseError, match="of this model by another call"):
        tl.transfer(model, emoji, "lp-ft", seed=1, **how)
    assert tl.transfer(model, emoji, "lp-ft", **how).val == first.val  # and nothing is lost by it
    for part in (emoji.train, dataclasses.replace(emoji, split=None)):
        with pytest.raises(CourseError, match=r"belong to the whole|has no split"):
            tl.transfer(classifier(), part, "probe")
    with pytest.raises(CourseError, match="differs in recipe, weights"):
        tl.transfer(classifier(), emoji, "fine-tune", **how)
    other = classifier()
    with torch.no_grad():
        next(other.backbone.parameters()).add_(1e-3)
    with pytest.raises(CourseError, match="differs in weights"):
        tl.transfer(other, emoji, "lp-ft", **how)
    first.checkpoint.unlink()  # the training in progress knows it, too
    with pytest.raises(CourseError, match="weights it began from"):
        tl.transfer(other, emoji, "lp-ft", **how)


def test_batch_norm_rests_only_where_it_has_counted_and_a_trained_network_is_not_random(emoji, tmp_path):
    digits = tl.data.load("digits")
    model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(10))
    few = {"epochs": 1, "images": 40, "size": 16}

    def counted():
        return {int(value) for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}

    first = tl.transfer(model, digits, "fine-tune", checkpoint=tmp_path, **few)
    assert counted() == {2} and model.backbone.source == "trained from scratch on digits"
    assert tl.transfer(model, digits, "fine-tune", checkpoint=tmp_path, **few).val == first.val  # goes on as it began
    tl.transfer(model, digits, "lp-ft", **few)
    assert counted() == {2}
    with pytest.raises(CourseError, match="not from these"):
        tl.transfer(model, digits, "scratch", **few)
    with pytest.raises(CourseError, match="10 outputs"):
        tl.transfer(model, emoji, "fine-tune", checkpoint=tmp_path, **few)
    assert model.class_names == digits.classes


def test_gradual_unfreezing_lets_a_batch_norm_of_random_weights_learn():
    digits = tl.data.load("digits")
    model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(10))
    gradual(model, digits.train.few(2), digits.val, epochs=5, size=16, batch_size=16)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [2, 4, 6, 8] and "digits" in model.backbone.source


def test_gradual_unfreezing_that_is_refused_leaves_the_model_alone():
    digits, model = tl.data.load("digits"), small_classifier(classes=5)
    with pytest.raises(CourseError, match="5 outputs"):
        gradual(model, digits.train.few(2), digits.val, size=16)
    assert not hasattr(model, "class_names") and not getattr(model, "trained_size", None)


def test_gradual_unfreezing_stops_when_asked_and_lets_batch_norm_rest(emoji, monkeypatch, tmp_path):
    phases = []

    def fit(model, *_, phase, **__):
        phases.append(phase)
        assert not any(m.training for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))
        return FitResult(ended="interrupted" if len(phases) == 2 else "all epochs", val={"accuracy": 0.5})

    monkeypatch.setattr("tl_helpers.recipes.gradual.fit", fit)
    model = classifier()
    result = gradual(model, emoji.train.few(2), emoji.val, epochs=12, size=64)
    assert len(phases) == 2 and result.ended == "interrupted" and result.val and model.class_names == emoji.classes
    save_model(result, tmp_path / "model.safetensors")
    assert load_model(tmp_path)[1]["made"]["side"] == emoji.images.shape[-1]


def test_a_full_disk_costs_features_their_file_only(emoji, tmp_path, monkeypatch):
    monkeypatch.setattr("tl_helpers.recipes.features.cache_dir", lambda: tmp_path)

    def full(*_, **__):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("tl_helpers.engine.checkpoint.save_file", full)
    backbone = tl.load_backbone("efficientnet_lite0")
    assert tl.features(backbone, emoji.train.few(1), size=64).shape == (6, 1280)
    with pytest.raises(CourseError, match=r"can't be written \(No space"):
        tl.transfer(classifier(), emoji, "probe", images=12, checkpoint=tmp_path, **SMALL)


def test_a_rate_that_was_found_is_kept_for_going_on(emoji, tmp_path, monkeypatch):
    how = {"epochs": 2, "images": 12, "lr": "auto", "checkpoint": tmp_path, **SMALL}
    whole = tl.transfer(classifier(), emoji, "fine-tune", **how)
    monkeypatch.setattr("tl_helpers.recipes.transfer.lr_find", lambda *_, **__: pytest.fail("looked for anew"))
    again = tl.transfer(whole.model, emoji, "fine-tune", **how)
    assert again.made["settings"] == whole.made["settings"] and again.val == whole.val


def test_the_finished_model_of_other_data_is_not_written_over(emoji, tmp_path):
    first = tl.transfer(classifier(), emoji, "probe", images=12, checkpoint=tmp_path, **SMALL)
    kept = first.checkpoint.read_bytes()
    other = dataclasses.replace(emoji, labels=emoji.labels.flip(0))  # the same name, the same split
    with pytest.raises(CourseError, match=r"another training: it differs in contents\. Give this one a folder"):
        tl.transfer(classifier(), other, "probe", images=12, checkpoint=tmp_path, **SMALL)
    with pytest.raises(CourseError, match="differs in recipe"):
        tl.transfer(classifier(), emoji, "fine-tune", epochs=1, images=12, checkpoint=tmp_path, **SMALL)
    assert first.checkpoint.read_bytes() == kept
    tl.transfer(classifier(), emoji, "probe", images=12, checkpoint=tmp_path, **SMALL)


def test_other_weights_of_the_samples_are_another_training(emoji):
    some = emoji.train.few(2)
    lighter = dataclasses.replace(some, weights=torch.linspace(0.1, 1, len(some)))
    one, other = (Batches(part, size=64).fingerprint for part in (some, lighter))
    assert one != other and some.fingerprint == lighter.fingerprint  # features are those of the pictures alone


def test_features_follow_every_change_of_preprocessing_and_pooling(emoji):
    some = emoji.train.few(1)
    backbone = tl.load_backbone("efficientnet_lite0")
    assert backbone.fingerprint == tl.load_backbone("efficientnet_lite0").fingerprint
    plain = tl.features(backbone, some, size=64)
    backbone.mean.fill_(0.0)
    moved = tl.features(backbone, some, size=64)
    backbone.body.global_pool = torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten())
    highest = tl.features(backbone, some, size=64)
    assert not torch.equal(plain, moved) and not torch.equal(moved, highest)
    attention = tl.load_backbone("small_attention", weights=None)
    before = attention.fingerprint
    attention.body.global_pool = "max"  # timm keeps such settings as plain attributes, which no repr shows
    assert attention.fingerprint != before
    with pytest.raises(CourseError, match=r"give it model\.backbone"):
        tl.features(classifier(), some, size=32)


def test_a_refused_call_leaves_the_model_and_its_classes_alone(emoji):
    model = classifier()
    for wrong in ({"epochs": 0}, {"augment": "trivail"}):
        with pytest.raises(CourseError):
            tl.transfer(model, emoji, "lp-ft", **{"epochs": 1, "images": 12, "size": 32, **wrong})
        assert not hasattr(model, "class_names") and not getattr(model, "trained_size", None)


def test_a_trained_model_keeps_its_classes_and_its_folder_when_another_call_is_refused(tmp_path):
    digits, how = tl.data.load("digits"), {"epochs": 1, "images": 40}
    letters = dataclasses.replace(digits, name="letters", classes=tuple("abcdefghij"))
    model, mine = small_classifier(), {"checkpoint": tmp_path / "mine", "size": 16, **how}
    first = tl.transfer(model, digits, "lp-ft", **mine)
    tl.transfer(small_classifier(), digits, "probe", checkpoint=tmp_path / "other", size=16, **how)
    with pytest.raises(CourseError, match="of another training"):
        tl.transfer(model, letters, "probe", checkpoint=tmp_path / "other", size=8, **how)
    one_class = dataclasses.replace(digits, labels=torch.zeros_like(digits.labels))
    with pytest.raises(CourseError, match="at least two classes"):
        tl.transfer(model, one_class, "probe", size=8, **how)
    assert (model.class_names, model.trained_size) == (digits.classes, 16)
    assert tl.transfer(model, digits, "lp-ft", **mine).val == first.val


def test_what_was_stopped_before_it_learnt_is_no_training(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    digits, model = tl.data.load("digits"), small_classifier()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tl_helpers.recipes.transfer.features", stopped)
        tl.transfer(model, digits, "probe", images=40, size=16)
    tl.transfer(model, digits, "probe", images=40, size=16)
    assert "trained before" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"size": 0}, {"images": 0}, {"images": -5}])
def test_a_number_below_one_is_told(wrong):
    (name, value), how = *wrong.items(), {"images": 40, "size": 16}
    with pytest.raises(CourseError, match=f"{name} has to be at least 1.*; found {value}"):
        tl.transfer(small_classifier(), tl.data.load("digits"), "probe", **{**how, **wrong})


def test_evaluate_takes_a_model_and_one_transform_is_one_view():
    digits = tl.data.load("digits")
    result, some = tl.transfer(small_classifier(), digits, "probe", images=40, size=16), digits.val.few(1)
    with pytest.raises(CourseError, match=r"takes a model; found a Result\..*result\.model"):
        tl.evaluate(result, some)
    flip = v2.RandomHorizontalFlip(1.0)
    one, listed = (tl.evaluate(result.model, some, size=8, tta=tta) for tta in (flip, [flip]))
    assert torch.equal(one.probabilities, listed.probabilities)


def test_a_model_whose_layers_were_replaced_has_no_file_that_could_be_read(emoji, tmp_path):
    few = {"epochs": 1, "images": 12, "size": 32}
    model = classifier()
    model.head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(1280, 6))
    with pytest.raises(CourseError, match="replaced or added"):
        tl.transfer(model, emoji, "fine-tune", checkpoint=tmp_path, **few)
    tl.transfer(model, emoji, "fine-tune", **few)
    other = classifier(classes=5)
    other.head = torch.nn.Linear(1280, 6)
    assert tl.transfer(other, emoji, "fine-tune", seed=np.int64(1), **few).made["seed"] == 1


def test_a_tensor_or_a_name_is_no_set(emoji):
    model = tl.attach_head(tl.load_backbone("mobilenet_v3_small", weights=None), tl.heads.linear(6))
    for use, wrong in (
        (lambda: tl.features(model.backbone, emoji.images[:2]), "Tensor"),
        (lambda: tl.evaluate(model, emoji.images[:2]), "Tensor"),
        (lambda: tl.transfer(model, "emoji-google"), "str"),
    ):
        with pytest.raises(CourseError, match=f"Expected a set of pictures or texts.*found a {wrong}"):
            use()


def test_a_probe_has_an_output_for_every_label():
    with pytest.raises(CourseError, match="classes=2, but the labels go up to 2"):
        tl.probe((torch.randn(6, 4), torch.tensor([0, 1, 2] * 2)), classes=2)


@pytest.mark.parametrize(
    "wrong",
    [
        (torch.randn(6, 4), torch.tensor([0, 1] * 3) / 3),
        (torch.randn(6, 4), torch.tensor([0, -1] * 3)),
        (torch.randn(6, 4), torch.eye(6)),
        (torch.randn(6, 4), torch.tensor([0, 1])),
        torch.randn(6, 4),
    ],
)
def test_a_probe_says_what_a_pair_of_features_and_labels_is(wrong):
    with pytest.raises(CourseError, match="features \\(n, width\\) and labels \\(n,\\), whole numbers from 0"):
        tl.probe(wrong)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda digits: digits.train[:5], "one item at a time; for several"),
        (lambda digits: tl.data.word_tokenizer("one text", 10), "Expected several texts.*found one str"),
        (lambda digits: tl.data.encode("one text", tl.data.word_tokenizer(["a"], 10)), "found one str"),
        (lambda digits: tl.fit(tl.load_backbone("small_cnn", weights=None), [], [], Settings(1)), "model with a head"),
        (lambda digits: tl.fit(nn.Linear(2, 2), [], [], {"epochs": 1}), "and Settings"),
        (lambda digits: tl.features("resnet18", digits.train), "takes a backbone"),
        (
            lambda digits: tl.features(tl.load_backbone("small_cnn", weights=None), digits.train, size="8"),
            "whole number",
        ),
        (lambda digits: tl.data.load("digits", split_seed=None), "split_seed is 0 or more; found None"),
        (lambda digits: tl.plots.batch_grid(digits.images[:2].float() * 255), "A picture is"),
        (lambda digits: tl.plots.batch_grid([digits.images[:2], digits.labels[:2]]), "A picture is"),
        (lambda digits: calibration_error(torch.tensor([[3.0, -1.0]]), torch.tensor([0])), "Calibration is about prob"),
        (lambda digits: prepare(digits.train), "Clustering takes rows"),
        (lambda digits: fit_on(digits, "val", "train"), "neither can be the test set"),
        (lambda digits: fit_mixed(digits), "neither can be the test set"),
    ],
)
def test_what_students_get_wrong_is_told_in_the_fields_words(call, told):
    with pytest.raises(CourseError, match=told):
        call(tl.data.load("digits"))


def fit_on(digits, train, val):
    train, val = (tl.data.Batches(getattr(digits, part), size=8) for part in (train, val))
    return tl.fit(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), train, val, Settings(1))


def fit_mixed(digits):
    batches = tl.data.training_batches(digits, "mixup", size=8)  # of the whole set
    return tl.fit(nn.Linear(2, 2), batches, tl.data.Batches(digits.val, size=8), Settings(1))


def test_a_model_is_looked_at_in_the_size_that_fit_trained_it_at():
    digits = tl.data.load("digits")
    tl.seed_everything(0)
    model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(10))
    train, val = (tl.data.Batches(part, size=8) for part in (digits.train.few(3), digits.val.few(2)))
    tl.fit(model, train, val, Settings(1))
    assert tl.evaluate(model, digits.val.few(2)).size == 8


def test_hardware_may_be_a_name():
    digits = tl.data.load("digits").train.few(1)
    backbone = tl.load_backbone("small_cnn", weights=None)
    assert tl.features(backbone, digits, size=8, hardware="cpu").shape == (10, backbone.width)


def test_a_probe_says_that_features_are_no_numbers():
    rows = torch.randn(8, 3)
    rows[2, 1] = float("nan")
    with pytest.raises(CourseError, match="NaN or infinite"):
        tl.probe((rows, torch.arange(8) % 2))


def test_a_home_folder_is_understood(emoji, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tl.transfer(classifier(), emoji, "probe", images=12, size=32, checkpoint="~/runs")
    assert load_model("~/runs")[1]["recipe"] == "probe" and (tmp_path / "runs" / "model.safetensors").exists()
