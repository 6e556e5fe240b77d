"""Notebook 12: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def purity(clusters, classes):
    return sum(classes[clusters == c].bincount().max().item() for c in clusters.unique()) / len(classes)


def by_class(clusters, classes):
    return sum(clusters[classes == c].bincount().max().item() for c in classes.unique()) / len(classes)


def mean_of_clusters(clusters, classes):
    own = [classes[clusters == c] for c in clusters.unique()]
    return sum(one.bincount().max().item() / len(one) for one in own) / len(own)


def picked(how, back=True):
    def answer(points, labels, centres):
        chosen = []
        for c in range(len(centres)):
            own = (labels == c).nonzero().flatten()
            place = how((points[own] - centres[c]).norm(dim=1))
            chosen.append(int(own[place] if back else place))
        return chosen

    return answer


def from_the_mean(points, labels, centres):
    means = torch.stack([points[labels == c].mean(0) for c in range(len(centres))])
    return picked(torch.argmin)(points, labels, means)


def over_all_numbers(clusters, classes):
    """Goes through 0, 1, …, though no row need be in each."""
    each = [torch.bincount(classes[clusters == c]).max() for c in range(int(clusters.max()) + 1)]
    return sum(each) / len(classes)


def shares(size=None, weigh=torch.log, dim=1, square=1, end=torch.softmax):
    def answer(points, means, variances, weights):
        d = points.shape[1] if size is None else size
        exponent = -(torch.cdist(points, means) ** 2) / (2 * variances**square)
        logarithms = weigh(weights) + exponent - d / 2 * variances.log()
        return end(logarithms, dim)

    return answer


def densities(points, means, variances, weights):
    d = points.shape[1]
    density = weights * (-(torch.cdist(points, means) ** 2) / (2 * variances)).exp() * variances ** (-d / 2)
    return density / density.sum(dim=1, keepdim=True)


RIGHT = [
    ("12.1", lambda p, c: torch.cdist(p, c).argmin(1)),
    ("12.1", lambda p, c: ((c**2).sum(1) - 2 * p @ c.T).argmin(1)),
    ("12.1", lambda p, c: [((x - c) ** 2).sum(1).argmin().item() for x in p]),
    ("12.2", purity),
    ("12.3", picked(torch.argmin)),
    ("12.3", lambda *a: torch.tensor(picked(torch.argmin)(*a))),
    ("12.4", shares()),
]
WRONG = [
    ("12.2", over_all_numbers, "clusters.unique()"),
    ("12.1", lambda p, c: torch.cdist(p, c).argmax(1), "farthest"),
    ("12.1", lambda p, c: (p @ c.T).argmax(1), "|c|² belongs"),
    ("12.1", lambda p, c: (p @ c.T).argmin(1), "smallest product"),
    ("12.1", lambda p, c: torch.cdist(p, c).min(1).values, "the **number**"),
    ("12.1", lambda p, c: (torch.cdist(p, c) ** 2).min(1).values, "squared distance; the **number**"),
    ("12.1", lambda p, c: ((c**2).sum(1) - p @ c.T).argmin(1), "counts twice"),
    ("12.1", lambda p, c: torch.zeros(50), "of 50 points"),
    ("12.1", lambda p, c: torch.cdist(p, c), "shape"),
    ("12.2", lambda a, b: purity(a, b) * len(a), "a count"),
    ("12.2", lambda a, b: purity(a, b) * 100, "percentage"),
    ("12.2", by_class, "by classes"),
    ("12.2", mean_of_clusters, "mean over clusters"),
    ("12.2", lambda a, b: 0.5, "0.667"),
    ("12.2", lambda a, b: purity(a, b) if len(a.unique()) < 5 else 0.1, "of its own it must be 1"),
    ("12.3", picked(torch.argmin, back=False), "**within**"),
    ("12.3", lambda p, own, c: torch.cdist(p, c).argmin(0), "another cluster"),
    ("12.3", picked(torch.argmax), "farthest"),
    ("12.3", from_the_mean, "passed in"),
    ("12.3", lambda p, own, c: [0, 1, 2, 3], "first row"),
    ("12.3", lambda p, own, c: [5, 5, 5, 5], "should be the row"),
    ("12.4", shares(size=0), "size is missing"),
    ("12.4", shares(weigh=lambda w: 0 * w), "weights are missing"),
    ("12.4", shares(weigh=lambda w: w), "need theirs"),
    ("12.4", shares(size=1), "d columns"),
    ("12.4", shares(end=lambda x, dim: x), "are logarithms"),
    ("12.4", shares(dim=0), "each **row**"),
    ("12.4", shares(square=2), "squared already"),
    ("12.4", densities, "0 / 0"),
    ("12.4", lambda *a: torch.ones(20, 3) / 3, "shares of the three"),
]
