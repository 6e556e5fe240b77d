"""What sets of pictures and of texts have in common: parts by role, a few items per class, and class counts."""

import dataclasses
import functools
from typing import ClassVar, Self

import numpy as np
import torch

from tl_helpers.errors import CourseError

ROLES = ("all", "train", "val", "test")


class Labelled:
    """A set with `name`, `labels` (int64 (n,)), `classes`, `role` and, if it is whole, a `split`; a dataclass.

    by_item: its fields with one entry per item (or None, or a dict of such).
    """

    by_item: ClassVar[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def train(self) -> Self:
        """What a model learns from."""
        return self._part("train")

    @functools.cached_property
    def val(self) -> Self:
        """What choices are based on: epochs, learning rates, recipes."""
        return self._part("val")

    @functools.cached_property
    def test(self) -> Self:
        """What is looked at once."""
        return self._part("test")

    def subset(self, indices, role: str | None = None) -> Self:
        """The items at `indices` (integers or booleans, any sequence), in that order; `role` is kept if not given."""
        index = positions(indices, len(self))
        kept = {name: _rows(getattr(self, name), index) for name in self.by_item}
        return dataclasses.replace(self, **kept, role=role or self.role, split=None)

    def few(self, per_class: int, seed: int = 0) -> Self:
        """`per_class` items of each class (all it has, if fewer), drawn by the seed, in the set's order.

        Draws are nested: with one seed, `few(5)` contains all of `few(1)`, so a learning curve only ever adds items.
        """
        if per_class < 1:
            raise CourseError(f"few needs at least one item per class; found {per_class}.")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(int(seed)))
        chosen = [order[self.labels[order] == label][:per_class] for label in range(len(self.classes))]
        return self.subset(torch.cat(chosen).sort().values)

    def _label(self, index) -> int:
        if isinstance(index, slice):
            raise CourseError("A set gives one item at a time; for several, .subset(range(12)) or .few(2) of a class.")
        return int(self.labels[index])

    def class_counts(self) -> dict[str, int]:
        """How many items each class has."""
        counts = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))

    def _part(self, role: str) -> Self:
        if self.split is None and self.role == "all":
            how = "dataclasses.replace(items, split=make_split(items.labels)), with make_split from tl_helpers.data"
            raise CourseError(f"{self.name} has no split, so no .{role}. Give it one (with its groups, if any): {how}.")
        if self.split is None:
            raise CourseError(f"This is {self.name}'s {self.role!r} part; .train, .val and .test belong to the whole.")
        return self.subset(getattr(self.split, role), role)

    def _check_labels(self, n: int, things: str, columns: dict) -> None:
        """Raise CourseError unless there are as many labels as things, all valid, and as many entries in each column."""
        wrong = {key: len(value) for key, value in columns.items() if value is not None and len(value) != len(self)}
        if n != len(self) or wrong:
            raise CourseError(f"{len(self)} labels need as many {things} and entries per column; found {n}, {wrong}.")
        if getattr(self.labels, "dtype", None) != torch.int64 or (
            n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes)
        ):
            raise CourseError(f"labels have to be int64 from 0 to {len(self.classes) - 1}, one for each class.")
        if self.role not in ROLES:
            raise CourseError(f"role has to be one of {', '.join(ROLES)}; found {self.role!r}.")


def positions(indices, n: int) -> torch.Tensor:
    """Integers, or booleans for each of `n` items, in any sequence, as int64 positions; CourseError for anything else."""
    try:
        index = np.arange(n)[np.asarray(indices) if len(indices) else []]
        if index.ndim != 1:
            raise ValueError("more than one row")
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        takes = f"A subset takes positions, or {n} booleans, one for each item. Positions go from 0 to {n - 1}"
        raise CourseError(f"{takes}; found {str(indices)[:60]} ({error}).") from error
    return torch.from_numpy(index)


def _rows(column, index: torch.Tensor):
    if column is None or isinstance(column, dict):
        return column and {key: _rows(value, index) for key, value in column.items()}
    if isinstance(column, tuple):
        return tuple(column[i] for i in index.tolist())
    return column.subset(index) if hasattr(column, "subset") else column[index]  # streamed images, or a tensor
