"""Fusing what two sources know, on kept features: a source and a target domain, two networks, all depths of one."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data import Batches
from ..device import pick_device
from ..errors import CourseError
from ..models import Backbone
from ..models.freezing import batch_norms
from .probe import probe

Rows = tuple[Tensor, Tensor]  # features float32 (n, width) and labels int64 (n,)


def pooled(source: Rows, target: Rows) -> nn.Linear:
    """One probe on the rows of both domains; every row counts the same, whichever domain it comes from."""
    return probe(_together(source, target))


def source_then_target(source: Rows, target: Rows, *, strength: float = 0.01) -> nn.Linear:
    """A probe on the source, then trained further on the target, with a spring that pulls it back to where it began.

    The spring is L2-SP (Li, Grandvalet and Davoine, 2018): ordinary weight decay pulls towards zero, this one towards
    the source's weights. `strength` is how much the target's losses count against the spring: 0 leaves the source's
    probe as it is. Deterministic (L-BFGS on a convex function). Features are standardised on the source's rows.
    """
    head = probe(source, classes=int(_together(source, target)[1].max()) + 1)
    mean, std = source[0].mean(0), source[0].std(0)
    std = std.clamp(min=max(1e-6, 0.5 * float(std.mean())))
    rows, start = (target[0] - mean) / std, [head.weight.detach() * std, (head.bias + head.weight @ mean).detach()]
    learnt = [tensor.clone().requires_grad_() for tensor in start]
    optimiser = torch.optim.LBFGS(learnt, max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        spring = sum(((now - then) ** 2).sum() for now, then in zip(learnt, start, strict=True)) / 2
        loss = strength * F.cross_entropy(F.linear(rows, *learnt), target[1], reduction="sum") + spring
        loss.backward()
        return loss

    optimiser.step(objective)
    with torch.no_grad():
        head.weight.copy_(learnt[0] / std)
        head.bias.copy_(learnt[1] - head.weight @ mean)
    return head


def concatenated(source: Rows, target: Rows) -> nn.Linear:
    """Concatenated features: (common | source's own | target's own), for the classifier to share what can be shared.

    A source row becomes (x, x, 0) and a target row (x, 0, x) (Daumé, "Frustratingly easy domain adaptation", 2007). On
    a new target row the common and the target's own weights add up, so the result is a plain layer on plain features.
    """
    rows, labels = _together(source, target)
    targets = torch.arange(len(rows)).unsqueeze(1) >= len(source[0])
    wide = probe((torch.cat([rows, rows.where(~targets, 0), rows.where(targets, 0)], dim=1), labels))
    width = rows.shape[1]
    head = nn.Linear(width, wide.out_features)
    with torch.no_grad():
        head.weight.copy_(wide.weight[:, :width] + wide.weight[:, 2 * width :])
        head.bias.copy_(wide.bias)
    return head


def adapt_batch_norm(backbone: Backbone, images, *, size: int | None = None) -> Backbone:
    """A copy of `backbone` whose batch norms have the statistics of `images`; no labels are used (AdaBN, Li et al., 2016).

    All weights stay as they are. Means and variances are averaged over batches of 64 `images`; an incomplete last batch is
    left out.

    Raises:
        CourseError: a set with the role "test" or "all", one smaller than a batch of two, a backbone without batch norm.
    """
    if images.role in ("test", "all"):
        raise CourseError(
            f"Statistics are something learnt: take them from the train part, not from a set of role {images.role!r}."
        )
    size, hardware = size or backbone.preprocess.size, pick_device()
    adapted = copy.deepcopy(backbone).eval()
    norms = batch_norms(adapted)
    if not norms or len(images) < 2:
        raise CourseError(f"{backbone.name} has {len(norms)} batch norms for {len(images)} images: nothing to adapt.")
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then weights all batches equally
        norm.train()
    batches = Batches(images, batch_size=min(64, len(images)), size=size, shuffle=True, drop_last=True)
    with hardware.lend(adapted), torch.inference_mode():
        for inputs, _, _ in batches:
            adapted(hardware.send(inputs))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return adapted.eval()


class AllStages(nn.Module):
    """A backbone whose features are the mean and the maximum of the maps of **every** stage, from stem to top, joined.

    `features` accepts it like a backbone. An early fusion of depths: edges below, things above.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone, self.preprocess, self.name = backbone, backbone.preprocess, f"{backbone.name}-all-stages"

    @property
    def fingerprint(self) -> str:
        """The key under which its features are kept."""
        return f"all stages of {self.backbone.fingerprint}"

    def forward(self, images: Tensor) -> Tensor:
        """Images as the backbone takes them -> (b, twice the sum of the stages' channels)."""
        maps = self.backbone.forward_stages(images).values()
        if any(m.ndim != 4 for m in maps):
            raise CourseError(f"AllStages takes a convolutional network: not every stage of {self.name} ends in maps.")
        return torch.cat([pool for m in maps for pool in (m.mean((2, 3)), m.amax((2, 3)))], dim=1)


def _together(source: Rows, target: Rows) -> Rows:
    if source[0].shape[1:] != target[0].shape[1:]:
        raise CourseError(f"Both domains need the same width; found {source[0].shape[1]} and {target[0].shape[1]}.")
    return torch.cat([source[0], target[0]]), torch.cat([source[1], target[1]])
