"""Three sizes of the same course: `ci` proves that a notebook runs, `class` fits a lesson, `full` fills the tables."""

import os
from dataclasses import dataclass

from tl_helpers.errors import CourseError


@dataclass(frozen=True)
class Budget:
    """Sizes that are passed to calls by name (`epochs=budget.epochs`); nothing reads the budget behind the caller's back.

    image_size: pixels per side. epochs: of fine-tuning. images: how many training images a live cell may use.
    seeds: for splits, draws and training. labels_per_class: the steps of a learning curve (None: all labels).
    """

    name: str
    image_size: int
    epochs: int
    images: int
    seeds: tuple[int, ...]
    labels_per_class: tuple[int | None, ...]


BUDGETS = {
    "ci": Budget("ci", 64, 1, 96, (0, 1), (1, 5)),
    "class": Budget("class", 128, 3, 256, (0, 1, 2), (1, 5, 20, None)),
    "full": Budget("full", 160, 15, 10_000, (0, 1, 2, 3, 4), (1, 2, 5, 10, 20, None)),
}


def pick_budget(name: str | None = None) -> Budget:
    """The budget called `name`; by default the one in the environment variable `TL_BUDGET`, or else `class`."""
    name = name or os.environ.get("TL_BUDGET") or "class"
    if name not in BUDGETS:
        raise CourseError(f"The budget {name!r} is not known; TL_BUDGET is one of {', '.join(BUDGETS)}.")
    return BUDGETS[name]
