"""The table keeps its word, and a backbone takes images as they come."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from timm.layers import Conv2dSame
from torchvision.transforms.v2 import functional as V

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.models import quick_layers
from tl_helpers.models.table import TABLE


@pytest.fixture(scope="module")
def lite0():
    return tl.load_backbone("efficientnet_lite0").eval()


def photographs(size: int) -> torch.Tensor:
    """scikit-learn's china.jpg and flower.jpg, uint8 (2, 3, size, size)."""
    from sklearn.datasets import load_sample_images

    images = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images]
    return torch.stack(
        [V.center_crop(V.resize(i, [round(size * 8 / 7)], antialias=True), [size, size]) for i in images]
    )


@pytest.mark.parametrize("name", TABLE)
def test_every_row_is_what_it_says(name):
    backbone = tl.load_backbone(name, weights=None).eval()
    row = TABLE[name]
    assert (backbone.source, backbone.licence) == ("random", row.licence) and row.licence
    size = max(row.smallest, 32 if row.patch == 1 else 2 * row.patch)
    calls = []
    for stage, modules in backbone.stages.items():
        assert modules, f"{stage} is empty"
        modules[0].register_forward_pre_hook(lambda *_, stage=stage: calls.append(stage))

    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    with torch.no_grad():
        assert backbone(images).shape == (2, row.width) and backbone.width == row.width
        maps = backbone.forward_maps(images)
        assert maps.ndim == 4 and maps.shape[:2] == (2, row.channels)
        handed_on = backbone.forward_stages(images)
    assert calls[: len(row.stages)] == list(row.stages) == list(handed_on), "from stem to top, as images run through"

    by_stage = [name for found in backbone.stage_parameters().values() for name, _ in found]
    assert sorted(by_stage) == sorted(name for name, _ in backbone.named_parameters()), "each parameter exactly once"


@pytest.mark.parametrize(
    ("name", "width", "channels", "first", "last"),
    [
        ("resnet34", 512, 512, "stem", "layer4"),  # torchvision has it, the table does not
        ("vgg11", 4096, 512, "features.0", "classifier"),
        ("vit_tiny_patch16_224", 192, 192, "stem", "top"),  # timm only
        ("mobilenetv3_small_050", 1024, 288, "stem", "top"),
        ("maxvit_t", 512, 512, "stem", "classifier"),  # its blocks are in a ModuleList, which is never called itself
        ("poolformer_s12", 512, 512, "stem", "top"),  # a part of its body is called head
        ("beit_base_patch16_224", 768, 768, "stem", "top"),  # a transformer whose positions can't be resized
    ],
)
def test_any_other_name_is_found_by_looking(name, width, channels, first, last):
    backbone = tl.load_backbone(name, weights=None)
    assert (backbone.width, backbone.channels) == (width, channels)
    assert backbone.training, "looking leaves the mode alone"
    stages = backbone.stage_parameters()
    assert next(iter(stages)) == first and [*stages][-1] == last
    found = [id(p) for group in stages.values() for _, p in group]
    assert len(found) == len(set(found)) == len(list(backbone.parameters()))


@pytest.mark.parametrize("name", TABLE)
def test_the_nearest_size_is_one_that_the_row_takes(name):
    row = TABLE[name]
    for side in (1, 32, 64, 126, 128, 160):
        near = row.nearest(side)
        assert near >= row.smallest and near % row.patch == 0
        assert near == side or side < row.smallest or side % row.patch
        assert abs(near - side) <= row.patch / 2 or near < row.smallest + row.patch  # no other is nearer


def test_imagenet_network_sees_a_palace_and_a_daisy(lite0):
    model = tl.attach_head(lite0, tl.heads.imagenet()).eval()
    with torch.no_grad():
        probability, best = model(photographs(224)).softmax(1).max(1)
    assert [tl.heads.imagenet_classes()[i] for i in best] == ["palace", "daisy"]
    assert (probability > 0.2).all()


def test_images_as_they_come(lite0):
    colour = photographs(64)
    grey = V.rgb_to_grayscale(colour)
    with torch.no_grad():
        torch.testing.assert_close(lite0(colour), lite0(colour.float() / 255))
        torch.testing.assert_close(lite0(colour), lite0(colour.double() / 255))
        torch.testing.assert_close(lite0(grey), lite0(grey.expand(-1, 3, -1, -1)))
        assert not torch.allclose(lite0(grey), lite0(colour))
    torch.testing.assert_close(lite0.normalise(colour), V.normalize(colour / 255, [0.5] * 3, [0.5] * 3))


