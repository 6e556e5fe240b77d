"""How many clusters? Four criteria as curves with their spread, and a sentence when the curve does not say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.metrics import adjusted_rand_score, silhouette_score

from ..errors import CourseError
from .clustering import as_rows, different_rows, fit

CRITERIA = ("silhouette", "bic", "gap", "stability")
CLOSE = {"silhouette": 0.02, "stability": 0.02}  # differences too small to build on, on scales that end at 1
WEAK = 0.25  # Kaufman and Rousseeuw (1990): up to this value, "no substantial structure"


@dataclass(frozen=True)
class Choice:
    """A criterion's curve and what it says. `values` (draws, ks): higher is better (BIC: negated, per row). `near`: the ks
    that do as well as the best, within what another draw of rows changes. `flat`: they differ by a factor of two."""

    criterion: str
    k: int
    ks: tuple[int, ...]
    values: np.ndarray
    near: tuple[int, ...]
    rows: int

    @property
    def flat(self) -> bool:
        return max(self.near) >= 2 * min(self.near)

    @property
    def sentence(self) -> str:
        """What a reader has to know besides the number."""
        best = float(self.values.mean(0).max())
        said = [f"By {self.criterion} (of {len(self.values)} draws of {self.rows:,} rows) k = {self.k}."]
        if self.flat:
            near = ", ".join(map(str, self.near))
            said.append(f"The curve is flat: k = {near} do as well, so this number is a habit, not a finding.")
        if self.k in (self.ks[0], self.ks[-1]) and len(self.ks) > 1 and self.k > 1:
            said.append(f"It is the {'smallest' if self.k == self.ks[0] else 'largest'} k tried: look beyond it.")
        if self.criterion == "silhouette" and best <= WEAK:
            said.append(f"A silhouette of {best:.2f} is weak: the clusters are cut out of a cloud rather than found.")
        return " ".join(said)

    def __str__(self) -> str:
        spreads = self.values.std(0, ddof=1) if len(self.values) > 1 else np.zeros(len(self.ks))
        curve = zip(self.ks, self.values.mean(0), spreads, strict=True)
        return "\n".join([f"  k = {k:3d}  {mean:9.4f} ± {spread:.4f}" for k, mean, spread in curve] + [self.sentence])


def choose_k(
    points,
    ks: Sequence[int],
    criterion: str = "silhouette",
    *,
    method: str = "kmeans",
    covariance: str = "full",
    draws: int = 5,
    sample: int = 2000,
    seed: int = 0,
) -> Choice:
    """Try every k of `ks` on `draws` random draws of rows (at most `sample`, at most four fifths of all).

    silhouette: how much nearer a row is to its own cluster than to the next (Rousseeuw, 1987); favours few round clusters.
    bic: minus the Bayesian information criterion of a mixture, per row (Schwarz, 1978); depends on the covariance's form.
    gap: log inertia against that of uniform noise in the same box (Tibshirani, Walther and Hastie, 2001), whose rule
    takes the smallest k within one error of the next. stability: do two fits on different draws group all rows alike
    (adjusted Rand index; Ben-Hur, 2002)? Takes the largest k within 0.02 of the best, as coarse cuts are trivially stable.

    A k larger than the number of different rows in a draw is left out. Raises CourseError for an unknown criterion or if
    no k is left that the draws and the criterion allow.
    """
    rows, ks = as_rows(points), tuple(sorted(set(map(int, ks))))
    size = min(sample, max(1, len(rows) * 4 // 5))
    least = 1 if criterion in ("bic", "gap") else 2
    if criterion not in CRITERIA:
        raise CourseError(f"The criterion {criterion!r} is not known; try one of {', '.join(CRITERIA)}.")
    if draws < 1:
        raise CourseError(f"It takes at least one draw of rows; found draws={draws}.")
    if not ks or ks[0] < least or ks[-1] >= size:
        raise CourseError(
            f"{criterion} compares k from {least} to {size - 1} here ({len(rows)} rows, {size} of them per draw); "
            f"asked for {', '.join(map(str, ks)) or 'none'}."
        )
    draw = np.random.default_rng(seed)
    chosen = [np.sort(draw.choice(len(rows), size, replace=False)) for _ in range(draws + (criterion == "stability"))]
    most = min(different_rows(rows[one]) for one in chosen)
    if ks[0] > most:
        raise CourseError(f"Of {size} rows only {most} differ, so no k from {ks[0]} upwards is possible.")
    ks = tuple(k for k in ks if k <= most)
    settings = {"method": "gmm" if criterion == "bic" else method, "covariance": covariance, "restarts": 2}
    if criterion == "stability":
        fits = [[fit(rows[one], k, seed=seed, **settings).predict(rows) for k in ks] for one in chosen]
        values = [[adjusted_rand_score(*pair) for pair in zip(*two, strict=True)] for two in pairwise(fits)]
    else:
        values = [[_value(rows[one], k, criterion, settings, (seed, k, n)) for k in ks] for n, one in enumerate(chosen)]
    return _choice(criterion, ks, np.array(values), size)


def _value(rows: np.ndarray, k: int, criterion: str, settings: dict, chance: tuple[int, int, int]) -> float:
    found = fit(rows, k, seed=chance[0], **settings)
    if criterion == "silhouette":
        return float(silhouette_score(rows, found.labels)) if found.k > 1 else 0.0
    if criterion == "bic":
        return -float(found.model.bic(rows)) / len(rows)
    draw = np.random.default_rng(chance)  # other noise for every draw: shared, it would hide in the spread
    noise = draw.uniform(rows.min(0), rows.max(0), rows.shape).astype(np.float32)
    return _log_spread(fit(noise, k, seed=chance[0], **settings)) - _log_spread(found)


def _log_spread(found) -> float:
    return float(np.log(max(float((found.distances**2).sum()), 1e-12)))


def _choice(criterion: str, ks: tuple[int, ...], values: np.ndarray, size: int) -> Choice:
    means, errors = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(ks))
    best = int(means.argmax())
    if criterion == "stability":  # coarse cuts are trivially stable, so take the finest of equally stable ones
        best = int(np.flatnonzero(means >= means.max() - CLOSE[criterion])[-1])
    if criterion == "gap":
        best = next((i for i in range(len(ks) - 1) if means[i] >= means[i + 1] - errors[i + 1]), len(ks) - 1)
    behind = values[:, [best]] - values  # draw by draw: a hard draw is hard for every k
    spread = behind.std(0, ddof=1) if len(values) > 1 else np.zeros(len(ks))
    close = np.maximum(2 * spread, CLOSE.get(criterion, 0.0))
    near = tuple(k for k, less, room in zip(ks, behind.mean(0), close, strict=True) if less <= room)
    return Choice(criterion, ks[best], ks, values, near, size)
