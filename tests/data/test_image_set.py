"""ImageSet: parts, subsets, few, fingerprints and kept sizes; what does not fit together is told."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tl_helpers.data import ImageSet, StreamedImages, load, make_split
from tl_helpers.data import image_set as module
from tl_helpers.errors import CourseError


def small(n=60, **changes) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    given = {
        "name": "small",
        "images": torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=generator),
        "labels": labels,
        "classes": ("a", "b", "c"),
        "names": tuple(f"item {i}" for i in range(n)),
        "licence": "CC0-1.0",
        "attribution": "",
        "weights": torch.linspace(0, 1, n),
        "groups": torch.arange(n),
        "columns": {"extra": torch.arange(n)},
        "split": make_split(labels),
    }
    return ImageSet(**{**given, **changes})


def test_it_is_a_dataset():
    items = small()
    image, label = items[4]
    assert image.shape == (3, 8, 8) and label == 1
    assert len(list(items)) == 60
    images, labels = next(iter(DataLoader(items, batch_size=7)))
    assert images.shape == (7, 3, 8, 8) and torch.equal(labels, items.labels[:7])
    assert repr(items) == "ImageSet('small', all: 60 of 3x8x8, 3 classes)"


def test_parts_know_their_role_and_have_no_parts():
    items = small()
    assert [getattr(items, role).role for role in ("train", "val", "test")] == ["train", "val", "test"]
    assert sum(len(part) for part in (items.train, items.val, items.test)) == 60
    assert items.train is items.train
    with pytest.raises(CourseError, match="'train' part"):
        _ = items.train.test
    bare = small(split=None)
    with pytest.raises(CourseError, match=r"small has no split, so no \.train\. Give it one .*split=make_split"):
        _ = bare.train
    assert len(dataclasses.replace(bare, split=make_split(bare.labels)).test) == len(items.test)


@pytest.mark.parametrize(
    "indices", [[5, 2, 9], torch.tensor([5, 2, 9]), np.array([5, 2, 9]), np.array([9, 2, 5])[::-1], range(3)]
)
def test_a_subset_takes_every_column_along(indices):
    items, rows = small(), torch.tensor([int(i) for i in indices])
    chosen = items.subset(indices, role="train")
    assert torch.equal(chosen.images, items.images[rows])
    assert chosen.names == tuple(f"item {i}" for i in rows)
    assert chosen.groups.tolist() == chosen.columns["extra"].tolist() == rows.tolist()
    assert torch.equal(chosen.weights, items.weights[rows]) and chosen.role == "train"


def test_a_subset_by_truth_values():
    items = small()
    assert items.subset(items.labels == 2).class_counts() == {"a": 0, "b": 0, "c": 20}


def test_few_is_nested_and_takes_what_there_is():
    items = small()
    one, five = items.few(1, seed=3), items.few(5, seed=3)
    assert five.class_counts() == {"a": 5, "b": 5, "c": 5}
    assert set(one.names) < set(five.names)
    assert items.few(1, seed=4).names != one.names == items.few(1, seed=np.int64(3)).names
    assert items.few(1000).names == items.names
    with pytest.raises(CourseError, match="found 0"):
        items.few(0)


def test_the_fingerprint_is_that_of_pixels_and_labels():
    items = small()
    assert items.fingerprint == small().fingerprint
    changed = items.images.clone()
    changed[3, 0, 0, 0] += 1
    others = [
        dataclasses.replace(items, images=changed),
        dataclasses.replace(items, labels=items.labels.flip(0)),
        dataclasses.replace(items, name="other"),
        items.train,
    ]
    assert len({items.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert dataclasses.replace(items, name="f\udcfcr").fingerprint  # a folder's name that is not UTF-8


def test_resized_is_computed_once():
    items = small()
    resized = items.resized(5)
    assert resized.shape == (60, 3, 5, 5) and resized.dtype == torch.uint8
    assert items.resized(5) is resized
    assert items.resized(8) is items.images


def test_a_set_too_large_for_memory_is_not_resized_whole(monkeypatch):
    monkeypatch.setattr(module, "fits_in_memory", lambda n_bytes: False)
    with pytest.raises(CourseError, match="Go through it with Batches"):
        small().resized(5)


def test_streamed_sets_behave_alike():
    items = small()
    streamed = StreamedImages(lambda i: items.images[i], torch.arange(60), 8, "state")
    other = dataclasses.replace(items, images=streamed)
    assert torch.equal(other.train.images[torch.arange(5)], items.train.images[:5])
    assert torch.equal(other.test.resized(6), items.test.resized(6))
    assert other.fingerprint == dataclasses.replace(items, images=streamed).fingerprint != items.fingerprint
    assert torch.equal(other[7][0], items[7][0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"images": torch.zeros(60, 3, 8, 8)}, "uint8"),
        ({"images": torch.zeros(60, 4, 8, 8, dtype=torch.uint8)}, "uint8"),
        ({"images": torch.zeros(59, 3, 8, 8, dtype=torch.uint8)}, "60 labels need as many images"),
        ({"weights": torch.ones(3)}, "'weights': 3"),
        ({"columns": {"extra": torch.ones(3)}}, "'extra': 3"),
        ({"classes": ("a", "b")}, "int64 from 0 to 1"),
        ({"labels": torch.arange(60).float() % 3}, "int64"),
        ({"labels": [0, 1, 2] * 20}, "int64"),
        ({"role": "exam"}, "role has to be one of"),
    ],
)
def test_what_does_not_fit_together_is_told(changes, problem):
    with pytest.raises(CourseError, match=problem):
        small(**changes)


def test_digits_are_real_handwriting_in_the_range_of_images():
    digits = load("digits")
    assert digits.images.shape == (1797, 1, 8, 8)
    assert int(digits.images.min()) == 0 and int(digits.images.max()) == 255
    assert len(digits.classes) == 10 and digits.labels[:3].tolist() == [0, 1, 2]


def test_a_mask_of_another_set_and_broken_positions_are_refused():
    items = small()
    assert len(items.subset([i % 2 == 0 for i in range(len(items))])) == len(items) // 2
    table = np.ones((len(items), 2), bool)
    for wrong in ([True, False], [True] * 61, [0.9, 1.5], table, [[0, 1]], 3, np.int64(3), True, ["a"], {1, 2}, None):
        with pytest.raises(CourseError, match="A subset takes positions"):
            items.subset(wrong)
    for beyond in ([60], [-61]):
        with pytest.raises(CourseError, match="Positions go from 0 to 59"):
            items.subset(beyond)


def test_lists_do_as_well_as_tuples():
    items = small(classes=["a", "b", "c"], names=[f"item {i}" for i in range(60)])
    assert items.classes == ("a", "b", "c") and items.subset([5]).names == ("item 5",)
