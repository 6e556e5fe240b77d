"""ELPV: the paper's classes, weights and shares; blocks of neighbours that stay whole."""

from collections import Counter

import pytest
import torch

from tl_helpers import data, sources
from tl_helpers.data.image_set import ImageSet
from tl_helpers.errors import CourseError


@pytest.fixture(scope="module")
def elpv() -> ImageSet:
    return data.load("elpv")


def test_cells_classes_and_columns(elpv):
    assert elpv.images.shape == (2624, 1, 300, 300)
    assert elpv.class_counts() == {"functional": 1508, "defective": 295 + 106 + 715}
    thirds = (elpv.columns["probability"] * 3).round().long()
    assert torch.bincount(thirds).tolist() == [1508, 295, 106, 715]
    assert torch.bincount(elpv.columns["type"]).tolist() == [1074, 1550]
    assert elpv.names[0] == "cell0001.png" and elpv.names[-1] == "cell2624.png"
    assert "non-commercial" in elpv.attribution


def test_uncertain_cells_count_for_less(elpv):
    for probability, weight in ((0, 1.0), (1 / 3, 0.33), (2 / 3, 0.67), (1, 1.0)):
        chosen = (elpv.columns["probability"] - probability).abs() < 0.01
        assert torch.allclose(elpv.weights[chosen], torch.tensor(weight))
        assert (elpv.labels[chosen] == (probability > 0)).all()


def test_pixels_are_the_files(elpv):
    path = sources.path_of("elpv") / "images" / "cell0007.png"
    assert torch.equal(elpv.images[6], data.decode(path)[:1])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_quarter_tests_stratified_by_probability_and_type(seed):
    elpv = data.load("elpv", split_seed=seed)
    assert (len(elpv.test), len(elpv.train) + len(elpv.val)) == (656, 1968)
    assert len(elpv.val) == 281
    strata = (elpv.columns["probability"] * 3).round().long() * 2 + elpv.columns["type"]
    whole, tested = torch.bincount(strata, minlength=8), torch.bincount(strata[elpv.split.test], minlength=8)
    assert ((whole / 4 - tested).abs() <= 1).all()
    assert elpv.test.role == "test" and len(elpv.test.columns["type"]) == 656


@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_are_runs_of_neighbours_that_stay_whole(seed):
    blocks = data.load("elpv", split="blocks", split_seed=seed)
    assert (blocks.groups.diff() >= 0).all()
    sizes = Counter(blocks.groups.tolist())
    assert len(sizes) == 16 and set(sizes.values()) == {164}
    sets = [set(part.groups.tolist()) for part in (blocks.train, blocks.val, blocks.test)]
    assert sum(map(len, sets)) == 16
    assert len(blocks.test) in (3 * 164, 4 * 164, 5 * 164) and len(blocks.val) >= 164


def test_another_split_is_told():
    with pytest.raises(CourseError, match=r"'default' and 'blocks'; found 'modules'"):
        data.load("elpv", split="modules")
