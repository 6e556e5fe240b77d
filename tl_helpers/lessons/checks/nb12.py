"""Exercises of notebook 12: the assignment step, purity, one item per cluster to label, responsibilities."""

from typing import Any

import torch

from tl_helpers.lessons.checks import NotYet, ask, close, compare, exercise, need, number_from, tensor_from


@exercise("12.1", start="Begin with `points @ centres.T`: the products of every point with every centre, `(n, k)`.")
def nearest_centre(answer: Any) -> str:
    """`answer`: f(points (n, d), centres (k, d)) -> (n,), the number of each point's nearest centre."""
    draw = torch.Generator().manual_seed(12)
    points, centres = torch.randn(50, 3, generator=draw), 2 * torch.randn(6, 3, generator=draw)
    found = tensor_from(ask(answer, points.clone(), centres.clone()), (50,))
    apart = torch.cdist(points, centres)
    right, products = apart.argmin(1), points @ centres.T
    mistakes = [
        (apart.argmax(1), "these are the **farthest** centres. The product has a minus sign: a large one means near."),
        (products.argmax(1), "a centre with a long vector wins every product. |c|² belongs to the distance, too."),
        (
            products.argmin(1),
            "that is the smallest product, which means the far side. Look at its sign in |p|² − 2 p·c + |c|².",
        ),
        (apart.min(1).values, "that is the distance; the **number** of the centre is asked for: `argmin`."),
        (
            (apart**2).min(1).values,
            "that is the squared distance; the **number** of the centre is asked for: `argmin`.",
        ),
        (((centres**2).sum(1) - products).argmin(1), "the product counts twice: |c|² − 2 p·c."),
    ]
    hits = int((found == right).sum())
    compare(found, right, mistakes, f"{hits} of 50 points get their nearest centre. Is every term where it belongs?")
    return (
        "With `points @ centres.T` all distances are one matrix product: that is why K-means is fast. "
        "(`cdist` or a loop finds the same centres.)"
    )


@exercise(
    "12.2", start="Take one cluster: `classes[clusters == c]`. Its most frequent class is in `.bincount().max()`."
)
def purity(answer: Any) -> str:
    """`answer`: f(clusters (n,), classes (n,)) -> the share of rows that are of their cluster's most frequent class."""
    clusters = torch.tensor([0, 0, 0, 0, 4, 4, 4, 2, 2, 2, 2, 2])
    classes = torch.tensor([1, 1, 1, 0, 2, 2, 0, 1, 1, 0, 0, 1])
    try:
        found = number_from(ask(answer, clusters.clone(), classes.clone()))
    except NotYet as hint:
        need("numel() == 0" not in str(hint), "no row is in cluster 1 here: go through `clusters.unique()`.")
        raise
    mistakes = [
        (8.0, "this is a count. Divide by how many rows there are."),
        (100 * 8 / 12, "this is a percentage; a share lies between 0 and 1."),
        (
            (3 / 4 + 2 / 3 + 3 / 5) / 3,
            "that is the mean over clusters. A small cluster must not count as much as a large one.",
        ),
        (
            7 / 12,
            "you went by classes, or let each class be claimed only once (the Hungarian way). "
            "Ask each **cluster** for its class; two may have the same.",
        ),
    ]
    compare(
        found,
        8 / 12,
        mistakes,
        f"a small example has purity {8 / 12:.3f}; yours says {found:.4g}. Do cluster numbers with gaps work?",
    )
    alone = number_from(ask(answer, torch.arange(12), classes.clone()))
    need(close(alone, 1.0), f"with every row a cluster of its own it must be 1; yours is {alone:.4g}.")
    return "And with every row a cluster of its own it is 1: a number that never falls as clusters are split can't choose k."


