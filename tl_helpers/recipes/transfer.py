"""Whole ways of transferring a pretrained network to new data: probe, fine-tune, LP-FT, and from scratch to compare."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..device import Hardware, pick_device
from ..engine import checkpoint as files
from ..engine.fit import Settings, fit
from ..engine.metrics import measure
from ..engine.progress import say
from ..errors import CourseError
from ..models import Classifier, freeze, parameter_groups, unfreeze
from .features import features
from .probe import probe

if TYPE_CHECKING:
    from ..data import ImageSet

RECIPES = ("probe", "fine-tune", "lp-ft", "scratch")


@dataclass
class Result:
    """What a training knows. `val` are the figures of the weights that were kept; `history` has a row per epoch."""

    model: nn.Module
    history: list[dict]
    val: dict[str, float]
    classes: tuple[str, ...]
    recipe: str
    epochs: int
    seconds: float
    checkpoint: Path | None = None
    ended: str = "all epochs"
