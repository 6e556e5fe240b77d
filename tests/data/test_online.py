"""torchvision's own sets: read where they are, and told plainly where they are not."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from tl_helpers import data, sources
from tl_helpers.data import StreamedImages
from tl_helpers.data import images as pictures
from tl_helpers.errors import CourseError


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def pets(own_cache):
    """Oxford-IIIT Pet's own layout with two breeds, as torchvision reads it."""
    base = own_cache / "torchvision" / "oxford-iiit-pet"
    (base / "images").mkdir(parents=True)
    (base / "annotations").mkdir()
    for part, numbers in (("trainval", range(1, 15)), ("test", range(15, 19))):
        lines = []
        for label, breed in enumerate(("Beagle", "Birman"), 1):
            for i in numbers:
                Image.new("RGB", (60 + i, 50), (40 * label, i, 0)).save(base / "images" / f"{breed}_{i}.jpg")
                lines.append(f"{breed}_{i} {label} 1 1")
        (base / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")


def test_a_set_that_is_there_is_read_with_its_own_test_part(pets):
    items = data.load("OxfordIIITPet", image_size=32)
    assert items.images.shape == (36, 3, 32, 32) and items.classes == ("Beagle", "Birman")
    assert len(items.test) == 8 and all(name.startswith("test") for name in items.test.names)
    assert (len(items.train), len(items.val)) == (24, 4)
    assert items.val.class_counts() == {"Beagle": 2, "Birman": 2}
    means = items.images.float().mean((2, 3))[:, 0]
    assert torch.allclose(means, 40.0 * (items.labels + 1), atol=3)
    assert items.licence and items.attribution


def test_it_is_streamed_where_memory_is_short(pets, monkeypatch):
    whole = data.load("OxfordIIITPet", image_size=32)
    monkeypatch.setattr(pictures, "fits_in_memory", lambda n_bytes: False)
    streamed = data.load("OxfordIIITPet", image_size=32)
    assert isinstance(streamed.images, StreamedImages)
    assert torch.equal(streamed.test.images[torch.arange(8)], whole.test.images)


class Offline:
    """What torchvision does without a network."""

    def __init__(self, root, download=False, **arguments):
        raise OSError("no network") if download else RuntimeError("Dataset not found")


@pytest.mark.parametrize("name", data.ONLINE)
def test_without_a_network_it_says_so_and_offers_what_is_there(own_cache, monkeypatch, name):
    monkeypatch.setattr(datasets, name, Offline)
    with pytest.raises(CourseError, match=rf"{name} is not on this machine.*no network.*emoji-google"):
        data.load(name)


class TinyCIFAR10:
    """CIFAR-10's interface with sixty pictures in all."""

    classes = ("plane", "car")

    def __init__(self, root, train, download=False):
        self.targets = [0, 1] * (20 if train else 10)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return Image.fromarray(np.full((32, 32, 3), self.targets[i], np.uint8)), self.targets[i]


def test_a_part_that_a_set_lacks_is_cut_from_train(own_cache, monkeypatch):
    monkeypatch.setattr(datasets, "CIFAR10", TinyCIFAR10)
    items = data.load("CIFAR10")
    assert items.images.shape == (60, 3, 32, 32)
    assert (len(items.train), len(items.val), len(items.test)) == (34, 6, 20)
    assert torch.equal(items.images[:, 0, 0, 0].long(), items.labels)
