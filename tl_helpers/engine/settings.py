"""How to train: the settings of a training, and the schedule of the learning rate that follows from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import CourseError


@dataclass(frozen=True)
class Settings:
    """How to train. All of it is written into the checkpoint, and a resumed training must agree with it.

    lr: the peak learning rate. weight_decay: AdamW's (Loshchilov and Hutter, 2019).
    schedule: "one-cycle" (Smith and Topin, 2018), "cosine" with warm-up, "slanted" (triangular: straight up, straight down
        to 1/32; Howard and Ruder, 2018, with warmup=0.1), or "constant".
    label_smoothing: share of each target that is given to all classes alike. class_weights: how much a sample of each
    class counts; with both, a sample's whole loss is weighted by its own class (torch weights the smoothed share, too).
    warmup: share of all steps in which the rate rises. clip: the largest norm of the gradient, None for no limit.
    accumulate: batches per optimiser step. patience: epochs without a better validation before stopping, None for never.
    ema: share that the moving average of the weights keeps at each step (Polyak and Juditsky, 1992), such as 0.99; the
    average is what is validated and kept. None for the weights themselves.
    keep: "best" (validation accuracy, ties broken by loss) or "last" weights.
    """

    epochs: int
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    warmup: float = 0.3
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    clip: float | None = 1.0
    accumulate: int = 1
    patience: int | None = None
    ema: float | None = None
    keep: str = "best"

    def __post_init__(self):
        try:
            self._check()
        except (TypeError, ValueError, OverflowError) as error:
            raise CourseError(f"A setting is not of the kind it should be ({error}): {self}.") from error

    def _check(self) -> None:
        for name in ("epochs", "accumulate"):
            if getattr(self, name) != int(getattr(self, name)):
                raise CourseError(f"{name} must be a whole number, found {getattr(self, name)!r}.")
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.epochs < 1 or not 0 < self.lr < math.inf or not self.weight_decay >= 0 or self.accumulate < 1:
            raise CourseError(f"Training needs epochs ≥ 1, lr > 0, weight_decay ≥ 0, accumulate ≥ 1, found {self}.")
        if self.clip is not None and not self.clip > 0:
            raise CourseError(f"clip must be a norm above 0, or None for unclipped gradients, found {self.clip}.")
        hasty = self.patience is not None and self.patience < 1
        if hasty or not (0 <= self.label_smoothing < 1 and 0 < self.warmup < 1):
            raise CourseError(f"label_smoothing is in [0, 1), warmup in (0, 1) and patience at least 1, found {self}.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise CourseError(f"ema must be a share in (0, 1), such as 0.99, found {self.ema}.")
        if self.class_weights is not None:
            given = () if isinstance(self.class_weights, Mapping) else tuple(map(float, self.class_weights))
            if not any(given) or not all(0 <= weight < math.inf for weight in given):
                raise CourseError(
                    "class_weights must be numbers ≥ 0, not all 0, in the order of the classes, such as (1.0, 5.0); found "
                    f"{self.class_weights}."
                )
            object.__setattr__(self, "class_weights", given)
        if self.schedule not in ("one-cycle", "cosine", "slanted", "constant") or self.keep not in ("best", "last"):
            raise CourseError(f"schedule is one-cycle, cosine, slanted or constant, keep best or last, found {self}.")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at `step` of `steps`, as a share of the peak, in (0, 1]."""
        if self.schedule == "constant":
            return 1.0
        rise = max(1, round(self.warmup * steps))
        if self.schedule == "slanted":
            rise = min(rise, steps - 1)  # a phase of one step is made at the peak
            up = step / rise if step < rise else 1 - (step - rise) / max(1, steps - rise)
            return (1 + 31 * up) / 32
        low = 1 / 25 if self.schedule == "one-cycle" else 1 / rise
        if step < rise:
            return low + (1 - low) * (0.5 - 0.5 * math.cos(math.pi * step / rise))
        return max(1e-4, 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise)))
