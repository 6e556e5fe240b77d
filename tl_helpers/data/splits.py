"""Which items are for training, for choosing, and for one final look: stratified by class, groups kept whole."""

import functools
import hashlib
import json
import warnings
from dataclasses import dataclass

import numpy as np

from tl_helpers.errors import CourseError


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint, sorted int64 arrays of positions that together cover the set."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @functools.cached_property
    def hash(self) -> str:
        """sha256 (hex) of the three arrays: two runs with the same hash saw the same split."""
        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()

    def written(self) -> str:
        """JSON of the hash and of each part's positions in the set: a record to keep beside the results."""
        parts = {part: getattr(self, part).tolist() for part in ("train", "val", "test")}
        return json.dumps({"hash": self.hash} | parts)


def make_split(labels, groups=None, *, test: float | int = 0.25, val: float = 0.15, seed: int = 0) -> Split:
    """Cut a test set from all items, then a validation set from what is left.

    Each cut is one fold of scikit-learn's StratifiedKFold, or of StratifiedGroupKFold if `groups` are given, which are
    never split; the seed also draws the fold, because StratifiedGroupKFold puts the largest group into fold 0 for every
    seed. So a share means one of round(1 / share) folds (0.25: of four; 0.15: of seven; 0.4: of two), of at most as many
    as the largest class has items. A whole number for `test` asks for exactly that many: the drawn fold hands back items
    that are alone in their group (0: no test set is cut).

    labels, groups: (n,) integers. Raises CourseError if a class has fewer than three items, or its groups leave none of
    them to train on.
    """
    labels = np.asarray(labels)
    groups = None if groups is None else np.asarray(groups)
    _check(labels, test, val)
    labels = np.unique(labels, return_inverse=True)[1]  # names, or numbers with gaps, will do as well
    if seed < 0 or (groups is not None and groups.shape != labels.shape):
        n_groups = "no" if groups is None else len(groups)
        found = f"seed={seed}, {len(labels)} items and {n_groups} groups"
        raise CourseError(f"seed is 0 or more, and every item has a group; found {found}.")
    rng = np.random.default_rng(seed)
    rest, tested = np.arange(len(labels)), np.array([], np.int64)
    if test:
        rest, tested = cut(rest, labels, groups, _share(test, labels), rng)
        if not isinstance(test, float):
            surplus = _surplus(tested, groups, len(tested) - test, rng)
            rest, tested = np.sort(np.concatenate([rest, surplus])), np.setdiff1d(tested, surplus)
    train, chosen = cut(rest, labels, groups, val, rng)
    if unseen := sorted(set(labels.tolist()) - set(labels[train].tolist())):
        raise CourseError(
            f"With these groups, which stay whole, no item of class {', '.join(map(str, unseen))} is left to train on. "
            "A class needs three groups or more; or try another seed."
        )
    return Split(train.astype(np.int64), chosen.astype(np.int64), tested.astype(np.int64))


def _share(test: float | int, labels: np.ndarray) -> float:
    return test if isinstance(test, float) or not test else 1 / max(1, len(labels) // test)


def cut(items, labels, groups, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of `items` (sorted positions in labels), stratified: what is kept, and about `share` of them, drawn by rng.

    Items of the same group stay together; groups: a number for each label, or None.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # a second, that `predict` need not wait

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    n_groups = len(items if groups is None else np.unique(groups[items]))
    n_folds = int(min(round(1 / share), n_groups, np.bincount(labels[items]).max()))  # scikit-learn allows no more
    if n_folds < 2:
        raise CourseError(f"{len(items)} items of one group can't be cut in two: groups stay whole.")
    folds = kind(n_folds, shuffle=True, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():  # a class may have fewer items than there are folds: some folds then go without it
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(folds.split(items, labels[items], None if groups is None else groups[items]))
    kept, taken = pairs[rng.integers(n_folds)]
    if not (len(kept) and len(taken)):
        raise CourseError(f"Groups stay whole, and these are too large for {n_folds} parts: one would be empty.")
    return items[kept], items[taken]


def _surplus(tested, groups, count, rng) -> np.ndarray:
    single = np.ones(len(tested), bool) if groups is None else np.bincount(groups)[groups[tested]] == 1
    if not 0 <= count <= single.sum():
        raise CourseError(f"A test set of {len(tested) - count} items is not possible: the nearest has {len(tested)}.")
    return rng.choice(tested[single], size=count, replace=False)


def _check(labels: np.ndarray, test: float | int, val: float) -> None:
    if not (0 <= _share(test, labels) <= 0.5 and 0 < val <= 0.5):
        raise CourseError(f"test={test} and val={val} have to be shares up to 0.5 (or test a number of items).")
    values, counts = np.unique(labels, return_counts=True)
    if len(values) < 2:
        raise CourseError(f"A split needs at least two classes; found {len(values)}.")
    if counts.min() < 3:
        raise CourseError(
            f"Class {values[counts.argmin()]} has only {counts.min()} of the three items it needs to train, choose and test."
        )
