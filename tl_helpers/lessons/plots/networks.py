"""Figures of what is inside a network: first filters, feature maps, and where a decision came from (Grad-CAM)."""

from collections.abc import Mapping, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from tl_helpers.data import fit_square
from tl_helpers.errors import CourseError
from tl_helpers.lessons.plots.canvas import BARE, WIDTH, footnote, pixels, put, short, shown
from tl_helpers.lessons.plots.pictures import pick
from tl_helpers.models.backbones import outputs


@shown
def filters(weight: Tensor, *, count: int = 64, columns: int = 16, title: str = "") -> Figure:
    """Convolution filters (out, in, h, w) as small pictures, each stretched to its own range.

    With in = 3 they are in colour; otherwise the mean over the input channels is drawn in grey.
    """
    weight = weight.detach().float().cpu()
    if weight.ndim != 4:
        raise CourseError(f"Filters have four dimensions (out, in, h, w); found {tuple(weight.shape)}: a linear layer?")
    total, channels, height, width = weight.shape
    weight = weight[:count] if channels == 3 else weight[:count].mean(dim=1, keepdim=True)
    low, high = weight.amin(dim=(1, 2, 3), keepdim=True), weight.amax(dim=(1, 2, 3), keepdim=True)
    weight = (weight - low) / (high - low).clamp(min=1e-12)
    columns = min(columns, len(weight))
    rows = -(-len(weight) // columns)
    size = (WIDTH, rows * WIDTH / columns + 0.6)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, subplot_kw=BARE)
    for axes, one in zip(grid.flat, weight, strict=False):
        axes.imshow(pixels(one), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    shown_of = f"{len(weight)} of {total} filters" if total > len(weight) else f"All {total} filters"
    figure.suptitle(title or f"{shown_of}, {height} × {width} pixels", fontsize=16)
    return figure


@shown
def feature_maps(maps: Tensor | Mapping[str, Tensor], *, count: int = 6, title: str = "Feature maps") -> Figure:
    """The `count` channels that vary most, of maps (channels, h, w) or (1, channels, h, w); a dict: a row per stage."""
    stages = dict(maps) if isinstance(maps, Mapping) else {"": maps}
    cell = WIDTH / (count + 0.6)
    size = (WIDTH, len(stages) * (cell + 0.35) + 0.6)
    figure, grid = plt.subplots(len(stages), count, figsize=size, squeeze=False, subplot_kw=BARE)
    for line, (name, stage) in zip(grid, stages.items(), strict=True):
        if stage.ndim not in (3, 4) or (stage.ndim == 3 and len(stage) == 1):  # (1, tokens, width) of a transformer
            raise CourseError(
                f"Feature maps are (channels, h, w) or (1, channels, h, w); {name or 'this'} has the shape "
                f"{tuple(stage.shape)}, which lies on no map: leave it out."
            )
        stage = stage.detach().float().cpu()
        stage = stage[0] if stage.ndim == 4 else stage
        strongest = stage.flatten(1).std(dim=1).topk(min(count, len(stage))).indices.tolist()
        for axes, channel in zip(line, strongest, strict=False):
            axes.imshow(stage[channel].numpy(), cmap="cividis")
            axes.set_xlabel(f"channel {channel}", fontsize=12)
        line[0].set_ylabel(f"{short(name, 12)}\n{len(stage)} × {stage.shape[1]} × {stage.shape[2]}", fontsize=12)
    figure.suptitle(title, fontsize=16)
    return figure


@shown
def grad_cam(report, *, index: int | Sequence[int] = 0, target: int | Sequence[int] | None = None) -> Figure:
    """Where in a picture the decision came from: the picture on top, and below it a grey copy under its Grad-CAM map.

    index: which pictures of an `evaluate` report, one number or several. target: the classes to explain, one per
    picture; by default the ones that the model predicts. The map is as coarse as the network's last maps.
    """
    numbers, classes = np.atleast_1d(index).tolist(), report.classes
    images = fit_square(torch.stack(pick(report.images, numbers)), report.size)  # as the model saw them
    explained = report.predictions[numbers].tolist() if target is None else np.atleast_1d(target).tolist()
    if len(explained) != len(numbers) or not all(0 <= k < len(classes) for k in explained):
        raise CourseError(f"target is a class for each picture, from 0 to {len(classes) - 1}; found {target}.")
    heat = grad_cam_maps(report.model, images, explained)
    grey, columns = images.float().mean(1, keepdim=True) / 255, len(images)
    cell = min(WIDTH / max(columns, 3), 3.0)
    figure, grid = plt.subplots(2, columns, figsize=(max(columns * cell, 6.0), 2 * cell + 1.2), squeeze=False)
    for k in range(columns):
        width = int(cell * 9.5)
        put(grid[0, k], images[k], f"is {classes[report.labels[numbers[k]]]}", width=width)
        put(grid[1, k], grey[k], f"for {classes[explained[k]]}", width=width)
        seen = grid[1, k].imshow(heat[k].numpy(), cmap="inferno", alpha=0.55, vmin=0, vmax=1)
    figure.colorbar(seen, ax=grid.ravel().tolist(), label="weight", ticks=[0, 1], shrink=0.8)
    figure.suptitle("Where the evidence for the answer lies (Grad-CAM)", fontsize=16)
    footnote(figure, report.images.attribution)
    return figure


def grad_cam_maps(model: nn.Module, images: Tensor, target: Sequence[int]) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) at the backbone's last maps, computed by the library grad-cam.

    `images` (b, C, h, w), uint8 or float 0..1; `target`: for which class, one each. Returns maps (b, h, w) in 0..1. The model
    keeps its mode; its gradients are cleared.
    Raises CourseError for a model without a backbone or with features that no longer lie on a map.
    """
    from pytorch_grad_cam import GradCAM  # here, because it takes a second to load
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    if not hasattr(model, "backbone"):
        raise CourseError(f"Grad-CAM needs a model made by attach_head; a {type(model).__name__} has no backbone.")
    training = model.training
    inputs = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    inputs = inputs.detach().clone().to(next(model.parameters()).device)
    inputs.requires_grad_(True)  # so that a frozen network has gradients to follow, too
    place = partial(_on_a_map, channels=model.backbone.channels)
    try:
        layer = _last_maps(model.eval(), inputs[:1])
        with GradCAM(model, [layer], reshape_transform=place) as cam, torch.enable_grad():
            targets = [ClassifierOutputTarget(k) for k in target]
            return torch.from_numpy(np.ascontiguousarray(cam(inputs, targets)))
    finally:
        model.train(training)
        model.zero_grad(set_to_none=True)


def _last_maps(model: nn.Module, image: Tensor) -> nn.Module:
    """The backbone's last part, in order of execution, whose output still lies on a map.

    A transformer has none: there it is the norm before its last attention, as in grad-cam's manual, because after that
    only the class token is read and the patches have no gradient.
    """
    parts = [part for stage in model.backbone.stages.values() for part in stage]
    with torch.no_grad():
        seen = outputs(model, image, dict(enumerate(parts)))
    laid = [parts[k] for k, out in seen.items() if out.ndim > 2]  # in maps, or in tokens
    maps = [parts[k] for k, out in seen.items() if out.ndim == 4]
    named = dict(model.backbone.named_modules()).items()
    norms = [module for name, module in named if name.rpartition(".")[2] in ("norm1", "ln_1")]  # timm, torchvision
    if maps and maps[-1] is laid[-1]:
        return maps[-1]
    if not norms:
        raise CourseError(f"No part of {model.backbone.name} gives maps, so there is nothing to draw Grad-CAM on.")
    return norms[-1]


def _on_a_map(activation: Tensor, channels: int) -> Tensor:
    """Maps (b, c, h, w) unchanged, (b, h, w, c) transposed; a transformer's tokens (b, n, c), patches last, as maps."""
    if activation.ndim == 3:
        side = int(activation.shape[1] ** 0.5)
        return activation[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
    turned = activation.shape[1] != channels and activation.shape[3] == channels
    return activation.permute(0, 3, 1, 2) if turned else activation
