"""Weights are trained, checked and read safely, or there is a plain word: never random ones in silence."""

import hashlib
import io
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.models import weights
from tl_helpers.models.table import TABLE


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda **_: None)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "dinov2", "resnet34", "vit_tiny_patch16_224"])
def test_without_a_network_there_is_a_plain_word_at_once(no_network, name):
    with pytest.raises(CourseError) as error:
        tl.load_backbone(name)
    for part in (name, "cannot be fetched", "efficientnet_lite0", "vgg16_edges", "weights=None"):
        assert part in str(error.value)


def test_the_hub_is_not_asked_when_it_is_switched_off(no_network, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("asked the network"))
    with pytest.raises(CourseError, match="HF_HUB_OFFLINE"):
        tl.load_backbone("vit_small")


def test_a_folder_for_weights_that_can_not_be_made_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "file"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO())
    with pytest.raises(CourseError, match=r"cannot be fetched \(.*Not a directory"):
        tl.load_backbone("resnet18")


@pytest.fixture
def kept_by_torchvision(monkeypatch, tmp_path):
    """A resnet18 as torchvision would keep it: the file's name ends with the beginning of its sha256."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    network = torchvision.models.resnet18(weights=None)
    torch.save(network.state_dict(), buffer := io.BytesIO())
    name = f"resnet18-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    path = tmp_path / "checkpoints" / name
    path.parent.mkdir()
    path.write_bytes(buffer.getvalue())
    kept = SimpleNamespace(DEFAULT=SimpleNamespace(url=f"https://nowhere.invalid/{name}"))
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: kept)
    return network, path


def test_torchvision_weights_are_read_from_its_cache(kept_by_torchvision):
    network, path = kept_by_torchvision
    backbone = tl.load_backbone("resnet18")
    assert torch.equal(backbone.body.layer4[1].conv2.weight, network.layer4[1].conv2.weight)
    assert backbone.source == f"torchvision: {path.name}"
    head = tl.attach_head(backbone, tl.heads.imagenet()).head
    assert torch.equal(head.weight, network.fc.weight)


def test_a_damaged_file_is_named(kept_by_torchvision):
    path = kept_by_torchvision[1]
    damaged = bytearray(path.read_bytes())
    damaged[-1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CourseError, match=r"resnet18-.*damaged.*Delete it"):
        tl.load_backbone("resnet18")


def test_timm_weights_are_read_from_the_hub_s_cache(monkeypatch, tmp_path):
    network = timm.create_model("vit_small_patch16_224")
    content = tmp_path / "model.safetensors"
    save_file(network.state_dict(), content)
    blob = tmp_path / hashlib.sha256(content.read_bytes()).hexdigest()
    content.rename(blob)
    content.symlink_to(blob)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda **_: str(content))
    backbone = tl.load_backbone("vit_small")
    assert torch.equal(backbone.body.blocks[11].mlp.fc2.weight, network.blocks[11].mlp.fc2.weight)
    assert torch.equal(tl.attach_head(backbone, tl.heads.imagenet()).head.weight, network.head.weight)

    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(CourseError, match="damaged"):
        tl.load_backbone("vit_small")


def test_old_names_of_densenet_are_understood():
    new = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        k.replace("norm1.", "norm.1.")
        .replace("conv1.", "conv.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv2.", "conv.2."): v
        for k, v in new.items()
    }
    assert old.keys() != new.keys() and weights._modern_names(old).keys() == new.keys()


def test_lite0_is_the_carrier_s_file_tensor_for_tensor():
    tensors = torch.load(tl.sources.path_of("efficientnet-lite0-weights"), weights_only=True)
    backbone = tl.load_backbone("efficientnet_lite0")
    own = list(backbone.body.state_dict().values())
    assert len(tensors) == 296 == len(own) + 2
    assert all(torch.equal(a, b) for a, b in zip(own, tensors.values(), strict=False))
    assert backbone.source == "efficientnet-lite0-weights: efficientnet-lite0-57934424.pth"


def test_tensors_that_do_not_fit_are_refused():
    with pytest.raises(CourseError, match="shapes differ"):
        weights._fill_in_order(torch.nn.Linear(2, 2), {"a": torch.zeros(2, 2)}, "toy")


def test_edges_weights_are_hed_s():
    import h5py

    backbone = tl.load_backbone("vgg16_edges")
    convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    with h5py.File(tl.sources.path_of("vgg16-edges-weights")) as file:
        last = file["block5/layers/conv2d_2/vars/0"][()]
        bias = file["block5/layers/conv2d_2/vars/1"][()]
    assert len(convolutions) == 13
    assert torch.equal(convolutions[12].weight, torch.from_numpy(last).permute(3, 2, 0, 1))
    assert torch.equal(convolutions[12].bias, torch.from_numpy(bias))


def test_every_row_names_a_source():
    for row in TABLE.values():
        assert (
            row.weights in ("torchvision", "timm")
            or row.library == "small"
            or Path(tl.sources.path_of(row.weights)).exists()
        )


def test_old_names_of_densenet_are_read_and_no_other_network_is_renamed():
    for name in ("mobilenet_v2", "densenet121"):
        tensors = torchvision.models.get_model(name, weights=None).state_dict()
        assert list(weights._modern_names(tensors)) == list(tensors)
    old = {"features.denseblock1.denselayer2.norm.1.weight": torch.zeros(1)}
    assert list(weights._modern_names(old)) == ["features.denseblock1.denselayer2.norm1.weight"]
