"""A backbone: the part of a trained network that turns images into features, with its preprocessing inside."""

import copy
import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from ..errors import CourseError
from .encoder import Encoder
from .quick_layers import SUITED, exchange
from .small import BODIES
from .table import Preprocess, Row, find_row
from .weights import read_into, weights_file


class Backbone(Encoder):
    """A row of the table, built: images in, features out.

    Every call takes images as uint8 0..255 or float 0..1, shape (b, 3, h, w) or grey (b, 1, h, w), in RGB, on the
    backbone's device, and normalises them itself: preprocessing belongs to the weights and can't be forgotten.

    Attributes:
        name, width: its name and the number of features per image.
        channels: how many channels its maps have.
        preprocess: mean, std, size and channel order that the weights expect.
        source: where the weights came from; "random" for none.
        licence: of the weights.
        body: the network of torchvision or timm, without its own classifier.
    """

    def __init__(self, row: Row, body: nn.Module, source: str):
        super().__init__()
        self.row, self.name, self.source, self.licence = row, row.name, source, row.licence
        self.preprocess: Preprocess = row.preprocess
        self.body = exchange(body, SUITED)
        self.register_buffer("mean", torch.tensor(row.preprocess.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(row.preprocess.std).view(1, 3, 1, 1), persistent=False)
        self._maps = row.maps
        self._stages = row.stages or _stages_by_looking(body)
        self.width, self.channels = row.width, row.channels
        if not row.width:
            self._look()

    @property
    def stages(self) -> dict[str, list[nn.Module]]:
        """The parts of the body from stem to top. See `stage_parameters` for everything that belongs to each."""
        return {stage: _modules(self.body, where) for stage, where in self._stages.items()}

    def normalise(self, images: Tensor) -> Tensor:
        """(b, 1 or 3, h, w) uint8 0..255 or float 0..1 -> (b, 3, h, w) float as the weights expect it."""
        self._check(images)
        x = images.to(self.mean.dtype)
        x = x / 255 if images.dtype == torch.uint8 else x
        x = (x - self.mean) / self.std
        return x.flip(1) if self.preprocess.bgr else x

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 1 or 3, h, w) -> features (b, width), the input of the network's own last layer."""
        with self._size_of(images):
            return self.body(self.normalise(images))

    def forward_maps(self, images: Tensor) -> Tensor:
        """Images -> the last maps before pooling, (b, channels, h', w'); a transformer's patch tokens as a map."""
        x = self.normalise(images)
        with self._size_of(images):
            if self._maps:
                maps = outputs(self.body, x, {"maps": self.body.get_submodule(self._maps)})["maps"]
            else:
                maps = self.body.forward_features(x)
            return _as_maps(maps, self.body, x.shape[-2:])

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        """Images -> what each stage hands to the next, by stage name: maps (b, c, h', w') in a convolutional network."""
        with self._size_of(images):
            return outputs(self.body, self.normalise(images), {stage: ms[-1] for stage, ms in self.stages.items()})

    @contextmanager
    def _size_of(self, images: Tensor) -> Iterator[None]:
        """Explain the failure if a body of torchvision or timm takes only one size and was given another."""
        try:
            yield
        except (AssertionError, RuntimeError) as error:
            sides, size = tuple(images.shape[2:]), self.preprocess.size
            if sides == (size, size) or re.search("CUDA|MPS|memory", str(error)) or self._takes(sides):
                raise
            raise CourseError(
                f"{self.name} does not take images of {sides[0]} x {sides[1]}; its weights expect {size} x {size}: use "
                f"size={size} (--size {size})."
            ) from error

    def _takes(self, sides: tuple[int, int]) -> bool:
        try:
            with torch.no_grad():
                copy.deepcopy(self.body).eval()(next(self.body.parameters()).new_zeros(2, 3, *sides))
        except (AssertionError, RuntimeError):
            return False
        return True

    def _check(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            raise CourseError(f"{self.name} takes images as a tensor (b, 3, h, w), found {type(x).__name__}.")
        shape = tuple(x.shape)
        if x.ndim != 4 or shape[1] not in (1, 3):
            hint = " For one image add a batch dimension: image[None]." if x.ndim == 3 else ""
            raise CourseError(f"{self.name} takes images as (b, 3, h, w) or (b, 1, h, w), found {shape}.{hint}")
        if x.dtype != torch.uint8 and not x.is_floating_point():
            raise CourseError(f"{self.name} takes uint8 0..255 or float 0..1, found {x.dtype}.")
        least, patch, (h, w) = self.row.smallest, self.row.patch, shape[2:]
        if min(h, w) < least or h % patch or w % patch:
            need = f"sides that are multiples of {patch}" if patch > 1 else f"sides of at least {least}"
            side = self.row.nearest(min(h, w))
            raise CourseError(f"{self.name} needs {need} pixels, found {h} x {w}: use size={side} (--size {side}).")
        # A look at the values costs a CPU nothing, but would make a GPU wait.
        if x.device.type == "cpu" and x.is_floating_point() and x.numel() and not torch.compiler.is_compiling():
            low, high = (v.item() for v in torch.aminmax(x.detach()))
            if low < -0.5 or high > 1.5:
                raise CourseError(
                    f"{self.name} takes floats in 0..1, found {low:.2f} to {high:.2f}. "
                    "It normalises images itself: leave Normalize out, or pass uint8 0..255."
                )

    def _look(self) -> None:
        """For a name that has no row: run one image of zeros and see where maps and features come out."""
        size = self.preprocess.size
        was_training, x = self.training, torch.zeros(1, 3, size, size)
        self.eval()
        with torch.no_grad():
            if self.row.library == "torchvision":
                called = dict(self.body.named_children())
                for name in [name for name, part in called.items() if isinstance(part, nn.ModuleList)]:
                    called |= {f"{name}.{n}": part for n, part in called.pop(name).named_children()}
                seen = outputs(self.body, self.normalise(x), called)
                pools = [n for n, m in self.body.named_children() if isinstance(m, nn.AdaptiveAvgPool2d)]
                self._maps = [n for n, y in seen.items() if n not in pools and _could_be_maps(y)][-1]
            features = self(x)
            if features.ndim != 2:
                raise CourseError(f"{self.name} gives {tuple(features.shape)}, not one row of features per image.")
            self.width, self.channels = features.shape[1], self.forward_maps(x).shape[1]
        self.train(was_training)


def load_backbone(name: str, weights: str | None = "default") -> Backbone:
    """The backbone called `name`, with its trained weights, or with random ones if you say ``weights=None``.

    Args:
        name: a row of `models.TABLE`, or nearly any classification model of torchvision or model of timm.
        weights: "default", or None for random numbers (a control experiment, never a silent fallback).

    Raises:
        CourseError: unknown name; weights that are damaged, or neither on this machine nor within reach.
    """
    if weights not in ("default", None):
        raise CourseError(f'weights must be "default" (trained) or None (random), found {weights!r}.')
    row = find_row(name)
    network, source = whole_network(row, trained=weights is not None)
    return Backbone(row, cut(row, network)[0], source)


def whole_network(row: Row, trained: bool) -> tuple[nn.Module, str]:
    """The row's network as its library builds it, including its own classifier, and where the weights came from."""
    path = weights_file(row) if trained else None
    source = f"{row.weights}: {path.name}" if path else "random"
    if row.library == "timm":
        # A transformer's positions are resized to fit the images it gets, rather than refusing other sizes.
        any_size = timm.models.is_model_in_modules(row.architecture.split(".")[0], _SIZED)
        overlay = {"file": str(path), "source": "", "custom_load": False} if row.weights == "timm" and path else None
        how = {"pretrained_cfg_overlay": overlay, "dynamic_img_size": any_size or None}  # timm leaves out what is None
        network = timm.create_model(row.architecture, bool(overlay), **how)
        if overlay:
            return network, source
    elif row.library == "vgg-conv":
        network = _vgg_convolutions()
    elif row.library == "small":
        network = BODIES[row.architecture]()
    else:
        network = torchvision.models.get_model(row.architecture, weights=None)
    if path:
        read_into(row, network, path)
    return network, source


def cut(row: Row, network: nn.Module) -> tuple[nn.Module, nn.Module | None]:
    """Remove the network's own classifier (in place): (body, that last layer), the latter None if there is none."""
    if row.library in ("vgg-conv", "small"):
        return network, None
    if row.library == "timm":
        last = network.get_classifier()
        network.reset_classifier(0)
        return network, last if isinstance(last, nn.Linear) else None
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise CourseError(f"{row.name} does not end in a linear layer, so it is not known where its body ends.")
    last = network.get_submodule(linear[-1])
    network.set_submodule(linear[-1], nn.Identity())
    return network, last


_SIZED = ["vision_transformer", "deit", "eva"]


def _vgg_convolutions() -> nn.Module:
    """VGG16's 13 convolutions, pooled at the end. HED has no fifth pooling, and its poolings round sizes up."""
    features = make_layers(cfgs["D"])[:-1]
    for module in features:
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = True
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return nn.Sequential(OrderedDict(features=features, avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))


def _modules(body: nn.Module, where: str) -> list[nn.Module]:
    """ "conv1 features[0:4]" -> those modules, in order."""
    found: list[nn.Module] = []
    for part in where.split():
        name, start, end = re.fullmatch(r"([\w.]+)(?:\[(\d+):(\d+)\])?", part).groups()
        module = body.get_submodule(name)
        found += [module] if start is None else list(module.children())[int(start) : int(end)]
    return found


_BLOCKS = ("features", "blocks", "stages", "layers", "trunk_output")


def _stages_by_looking(body: nn.Module) -> dict[str, str]:
    """Stages for a network without a row: what comes before its blocks, each block, what comes after."""
    stages: dict[str, list[str]] = {}
    for name, child in _top_parts(body):
        children = list(child.children())
        if not any(True for _ in child.parameters()):
            continue
        if name.split(".")[-1] in _BLOCKS and len(children) > 1:
            # A block begins with a layer that learns; the activation or pooling after it belongs to it.
            starts = [i for i, c in enumerate(children) if any(True for _ in c.parameters())]
            for i, end in zip(starts, [*starts[1:], len(children)], strict=True):
                stages[f"{name}.{i}"] = [f"{name}[{i}:{end}]"]
        elif isinstance(child, nn.Sequential | nn.ModuleList) and name != "head":  # the classifier's own name
            stages[name] = [name]
        else:
            stages.setdefault("stem" if set(stages) <= {"stem", "conv1"} else "top", []).append(name)
    return {stage: " ".join(where) for stage, where in stages.items()}


def _top_parts(body: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children of a network; for one that only wraps the blocks (torchvision's `encoder`), its own children."""
    parts = []
    for name, child in body.named_children():
        inner = dict(child.named_children()) if not isinstance(child, nn.Sequential) else {}
        if any(block in inner for block in _BLOCKS):
            parts += [(f"{name}.{n}", c) for n, c in inner.items()]
        else:
            parts.append((name, child))
    return parts


def outputs(body: nn.Module, x: Tensor, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Run the body once and record what the given modules output, under the given names."""
    seen: dict[str, Tensor] = {}
    hooks = [m.register_forward_hook(lambda _m, _i, out, n=n: seen.update({n: out})) for n, m in modules.items()]
    try:
        body(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _could_be_maps(y: object) -> bool:
    return isinstance(y, Tensor) and (y.ndim == 3 or (y.ndim == 4 and y.shape[-1] > 1))


def _as_maps(y: Tensor, body: nn.Module, size: torch.Size) -> Tensor:
    """Tokens (b, n, c) or maps with channels last -> (b, c, h', w'), for input images of `size`."""
    if not isinstance(y, Tensor):
        raise CourseError(f"The network {type(body).__name__} gives several maps at once: choose another backbone.")
    if y.ndim == 3:
        extra = getattr(body, "num_prefix_tokens", y.shape[1] - math.isqrt(y.shape[1]) ** 2)  # class token, registers
        y = y[:, extra:].transpose(1, 2)
        return y.unflatten(2, (round(math.sqrt(y.shape[2] * size[0] / size[1])), -1))
    return y.permute(0, 3, 1, 2) if getattr(body, "output_fmt", "NCHW") == "NHWC" else y
