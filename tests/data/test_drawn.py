"""Drawn characters: a function of the seed alone, every option does something, wrong options are told."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import tl_helpers as tl
from tl_helpers.data.drawn import DIGITS, FONTS, LETTERS, drawn_characters
from tl_helpers.errors import CourseError


@pytest.fixture(scope="module")
def drawn():
    return drawn_characters(600, seed=3)


def test_the_same_seed_draws_the_same_bytes(drawn):
    again, other = drawn_characters(600, seed=np.int64(3)), drawn_characters(600, seed=4)
    assert torch.equal(drawn.images, again.images) and drawn.fingerprint == again.fingerprint
    assert drawn.names == again.names and drawn.split.hash == again.split.hash
    assert not torch.equal(drawn.images, other.images)


def test_the_same_bytes_in_another_process_with_other_threads():
    code = (
        "import torch; torch.set_num_threads(torch.get_num_threads() + 1); from tl_helpers.data.drawn import drawn_characters as d;"
        "print(d(80, seed=3, size=8).fingerprint)"
    )
    torch.manual_seed(99)  # the caller's random numbers play no part, and are left alone
    expected, mine = torch.get_rng_state(), drawn_characters(80, seed=3, size=8).fingerprint
    assert torch.equal(torch.get_rng_state(), expected)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mine


def test_it_is_a_set_as_any_other(drawn):
    assert drawn.images.shape == (600, 1, 16, 16) and drawn.images.dtype == torch.uint8
    assert drawn.classes == tuple(DIGITS + LETTERS)
    counts = drawn.class_counts().values()
    assert max(counts) - min(counts) <= 1
    assert drawn.names[0].startswith(drawn.classes[drawn.labels[0]])
    ink = drawn.images.float().mean(dim=(1, 2, 3))
    assert ink.min() > 5 and ink.max() < 250, "no picture is empty or full"
    fonts = [set(part.groups.tolist()) for part in (drawn.train, drawn.val, drawn.test)]
    assert not fonts[0] & fonts[1] and not fonts[0] & fonts[2] and not fonts[1] & fonts[2]
    assert (
        drawn_characters(20, characters="AB").split is not None and drawn_characters(19, characters="AB").split is None
    )


@pytest.mark.parametrize("size", [8, 16, 32])
def test_every_size_shows_the_same_drawing(size):
    large, small = (drawn_characters(12, seed=1, size=s, characters=DIGITS).images.float() for s in (32, size))
    assert small.shape == (12, 1, size, size)
    means = torch.nn.functional.avg_pool2d(large, 32 // size)
    assert (small - means).abs().max() <= 1, "the ink of each block is averaged"


def test_without_distortion_a_font_is_itself():
    plain = drawn_characters(200, seed=0, characters="AB", distortion=0)
    pictures = {}
    for image, name in zip(plain.images, plain.names, strict=True):
        pictures.setdefault(name, []).append(image)
    assert all(torch.equal(image, images[0]) for images in pictures.values() for image in images)
    assert len({image.numpy().tobytes() for images in pictures.values() for image in images}) > len(FONTS)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n": 0}, "n=0"),
        ({"size": 28}, "8, 16 or 32"),
        ({"distortion": 3}, "distortion=3"),
        ({"seed": -1}, "seed=-1"),
        ({"characters": "A"}, "at least two"),
        ({"characters": "AA"}, "each once"),
        ({"characters": "A "}, "leaves no ink"),
    ],
)
def test_wrong_options_are_told(options, told):
    with pytest.raises(CourseError, match=told):
        drawn_characters(**{"n": 8} | options)


def test_by_name():
    digits, again = tl.data.load("drawn-digits"), tl.data.load("drawn-digits", split_seed=1)
    assert len(digits) == 4000 and digits.classes == tl.data.load("digits").classes
    assert torch.equal(digits.images, again.images) and digits.split.hash != again.split.hash
    assert len(tl.data.load("drawn-characters").classes) == 47
