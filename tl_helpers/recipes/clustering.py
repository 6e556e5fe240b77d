"""Structure without labels: K-means and Gaussian mixtures on kept features, how many clusters, how good, what is in them.

The clustering is scikit-learn's. This module adds features prepared for distances, a clear message where no answer can be
right, a curve with its spread instead of a bare number of clusters, and the same few questions asked of every result.
"""

import os
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sklearn
import torch
from scipy.optimize import linear_sum_assignment
from sklearn import metrics
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from ..errors import CourseError, count

METHODS = ("kmeans", "minibatch", "gmm")
COVARIANCES = ("full", "tied", "diag", "spherical")
WIDEST = 50  # columns a mixture is fitted on, at most: a full covariance of 384 has 74,000 numbers per cluster
SAMPLE = 100_000  # rows a mixture (and a PCA) is fitted on, at most
CHUNK = 50_000  # rows processed at a time


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which row belongs to which cluster. Clusters are numbered by size; the largest is 0.

    labels: int64 (n,). centres: float32 (k, columns). points: float32 (n, columns), as they were clustered. model: the
    fitted scikit-learn estimator (its own numbering). notes: what a reader has to know, such as that a sample was drawn.
    """

    method: str
    labels: np.ndarray
    centres: np.ndarray
    points: np.ndarray
    model: object
    order: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def k(self) -> int:
        return len(self.centres)

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 (k,): how many rows each cluster has."""
        return np.bincount(self.labels, minlength=self.k)

    @cached_property
    def distances(self) -> np.ndarray:
        """float32 (n,): how far each row is from its own centre."""
        starts = range(0, len(self.points), CHUNK)
        parts = (self.points[i : i + CHUNK] - self.centres[self.labels[i : i + CHUNK]] for i in starts)
        return np.concatenate([np.linalg.norm(part, axis=1) for part in parts])

    @cached_property
    def sureness(self) -> np.ndarray:
        """float32 (n,) in [0, 1]: a mixture's responsibility; else 1 - d1 / d2, the distances to the two nearest centres."""
        found = np.ones(len(self.points), np.float32)
        for i in range(0, len(self.points), CHUNK) if self.k > 1 else ():
            part = self.points[i : i + CHUNK]
            if self.method == "gmm":
                found[i : i + CHUNK] = self.model.predict_proba(part).max(1)
            else:
                two = np.partition(metrics.pairwise_distances(part, self.centres), 1, axis=1)[:, :2]
                found[i : i + CHUNK] = 1 - two[:, 0] / np.maximum(two[:, 1], 1e-12)
        return found

    def nearest(self, cluster: int, count: int = 8) -> np.ndarray:
        """int64: the indices of the cluster's `count` rows nearest to its centre, nearest first."""
        own = np.flatnonzero(self.labels == cluster)
        return own[np.argsort(self.distances[own], kind="stable")[:count]]

    def least_sure(self, cluster: int, count: int = 8) -> np.ndarray:
        """int64: the indices of the cluster's `count` rows that might as well be elsewhere, most doubtful first."""
        own = np.flatnonzero(self.labels == cluster)
        return own[np.argsort(self.sureness[own], kind="stable")[:count]]

    def predict(self, points) -> np.ndarray:
        """int64 (m,): the clusters of new rows, prepared as these were."""
        rows = as_rows(points)
        found = self.order[self.model.predict(rows)]
        lost = np.flatnonzero(found < 0)
        if len(lost):  # their component had no row here: take the nearest centre
            found[lost] = metrics.pairwise_distances_argmin(rows[lost], self.centres)
        return found


def as_rows(features) -> np.ndarray:
    """A tensor or array as float32 (n, columns); CourseError for any other shape, no rows, or a value that is not finite."""
    if hasattr(features, "role"):
        raise CourseError("Clustering takes rows, prepare(tl.features(backbone, images)), not the set itself.")
    rows = features.detach().cpu().float().numpy() if isinstance(features, torch.Tensor) else np.asarray(features)
    if rows.ndim != 2 or 0 in rows.shape:
        raise CourseError(f"Clustering needs features of shape (rows, columns), neither of them 0; found {rows.shape}.")
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(bad):
        raise CourseError(
            f"{len(bad)} of {len(rows)} rows contain NaN or infinity, the first is row {bad[0]}. Distances to them mean "
            "nothing: leave those rows out, or check how their features were made."
        )
    return rows


