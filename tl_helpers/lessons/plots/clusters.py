"""Figures of clusters: maps side by side, and the pictures that stand for each cluster."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from tl_helpers.lessons.plots.canvas import MARKERS, WIDTH, footnote, shown, tiles
from tl_helpers.lessons.plots.pictures import pick
from tl_helpers.recipes.cluster_views import colour


@shown
def maps(
    panels: Mapping[str, Mapping], *, columns: int = 3, names: Sequence[str] = (), title: str = "", note: str = ""
) -> Figure:
    """Scatter plots side by side; a panel has `xy` (n, 2) and `labels` (n,), optionally `centres` (k, 2) and `rings`.

    `rings` has a row per Gaussian (x, y, half axis, half axis, degrees, number). `names` name the colours in a legend.
    """
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, rows * WIDTH / columns + 0.9), squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        xy, labels = np.asarray(panel["xy"]), np.asarray(panel["labels"])
        for number in np.unique(labels).tolist():
            own = xy[labels == number]
            label = names[number] if 0 <= number < len(names) else None
            mark = MARKERS[number % len(MARKERS)]
            axes.scatter(*own.T, s=14, color=colour(number), alpha=0.7, linewidths=0, marker=mark, label=label)
        for x, y, wide, high, degrees, number in panel.get("rings", ()):
            edge = colour(int(number))
            axes.add_patch(Ellipse((x, y), 2 * wide, 2 * high, angle=degrees, fill=False, lw=2.5, color=edge))
        for number, (x, y) in enumerate(panel.get("centres", ())):
            axes.scatter(x, y, s=260, color=colour(number), edgecolors="white", linewidths=2, zorder=3)
            style = {"color": "white", "ha": "center", "va": "center_baseline", "weight": "bold"}
            axes.annotate(str(number), (x, y), zorder=4, **style)
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=14)
    if names:
        dots = {name: dot for axes in grid.flat for dot, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(dots.values(), dots.keys(), loc="outside lower center", ncols=4, fontsize=12, markerscale=2.5)
    figure.suptitle(title, fontsize=16)
    footnote(figure, note)
    return figure


@shown
def cluster_faces(image_set, clusters, *, show: str = "nearest", count: int = 8) -> Figure:
    """One row per cluster, the six largest: the `count` pictures "nearest" to its centre, or "least_sure"."""
    numbers = [getattr(clusters, show)(c, count).tolist() for c in range(min(6, clusters.k))]
    count = max(map(len, numbers))
    images = [picture for row in numbers for picture in (*pick(image_set, row), *[None] * (count - len(row)))]
    title = "Nearest to each cluster's centre" if show == "nearest" else "Least certain in each cluster"
    how = {"columns": count, "row_names": [f"{c}: {n}" for c, n in enumerate(clusters.sizes[:6])]}
    note = f"Left: cluster and size. {image_set.attribution}"
    return tiles(images, [""] * len(images), title=title, note=note, **how)