def test_edges_backbone_takes_rgb_and_sees_bgr_minus_the_mean():
    backbone = tl.load_backbone("vgg16_edges", weights=None)
    red = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    red[:, 0] = 255
    seen = backbone.normalise(red)[0, :, 0, 0]
    torch.testing.assert_close(seen, torch.tensor([-104.00699, -116.66877, 255 - 122.67892]), atol=1e-3, rtol=0)


def test_a_transformer_takes_other_sizes_and_its_tokens_lie_as_the_image_does():
    backbone = tl.load_backbone("dinov2", weights=None).eval()
    images = torch.zeros(1, 3, 28, 70)
    with torch.no_grad():
        maps = backbone.forward_maps(images)
        assert maps.shape == (1, 384, 2, 5)
        tokens = backbone.body.forward_features(backbone.normalise(images))[:, backbone.body.num_prefix_tokens :]
    torch.testing.assert_close(maps[0, :, 1, 3], tokens[0, 1 * 5 + 3])


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(3, 64, 64), "image[None]"),
        (torch.zeros(1, 4, 64, 64), "found (1, 4, 64, 64)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.int64), "uint8 0..255 or float 0..1, found torch.int64"),
        (torch.full((1, 3, 64, 64), 200.0), "0..1, found 200.00"),
        (torch.full((1, 3, 64, 64), -2.1), "leave Normalize out"),
        (np.zeros((1, 3, 64, 64), np.uint8), "as a tensor (b, 3, h, w), found ndarray"),
    ],
)
def test_wrong_images_are_refused_with_what_to_do(lite0, images, says):
    with pytest.raises(CourseError) as error:
        lite0(images)
    assert says in str(error.value)


def test_wrong_sizes_are_refused_by_number():
    with pytest.raises(CourseError, match="at least 63 pixels, found 32 x 32: use size=63"):
        tl.load_backbone("alexnet", weights=None)(torch.zeros(1, 3, 32, 32))
    with pytest.raises(CourseError, match=r"multiples of 14 pixels, found 64 x 64: use size=70 \(--size 70\)"):
        tl.load_backbone("dinov2", weights=None)(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("efficientnet_lite_0", "efficientnet_lite0"),
        ("resnet-18", "resnet18"),
        ("efficientnet_lite", "mean efficientnet_lite0 or"),
        ("nothing like it at all", "own table has alexnet"),
        ("resnet18.no_such_tag", "no_such_tag"),
        ("squeezenet1_0", "does not end in a linear layer"),
        (None, "No backbone is called None"),
        ("googlenet", "is left out: it has a second preprocessing inside"),
        ("crossvit_9_240", "several maps at once"),
    ],
)
def test_unknown_names_meet_the_nearest_known(name, says):
    with pytest.raises(CourseError) as error:
        tl.load_backbone(name, weights=None)
    assert says in str(error.value)


def test_weights_are_default_or_none():
    with pytest.raises(CourseError, match="found 'imagenet'"):
        tl.load_backbone("resnet18", weights="imagenet")


def test_fingerprint_follows_the_weights(lite0):
    again = copy.deepcopy(lite0)
    before = again.fingerprint
    assert before == lite0.fingerprint and len(before) == 64
    assert again.to(memory_format=torch.channels_last).fingerprint == before, "the numbers count, not how they lie"
    with torch.no_grad():
        next(again.parameters())[0, 0, 0, 0] += 1e-3
    changed = again.fingerprint
    assert changed != before
    again.body.bn1.running_mean += 1
    assert again.fingerprint != changed, "what batch norm remembers counts too"


def test_a_copy_has_stages_of_its_own(lite0):
    again = copy.deepcopy(lite0)
    own = {id(m) for m in again.modules()}
    assert all(id(m) in own for modules in again.stages.values() for m in modules)
    assert "efficientnet_lite0: 1280 features" in repr(again)


def test_summary_counts_what_the_papers_count():
    row = tl.models.summary_row(tl.load_backbone("resnet18", weights=None))
    assert row == {"name": "resnet18", "parameters": 11_176_512, "mult_adds": 1_813_561_344, "width": 512}
    backbone = tl.load_backbone("vit_small", weights=None)
    vit = tl.models.summary_row(backbone)
    assert 4.5e9 < vit["mult_adds"] < 4.7e9, "4.6 billion at 224 pixels"
    with pytest.raises(CourseError, match="multiples of 16"):
        tl.models.summary_row(backbone, 5)
    assert backbone.training, "looking leaves the mode alone, whatever comes of it"


