"""What a reader looks at: the rows and words that represent a cluster, and two-dimensional maps."""

import html
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.decomposition import PCA

from ..errors import CourseError
from .clustering import Clusters, as_rows

FEWEST = 10  # rows of which t-SNE or UMAP makes a map
# Okabe and Ito's palette can be told apart with any kind of colour vision. Its yellow, too pale on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def describe(clusters: Clusters, texts: Sequence[str] | None = None, count: int = 8) -> list[dict]:
    """One row per cluster: its size, the rows nearest its centre, the least sure ones, the words that set its texts apart.

    A word's score is its mean TF-IDF in the cluster minus its mean elsewhere; English function words are left out.
    """
    rows = []
    for c in range(clusters.k):
        shown = {"nearest": clusters.nearest(c, count).tolist(), "least_sure": clusters.least_sure(c, count).tolist()}
        rows.append({"cluster": c, "size": int(clusters.sizes[c]), **shown, "words": []})
    if texts is None:
        return rows
    from sklearn.feature_extraction.text import TfidfVectorizer

    how = {"stop_words": "english", "max_features": 20_000, "sublinear_tf": True}
    reader = TfidfVectorizer(token_pattern=r"\b[^\W\d]{2,}\b", **how)
    try:
        table = reader.fit_transform(texts)
    except ValueError:  # no words at all: nothing to describe the clusters by
        return rows
    words, everywhere = reader.get_feature_names_out(), np.asarray(table.sum(0)).ravel()
    for row in rows:
        own = np.asarray(table[clusters.labels == row["cluster"]].sum(0)).ravel()
        apart = own / row["size"] - (everywhere - own) / max(len(texts) - row["size"], 1)
        row["words"] = [str(words[i]) for i in np.argsort(-apart, kind="stable")[:count] if apart[i] > 0]
    return rows


def layout(points, kind: str = "pca", seed: int = 0) -> np.ndarray:
    """A map, float32 (n, 2): "pca" preserves large distances, "tsne" and "umap" neighbours; these two distort the rest.

    Fewer than ten rows, a single column, or rows that are all the same are laid out by "pca" whatever `kind` says.
    """
    rows = as_rows(points)
    if kind not in ("pca", "tsne", "umap"):
        raise CourseError(f"There is no map {kind!r}; try pca, tsne or umap.")
    if len(rows) < FEWEST or rows.shape[1] < 2 or kind == "pca" or not rows.std(0).any():
        with np.errstate(invalid="ignore"):
            flat = PCA(min(2, *rows.shape), random_state=0).fit_transform(rows) if len(rows) > 1 else rows[:, :2] * 0
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    if kind == "tsne":
        from sklearn.manifold import TSNE

        tsne = TSNE(perplexity=min(30, (len(rows) - 1) / 3), init="pca", max_iter=500, random_state=seed)
        return tsne.fit_transform(rows)
    # umap's numba sets the number of threads for the whole process, and later sums in torch would round differently
    threads = torch.get_num_threads()
    from sklearn.neighbors import NearestNeighbors
    from umap import UMAP

    # with neighbours that scikit-learn has found, numba compiles half as much: 10 s instead of 18, for a map of a second
    near = NearestNeighbors(n_neighbors=min(15, len(rows) - 1)).fit(rows).kneighbors(rows)[::-1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a seed forcing a single thread
            return UMAP(len(near[0][0]), precomputed_knn=near, random_state=seed).fit_transform(rows)
    finally:
        torch.set_num_threads(threads)


def map_svg(xy, labels, *, names=None, classes=None, centres=None, rings=(), side=620, title="A map") -> str:
    """The map as SVG, which needs no script: one dot per row, coloured by its label, its name shown on hover.

    Args:
        xy: (n, 2). labels: int (n,); -1 is grey. names: what each row is. classes: the name of each label.
        centres: (k, 2), drawn as numbered discs. rings: one (x, y, half axis, half axis, degrees, label) per Gaussian.
    """
    xy, dots = np.asarray(xy, dtype=np.float64), []
    low, span = xy.min(0), max(float(np.ptp(xy, axis=0).max()), 1e-9)
    scale = (side - 40) / span

    def at(point) -> tuple[float, float]:
        return 20 + (point[0] - low[0]) * scale, side - 20 - (point[1] - low[1]) * scale

    for i, (point, number) in enumerate(zip(xy, np.asarray(labels).tolist(), strict=True)):
        x, y = at(point)
        said = [names[i]] if names is not None else []
        said += [classes[number] if classes is not None else f"cluster {number}"] if number >= 0 else []
        dots.append(
            f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour(number)}" fill-opacity=".75">'
            f"<title>{html.escape(': '.join(said))}</title></circle>"
        )
    for x, y, wide, high, degrees, number in rings:
        x, y = at((x, y))
        dots.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{wide * scale:.1f}" ry="{high * scale:.1f}" fill="none" '
            f'stroke="{colour(number)}" stroke-width="3" transform="rotate({-degrees:.1f} {x:.1f} {y:.1f})"/>'
        )
    for number, point in enumerate(() if centres is None else centres):
        x, y = at(point)
        dots.append(
            f'<g class="c{number}"><circle cx="{x:.1f}" cy="{y:.1f}" r="12" fill="{colour(number)}" stroke="#fff" '
            f'stroke-width="3"/><text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-size="14" font-weight="bold" '
            f'fill="#fff">{number}</text></g>'
        )
    return (
        f'<svg viewBox="0 0 {side} {side}" width="{side}" height="{side}" role="img" aria-label="{html.escape(title)}" '
        f'style="max-width:100%;height:auto;background:#fff;font-family:sans-serif">{"".join(dots)}</svg>'
    )


def colour(number: int) -> str:
    """Okabe and Ito's colours in turn, distinct in any colour vision; where they repeat, the numbers at the centres help."""
    return "#999999" if number < 0 else COLOURS[number % len(COLOURS)]
