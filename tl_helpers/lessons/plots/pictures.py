"""Figures made of pictures: grids, the same thing by two artists, neighbours, the worst mistakes."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tl_helpers.data.labelled import positions
from tl_helpers.errors import CourseError
from tl_helpers.lessons.plots.canvas import RIGHT, WRONG, shown, tiles


@shown
def grid(image_set, indices: Sequence[int] | None = None, *, count: int = 12) -> Figure:
    """Pictures of a set with their classes: those at `indices`, or `count` spread over the classes, always the same."""
    indices = spread_over_classes(image_set.labels, count) if indices is None else indices
    indices = positions(indices, len(image_set.labels)).tolist()  # a mask is one way to choose, as in `subset`
    images = pick(image_set, indices)
    captions = [image_set.classes[image_set.labels[i]] for i in indices]
    title = f"{len(indices)} of the {len(image_set.labels):,} pictures of {image_set.name}"
    return tiles(images, captions, columns=6, title=title, note=image_set.attribution)


@shown
def batch_grid(
    images: Tensor,
    *,
    captions: Sequence[str] | None = None,
    columns: int = 6,
    count: int = 24,
    title: str = "One batch",
    note: str = "",
) -> Figure:
    """The first `count` pictures of a batch (b, C, h, w), uint8 or float 0..1, under their `captions`."""
    images = list(images[:count])
    captions = [""] * len(images) if captions is None else [*map(str, captions)]
    return tiles(images, captions, columns=columns, title=title, note=note)


@shown
def pairs(source, target, names: Sequence[str]) -> Figure:
    """The same things by two artists: a row per artist, a column per name; row i of both sets is the same thing."""
    indices = find(source, names)
    images = pick(source, indices) + pick(target, indices)
    artists = [artist(source), artist(target)]
    captions, title = [""] * len(names) + list(names), f"The same things, drawn by {artists[0]} and by {artists[1]}"
    how = {"columns": len(names), "row_names": artists, "note": credits_of(source, target)}
    return tiles(images, captions, title=title, **how)


@shown
def neighbours(
    queries,
    known,
    nearest: Tensor,
    *,
    show: str = "wrong",
    count: int = 6,
    names: Sequence[str] | None = None,
    title: str = "One picture each",
) -> Figure:
    """New drawings, the neighbour each got, and the one it should have got (row i of both sets is the same thing).

    `nearest` (n,) is the number in `known` of each query's neighbour. `show` is "wrong", "right" or "all"; `count`
    of those are drawn, always the same, unless `names` lists exactly which.
    """
    nearest = torch.as_tensor(nearest).cpu()
    right = nearest == torch.arange(len(nearest))
    choices = {"wrong": ~right, "right": right, "all": torch.ones_like(right)}
    if show not in choices:
        raise CourseError(f"show={show!r}; it can be {', '.join(map(repr, choices))}.")
    candidates = choices[show].nonzero().flatten().numpy()
    if names is None and len(candidates) == 0:
        raise CourseError(f"Not one neighbour is {show}, so there is nothing to draw. Try show='all'.")
    drawn = np.random.default_rng(0).choice(candidates, min(count, len(candidates)), replace=False)
    indices = sorted(drawn.tolist()) if names is None else find(queries, names)
    got = nearest[indices].tolist()
    images = pick(queries, indices) + pick(known, got) + pick(known, indices)
    captions = [queries.names[i] for i in indices] + [known.names[i] for i in got] + [""] * len(indices)
    marks = ["black"] * len(indices) + [RIGHT if right[i] else WRONG for i in indices] + ["black"] * len(indices)
    rows = [f"new, by\n{artist(queries)}", f"nearest, by\n{artist(known)}", "should\nbe this"]
    title = f"{title}: {int(right.sum())} of {len(right)} matched correctly"
    how = {"columns": len(indices), "colours": marks, "row_names": rows, "note": credits_of(queries, known)}
    return tiles(images, captions, title=title, **how)


@shown
def top_losses(report, *, count: int = 8, columns: int = 4) -> Figure:
    """The `count` pictures with the largest loss: the predicted class, its probability, and the true class."""
    indices = report.losses.topk(min(count, len(report.losses))).indices.tolist()
    captions, colours = [], []
    for i in indices:
        says, true = int(report.predictions[i]), int(report.labels[i])
        captions.append(f"{report.probabilities[i, says]:.2f} {report.classes[says]}\nis {report.classes[true]}")
        colours.append(RIGHT if says == true else WRONG)
    title = "Largest losses: prediction and confidence, true class"
    note = report.images.attribution
    return tiles(pick(report.images, indices), captions, columns=columns, title=title, colours=colours, note=note)


def pick(image_set, indices: Sequence[int]) -> list[Tensor]:
    """Pictures by their numbers, each uint8 (C, h, w), from memory or streamed; CourseError for a set of texts."""
    if not hasattr(image_set, "images"):
        raise CourseError(f"{image_set.name} holds texts; print them: there are no pictures to show.")
    return list(image_set.images[torch.as_tensor(indices, dtype=torch.int64)])


def find(image_set, names: Sequence[str]) -> list[int]:
    """The positions of the names in the set; raises CourseError, with similar names, for one that is missing."""
    if isinstance(names, str):
        raise CourseError(f"names is a list, even of one: names=[{names!r}].")
    places = {name: i for i, name in enumerate(image_set.names)}
    for name in names:
        if name not in places:
            near = [other for other in places if name.lower() in other.lower()][:5]
            hint = f"Near: {', '.join(near)}." if near else f"It has, say, {', '.join(list(places)[:5])}."
            raise CourseError(f"{image_set.name} has nothing called {name!r}. {hint}")
    return [places[name] for name in names]


def artist(image_set) -> str:
    """Who drew it: "Google" for emoji-google; for any other set, its name."""
    return image_set.name.removeprefix("emoji-").title() if image_set.name.startswith("emoji-") else image_set.name


def credits_of(*image_sets) -> str:
    """The sets' attributions on one line, each once."""
    return " · ".join(dict.fromkeys(one.attribution for one in image_sets if one.attribution))


def spread_over_classes(labels: Tensor, count: int) -> list[int]:
    """`count` numbers, drawn from each class in turn: what a first look at a set should show."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    by_class = [order[labels[order] == label].tolist() for label in labels.unique().tolist()]
    turns = [members[k] for k in range(max(map(len, by_class), default=0)) for members in by_class if k < len(members)]
    return sorted(turns[:count], key=lambda i: (int(labels[i]), i))