def test_the_first_listing_of_the_seed_runs():
    """As printed but for its lost indentation and `pretrained=True`, which is `weights=` today (None: offline)."""
    from torch import nn
    from torchvision import models

    alexnet = models.alexnet(weights=None)

    class MyModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = alexnet.features
            self.classifier = nn.Sequential(*list(alexnet.classifier._modules.values())[:-1])

        def forward(self, x):
            x = self.features(x)
            x = x.view(x.size(0), 256 * 6 * 6)
            x = self.classifier(x)
            return x

    model = MyModel().eval()
    ours = tl.load_backbone("alexnet", weights=None).eval()
    ours.body.load_state_dict(alexnet.state_dict(), strict=False)  # all but its last layer
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), model(ours.normalise(images)))


def test_a_network_that_takes_one_size_says_which(lite0):
    image = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    for name in ("vit_b_16", "mixer_s32_224"):
        backbone = tl.load_backbone(name, weights=None).eval()
        with pytest.raises(CourseError, match="expect 224 x 224"):
            backbone(image)
    other = copy.deepcopy(lite0)
    other.body.double()
    with pytest.raises(RuntimeError, match="type"):  # another fault stays what it is
        other(image)


def test_the_fingerprint_knows_the_preprocessing(lite0):
    again = copy.deepcopy(lite0)
    assert again.fingerprint == lite0.fingerprint
    again.preprocess = dataclasses.replace(again.preprocess, bgr=True)
    assert again.fingerprint != lite0.fingerprint


def test_where_a_device_pools_only_what_divides_the_rest_goes_by_the_cpu(monkeypatch):
    image = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    alexnet = tl.load_backbone("alexnet", weights=None).eval()  # pools 2 x 2 to 6 x 6
    expected, sizes, average = alexnet(image), [], torch.nn.functional.adaptive_avg_pool2d
    monkeypatch.setattr(quick_layers, "_REFUSES", "cpu")
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: sizes.append(tuple(x.shape)) or x)
    assert torch.equal(alexnet(image), expected) and sizes == [(1, 256, 2, 2)]
    maps = torch.randn(1, 2, 6, 6)
    assert torch.equal(quick_layers.pool(maps, 3), average(maps, 3)) and len(sizes) == 1


@pytest.mark.parametrize("side", [160, 65, 96])
def test_padding_a_kernel_is_padding_the_maps(lite0, side, monkeypatch):
    layers = [module for module in lite0.body.modules() if isinstance(module, Conv2dSame)]
    assert {type(layer) for layer in layers} == {quick_layers.SamePadding} and len(layers) == 5
    images, network = torch.rand(2, 3, side, side), copy.deepcopy(lite0).train()
    ours = network(images)
    ours.square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
    again = copy.deepcopy(lite0).train()
    monkeypatch.setattr(quick_layers.SamePadding, "forward", Conv2dSame.forward)
    theirs = again(images)
    theirs.square().mean().backward()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    for name, p in again.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, atol=1e-5, rtol=1e-3)


def test_a_cut_in_place_keeps_its_result_only(lite0):
    cuts = [module for module in copy.deepcopy(lite0).train().body.modules() if isinstance(module, torch.nn.ReLU6)]
    assert {type(cut) for cut in cuts} == {quick_layers.ReLU6} and len(cuts) == 33 and all(cut.inplace for cut in cuts)
    values = torch.cat([torch.linspace(-2, 9, 200), torch.tensor([0.0, 6.0])]).requires_grad_()
    expected = torch.nn.ReLU6()(values)
    (expected * torch.arange(202)).sum().backward()
    gradient, values.grad, kept = values.grad, None, []
    before = values * 1
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.data_ptr()) or x, lambda x: x):
        found = cuts[0](before)
    (found * torch.arange(202)).sum().backward()
    assert torch.equal(found, expected) and torch.equal(values.grad, gradient)
    assert kept == [found.data_ptr()] == [before.data_ptr()]
    with torch.no_grad():
        assert torch.equal(cuts[0](values.detach().clone()), expected)
    one_by_one = torch.func.vmap(torch.func.grad(lambda x: cuts[0](x * 1)))(values.detach())
    assert torch.equal(one_by_one, ((values > 0) & (values < 6)).float()), (
        "gradients of each picture, as in notebook 14"
    )


def test_the_norm_after_a_stem_of_several_convolutions_belongs_to_the_stem():
    stages = list(tl.load_backbone("resnet10t", weights=None).stages)
    assert stages == ["conv1", "stem", "layer1", "layer2", "layer3", "layer4"]


def test_a_network_at_rest_can_be_exported(lite0):
    images = torch.rand(1, 3, 64, 64)
    exported = torch.export.export(lite0.eval().body, (images,)).module()
    torch.testing.assert_close(exported(images), lite0.body(images))
