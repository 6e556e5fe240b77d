"""Heads: the layers that turn a backbone's features into answers. ``attach_head(backbone, heads.linear(6))``.

Each function here describes a head in a form that a plain dict can hold; the head is built when it is attached, since
only then is the width of the features known. So a checkpoint can name its head, and `build` can make it again.
"""

from dataclasses import dataclass, field, replace
from numbers import Integral

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from ..errors import CourseError
from ..sources import path_of
from .backbones import Backbone, cut, load_backbone, whole_network
from .encoder import Encoder
from .freezing import Settled
from .text_encoders import text_encoder
from .weights import read_convolution


@dataclass(frozen=True)
class Head:
    """A head that is not built yet: its kind and the arguments it was asked for with."""

    kind: str
    arguments: dict = field(default_factory=dict)

    def build(self, backbone: Backbone) -> nn.Module:
        """The head as a module that fits the backbone, with fresh weights (edges, imagenet: with their own)."""
        return _KINDS[self.kind](backbone, **self.arguments)


def linear(classes: int) -> Head:
    """One linear layer on the features: (b, width) -> logits (b, classes). With a frozen backbone: a linear probe."""
    return Head("linear", {"classes": _count(classes, "classes")})


def mlp(classes: int, hidden: int = 256, dropout: float = 0.2) -> Head:
    """A hidden layer of `hidden` units with ReLU and dropout between the features and the logits (b, classes)."""
    return Head("mlp", {"classes": _count(classes, "classes"), "hidden": _count(hidden, "hidden"), "dropout": dropout})


def conv_pool(classes: int, hidden: int = 128, dropout: float = 0.2) -> Head:
    """A 3x3 convolution with batch norm on the maps, then pooling and a linear layer: logits (b, classes)."""
    return replace(mlp(classes, hidden, dropout), kind="conv_pool")


def edges() -> Head:
    """The edge head of HED (Xie and Tu, 2015) for vgg16_edges: a probability per pixel, (b, 1, h, w)."""
    return Head("edges")


def imagenet() -> Head:
    """The backbone's own last layer, put back: logits (b, 1000) of ImageNet, named by `imagenet_classes()`."""
    return Head("imagenet")


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes, in the order of the logits."""
    return tuple(torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"])


class Classifier(Settled):
    """A backbone with a head. Images as the backbone takes them -> what the head gives (mostly logits)."""

    def __init__(self, backbone: Encoder, head: Head):
        super().__init__()
        self.backbone = backbone
        self.head = head.build(backbone)
        self.spec: dict = {"backbone": backbone.spec, "head": head.kind, **head.arguments}
        self.as_built = self.shapes()

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 1 or 3, h, w), uint8 0..255 or float 0..1, or a dict of ids and mask -> logits (b, classes)."""
        takes = getattr(self.head, "takes", "features")
        if takes == "features":
            return self.head(self.backbone(images))
        if takes == "maps":
            return self.head(self.backbone.forward_maps(images))
        return self.head(self.backbone.forward_stages(images), images.shape[-2:])

    def shapes(self) -> dict[str, torch.Size]:
        """The shape of every weight by name; after a layer is replaced or added, no longer what `spec` describes."""
        return {name: tensor.shape for name, tensor in self.state_dict().items()}


def attach_head(backbone: Encoder, head: Head) -> Classifier:
    """The backbone with a head on it; the backbone itself is used, not a copy.

    Raises:
        CourseError: `head` is not one of `heads`, or does not fit this backbone.
    """
    if not isinstance(backbone, Encoder) or not isinstance(head, Head):
        raise CourseError(
            f"attach_head takes a backbone and a head such as heads.linear(6), found {type(backbone).__name__} and "
            f"{type(head).__name__}. Add a module of your own with nn.Sequential(backbone, module)."
        )
    if head.kind in ("conv_pool", "edges", "imagenet") and not isinstance(backbone, Backbone):
        raise CourseError(f"The head {head.kind!r} needs maps, but {backbone.name} reads text: use heads.linear.")
    return Classifier(backbone, head)


def build(spec: dict) -> Classifier:
    """The architecture that ``classifier.spec`` describes, with random weights, to load saved ones into."""
    rest = {key: value for key, value in spec.items() if key not in ("backbone", "head")}
    if not {"backbone", "head"} <= set(spec) or spec["head"] not in _KINDS:
        raise CourseError(f"This describes no model of the course: {spec!r}. Expected backbone, head, its arguments.")
    of = spec["backbone"]
    backbone = text_encoder(**of) if isinstance(of, dict) else load_backbone(of, weights=None)
    return attach_head(backbone, Head(spec["head"], rest))


def _count(value: int, what: str) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise CourseError(f"The number of {what} is a whole number, 1 or more, found {value!r}. Did you mean len(...)?")
    return int(value)


def _linear(backbone: Backbone, classes: int) -> nn.Module:
    return nn.Linear(backbone.width, classes)


def _mlp(backbone: Backbone, classes: int, hidden: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(backbone.width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))


def _conv_pool(backbone: Backbone, classes: int, hidden: int, dropout: float) -> nn.Module:
    conv = Conv2dNormActivation(backbone.channels, hidden, inplace=False)  # 3x3, batch norm, ReLU
    head = nn.Sequential(*conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(hidden, classes))
    head.takes = "maps"
    return head


def _is_as_published(backbone: Backbone) -> bool:
    return not backbone.source.startswith(("random", "trained"))


def _imagenet(backbone: Backbone) -> nn.Module:
    last = cut(backbone.row, whole_network(backbone.row, _is_as_published(backbone))[0])[1]
    if last is None or last.out_features != 1000:
        raise CourseError(f"{backbone.name} has no classifier for ImageNet's 1000 classes; efficientnet_lite0 does.")
    return last


class EdgeHead(nn.Module):
    """A 1x1 convolution on the output of each of VGG's five stages, resized to the image and fused by one more."""

    takes = "stages"

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels)
        self.fuse = nn.Conv2d(len(channels), 1, 1)

    def forward(self, stages: dict[str, Tensor], size: torch.Size) -> Tensor:
        """Outputs of the stages and the image's (h, w) -> probability of an edge, (b, 1, h, w) in 0..1."""
        sides = [side(x) for side, x in zip(self.sides, stages.values(), strict=True)]
        sides = [F.interpolate(s, size=tuple(size), mode="bilinear", align_corners=False) for s in sides]
        return self.fuse(torch.cat(sides, 1)).sigmoid()


def _edges(backbone: Backbone) -> nn.Module:
    if backbone.name != "vgg16_edges":
        raise CourseError(f"The edge head was trained with vgg16_edges and fits no other, found {backbone.name}.")
    head = EdgeHead((64, 128, 256, 512, 512))
    if _is_as_published(backbone):
        import h5py

        with h5py.File(path_of(backbone.row.weights), "r") as file:
            for i, side in enumerate(head.sides, 1):
                read_convolution(side, file[f"dsn{i}/vars"])
            read_convolution(head.fuse, file["fuse/vars"])
    return head


_KINDS = {"linear": _linear, "mlp": _mlp, "conv_pool": _conv_pool, "edges": _edges, "imagenet": _imagenet}
