"""A search as a picture: one line per trial, cut off where it was pruned."""

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tl_helpers.lessons.plots.canvas import PALETTE, QUIET, STYLE, WIDTH, png, shown


def draw_trials(found, title: str = "") -> Figure:
    """Every trial's validation score by what was spent on it: pruned ones grey with a cross, the best of the rest bold."""
    figure, axes = plt.subplots(figsize=(WIDTH, 5))
    best = found.best
    for trial in found.trials:
        early = trial.pruned or trial.diverged
        colour, order = (PALETTE[1], 3) if trial is best else (QUIET, 1) if early else (PALETTE[0], 2)
        style = {"color": colour, "zorder": order, "alpha": 0.5 if early else 0.9}
        axes.plot(trial.at, trial.curve, marker="o", markersize=5, linewidth=4 if trial is best else 1.5, **style)
        if early:
            axes.plot(trial.at[-1], trial.curve[-1], marker="x", markersize=11, markeredgewidth=2.5, **style)
    legend = ["pruned", "ran to the end", "chosen"]
    for name, colour, marker in zip(legend, (QUIET, PALETTE[0], PALETTE[1]), "xoo", strict=True):
        axes.plot([], [], color=colour, marker=marker, label=name)
    steps = sorted({place for trial in found.trials for place in trial.at})
    if found.unit == "rows":
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.set(xlabel={"rows": "rows given to the trial", "epochs": "epoch"}[found.unit], ylabel="validation accuracy")
    axes.set_title(title or f"{len(found.trials)} trials, {found.spent} {found.unit} spent", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


trials = shown(draw_trials)


class LiveTrials(ipywidgets.Image):
    """The same picture, growing: show it, then pass it to `search(…, watch=…)`. Its `value` is the PNG."""

    def __call__(self, found) -> None:
        """Draw the search as it stands."""
        with plt.rc_context(STYLE):
            figure = draw_trials(found)
            self.value = png(figure)
            plt.close(figure)
