"""Augmentation by name in a whole recipe, and test-time augmentation, on a few real emoji."""

import pytest
import torch

import tl_helpers as tl
from tl_helpers.errors import CourseError

CLASSES = 6


@pytest.fixture(scope="module")
def emoji():
    return tl.data.load("emoji-google")


@pytest.fixture(scope="module")
def probed(emoji):
    torch.manual_seed(0)
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(CLASSES))
    return tl.transfer(model, emoji, "probe", size=48, images=60).model


def test_a_view_that_changes_nothing_changes_nothing(emoji, probed):
    some = emoji.test.few(4)
    plain, one = tl.evaluate(probed, some), tl.evaluate(probed, some, tta="none")
    again = tl.evaluate(probed, some, tta=[tl.data.augmentation("none", 48)] * 3)
    assert torch.equal(plain.probabilities, one.probabilities) and torch.equal(plain.losses, one.losses)
    torch.testing.assert_close(again.probabilities, plain.probabilities)


def test_probabilities_are_the_mean_over_the_views(emoji, probed):
    some = emoji.test.few(4)
    both = tl.evaluate(probed, some, tta="flip")
    views = [tl.evaluate(probed, some, tta=[view]) for view in tl.data.views("flip", 48)]
    mean = torch.stack([view.probabilities for view in views]).mean(0)
    torch.testing.assert_close(both.probabilities, mean)
    torch.testing.assert_close(both.losses, -mean[torch.arange(len(mean)), both.labels].log())
    assert not torch.equal(views[0].probabilities, views[1].probabilities)


def test_random_views_are_drawn_apart_and_repeat_by_themselves(emoji, probed):
    some, crop = emoji.test.few(2), tl.data.augmentation("crop", 48)
    once, twice = (tl.evaluate(probed, some, tta=[crop] * 2).probabilities for _ in range(2))
    single = tl.evaluate(probed, some, tta=[crop]).probabilities
    assert torch.equal(once, twice) and not torch.allclose(once, single)
    with pytest.raises(CourseError, match="empty list"):
        tl.evaluate(probed, some, tta=[])
    with pytest.raises(CourseError, match="no views 'turn'"):
        tl.evaluate(probed, some, tta="turn")


def test_mixing_by_name_trains_and_the_same_seed_gives_the_same_numbers(emoji):
    def run(augment):
        torch.manual_seed(0)
        model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(CLASSES))
        settings = {"size": 32, "images": 24, "epochs": 1, "batch_size": 12, "seed": 3}
        return tl.transfer(model, emoji, "fine-tune", augment=augment, **settings)

    one, two, other = run("flip-crop+mixup"), run("flip-crop+mixup"), run("flip-crop")
    assert one.val == two.val and one.made["augment"] == "flip-crop+mixup"
    for a, b, c in zip(one.model.parameters(), two.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b) and (a.ndim < 2 or not torch.equal(a, c))
