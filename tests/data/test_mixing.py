"""Mixup and CutMix: labels are distributions that say what share of the pixels each picture has, drawn for each picture."""

import pytest
import torch
from torchvision.transforms import v2

import tl_helpers as tl
from tl_helpers.data import Batches, Mixed, augmentation_parts, cutmix, mixed, mixup, training_batches
from tl_helpers.errors import CourseError


@pytest.fixture(scope="module")
def digits():
    return tl.data.load("digits").train.few(8, seed=0)


def flat(n=12, side=20):
    """Picture i is i + 1 all over and has the label i, so that a pixel says whose it is."""
    images = torch.arange(1, n + 1, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, side, side).contiguous()
    return images, torch.arange(n), torch.ones(n)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_labels_are_the_share_of_the_pixels(seed):
    torch.manual_seed(seed)
    images, labels, weights = mixed(flat(), "cutmix", 12)
    torch.testing.assert_close(labels.sum(1), torch.ones(12))
    counted = torch.stack([(images[:, 0] == k + 1).float().mean((1, 2)) for k in range(12)], 1)
    torch.testing.assert_close(labels, counted)
    assert images.dtype == torch.uint8 and torch.equal(weights, torch.ones(12))


@pytest.mark.parametrize("seed", range(5))
def test_mixup_labels_are_the_share_of_each_picture(seed):
    torch.manual_seed(seed)
    images, labels, _ = flat()
    mixed_images, soft, _ = mixed((20 * images, labels, torch.ones(12)), "mixup", 12)
    torch.testing.assert_close(soft.sum(1), torch.ones(12))
    expected = (soft * 20 * torch.arange(1, 13)).sum(1)  # what a pixel is, if the label tells the truth
    assert (mixed_images.float() - expected.view(-1, 1, 1, 1)).abs().max() <= 0.501  # rounded to whole numbers


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_shares_are_drawn_for_each_picture(how):
    torch.manual_seed(0)
    _, soft, _ = mixed(flat(), how, 12)
    assert len(set(soft.max(1).values.tolist())) > 8


@pytest.mark.parametrize("function", [mixup, cutmix])
def test_a_share_of_one_keeps_the_picture_and_of_none_its_partner(function):
    images, _, _ = flat(4, 16)
    other = images.flip(0)
    kept, share = function(images, other, torch.ones(4))
    assert torch.equal(kept, images) and torch.equal(share, torch.ones(4))
    if function is mixup:  # CutMix's square is cut off at the edges
        assert torch.equal(function(images, other, torch.zeros(4))[0], other)


def test_the_arithmetic_is_torchvisions():
    class Half(v2.MixUp):
        def make_params(self, inputs):
            return {**super().make_params(inputs), "lam": 0.3}

    images, labels, _ = flat(6)
    theirs, soft = Half(num_classes=6)(images.float(), labels)
    ours, share = mixup(images, images.roll(1, 0), torch.full((6,), 0.3))
    torch.testing.assert_close(ours.float(), theirs.round())
    assert torch.allclose(soft.max(1).values, 1 - share)


def test_weights_are_mixed_as_labels_are():
    images, labels, _ = flat()
    torch.manual_seed(3)
    _, soft, weights = mixed((images, labels, torch.arange(12.0)), "mixup", 12)
    torch.testing.assert_close(weights, (soft * torch.arange(12.0)).sum(1))


def test_an_epoch_is_the_same_whenever_it_is_asked_for_and_others_differ(digits):
    def make(seed=1):
        return training_batches(digits, "shift+cutmix", size=16, seed=seed)

    def same(a, b):
        return all(torch.equal(x, y) for one, two in zip(a, b, strict=True) for x, y in zip(one, two, strict=True))

    whole, late = make(), make()
    epochs = [list(whole) for _ in range(3)]
    late.set_epoch(2)
    assert same(list(late), epochs[2]) and not same(epochs[0], epochs[1]) and not same(list(make(2)), epochs[0])


def test_the_callers_random_numbers_are_left_alone(digits):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    list(training_batches(digits, "mixup", size=16))
    assert torch.equal(torch.rand(2), expected)


def test_it_is_known_by_what_it_does(digits):
    batches = Batches(digits, size=16)
    kinds = [batches, Mixed(batches, "mixup"), Mixed(batches, "cutmix"), Mixed(batches, "mixup", 0.2)]
    assert len({kind.fingerprint for kind in kinds}) == 4
    assert len(kinds[1]) == len(batches) and (kinds[1].role, kinds[1].n) == ("train", 80)


def test_names():
    assert augmentation_parts("none", 16) == (None, None)
    assert augmentation_parts("mixup", 16) == augmentation_parts("none+mixup", 16) == (None, "mixup")
    transform, how = augmentation_parts("trivial+cutmix", 16)
    assert isinstance(transform, v2.Compose) and how == "cutmix"
    for name in ("mixup+cutmix", "flip+turn", "mixup+flip", "flop", "flip+"):
        with pytest.raises(CourseError, match=r"mixup|no augmentation"):
            augmentation_parts(name, 16)
    with pytest.raises(CourseError, match="alpha > 0"):
        Mixed(None, "mixup", 0.0)
