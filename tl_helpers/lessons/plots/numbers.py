"""Figures made of numbers: bars, the course of training, a confusion matrix, learning curves with their spread."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from tl_helpers.engine.metrics import calibration_bins, calibration_error
from tl_helpers.errors import CourseError
from tl_helpers.lessons.plots.canvas import MARKERS, PALETTE, QUIET, WIDTH, footnote, short, shown


@shown
def bars(
    values: Mapping[str, float | tuple[float, float]],
    *,
    chance: float | None = None,
    title: str = "",
    unit: str = "accuracy",
    note: str = "",
) -> Figure:
    """One horizontal bar per name, with its value beside it: a number, or (mean, spread); `chance` is a dashed line."""
    pairs = {name: value if isinstance(value, (tuple, list)) else (value, 0.0) for name, value in values.items()}
    means, spreads = np.array([*pairs.values()], dtype=float).reshape(-1, 2).T
    if not len(means) or not np.isfinite(means).all():
        raise CourseError(f"Bars are drawn of numbers; found {values}.")
    spreads = np.nan_to_num(spreads)  # NaN is what NumPy and torch call the deviation of a single run
    figure, axes = plt.subplots(figsize=(WIDTH, 0.55 * len(pairs) + 1.9))
    places, errors = np.arange(len(pairs)), np.where(spreads > 0, spreads, np.nan) if spreads.any() else None
    axes.barh(places, means, xerr=errors, color=PALETTE[0], capsize=5, height=0.65)
    # a spread is often below a hundredth, so shares with one get a third digit
    write = "{:.3f}".format if spreads.any() and abs(means).max() < 2 else _figure
    for place, mean, spread in zip(places, means, spreads, strict=True):
        text = f"{write(mean)} ± {write(spread)}" if spread else write(mean)
        room = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # keeps the chance line out of the number
        at = (mean + spread, place)
        axes.annotate(text, at, xytext=(8, 0), textcoords="offset points", va="center", bbox=room, zorder=3)
    axes.set(yticks=places, xlabel=unit, ylim=(len(pairs) - 0.4, -0.6))
    axes.set_yticklabels([short(str(name), 30) for name in pairs])
    axes.set_xlim(min(0.0, 1.1 * (means - spreads).min()), max((means + spreads).max(), chance or 0) * 1.34 or 1)
    if abs(means).max() <= 1:  # mostly shares: the room for the numbers is no part of their scale
        left, right = axes.get_xlim()
        axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= min(1.0, right)])
    if chance is not None:
        axes.axvline(chance, color=PALETTE[1], linestyle="--")
        axes.text(chance, -0.55, f" chance {_figure(chance)}", color=PALETTE[1], va="bottom", ha="left")
    axes.set_title(title, pad=24 if chance is not None else 8, loc="left")
    footnote(figure, note)
    return figure


@shown
def history(result, *, title: str = "Training history") -> Figure:
    """Loss and accuracy by epoch, training and validation; `result` has a `.history`, or is such a list of rows.

    A line marks each change of phase (from probe to fine-tuning, say); epochs are numbered across phases.
    """
    rows = list(getattr(result, "history", result))
    if not rows:
        raise CourseError("There is no history to draw: not one epoch was finished.")
    first = 0 if rows[0].get("epoch") == 0 else 1  # a probe is not an epoch: it is drawn at 0
    epochs = np.arange(first, first + len(rows))
    figure, (losses, shares) = plt.subplots(1, 2, figsize=(WIDTH, 4.4))
    curves = [
        (losses, "train_loss", "training", PALETTE[0], "o-"),
        (losses, "val_loss", "validation", PALETTE[1], "s-"),
        (shares, "train_accuracy", "training", PALETTE[0], "o-"),
        (shares, "val_accuracy", "validation", PALETTE[1], "s-"),
        (shares, "val_balanced_accuracy", "validation, balanced", PALETTE[2], "^--"),
    ]
    for axes, key, name, colour, line in curves:
        values = np.array([row.get(key) for row in rows], dtype=float)  # None becomes nan
        if np.isfinite(values).any():
            axes.plot(epochs, values, line, color=colour, label=name)
    losses.set(title="Loss", xlabel="epoch", ylabel="cross-entropy (nats)")
    shares.set(title="Accuracy", xlabel="epoch", ylabel="accuracy")
    for axes in (losses, shares):
        axes.xaxis.set_major_locator(plt.MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(first - 0.5, first + len(rows) - 0.5)
        _mark_phases(axes, [row.get("phase", "") for row in rows], first)
    lines = {line.get_label(): line for axes in (losses, shares) for line in axes.get_legend_handles_labels()[0]}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=3, fontsize=13)
    figure.suptitle(title, fontsize=16)
    return figure


@shown
def confusion(report, *, title: str = "") -> Figure:
    """The confusion matrix of a report: colour is the share of the true class (the row), numbers are counts."""
    counts = np.asarray(report.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(counts)
    side = min(max(0.85 * size + 3.2, 6), 12)
    figure, axes = plt.subplots(figsize=(side + 1, side))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=14 if size < 12 else 12)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in map(str, report.classes)]
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if size > 3 else {}
    axes.set_xticks(range(size), names, **slanted)
    axes.set_yticks(range(size), names)
    axes.tick_params(labelsize=13)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.8)
    things = "documents" if hasattr(getattr(report, "images", None), "texts") else "pictures"
    accuracy = f"accuracy {report.accuracy:.3f}, balanced {report.balanced_accuracy:.3f}, {report.n} {things}"
    figure.suptitle(f"{title}\n{accuracy}" if title else accuracy[0].upper() + accuracy[1:], fontsize=16)
    return figure


@shown
def learning_curve(
    rows: Sequence[Mapping[str, Any]],
    x: str = "per_class",
    y: str = "accuracy",
    *,
    by: str = "method",
    chance: float | None = None,
    title: str = "",
    xlabel: str = "labels per class",
    ylabel: str = "accuracy",
    note: str | None = "",
) -> Figure:
    """One curve per value of `by`: the mean of `y` over the runs at each `x`, and a band of ± one standard deviation.

    `rows` are single runs, one dict each ({"method": "probe", "per_class": 5, "seed": 0, "accuracy": 0.41}). `x` is
    drawn logarithmically if it spans more than a factor of ten. `note` names the command that made the rows, after a
    sentence on what the band is; None shows neither, for where nothing was run.
    """
    if not rows:
        raise CourseError("There are no rows to draw a learning curve of.")
    figure, axes = plt.subplots(figsize=(WIDTH, 5.4))
    places = sorted({row[x] for row in rows})
    most = 1
    for k, name in enumerate(dict.fromkeys(row[by] for row in rows)):
        runs = {place: [float(row[y]) for row in rows if row[by] == name and row[x] == place] for place in places}
        runs = {place: values for place, values in runs.items() if values}
        means = np.array([np.mean(values) for values in runs.values()])
        spreads = np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in runs.values()])
        colour, marker = PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]
        axes.plot(list(runs), means, color=colour, marker=marker, label=str(name))
        axes.fill_between(list(runs), means - spreads, means + spreads, color=colour, alpha=0.18, linewidth=0)
        most = max(most, *map(len, runs.values()))
    if chance is not None:
        axes.axhline(chance, color=QUIET, linestyle="--", label="chance")
    if min(places) > 0 and max(places) > 10 * min(places):
        axes.set_xscale("log")
        axes.minorticks_off()
    if len(places) <= 12:
        axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    band = f"Band: ± one standard deviation over up to {most} runs." if most > 1 else "Single runs: no spread."
    if note is not None:
        footnote(figure, f"{band} {note}".strip())
    return figure


@shown
def reliability(answers: Mapping[str, tuple[Tensor, Tensor]], *, title: str = "") -> Figure:
    """How often answers are right against how sure they are, one line per name; a dot is as large as its bin is full.

    `answers` maps each name to (probabilities (n, classes), labels (n,)). The legend gives the ECE, the expected
    calibration error.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 5.4))
    axes.plot([0, 1], [0, 1], "--", color=QUIET, label="calibrated")
    for colour, (name, (probabilities, labels)) in zip(cycle(PALETTE), answers.items(), strict=False):
        sure, right, share = calibration_bins(probabilities, labels).numpy().T
        error = calibration_error(probabilities, labels)
        axes.plot(sure, right, color=colour, label=f"{name}: ECE {error:.3f}")
        axes.scatter(sure, right, s=900 * share, color=colour, alpha=0.7)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=13)
    footnote(figure, "The larger a dot, the more answers are in its bin.")
    return figure


def _mark_phases(axes: plt.Axes, phases: Sequence[str], first: int) -> None:
    starts = [k for k in range(len(phases)) if k == 0 or phases[k] != phases[k - 1]]
    if len(starts) < 2:
        return
    crowded = len(starts) > 2  # then the names of short phases alternate between two lines
    for i, k in enumerate(starts):
        if k:
            axes.axvline(first + k - 0.5, color=QUIET, linestyle=":", linewidth=1.5)
        place = first + k - 0.45, 1.06 if crowded and i % 2 else 1
        axes.annotate(phases[k], place, xycoords=("data", "axes fraction"), va="bottom", color=QUIET, fontsize=12)
    axes.set_title(axes.get_title(), pad=38 if crowded else 22)


def _figure(value: float) -> str:
    """A value as a reader wants it beside a bar: counts as whole numbers, shares with two decimals."""
    if abs(value) >= 100 or (abs(value) >= 2 and float(value).is_integer()):
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2g}" if abs(value) < 0.01 else f"{value:.2f}"
