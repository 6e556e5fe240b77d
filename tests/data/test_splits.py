"""Splits: every item once, shares and classes kept, groups whole, the same for the same seed."""

import numpy as np
import pytest

from tl_helpers.data import make_split
from tl_helpers.errors import CourseError

LABELS = np.repeat([0, 1, 2], [100, 60, 40])


def parts(split):
    return [split.train, split.val, split.test]


@pytest.mark.parametrize("seed", range(3))
def test_every_item_stands_in_one_part(seed):
    split = make_split(LABELS, seed=seed)
    assert sorted(np.concatenate(parts(split)).tolist()) == list(range(200))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts(split))


def test_classes_may_have_names_or_any_numbers():
    for names in (np.array(["cat", "dog", "owl"]), np.array([-3, 5, 800])):
        assert make_split(names[LABELS]).hash == make_split(LABELS).hash


def test_shares_hold_for_each_class():
    split = make_split(LABELS)
    assert np.bincount(LABELS[split.test]).tolist() == [25, 15, 10]
    assert np.abs(np.bincount(LABELS[split.val]) - np.array([75, 45, 30]) / 7).max() <= 1
    assert len(make_split(LABELS, test=0.5, val=0.2).test) == 100


def test_the_seed_decides_and_the_hash_tells():
    assert make_split(LABELS, seed=1).hash == make_split(LABELS, seed=1).hash
    assert len({make_split(LABELS, seed=seed).hash for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole(seed):
    groups = np.arange(200) // 4
    split = make_split(LABELS, groups, seed=seed)
    where = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts(split))])
    order = np.argsort(np.concatenate(parts(split)))
    assert all(len(set(where[order][groups == group])) == 1 for group in set(groups))


def test_the_largest_group_tests_for_some_seeds_only():
    groups = np.r_[np.zeros(30, int), np.arange(1, 171)]
    tested = [0 in make_split(LABELS, groups, seed=seed).test for seed in range(12)]
    assert 0 < sum(tested) < 9


def test_a_number_asks_for_exactly_so_many():
    groups = np.r_[np.zeros(30, int), np.arange(1, 171)]
    splits = [make_split(LABELS, groups, test=45, seed=seed) for seed in range(8)]
    assert {len(split.test) for split in splits} == {45}
    assert [len(make_split(np.arange(240) % 3, test=n).test) for n in (19, 25, 68)] == [19, 25, 68]
    assert all(sorted(np.concatenate(parts(split)).tolist()) == list(range(200)) for split in splits)


def test_without_a_test_set_all_others_train_and_choose():
    split = make_split(LABELS, test=0)
    assert (len(split.train), len(split.val), len(split.test)) == (172, 28, 0)


def test_small_classes_still_split():
    split = make_split(np.repeat(np.arange(10), 5))
    assert min(map(len, parts(split))) >= 5
    assert min(map(len, parts(make_split([0, 0, 0, 1, 1, 1])))) >= 1


@pytest.mark.parametrize(
    ("labels", "arguments", "problem"),
    [
        ([0] * 20, {}, "at least two classes; found 1"),
        ([0] * 20 + [1, 1], {}, "Class 1 has only 2 of the three"),
        (LABELS, {"test": 0.9}, "test=0.9"),
        (LABELS, {"val": 0.0}, "val=0.0"),
        (LABELS, {"test": 45, "groups": np.arange(200) // 2}, "A test set of 45 items is not possible"),
        (LABELS, {"groups": np.zeros(200, int)}, "of one group can't be cut"),
        (LABELS, {"groups": np.zeros(3, int)}, "every item has a group"),
        (LABELS, {"seed": -1}, "seed is 0 or more"),
        (
            [0, 1] * 30 + [2] * 6,
            {"groups": [*range(60), *[60] * 6], "seed": 3},
            "no item of class 2 is left to train on",
        ),
    ],
)
def test_what_can_not_be_split_is_told(labels, arguments, problem):
    with pytest.raises(CourseError, match=problem):
        make_split(labels, **arguments)
