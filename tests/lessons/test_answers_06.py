"""Notebook 06: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import cross_entropy, normalize, one_hot
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401

from tl_helpers.engine.metrics import calibration_bins, calibration_error


def attention(weights):
    return lambda places, scores: (weights(scores)[..., None] * places).sum(1)


def voting(alike, largest=True, count=None):
    def answer(known, labels, new, k):
        near = alike(new, known).topk(count or k, largest=largest).indices
        return one_hot(labels[near]).sum(1).argmax(1)

    return answer


def most_votes(known, labels, new, k):
    return one_hot(labels[cosine(new, known).topk(k).indices]).sum(1).max(1).values


def weighted_votes(known, labels, new, k):
    near = cosine(new, known).topk(k)
    return (one_hot(labels[near.indices]) * near.values[..., None]).sum(1).argmax(1)


def cosine(new, known):
    return normalize(new, dim=1) @ normalize(known, dim=1).T


def by_sklearn(known, labels, new, k):
    return KNeighborsClassifier(k, metric="cosine").fit(known, labels).predict(new)


def ece(probabilities, labels, bins, *, weighted=True, gap=abs):
    sure, says = probabilities.max(dim=1)
    right, gaps, shares = (says == labels).float(), [], []
    for low in np.arange(bins) / bins:
        chosen = (sure > low) & (sure <= low + 1 / bins)
        if chosen.any():
            gaps.append(gap((right[chosen].mean() - sure[chosen].mean()).item()))
            shares.append(chosen.float().mean().item() if weighted else 1)
    return sum(g * s for g, s in zip(gaps, shares, strict=True)) / sum(shares)


def by_bin(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    place = (sure * bins).long().clamp(max=bins - 1)
    gaps = [(says == labels)[place == b].float().mean() - sure[place == b].mean() for b in place.unique()]
    return sum(abs(g) * (place == b).float().mean() for g, b in zip(gaps, place.unique(), strict=True))


def open_above(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    total = 0.0
    for i in range(bins):
        chosen = (sure >= i / bins) & (sure < (i + 1) / bins)
        if chosen.any():
            total += abs((says == labels)[chosen].float().mean() - sure[chosen].mean()) * chosen.float().mean()
    return total


def with_empty_bins(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    place = (sure * bins).long().clamp(max=bins - 1)
    gaps = [(says == labels)[place == b].float().mean() - sure[place == b].mean() for b in range(bins)]
    return sum(abs(g) * (place == b).float().mean() for b, g in enumerate(gaps))


def middle_of_the_bin(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    place = (sure * bins).long().clamp(max=bins - 1)
    return sum(
        ((says == labels)[place == b].float().mean() - (b + 0.5) / bins).abs() * (place == b).float().mean()
        for b in place.unique()
    )


def each_alone(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    return (sure - (says == labels).float()).abs().mean()


def by_scipy(logits, labels):
    return minimize_scalar(lambda t: cross_entropy(logits / t, labels).item(), bounds=(0.1, 10), method="bounded").x


def by_steps(logits, labels):
    return min(torch.arange(0.5, 5, 0.05).tolist(), key=lambda t: cross_entropy(logits / t, labels).item())


def by_calibration(logits, labels):
    steps = torch.arange(0.2, 6, 0.02).tolist()
    return min(steps, key=lambda t: calibration_error((logits / t).softmax(1), labels))


RIGHT = [
    ("06.1", attention(lambda s: s.softmax(1))),
    ("06.1", lambda places, scores: (scores.softmax(1).unsqueeze(1) @ places).squeeze(1)),
    ("06.2", voting(cosine)),
    ("06.2", lambda known, labels, new, k: labels[cosine(new, known).topk(k).indices].mode(1).values),
    ("06.2", by_sklearn),
    ("06.3", ece),
    ("06.3", by_bin),
    ("06.4", by_scipy),
    ("06.4", by_steps),
]
WRONG = [
    ("06.1", lambda places, scores: places.mean(1), "average pooling"),
    ("06.1", lambda places, scores: places.amax(1), "max pooling"),
    ("06.1", attention(lambda s: s), "not weights yet"),
    ("06.1", attention(lambda s: s.softmax(0)), "over the pictures"),
    ("06.1", lambda places, scores: (scores.softmax(1)[..., None] * places).mean(1), "not the mean"),
    ("06.1", lambda places, scores: places[torch.arange(len(places)), scores.argmax(1)], "only the best place"),
    ("06.1", attention(torch.sigmoid), "do not sum to 1"),
    ("06.1", lambda places, scores: places[:, 0] * 0, "multiply its places"),
    ("06.1", lambda places, scores: places, "(3, 4) was expected"),
    ("06.2", lambda known, labels, new, k: cosine(new, known).argmax(1), "row numbers"),
    ("06.2", voting(cosine, count=1), "nearest neighbour alone"),
    ("06.2", voting(cosine, largest=False), "**least** alike"),
    ("06.2", voting(lambda new, known: new @ known.T), "plain dot products"),
    ("06.2", voting(torch.cdist, largest=False), "goes by distance"),
    ("06.2", lambda known, labels, new, k: labels[cosine(new, known).topk(k).indices].float().mean(1).round(), "names"),
    ("06.2", lambda known, labels, new, k: labels[cosine(new, known).topk(k).indices].median(1).values, "median"),
    ("06.2", lambda known, labels, new, k: cosine(new, known).topk(k).indices.mode(1).values, "row numbers vote"),
    ("06.2", most_votes, "how many votes"),
    ("06.2", lambda known, labels, new, k: labels[:40], "clear votes"),
    ("06.2", voting(cosine, count=7), "Is k used?"),
    ("06.2", weighted_votes, "near or far"),
    ("06.3", lambda p, y, bins: 100 * ece(p, y, bins), "in points"),
    ("06.3", lambda p, y, bins: ece(p, y, bins, weighted=False), "how many samples it contains"),
    ("06.3", lambda p, y, bins: ece(p, y, bins, gap=float), "**absolute**"),
    ("06.3", open_above, "`<=`"),
    ("06.3", with_empty_bins, "empty bin"),
    ("06.3", each_alone, "each sample alone"),
    ("06.3", middle_of_the_bin, "**mean** confidence"),
    ("06.3", lambda p, y, bins: ece(p, y, 1), "**absolute**"),  # one bin and signed gaps are the same here
    ("06.3", lambda p, y, bins: 1 - p[torch.arange(len(y)), y].mean(), "**largest**"),
    ("06.3", lambda p, y, bins: cross_entropy(p.log(), y), "cross-entropy"),
    ("06.3", lambda p, y, bins: 0.5, "ten bins"),
    ("06.3", lambda p, y, bins: ece(p, y, 10), "Is `bins` used?"),
    ("06.4", lambda logits, labels: 1 / by_scipy(logits, labels), "upside down"),
    ("06.4", lambda z, y: cross_entropy(z / by_scipy(z, y), y), "achieves it"),
    ("06.4", lambda logits, labels: 1.0, "changes nothing"),
    ("06.4", lambda logits, labels: -2.0, "positive"),
    ("06.4", lambda logits, labels: 4.0, "yours is 4"),
    ("06.4", lambda logits, labels: 3.5, "all logits halved"),
    ("06.4", lambda z, y: min(range(1, 10), key=lambda t: cross_entropy(z / t, y).item()), "small enough"),
    ("06.4", by_calibration, "the loss you minimise"),
]


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_the_error_of_the_package_is_the_one_asked_for(bins):
    draw = torch.Generator().manual_seed(0)
    probabilities = (2 * torch.randn(300, 5, generator=draw)).softmax(1)
    labels = torch.randint(0, 5, (300,), generator=draw)
    assert calibration_error(probabilities, labels, bins) == pytest.approx(ece(probabilities, labels, bins), abs=1e-5)
    assert calibration_bins(probabilities, labels, bins)[:, 2].sum() == pytest.approx(1, abs=1e-5)


def test_who_is_as_sure_as_right_has_no_error():
    probabilities = torch.tensor([[0.75, 0.25]] * 4 + [[1.0, 0.0]] * 2)
    labels = torch.tensor([0, 0, 0, 1, 0, 0])
    assert calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-6)
    assert calibration_error(probabilities, 1 - labels) == pytest.approx(2 / 3, abs=1e-6)
