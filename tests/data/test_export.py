"""Sets written as folders: torchvision's loader sees exactly what `load` gives."""

import dataclasses

import numpy as np
import pytest
import torch
from torchvision.datasets import ImageFolder

from tl_helpers import data
from tl_helpers.data import export
from tl_helpers.errors import CourseError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return data.as_folders("emoji-google", tmp_path_factory.mktemp("written") / "google", split_seed=1)


def test_torchvision_sees_the_same_pixels_and_split(written):
    emoji = data.load("emoji-google", split_seed=1)
    for role in ("train", "val", "test"):
        folder = ImageFolder(written / role)
        assert folder.classes == sorted(emoji.classes) and len(folder) == len(getattr(emoji, role))
    rows = {int(path.rsplit("/", 1)[-1][:5]): i for i, (path, _) in enumerate(folder.samples)}
    assert sorted(rows) == emoji.split.test.tolist()
    for row in emoji.split.test[:20].tolist():
        image, label = folder[rows[row]]
        assert torch.equal(torch.from_numpy(np.array(image)).permute(2, 0, 1), emoji.images[row])
        assert folder.classes[label] == emoji.classes[emoji.labels[row]]


def test_our_own_loader_reads_it_back(written):
    emoji, back = data.load("emoji-google", split_seed=1), data.load(written)
    assert [len(back.train), len(back.val), len(back.test)] == [len(emoji.train), len(emoji.val), len(emoji.test)]
    assert back.class_counts() == emoji.class_counts()
    assert back.images.shape == emoji.images.shape


def test_asked_again_it_is_left_as_it_is(written):
    before = max(file.stat().st_mtime_ns for file in written.rglob("*"))
    assert data.as_folders("emoji-google", written, split_seed=1) == written
    assert max(file.stat().st_mtime_ns for file in written.rglob("*")) == before


def test_something_else_in_the_way_is_never_overwritten(written, tmp_path):
    with pytest.raises(CourseError, match="contains something else"):
        data.as_folders("emoji-google", written, split_seed=2)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(CourseError, match="contains something else"):
        data.as_folders("digits", tmp_path)
    with pytest.raises(CourseError, match="contains something else"):
        data.as_folders("digits", tmp_path / "mine.txt")
    with pytest.raises(CourseError, match="no pictures"):
        data.as_folders("reuters-r8", tmp_path / "texts")


def test_an_empty_directory_will_do_and_grey_becomes_rgb(tmp_path):
    (tmp_path / "digits").mkdir()
    folder = ImageFolder(data.as_folders("digits", tmp_path / "digits") / "test")
    image, label = folder[0]
    assert image.mode == "RGB" and image.size == (8, 8) and folder.classes[label] == "0"
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits"]


@pytest.fixture
def thirty(monkeypatch):
    """Thirty digits in place of all."""
    some = data.load("digits").few(3)
    some = dataclasses.replace(some, split=data.make_split(some.labels))
    monkeypatch.setattr(export, "load", lambda name, split_seed: some)


def test_of_two_exports_at_once_one_is_kept_whole(thirty, tmp_path, monkeypatch):
    write = export._write

    def overtaken(whole, folder):
        monkeypatch.setattr(export, "_write", write)
        data.as_folders("digits", tmp_path / "digits")  # as another process does meanwhile
        write(whole, folder)

    monkeypatch.setattr(export, "_write", overtaken)
    written = data.as_folders("digits", tmp_path / "digits")
    assert {entry.name for entry in written.iterdir()} == {export.MARK, "train", "val", "test"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits"]


def test_a_place_that_can_not_be_written_is_told(thirty, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path / "empty")
    for place in (".", tmp_path / "link", tmp_path / "file" / "below"):
        with pytest.raises(CourseError, match="can't be written"):
            data.as_folders("digits", place)
