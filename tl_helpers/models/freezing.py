"""Freezing that holds: no gradient, and batch norm and dropout at rest.

What no longer gets a gradient can still change: an optimiser keeps using a gradient left behind, and batch norm's
running mean and variance are not parameters and move with every batch in training mode. So what is frozen here is
also kept in eval mode (`train_mode`) and left out of the optimiser (`layers.parameter_groups`).
"""

from typing import Self

from torch import nn

from ..errors import CourseError


def freeze(module: nn.Module) -> None:
    """Stop all parameters of `module` from learning and put it at rest (eval mode)."""
    module.requires_grad_(False)
    module.zero_grad()  # else an optimiser that already knows its parameters would use the old gradient once more
    module.eval()


def unfreeze(module: nn.Module) -> None:
    """Let all parameters of `module` learn. Its mode changes with the next `model.train()`, which every epoch begins with."""
    module.requires_grad_(True)


def unfreeze_from(model: nn.Module, stage: str) -> None:
    """Let `stage` of the backbone and everything above it learn; freeze what is below. A head is left as it is.

    Args:
        model: a Backbone, or a Classifier with one; of another network, the children count as stages.
        stage: a name from ``backbone.stages``, which runs from stem to top.

    Raises:
        CourseError: there is no such stage.
    """
    backbone = getattr(model, "backbone", model)
    stages = parts(backbone)
    if stage not in stages:
        name = getattr(backbone, "name", "This network")
        raise CourseError(f"{name} has no stage {stage!r}; from stem to top: {', '.join(stages)}.")
    freeze(backbone)
    names = list(stages)
    for name in names[names.index(stage) :]:
        for _, parameter in stages[name]:
            parameter.requires_grad_(True)


def train_mode(model: nn.Module) -> nn.Module:
    """``model.train()``, after which every part whose parameters are all frozen goes back to eval mode."""
    return settle(model.train())


class Settled(nn.Module):
    """A network that keeps frozen parts at rest by itself."""

    def train(self, mode: bool = True) -> Self:
        """As in torch, but what is frozen stays in eval mode, so that a frozen batch norm or dropout rests."""
        super().train(mode)
        return settle(self) if mode else self


def settle(module: nn.Module) -> nn.Module:
    """Put every fully frozen part of `module` into eval mode, with everything inside it; returns `module`."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        return module.eval()
    for child in module.children():
        settle(child)
    return module


def freeze_batch_norm(backbone: nn.Module) -> None:
    """Freeze every batch norm that has a scale and a shift: these get no gradient, and its statistics stay fixed in training too.

    A small batch of the target would otherwise replace statistics that were gathered over a million images.
    """
    for norm in batch_norms(backbone):
        freeze(norm)


def has_counted(backbone: nn.Module) -> bool:
    """Whether its batch norms contain statistics of data; with random weights these are zeros and ones, and worthless."""
    return any(norm.running_mean is not None and bool(norm.running_mean.any()) for norm in batch_norms(backbone))


def batch_norms(backbone: nn.Module) -> list[nn.Module]:
    """Every batch norm, from stem to top."""
    return [module for module in backbone.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def parts(model: nn.Module) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """Every parameter of a model once, by part from stem to head, with its name in the model.

    The stages of a backbone and then the head; for a network that has neither, its own children in their order.
    """
    if hasattr(model, "stage_parameters"):
        return model.stage_parameters()
    if hasattr(model, "backbone"):
        stages = model.backbone.stage_parameters().items()
        below = {stage: [(f"backbone.{name}", p) for name, p in found] for stage, found in stages}
        return {**below, "head": [(f"head.{name}", p) for name, p in model.head.named_parameters()]}
    found: dict[str, list] = {}
    for name, parameter in model.named_parameters():
        found.setdefault(name.split(".")[0], []).append((name, parameter))
    return found


def trainable_table(model: nn.Module) -> list[dict]:
    """What learns, one row per stage and one for all: ``stage, parameters, trainable, share`` (of its parameters, 0..1)."""
    rows = []
    for stage, found in parts(model).items():
        count = sum(p.numel() for _, p in found)
        rows.append([stage, count, sum(p.numel() for _, p in found if p.requires_grad)])
    rows.append(["all", sum(r[1] for r in rows), sum(r[2] for r in rows)])
    return [{"stage": s, "parameters": n, "trainable": t, "share": t / n if n else 0.0} for s, n, t in rows]
