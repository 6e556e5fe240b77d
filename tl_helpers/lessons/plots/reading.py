"""A reader's attention as a picture: the sentences it looks at most, and what its candidates get."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tl_helpers.data.cloze import Question
from tl_helpers.lessons.plots.canvas import PALETTE, QUIET, WIDTH, shown

LETTERS = 76  # per line
JOINED = [(mark,) for mark in (",", ".", ";", ":", "!", "?", "’", "’s")]  # no space before these


@shown
def reading(question: Question, attention: Sequence[float], *, sentences: int = 5, title: str = "") -> Figure:
    """Left: the query and the `sentences` that get most attention, darkest where most. Right: the sum for each candidate.

    attention: one share for each of `question.places()`, in that order; they sum to 1. A word's shade is its share
    relative to the largest, which is written above.
    """
    places, weights = question.places(), np.asarray(attention, dtype=float)
    share, total = np.zeros(len(question.context)), np.zeros(len(question.candidates))
    for (k, s, _), weight in zip(places, weights, strict=True):
        share[s] += weight
        total[k] += weight
    lines = [(f"{len(question.context) - s} ago", s) for s in sorted(np.argsort(-share, kind="stable")[:sentences])]
    figure, (text, bars) = plt.subplots(1, 2, figsize=(WIDTH + 2, 5.6), width_ratios=[3.2, 1])
    given = {(s, w): weight / weights.max() for (_, s, w), weight in zip(places, weights, strict=True)}
    row = 0
    for name, s in [*lines, ("query", None)]:
        words = question.query if s is None else question.context[s]
        text.text(0, -row, name, color=QUIET, fontsize=11, va="top")
        row += _write(text, words, {w: given.get((s, w), 0.0) for w in range(len(words))}, row)
    text.set(xlim=(0, LETTERS + 10), ylim=(-row - 0.2, 0.6), frame_on=False, xticks=[], yticks=[])
    text.set_title(f"darkest word: {weights.max():.2f} of the attention", fontsize=12, color=QUIET, loc="left")
    order = np.argsort(total, kind="stable")
    colours = [PALETTE[2] if question.candidates[k] == question.answer else PALETTE[0] for k in order]
    bars.barh(range(len(order)), total[order], color=colours)
    bars.set_yticks(range(len(order)), [question.candidates[k] for k in order], fontsize=13)
    bars.xaxis.set_major_locator(plt.MaxNLocator(3))
    bars.set_xlabel("attention (share)")
    bars.set_title("right answer in green", fontsize=12, color=PALETTE[2])
    figure.suptitle(title, fontsize=16)
    return figure


def _write(axes: plt.Axes, words: Sequence[str], weights: dict[int, float], row: int) -> int:
    """Write words from line `row` on, shaded by their weight; returns how many lines they took, with a gap."""
    line, column, most = 0, 0, 4
    style = {"fontsize": 11, "va": "top", "family": "monospace"}
    for w, word in enumerate(words):
        if column + len(word) > LETTERS:
            line, column = line + 1, 0
        if line == most - 1 and column + len(word) > LETTERS - 12 and w < len(words) - 1:
            axes.text(10 + column, -row - line, "…", **style)
            break
        shade = weights.get(w, 0.0)
        box = {"facecolor": plt.cm.Oranges(0.05 + 0.6 * shade), "edgecolor": "none", "pad": 1.5}
        said = textwrap.shorten(word, LETTERS)
        axes.text(10 + column, -row - line, said, bbox=box if shade > 0.02 else None, **style)
        column += len(word) + (words[w + 1 : w + 2] not in JOINED)
    return line + 2
