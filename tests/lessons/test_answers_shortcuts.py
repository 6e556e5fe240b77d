"""Answers that look right on the first few numbers: each was once accepted, or was told something else than its mistake."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401

TEMPERATURES = torch.arange(0.2, 6, 0.02).tolist()


def best_temperature(score):
    return lambda logits, labels: min(TEMPERATURES, key=lambda t: score(logits / t, labels))


def two_thirds_gone(candidates, score, rows):
    candidates, spent = torch.tensor(candidates), 0
    while len(candidates) > 1:
        scores = torch.tensor([score(candidate, rows) for candidate in candidates])
        spent += rows * len(candidates)
        candidates, rows = candidates[scores.topk(max(1, len(candidates) // 3)).indices], 3 * rows
    return candidates[0], spent


def rows_dropped(confusion):
    kept = confusion[confusion.sum(1) > 0]
    return (kept.diag() / kept.sum(1)).mean()


def a_bin_for_one(probabilities, labels, bins):
    sure, says = probabilities.max(dim=1)
    right, place = (says == labels).float(), (sure * bins).long()
    parts = [place == b for b in place.unique()]
    return sum((right[part].mean() - sure[part].mean()).abs() * part.float().mean() for part in parts)


def densities(end):
    def responsibilities(points, means, variances, weights):
        near = (-(torch.cdist(points, means) ** 2) / (2 * variances)).exp()
        return end(weights * variances ** (-points.shape[1] / 2) * near)

    return responsibilities


def copied(buffers):
    def copy_first(source, target, k):
        for one, other in list(zip(source, target, strict=True))[:k]:
            for p, q in zip(one.parameters(), other.parameters(), strict=True):
                q.data.copy_(p.data)
            buffers(one, other)
        return target

    return copy_first


def shared(one, other):
    for p, q in zip(one.buffers(), other.buffers(), strict=True):
        q.data = p.data


def walk(rates, losses):
    i = losses.index(min(losses))
    while i + 1 < len(losses) and losses[i + 1] <= 1.1 * min(losses):
        i += 1
    return rates[i] / 3


def weights_of(scores, candidate):
    return scores.masked_fill(candidate == 0, -torch.inf).softmax(0)


def one_side_each(height, width, top, left, bottom, right):
    top, bottom = (0, bottom) if top < 0 else (top, min(bottom, height))
    left, right = (0, right) if left < 0 else (left, min(right, width))
    return 1 - max(0, bottom - top) * max(0, right - left) / (height * width)


def span(first, best):
    def best_span(start, end, longest):
        place = None
        for i in range(first, len(start)):
            for j in range(i, min(i + longest, len(end))):
                if start[i] + end[j] > (best if place is None else start[place[0]] + end[place[1]]):
                    place = i, j
        return place

    return best_span


def hungarian(clusters, classes):
    table = contingency_matrix(classes, clusters)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum() / len(classes)


def never_below_again(curve, goal):
    found = None
    for labels in sorted(curve, reverse=True):
        if curve[labels] < goal:
            break
        found = labels
    return found


RIGHT = [
    ("08.3", two_thirds_gone),
    ("06.4", best_temperature(F.cross_entropy)),
    ("06.4", lambda z, y: min(np.arange(0.5, 5.01, 0.25), key=lambda t: F.cross_entropy(z / float(t), y))),
    ("11.4", span(0, -torch.inf)),
]

WRONG = [
    ("01.3", lambda a, b: ((b - a).mean(), 2 * (b - a).std() / len(a) ** 0.5), "two standard errors"),
    ("03.2", one_side_each, "larger than the picture"),
    ("05.1", never_below_again, "**always** reached"),
    ("05.2", copied(lambda one, other: other[1].running_mean.copy_(one[1].running_mean)), "buffers"),
    ("05.2", copied(shared), "share their tensors"),
    ("06.3", a_bin_for_one, "bin of its own"),
    ("06.4", best_temperature(lambda z, y: (z.softmax(1) - F.one_hot(y, 4)).square().sum()), ""),
    ("06.4", best_temperature(lambda z, y: abs(z.softmax(1).amax(1).mean() - (z.argmax(1) == y).float().mean())), ""),
    ("07.3", rows_dropped, "the diagonal runs elsewhere"),
    ("07.4", lambda runs: max(runs, key=lambda run: min(run["val"], run["test"]))["name"], "test score"),
    ("07.5", walk, "may come back"),
    (
        "07.5",
        lambda rates, losses: rates[losses.index(max(x for x in losses if x <= 1.1 * min(losses)))] / 3,
        "0.1 / 3",
    ),
    ("09.2", lambda row, weights, k: ((row > 0) * weights).topk(k).indices, "by weight alone"),
    ("11.2", lambda s, c, k: (F.one_hot(c).float().T @ weights_of(s, c))[1:], "(5,) was expected"),
    ("11.4", span(0, 0.0), "below zero"),
    ("11.4", span(1, -torch.inf), "begin with the first piece"),
    ("12.2", hungarian, "Hungarian"),
    ("12.4", densities(lambda d: d / (d.sum(1, keepdim=True) + 1e-12)), "underflowed"),
    ("12.4", densities(lambda d: (d + 1e-30).log().softmax(1)), "underflowed"),
    ("15.1", lambda names: [name.split("_")[:-1] for name in names], "whole numbers"),
]