def prepare(features, *, unit: bool = True, standardise: bool = False, components: int | None = WIDEST) -> np.ndarray:
    """Prepare features for distances: float32 (n, columns).

    Args:
        features: (n, width), a tensor or array.
        standardise: first scale every column to mean 0 and deviation 1, so that none dominates merely by its unit.
        unit: scale every row to length 1, so that only the direction counts (a distance² is then 2 - 2 · cosine).
        components: how many a final PCA keeps, fitted on at most 100,000 rows; None leaves all columns.
    """
    rows = as_rows(features)
    if standardise:
        deviation = rows.std(0)
        rows = (rows - rows.mean(0)) / np.where(deviation > 1e-6 * max(deviation.max(), 1e-30), deviation, np.inf)
    if unit:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    if components is None or components >= rows.shape[1] or len(rows) < 2:
        return rows
    learnt = _drawn(rows, 0)
    with np.errstate(invalid="ignore"):  # rows that are all the same have no variance to divide into shares
        pca = PCA(min(components, len(learnt)), random_state=0).fit(learnt)
    return np.concatenate([pca.transform(rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)])


def fit(
    points,
    k: int,
    method: str = "kmeans",
    *,
    seed: int = 0,
    restarts: int = 4,
    covariance: str = "full",
    device: torch.device | str | None = None,
) -> Clusters:
    """Assign every row to one of `k` clusters. The same points, seed and number of threads give the same clusters.

    kmeans: Lloyd's steps from k-means++ starts (Arthur and Vassilvitskii, 2007), the best of `restarts` by inertia.
    minibatch: the same with 4,096 rows per step (Sculley, 2010), for millions of rows. gmm: a mixture of Gaussians by EM;
    if there are more than 100,000 rows, it is fitted on that many, drawn with the seed (`notes` says so); all are assigned.

    Args:
        points: (n, columns) as `prepare` gives them; a mixture takes at most 50 columns.
        covariance: of a mixture: "full", "tied" (one for all), "diag" or "spherical".
        device: a CUDA device fits a mixture through scikit-learn's array API if the variable SCIPY_ARRAY_API is 1 (`notes`
            says if it is not); equal seeds need not give the same bits there. Everything else runs on the CPU.

    Raises:
        CourseError: k is not between 1 and the number of different rows, values that are not finite, an unknown method.
    """
    rows, notes = as_rows(points), []
    if not isinstance(k, int | float | np.number) or k % 1:
        raise CourseError(f"k must be a whole number, found {k}.")
    k = int(k)
    _check(rows, k, method, covariance)
    model = _model(k, method, seed, restarts, covariance, rows)
    learnt = _drawn(rows, seed) if method == "gmm" else rows
    if len(learnt) < len(rows):
        notes.append(f"The mixture was fitted on {len(learnt):,} of {len(rows):,} rows, drawn by seed {seed}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "MiniBatchKMeans is known", UserWarning)
        notes += _fit_on(device, model, learnt)
    if not getattr(model, "converged_", True):
        notes.append(f"The mixture had not converged after {model.max_iter} steps.")
    own = model.predict(rows) if method == "gmm" else model.labels_
    sizes = np.bincount(own, minlength=k)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    if len(order) < k:
        notes.append(f"{k - len(order)} of {k} clusters are empty, so {len(order)} are left.")
    number = np.full(k, -1, np.int64)
    number[order] = np.arange(len(order))
    centres = (model.means_ if method == "gmm" else model.cluster_centers_)[order].astype(np.float32)
    return Clusters(method, number[own], centres, rows, model, number, tuple(notes))


def evaluate(found, truth) -> dict[str, float]:
    """How well clusters agree with labels that they never saw. NMI, V-measure, accuracy and shares lie in [0, 1].

    nmi: mutual information over the mean entropy, which is the V-measure; homogeneity and completeness are its two halves.
    ari: pairs rightly put together or kept apart, 0 for chance. accuracy: clusters and classes matched one to one for the
    most hits (Kuhn's Hungarian method). largest_class: the accuracy of one cluster for all rows; always look at both.
    """
    labels, truth = (np.asarray(getattr(one, "labels", one)) for one in (found, truth))
    if labels.shape != truth.shape or labels.ndim != 1 or not len(labels):
        raise CourseError(f"Every row needs a cluster and a label; found shapes {labels.shape} and {truth.shape}.")
    table = metrics.cluster.contingency_matrix(truth, labels)
    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(truth, labels)
    return {
        "nmi": float(v_measure),
        "ari": float(metrics.adjusted_rand_score(truth, labels)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
        "accuracy": float(table[linear_sum_assignment(-table)].sum() / len(truth)),
        "largest_class": float(table.sum(1).max() / len(truth)),
    }


def _model(k: int, method: str, seed: int, restarts: int, covariance: str, rows: np.ndarray):
    if method == "kmeans":
        return KMeans(k, n_init=restarts, random_state=seed)
    if method == "minibatch":
        return MiniBatchKMeans(k, n_init=restarts, batch_size=4096, random_state=seed)
    # the floor under every variance follows the features' own scale: unit rows have variances of a thousandth
    floor = max(1e-3 * float(rows[:SAMPLE].var(0).mean()), 1e-9)
    return GaussianMixture(k, covariance_type=covariance, n_init=restarts, reg_covar=floor, random_state=seed)


def _fit_on(device, model, rows: np.ndarray) -> list[str]:
    """Fit the model, and return what a reader has to know: a mixture can be fitted on a GPU, K-means can't."""
    suited = device is not None and torch.device(device).type == "cuda" and isinstance(model, GaussianMixture)
    if suited and os.environ.get("SCIPY_ARRAY_API"):
        on_device(model, rows, torch.device(device))
        return []
    model.fit(rows)
    needs = "SCIPY_ARRAY_API=1 in the environment before Python starts"
    return [f"Fitted on the CPU: the GPU needs {needs}."] if suited else []


def on_device(model: GaussianMixture, rows: np.ndarray, device: torch.device) -> None:
    """Fit a mixture on torch tensors on `device`; what it learnt is converted back into NumPy arrays."""
    model.set_params(init_params="random_from_data")  # initialising by K-means doesn't support the array API
    with sklearn.config_context(array_api_dispatch=True):
        model.fit(torch.from_numpy(rows).to(device))
    for name, value in vars(model).items():
        if isinstance(value, torch.Tensor):
            setattr(model, name, value.cpu().numpy())


def _check(rows: np.ndarray, k: int, method: str, covariance: str) -> None:
    if method not in METHODS or covariance not in COVARIANCES:
        wrong, there = (method, METHODS) if method not in METHODS else (covariance, COVARIANCES)
        raise CourseError(f"{wrong!r} is not known; try one of {', '.join(there)}.")
    if method == "gmm" and len(rows) > 1 and rows.shape[1] > WIDEST:
        raise CourseError(
            f"A mixture of {rows.shape[1]} columns has more numbers to learn than rows to learn from. Call "
            f"prepare(features, components={WIDEST}) first."
        )
    if not 1 <= k <= len(rows):
        raise CourseError(
            f"k = {k} clusters can't be made of {count(len(rows), 'row')}; k lies between 1 and their number."
        )
    if method == "gmm" and len(rows) < 2:
        raise CourseError("A mixture needs at least two rows: one alone has no variance. Take method='kmeans'.")
    # the first rows nearly always settle it; only where they repeat are all rows compared
    if different_rows(rows[: 10 * k]) < k and (different := different_rows(rows)) < k:
        raise CourseError(
            f"k = {k} clusters need {k} different rows, but only {different} of {len(rows)} differ. Take k = {different} at "
            "most, or check whether the same items were read twice."
        )


def _drawn(rows: np.ndarray, seed: int) -> np.ndarray:
    """All rows, or SAMPLE of them drawn with the seed, in their order."""
    n = len(rows)
    return rows if n <= SAMPLE else rows[np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))]


def different_rows(rows: np.ndarray) -> int:
    """How many rows differ from each other in any bit."""
    return len({row.tobytes() for row in rows})
