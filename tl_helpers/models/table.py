"""The table of backbones. To add one, add a row: who builds it, where its body ends, its parts, its input, its weights.

``stages`` names the parts of the body from stem to top, as ``"module"``, ``"module[from:to]"`` or several of them.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import timm
import torchvision

from ..errors import CourseError


@dataclass(frozen=True)
class Preprocess:
    """What a backbone expects of its input: ``(x - mean) / std`` on RGB in 0..1, then the channels swapped if ``bgr``.

    ``size`` is the image side in pixels that the weights were trained (or are best used) at.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int = 224
    bgr: bool = False


IMAGENET = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Preprocess((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SMALL = Preprocess((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), size=16)
# HED subtracts ImageNet's mean colour on a scale of 0..255, in BGR, and divides by nothing (the carrier's own numbers).
CAFFE = Preprocess((122.67892 / 255, 116.66877 / 255, 104.00699 / 255), (1 / 255,) * 3, bgr=True)


@dataclass(frozen=True)
class Row:
    """One backbone. ``width``: features per image; ``channels``: of its maps; 0 and {}: found by inspection, once."""

    name: str
    library: str  # whose architecture: "torchvision", "timm", "vgg-conv" (VGG16's convolutions alone), "small" (ours)
    architecture: str  # its name there
    width: int = 0
    channels: int = 0
    maps: str = ""  # torchvision: the submodule whose output is the maps (timm knows: forward_features)
    stages: dict[str, str] = field(default_factory=dict)
    preprocess: Preprocess = IMAGENET
    weights: str = ""  # "torchvision", "timm", or the name of a source in data/sources.toml; "" for none
    licence: str = ""
    smallest: int = 1  # image side below which the architecture fails
    patch: int = 1  # the image side must be a multiple of this

    def nearest(self, side: int) -> int:
        """The image side nearest to `side` that the architecture takes."""
        return max(-(-self.smallest // self.patch), round(side / self.patch)) * self.patch


def _slices(starts: Sequence[int], end: int, names: tuple[str, ...], of: str = "features") -> dict[str, str]:
    """Cut the Sequential `of` before each start: {"block1": "features[0:5]", ...}."""
    return {name: f"{of}[{a}:{b}]" for name, a, b in zip(names, starts, (*starts[1:], end), strict=True)}


def _numbered(word: str, n: int) -> tuple[str, ...]:
    return tuple(f"{word}{i}" for i in range(1, n + 1))


_RESNET = {"stem": "conv1 bn1", **{s: s for s in _numbered("layer", 4)}}
_DENSENET = {
    "stem": "features[0:4]",
    **{f"block{i}": f"features.denseblock{i} features.transition{i}" for i in (1, 2, 3)},
    "block4": "features.denseblock4 features.norm5",
}
_LITE0_FILE = "efficientnet-lite0-weights"  # as data/sources.toml calls it
_LITE0 = {"stem": "conv_stem bn1", **_slices(range(7), 7, _numbered("stage", 7), "blocks"), "top": "conv_head bn2"}
_B0 = _slices(range(9), 9, ("stem", *_numbered("stage", 7), "top"))
_VIT = {"stem": "patch_embed", **_slices((0, 3, 6, 9), 12, _numbered("blocks", 4), "blocks"), "top": "norm"}
_MOBILE = {**_slices((0, 1, 2, 4, 9), 12, ("stem", *_numbered("stage", 4))), "top": "features[12:13] classifier"}
_CONVNEXT = {**_slices((0, 1, 2, 4, 6), 8, ("stem", *_numbered("stage", 4))), "top": "classifier"}


def _vgg(starts: tuple[int, ...], end: int, word: str = "block") -> dict[str, str]:
    return {**_slices(starts, end, _numbered(word, 5)), "classifier": "classifier"}


def _torchvision(name: str, width=0, channels=0, maps="", stages=None, smallest=1, fits=IMAGENET) -> Row:
    licence = "BSD-3-Clause (torchvision)"
    return Row(name, "torchvision", name, width, channels, maps, stages or {}, fits, "torchvision", licence, smallest)


def _small(name, width, maps, stages, **limits) -> Row:
    return Row(name, "small", name, width, width, maps, stages, SMALL, licence="Apache-2.0", **limits)


def _whole(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_BLOCKS = _slices(range(4), 4, _numbered("block", 4), "blocks")
_EDGES = _slices((0, 4, 9, 16, 23), 30, _numbered("block", 5))

_ROWS = [
    # The seed's families. AlexNet and VGG end as in its first listing: the classifier without its last layer.
    _torchvision("alexnet", 4096, 256, "features", _vgg((0, 3, 6, 8, 10), 13, "conv"), smallest=63),
    _torchvision("vgg16", 4096, 512, "features", _vgg((0, 5, 10, 17, 24), 31), smallest=32),
    _torchvision("vgg16_bn", 4096, 512, "features", _vgg((0, 7, 14, 24, 34), 44), smallest=32),
    _torchvision("resnet18", 512, 512, "layer4", _RESNET),
    _torchvision("resnet50", 2048, 2048, "layer4", _RESNET),
    _torchvision("densenet121", 1024, 1024, "features", _DENSENET, smallest=29),
    # Newer ones.
    _torchvision("mobilenet_v3_small", 1024, 576, "features", _MOBILE),
    _torchvision("efficientnet_b0", 1280, 1280, "features", _B0),
    _torchvision("convnext_tiny", 768, 768, "features", _CONVNEXT, smallest=32),
    Row("vit_small", "timm", "vit_small_patch16_224", 384, 384, "", _VIT, HALF, "timm", "Apache-2.0", patch=16),
    Row("dinov2", "timm", "vit_small_patch14_dinov2", 384, 384, "", _VIT, IMAGENET, "timm", "Apache-2.0", patch=14),
    # Two whose real weights come with the course. VGG16's convolutions, trained on edges last: Xie and Tu, HED, 2015.
    Row("efficientnet_lite0", "timm", "tf_efficientnet_lite0", 1280, 1280, "", _LITE0, HALF, _LITE0_FILE, "Apache-2.0"),
    Row("vgg16_edges", "vgg-conv", "vgg16", 512, 512, "features", _EDGES, CAFFE, "vgg16-edges-weights", "MIT", 16),
    # Untrained, for small pictures: to pretrain by hand.
    _small("small_cnn", 128, "conv4", _whole("conv1", "conv2", "conv3", "conv4"), smallest=4),
    _small("small_resnet", 128, "block3", _whole("stem", "block1", "block2", "block3"), smallest=4),
    _small("small_gru", 128, "maps", _whole("rows", "gru1", "gru2")),
    _small("small_attention", 96, "", {"stem": "patch_embed", **_BLOCKS, "top": "norm"}, patch=4),
]
TABLE: dict[str, Row] = {row.name: row for row in _ROWS}

# Their weights come with a second preprocessing inside, and in training they return two results.
_LEFT_OUT = {"googlenet", "inception_v3"}


@cache
def _torchvision_names() -> tuple[str, ...]:
    return tuple(n for n in torchvision.models.list_models(module=torchvision.models) if n not in _LEFT_OUT)


def find_row(name: str) -> Row:
    """The row called `name`: from the table, else a classification model of torchvision, else a model of timm.

    Raises:
        CourseError: the name is unknown; close matches are offered.
    """
    if name in TABLE:
        return TABLE[name]
    if name in _torchvision_names():
        wanted = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        fits = Preprocess(tuple(wanted.mean), tuple(wanted.std), wanted.crop_size[0])
        return _torchvision(name, fits=fits)
    if isinstance(name, str) and timm.is_model(name.split(".")[0]):
        try:
            cfg = timm.get_pretrained_cfg(name)
        except RuntimeError as error:
            raise CourseError(f"timm knows {name.split('.')[0]}, but no such weights: {error}") from error
        fits = Preprocess(tuple(cfg.mean), tuple(cfg.std), cfg.input_size[1])
        licence = str(cfg.license or "see the model's card")
        return Row(name, "timm", name, preprocess=fits, weights="timm", licence=licence)
    known = sorted({*TABLE, *_torchvision_names(), *timm.list_models()})
    close = difflib.get_close_matches(str(name), known, n=4, cutoff=0.5)
    close = [*dict.fromkeys([*difflib.get_close_matches(str(name), TABLE, n=1, cutoff=0.6), *close])][:4]
    why = f"No backbone is called {name!r}."
    if name in _LEFT_OUT:
        why = f"torchvision's {name} is left out: it has a second preprocessing inside, and two results in training."
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    own = f"The course's own table has {', '.join(TABLE)}; nearly any other name of torchvision or timm works too."
    raise CourseError(f"{why}{meant} {own}")