@exercise(
    "12.3",
    start="For one cluster: `own = (labels == c).nonzero().flatten()`, then the nearest of `points[own]` to `centres[c]`.",
)
def to_label(answer: Any) -> str:
    """`answer`: f(points (n, d), labels (n,), centres (k, d)) -> k row numbers, one per cluster."""
    draw = torch.Generator().manual_seed(3)
    points = torch.randn(40, 2, generator=draw)
    labels = torch.arange(40) % 4
    means = torch.stack([points[labels == c].mean(0) for c in range(4)])
    centres = means + 0.3 * torch.randn(4, 2, generator=draw)  # as a run of K-means may leave them: not quite the means
    found = tensor_from(ask(answer, points.clone(), labels.clone(), centres.clone()), (4,))
    apart = torch.cdist(points, centres)
    inside = [(labels == c).nonzero().flatten() for c in range(4)]
    places = torch.stack([apart[own, c].argmin() for c, own in enumerate(inside)])
    right = torch.stack([own[place] for own, place in zip(inside, places, strict=True)])
    mistakes = [
        (places, "these are places **within** each cluster. Turn them back into row numbers: `own[...]`."),
        (apart.argmin(0), "a row of another cluster may be nearer to a centre. Look only at the cluster's own rows."),
        (
            torch.stack([own[apart[own, c].argmax()] for c, own in enumerate(inside)]),
            "these are the farthest. Use `argmin`.",
        ),
        (
            torch.stack([own[(points[own] - means[c]).norm(dim=1).argmin()] for c, own in enumerate(inside)]),
            "you measured from the mean of the rows. Measure from the `centres` that are passed in.",
        ),
        (torch.stack([own[0] for own in inside]), "that is the first row of each cluster, whatever its distance."),
    ]
    compare(found, right, mistakes, "each number should be the row of its cluster that is nearest to the centre.")
    return "One label per cluster, spent where it speaks for the most rows."


@exercise(
    "12.4",
    start="`torch.cdist(points, means) ** 2` has all squared distances, `(n, k)`. The exponent is −that / (2 · variances).",
)
def responsibilities(answer: Any) -> str:
    """`answer`: f(points (n, d), means (k, d), variances (k,), weights (k,)) -> (n, k), rows sum to 1."""
    draw = torch.Generator().manual_seed(5)
    points, means = torch.randn(20, 4, generator=draw), torch.randn(3, 4, generator=draw)
    variances, weights = torch.tensor([0.5, 1.0, 3.0]), torch.tensor([0.2, 0.3, 0.5])
    arguments = (points, means, variances, weights)
    found = tensor_from(ask(answer, *(one.clone() for one in arguments)), (20, 3))
    squared = torch.cdist(points, means) ** 2
    exponent, size = -squared / (2 * variances), -2 * variances.log()
    right = (weights.log() + exponent + size).softmax(1)
    mistakes = [
        (
            (weights.log() + exponent).softmax(1),
            "the size is missing: a wide Gaussian has a lower peak. Add − d/2 · log(variance).",
        ),
        ((exponent + size).softmax(1), "the weights are missing: a Gaussian with a large weight claims more."),
        (
            (weights + exponent + size).softmax(1),
            "`softmax` is given logarithms, so the weights need theirs, too: `weights.log()`.",
        ),
        (
            (weights.log() + exponent - 0.5 * variances.log()).softmax(1),
            "each of the d columns contributes a factor: − d/2 · log(variance).",
        ),
        (weights.log() + exponent + size, "these are logarithms. `.softmax(dim=1)` turns them into shares."),
        ((weights.log() + exponent + size).softmax(0), "each **row** should sum to 1, as one point's shares: `dim=1`."),
        (
            (weights.log() - squared / (2 * variances**2) + size).softmax(1),
            "`variances` are squared already; in the exponent, divide by 2 · variance.",
        ),
    ]
    compare(found, right, mistakes, "each row should be the shares of the three Gaussians in one point.", 1e-3)
    far = tensor_from(ask(answer, points + 200, means, variances, weights), (20, 3))
    need(
        far.isfinite().all(),
        "far from all means, every density is 0, and 0 / 0 is nan. Stay with logarithms until the `softmax`.",
    )
    need(
        close(far, torch.tensor([0.0, 0.0, 1.0]).expand(20, 3), 1e-3),
        "far from all means the widest Gaussian takes all, 0, 0, 1; in yours the densities have underflowed to 0. "
        "Stay with logarithms until the `softmax`.",
    )
    return "Soft shares where K-means has only yes and no."
