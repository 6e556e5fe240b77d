"""Heads fit their backbones, and a model can be built again from its description."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.models import Classifier, build
from tl_helpers.models.heads import Head


@pytest.fixture(scope="module")
def resnet():
    return tl.load_backbone("resnet18", weights=None).eval()


@pytest.mark.parametrize("head", [tl.heads.linear(5), tl.heads.mlp(5, hidden=8), tl.heads.conv_pool(5, hidden=8)])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "alexnet", "vit_small"])
def test_heads_give_logits_and_gradients_on_any_backbone(name, head):
    model = tl.attach_head(tl.load_backbone(name, weights=None), head)
    logits = model(torch.rand(2, 3, 64, 64))
    assert isinstance(model, Classifier) and logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert next(model.backbone.parameters()).grad is not None


def test_nothing_is_copied(resnet):
    model = tl.attach_head(resnet, tl.heads.linear(2))
    assert model.backbone is resnet


@pytest.mark.parametrize(
    "head",
    [tl.heads.linear(3), tl.heads.mlp(3, hidden=8, dropout=0.5), tl.heads.conv_pool(3, hidden=8), tl.heads.imagenet()],
)
def test_a_model_is_built_again_from_its_spec_and_a_file(head, tmp_path):
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), head).eval()
    model.to(memory_format=torch.channels_last)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    again = build(json.loads(json.dumps(model.spec))).eval()
    assert again.spec == model.spec and again.backbone.source == "random"
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert again.backbone.fingerprint == model.backbone.fingerprint
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(images), model(images))


def test_spec_is_plain(resnet):
    model = tl.attach_head(resnet, tl.heads.mlp(4))
    assert model.spec == {"backbone": "resnet18", "head": "mlp", "classes": 4, "hidden": 256, "dropout": 0.2}


def test_edges_of_a_photograph_are_crisp():
    from sklearn.datasets import load_sample_image

    china = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None]
    model = tl.attach_head(tl.load_backbone("vgg16_edges"), tl.heads.edges()).eval()
    with torch.no_grad():
        edges = model(china)
    assert edges.shape == (1, 1, *china.shape[2:]) and edges.min() >= 0 and edges.max() <= 1
    grey = china.float().mean(1, keepdim=True)
    step = (grey[..., 1:, 1:] - grey[..., :-1, 1:]).abs() + (grey[..., 1:, 1:] - grey[..., 1:, :-1]).abs()
    at_steps = edges[..., 1:, 1:][step > step.quantile(0.98)].mean()
    sky = edges[..., 5:60, 250:600]
    assert sky.mean() < 0.001 and at_steps > 0.3
    assert edges[..., 90:320, 100:340].amax() > 0.95, "the temple's outline is certain"


def test_edges_fit_only_their_own_body(resnet):
    with pytest.raises(CourseError, match="vgg16_edges"):
        tl.attach_head(resnet, tl.heads.edges())
    random = tl.attach_head(tl.load_backbone("vgg16_edges", weights=None), tl.heads.edges())
    assert build(random.spec)(torch.zeros(1, 1, 17, 33)).shape == (1, 1, 17, 33)


def test_networks_without_a_thousand_classes_say_so():
    with pytest.raises(CourseError, match="no classifier"):
        tl.attach_head(tl.load_backbone("dinov2", weights=None), tl.heads.imagenet())
    with pytest.raises(CourseError, match="no classifier"):
        tl.attach_head(tl.load_backbone("vgg16_edges", weights=None), tl.heads.imagenet())
    assert len(set(tl.heads.imagenet_classes())) > 990


@pytest.mark.parametrize("classes", [0, -1, 2.0, True, ["cat", "dog"]])
def test_the_number_of_classes_is_a_number(classes):
    with pytest.raises(CourseError, match="whole number"):
        tl.heads.linear(classes)


def test_other_things_are_no_heads(resnet):
    with pytest.raises(CourseError, match=r"heads\.linear"):
        tl.attach_head(resnet, nn.Linear(512, 2))
    with pytest.raises(CourseError, match="describes no model"):
        build({"backbone": "resnet18"})
    with pytest.raises(CourseError, match="describes no model"):
        build({"backbone": "resnet18", "head": "tail", "classes": 2})
    assert Head("linear", {"classes": 2}) == tl.heads.linear(2)
