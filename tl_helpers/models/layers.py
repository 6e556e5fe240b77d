"""Layers as an optimiser and a reader see them: what learns how fast, and what a network costs."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..errors import CourseError
from .backbones import Backbone
from .freezing import parts


def parameter_groups(model: nn.Module, lr: float, decay: float = 0.7) -> list[dict]:
    """Discriminative learning rates (Howard and Ruder, ULMFiT, 2018): the head learns at `lr`, each stage below slower.

    The k-th stage below the head gets ``lr * decay**k``: general features near the stem hardly need to move.
    Norms and biases get no weight decay, nor does what a timm body names (tokens, positions); frozen parameters are
    left out.

    Args:
        model: a Classifier (or a network without stages: its children count as such).
        lr: the head's learning rate, > 0.
        decay: factor per stage, in (0, 1]; 1 gives every stage the same rate.

    Returns:
        Groups for a torch optimiser, head first: ``name, params, lr`` and, for those without decay, ``weight_decay=0``.

    Raises:
        CourseError: nothing is left to train, or a number is out of range.
    """
    if not lr > 0 or not 0 < decay <= 1:
        raise CourseError(f"The rate must be above 0 and its decay per stage in (0, 1], found {lr} and {decay}.")
    body = getattr(getattr(model, "backbone", model), "body", model)
    unweighed = set(getattr(body, "no_weight_decay", set)())
    groups = []
    for below, (stage, found) in enumerate(reversed(parts(model).items())):
        learnt = {name: parameter for name, parameter in found if parameter.requires_grad}
        free = {name for name, p in learnt.items() if p.ndim <= 1 or name.rpartition("body.")[2] in unweighed}
        rate = lr * decay**below
        if weighed := [parameter for name, parameter in learnt.items() if name not in free]:
            groups.append({"name": stage, "params": weighed, "lr": rate})
        if light := [parameter for name, parameter in learnt.items() if name in free]:
            groups.append({"name": f"{stage} (no decay)", "params": light, "lr": rate, "weight_decay": 0.0})
    if not groups:
        raise CourseError("Every parameter of this model is frozen: unfreeze its head or a stage before training.")
    return groups


def summary_row(backbone: Backbone, size: int | None = None) -> dict:
    """One line of a table of backbones: ``name, parameters, mult_adds, width`` for one image of `size` (else its own).

    `mult_adds` are the multiplications of convolutions, linear layers and attention, as torch's own counter finds
    them. (torchinfo counts a transformer's linear layers once instead of once per token: 0.08 instead of 4.6 billion.)
    """
    size = size or backbone.preprocess.size
    shapes = {id(t): t.detach().to("meta") for t in (*backbone.parameters(), *backbone.buffers())}  # without numbers
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(backbone, shapes).eval()(torch.zeros(1, 3, size, size, device="meta"))
    cost = {"parameters": sum(p.numel() for p in backbone.parameters()), "mult_adds": counter.get_total_flops() // 2}
    return {"name": backbone.name, **cost, "width": backbone.width}
