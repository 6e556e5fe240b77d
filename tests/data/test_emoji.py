"""Emoji: the counts of the measurements, pairs in step, near-duplicates together, other artists never read."""

from collections import Counter

import pytest
import torch
from PIL import Image

from tl_helpers import data, sources
from tl_helpers.data import emoji as module
from tl_helpers.data.image_set import ImageSet
from tl_helpers.errors import CourseError

COUNTS = {
    "Smileys & Emotion": 142,
    "Animals & Nature": 135,
    "Food & Drink": 126,
    "Travel & Places": 166,
    "Activities": 73,
    "Objects": 202,
}


@pytest.fixture(scope="module")
def google() -> ImageSet:
    return data.load("emoji-google")


@pytest.fixture(scope="module")
def twitter() -> ImageSet:
    return data.load("emoji-twitter")


def test_844_emoji_of_six_categories(google, twitter):
    for emoji in (google, twitter):
        assert emoji.images.shape == (844, 3, 72, 72) and emoji.images.dtype == torch.uint8
        assert emoji.class_counts() == COUNTS
        assert emoji.licence and emoji.attribution
    assert twitter.licence == "CC-BY-4.0" and google.licence == "Apache-2.0"


def test_a_row_is_the_same_thing_by_both_artists(google, twitter):
    assert google.names == twitter.names
    assert torch.equal(google.labels, twitter.labels) and torch.equal(google.groups, twitter.groups)
    same = (google.images == twitter.images).flatten(1).all(1)
    assert not same.any()
    assert google.fingerprint != twitter.fingerprint


def test_the_order_is_by_code_point(google):
    folders = [sources.path_of(f"emoji-{artist}") for artist in module.ARTISTS]
    files = [file for file, _ in module._pairs(folders)]
    points = [[int(point, 16) for point in file.removesuffix(".png").replace("U+", "").split("-")] for file in files]
    assert points == sorted(points) and len(files) == 844
    assert google.names[files.index("U+1F9A1.png")] == "badger"


def test_pixels_are_the_files_on_white(google):
    row = google.names.index("badger")
    assert torch.equal(google.images[row], data.decode(sources.path_of("emoji-google") / "U+1F9A1.png"))
    assert google.images[row, :, 0, 0].tolist() == [255, 255, 255]


def test_the_files_stand_in_the_rows_order_and_keep_their_transparency(google):
    files = data.emoji_files("google")
    row = google.names.index("badger")
    assert len(files) == 844 and files[row].name == "U+1F9A1.png" and files[row].parent.name == "Goog"
    with Image.open(files[row]) as picture:
        assert picture.convert("RGBA").getextrema()[3] == (0, 255)
    assert torch.equal(data.decode(files[row]), google.images[row])
    with pytest.raises(CourseError, match="artists are google and twitter; found 'apple'"):
        data.emoji_files("apple")


def test_twenty_groups_of_near_duplicates_with_all_clocks_and_hearts(google):
    sizes = Counter(google.groups.tolist())
    assert sum(size > 1 for size in sizes.values()) == 20
    groups = dict(zip(google.names, google.groups.tolist(), strict=True))
    clocks = {group for name, group in groups.items() if name.startswith("clock face")}
    hearts = {
        groups[f"{colour} heart"]
        for colour in ("blue", "green", "yellow", "purple", "black", "white", "brown", "orange")
    }
    assert len(clocks) == len(hearts) == 1 and clocks != hearts
    assert sizes[clocks.pop()] == 24


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_637_and_207_with_groups_whole_and_both_artists_alike(seed):
    google, twitter = (data.load(f"emoji-{artist}", split_seed=seed) for artist in module.ARTISTS)
    assert len(google.test) == 207 and len(google.train) + len(google.val) == 637
    assert 85 <= len(google.val) <= 95
    assert google.split.hash == twitter.split.hash
    sets = [set(part.groups.tolist()) for part in (google.train, google.val, google.test)]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert min(google.test.class_counts().values()) >= 15


def test_only_these_two_artists_are_ever_opened(monkeypatch, tmp_path):
    opened = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda path: opened.append(path) or real(path))
    monkeypatch.setattr(module, "kept", lambda name, rows, compute: compute())
    data.load("emoji-google")
    assert len(opened) == 2 * 844
    assert {path.parent.name for path in opened} == {"Goog", "Twtr"}
