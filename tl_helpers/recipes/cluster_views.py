"""What a reader looks at: the rows and words that stand for a cluster, and maps of two dimensions."""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA

from ..errors import CourseError
from .clustering import Clusters, as_rows


def describe(clusters: Clusters, texts: Sequence[str] | None = None, count: int = 8) -> list[dict]:
    """A row a cluster: its size, the rows nearest to its centre, the least sure, and the words that set its texts apart.

    A word counts by its mean TF-IDF in the cluster less its mean elsewhere; English function words are left out.
    """
    rows = [
        {
            "cluster": c,
            "size": int(clusters.sizes[c]),
            "nearest": clusters.nearest(c, count).tolist(),
            "least_sure": clusters.least_sure(c, count).tolist(),
            "words": [],
        }
        for c in range(clusters.k)
    ]
    if texts is None:
        return rows
    from sklearn.feature_extraction.text import TfidfVectorizer

    reader = TfidfVectorizer(
        stop_words="english", max_features=20_000, sublinear_tf=True, token_pattern=r"\b[^\W\d]{2,}\b"
    )
    try:
        table = reader.fit_transform(texts)
    except ValueError:  # not one word: nothing to name the clusters by
        return rows
    words, everywhere = reader.get_feature_names_out(), np.asarray(table.sum(0)).ravel()
    for row in rows:
        own = np.asarray(table[clusters.labels == row["cluster"]].sum(0)).ravel()
        apart = own / row["size"] - (everywhere - own) / max(len(texts) - row["size"], 1)
        row["words"] = [str(words[i]) for i in np.argsort(-apart, kind="stable")[:count] if apart[i] > 0]
    return rows


def layout(points, kind: str = "pca", seed: int = 0) -> np.ndarray:
    """float32 (n, 2): a map. "pca" keeps large distances, "tsne" and "umap" neighbours, and distort the rest."""
    rows = as_rows(points)
    if kind not in ("pca", "tsne", "umap"):
        raise CourseError(f"There is no map {kind!r}; there are pca, tsne and umap.")
    if len(rows) < 10 or kind == "pca" or not rows.std(0).any():
        flat = PCA(min(2, *rows.shape), random_state=0).fit_transform(rows) if len(rows) > 1 else rows[:, :2] * 0
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    if kind == "tsne":
        from sklearn.manifold import TSNE

        return TSNE(perplexity=min(30, (len(rows) - 1) / 3), init="pca", max_iter=500, random_state=seed).fit_transform(
            rows
        )
    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed means one thread
        return UMAP(n_neighbors=min(15, len(rows) - 1), random_state=seed).fit_transform(rows)
