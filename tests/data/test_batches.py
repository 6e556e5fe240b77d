"""Batches: each item once, order and augmentation a function of (seed, epoch), the caller's random numbers untouched."""

import dataclasses

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tl_helpers.data import Batches, ImageSet, StreamedImages, augmentation, load
from tl_helpers.data import batches as module
from tl_helpers.data.images import fit_square
from tl_helpers.errors import CourseError


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").few(7).subset(range(70), role="train")


@pytest.fixture(scope="module")
def emoji() -> ImageSet:
    return load("emoji-google").train.few(4)


def same(first, second):
    return all(torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))


def test_shapes_types_and_order(digits):
    batches = Batches(digits, batch_size=np.int64(32), size=16, seed=np.int64(3))
    assert batches.fingerprint == Batches(digits, batch_size=32, size=16, seed=3).fingerprint
    got = list(batches)
    assert len(got) == len(batches) == 3 and batches.n == 70 and batches.role == "train"
    inputs, labels, weights = got[-1]
    assert inputs.shape == (6, 1, 16, 16) and inputs.dtype == torch.uint8
    assert labels.dtype == torch.int64 and weights.dtype == torch.float32 and weights.eq(1).all()
    assert torch.equal(torch.cat([batch[0] for batch in got]), digits.resized(16))
    assert torch.equal(torch.cat([batch[1] for batch in got]), digits.labels)


def test_the_ragged_end_can_be_dropped(digits):
    batches = Batches(digits, batch_size=32, size=8, drop_last=True)
    assert len(batches) == 2 == len(list(batches)) and batches.n == 64


def test_weights_travel_along():
    cells = load("elpv").test.subset(range(5))
    _, _, weights = next(iter(Batches(cells, size=32)))
    assert torch.equal(weights, cells.weights)


def test_shuffled_batches_hold_each_item_once_and_differ_by_epoch(digits):
    batches = Batches(digits, size=8, shuffle=True)
    first, second = (torch.cat([inputs for inputs, _, _ in batches]) for _ in range(2))
    assert not torch.equal(first, second)
    for got in (first, second):
        assert torch.equal(
            got.flatten(1).long().sum(1).sort().values, digits.images.flatten(1).long().sum(1).sort().values
        )


def test_an_epoch_is_the_same_whenever_it_is_asked_for(emoji):
    def make(seed=5):
        return Batches(emoji, batch_size=8, size=48, augment=augmentation("colour", 48), shuffle=True, seed=seed)

    stopped, whole, other = make(), make(), make(seed=6)
    epochs = [list(whole) for _ in range(3)]
    stopped.set_epoch(2)
    assert same(list(stopped), epochs[2])
    assert not same(epochs[0], epochs[1]) and not same(list(other), epochs[0])


def test_each_picture_is_augmented_with_numbers_of_its_own(digits):
    twice = digits.subset([3] * 16)
    inputs, _, _ = next(iter(Batches(twice, size=24, augment=augmentation("shift", 24))))
    assert len({tuple(image.flatten().tolist()) for image in inputs}) > 8


def test_the_callers_random_numbers_are_left_alone(emoji):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(Batches(emoji, size=32, augment=augmentation("flip-crop", 32), shuffle=True))
    assert torch.equal(torch.rand(3), expected)


def test_workers_change_nothing_but_the_speed(emoji):
    def make(workers):
        augment = augmentation("flip-crop", 32)
        return Batches(emoji, batch_size=8, size=32, augment=augment, shuffle=True, workers=workers)

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    alone, helped = make(0), make(1)
    assert same(list(alone), list(helped)) and same(list(alone), list(helped))
    assert torch.equal(torch.rand(3), expected)
    assert len(helped) == 3


def test_streamed_and_large_sets_give_the_same_batches(emoji, monkeypatch):
    pixels = emoji.images
    streamed = dataclasses.replace(emoji, images=StreamedImages(lambda i: pixels[i], torch.arange(len(emoji)), 72, ""))
    expected = list(Batches(emoji, batch_size=10, size=40))
    assert same(list(Batches(streamed, batch_size=10, size=40)), expected)
    monkeypatch.setattr(ImageSet, "fits", lambda self, size: False)
    assert same(list(Batches(streamed, batch_size=10, size=40)), expected)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"size": 0}, {"workers": -1}, {"seed": -1}])
def test_numbers_out_of_range_are_told(digits, wrong):
    with pytest.raises(CourseError, match=next(iter(wrong))):
        Batches(digits, **wrong)


def test_the_name_of_an_augmentation_is_not_a_transform(digits):
    with pytest.raises(CourseError, match=r"not a name: augment=augmentation\('flip', 8\)"):
        Batches(digits, size=8, augment="flip")


def test_an_empty_set_is_told(digits):
    with pytest.raises(CourseError, match="empty"):
        Batches(digits.subset([]))


@pytest.mark.parametrize("augment", [v2.Resize(9), v2.Compose([v2.Resize(8), v2.ToDtype(torch.float32)])])
def test_an_augmentation_that_gives_something_else_is_told(digits, augment):
    with pytest.raises(CourseError, match="uint8 pictures of 8x8"):
        next(iter(Batches(digits, size=8, augment=augment)))


def test_seeds_are_far_apart():
    assert (
        len({module.derived_seed(seed, epoch, batch) for seed in range(5) for epoch in range(5) for batch in range(5)})
        == 125
    )


def test_no_batch_of_one_is_left_to_a_batch_norm(digits):
    batches = Batches(digits.subset(range(33)), batch_size=16, size=8, shuffle=True)
    assert [len(labels) for _, labels, _ in batches] == [16, 17] and len(batches) == 2
    assert [len(labels) for _, labels, _ in Batches(digits.subset(range(33)), batch_size=16, size=8)] == [16, 16, 1]
    shortened = Batches(digits.subset(range(33)), batch_size=16, size=8, shuffle=True, drop_last=True)
    assert [len(labels) for _, labels, _ in shortened] == [16, 16]
    assert len(Batches(digits.subset([0]), batch_size=16, size=8, shuffle=True)) == 1


def test_two_functions_of_one_name_are_two_augmentations(emoji):
    found = {Batches(emoji, size=32, augment=v2.Lambda(shade)).fingerprint for shade in (darker, darkest)}
    assert len(found) == 2
    assert Batches(emoji, size=32, augment=v2.Lambda(darker)).fingerprint in found


def test_the_address_of_a_function_is_no_part_of_the_fingerprint(emoji):
    """It differs in every process, and a training goes on in another one."""
    makers = [eval("lambda image: fit_square(image, 32) // 3", {"fit_square": fit_square}) for _ in range(2)]
    composed = [v2.Compose([v2.RandomHorizontalFlip(), maker]) for maker in makers]
    assert repr(composed[0]) != repr(composed[1])
    assert len({Batches(emoji, size=32, augment=augment).fingerprint for augment in composed}) == 1


def darker(image):
    return fit_square(image, 32) // 2


def darkest(image):
    return fit_square(image, 32) // 4


darkest.__qualname__ = darkest.__name__ = "darker"
