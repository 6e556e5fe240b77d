"""Notebook 02: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401

from tl_helpers.lessons.checks import verdict


def mixed(how):
    def answer(rgba, background):
        colour, alpha = rgba[:3].float(), rgba[3:].float() / 255
        return how(colour, alpha, torch.tensor(background).view(3, 1, 1))

    return answer


def in_place(rgba, background):
    rgba[:3] = 0
    return rgba[:3]


def overflowing(rgba, background):
    return rgba[:3] * rgba[3:] + torch.tensor(background, dtype=torch.uint8).view(3, 1, 1) * (255 - rgba[3:])


def weights(how):
    return lambda labels: how(labels.bincount().double())


def threshold(score):
    return lambda p, labels: max(p.tolist(), key=lambda c: score(labels, (p >= c).long()))


def accuracy(labels, said):
    return (labels == said).float().mean()


def share(train, test):
    return sum(group in set(train.tolist()) for group in test.tolist()) / len(test)


def both(train, test):
    return len(set(train.tolist()) & set(test.tolist()))


LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
RIGHT = [
    ("02.1", mixed(lambda c, a, b: c * a + b * (1 - a))),
    ("02.1", mixed(lambda c, a, b: (b + (c - b) * a).round().to(torch.uint8))),
    ("02.1", mixed(lambda c, a, b: (c * a + b * (1 - a)).to(torch.uint8).numpy())),
    ("02.2", lambda w: w.sum(dim=1, keepdim=True)),
    ("02.2", lambda w: 3 * w.mean(dim=1, keepdim=True)),
    ("02.3", weights(lambda n: n.sum() / (len(n) * n))),
    ("02.3", lambda labels: np.bincount(labels).mean() / np.bincount(labels)),
    ("02.4", threshold(balanced_accuracy_score)),
    ("02.4", lambda p, y: max(np.linspace(0, 1, 301), key=lambda c: balanced_accuracy_score(y, p >= c))),
    ("02.5", share),
    ("02.5", lambda train, test: torch.isin(test, train).float().mean()),
]
WRONG = [
    ("02.1", mixed(lambda c, a, b: c), "convert('RGB')"),
    ("02.1", mixed(lambda c, a, b: b * a + c * (1 - a)), "wrong way round"),
    ("02.1", mixed(lambda c, a, b: c * a), "on black"),
    ("02.1", mixed(lambda c, a, b: c * a + b), "times (1 - alpha)"),
    ("02.1", mixed(lambda c, a, b: torch.where(a > 0, c, b.float())), "mixture"),
    ("02.1", mixed(lambda c, a, b: c * a + 255 * (1 - a)), "that is white"),
    ("02.1", mixed(lambda c, a, b: (c * a + b * (1 - a)) / 255), "0…1"),
    ("02.1", overflowing, "overflows"),
    ("02.1", in_place, "copy"),
    ("02.1", lambda rgba, background: rgba, "(3, 6, 5) was expected"),
    ("02.2", lambda w: w.mean(1, keepdim=True), "the mean"),
    ("02.2", lambda w: w[:, :1], "red channel"),
    ("02.2", lambda w: (w * LUMA).sum(1, keepdim=True), "you combine filters"),
    ("02.2", lambda w: w.abs().sum(1, keepdim=True), "keep the signs"),
    ("02.2", lambda w: w.amax(1, keepdim=True), "not compared"),
    ("02.2", lambda w: w.sum(1), "(8, 1, 3, 3) was expected"),
    ("02.2", lambda w: w[:, :1] * 0, "as the colour filter"),
    ("02.3", weights(lambda n: n / n.sum()), "shares"),
    ("02.3", weights(lambda n: n), "the counts"),
    ("02.3", weights(lambda n: 1 / n), "the whole loss shrinks"),
    ("02.3", weights(lambda n: n.sum() / n), "Divide by it"),
    ("02.3", weights(lambda n: n.sum() / (len(n) * n.flip(0))), "changed places"),
    ("02.3", weights(lambda n: (n.sum() / (len(n) * n)).sqrt()), "square root"),
    ("02.3", weights(lambda n: (1 / n) / (1 / n).sum()), "sum to 1"),
    ("02.3", weights(lambda n: (1 / n) / (1 / n).mean()), "not over the classes"),
    ("02.3", weights(lambda n: 1 - n / n.sum()), "not enough"),
    ("02.3", weights(torch.ones_like), "all are equal"),
    ("02.3", weights(lambda n: n * 0 + 7), "0.556"),
    ("02.3", lambda labels: [5 / 9, 10 / 9, 10 / 3], "(2,) was expected"),
    ("02.4", lambda p, y: 0.21, "Is `p` used?"),
    ("02.4", lambda p, y: 0.5, "takes no score into account"),
    ("02.4", lambda p, y: balanced_accuracy_score(y, p >= threshold(balanced_accuracy_score)(p, y)), "earns it"),
    ("02.4", threshold(f1_score), "for F1"),
    ("02.4", threshold(accuracy), "plain accuracy"),
    ("02.4", lambda p, y: p.median(), "median"),
    ("02.4", lambda p, y: p.mean(), "mean of the probabilities"),
    ("02.4", lambda p, y: 7, "between 0 and 1"),
    ("02.4", lambda p, y: 0.9, "is possible"),
    ("02.5", lambda train, test: torch.isin(test, train).sum(), "a count"),
    ("02.5", lambda train, test: 100 * share(train, test), "percentage"),
    ("02.5", lambda train, test: both(train, test) / len(set(test.tolist())), "counted **groups**"),
    ("02.5", lambda train, test: both(train, test) / len(test), "items in both places"),
    ("02.5", lambda train, test: share(test, train), "training items"),
    ("02.5", lambda train, test: torch.isin(test, train).sum() / len(train), "**test** items"),
    ("02.5", lambda train, test: torch.isin(test, train).sum() / 19, "not of all"),
    ("02.5", lambda train, test: 0, "nothing leaks"),
    ("02.5", both, "on both sides. What share"),
    ("02.5", lambda train, test: 0.77, "4 of the 8"),
    ("02.5", lambda train, test: 0.5, "the share is 0"),
]


def above(p, labels):
    return max(p.tolist(), key=lambda c: balanced_accuracy_score(labels, p > c))


def by_grid(p, labels):
    return max(torch.linspace(0, 1, 101).tolist(), key=lambda c: balanced_accuracy_score(labels, p >= c))


@pytest.mark.parametrize("answer", [above, by_grid])
def test_a_threshold_that_is_near_passes_and_is_told_why_it_is_not_the_best(answer):
    found = verdict("02.4", answer)
    assert found.outcome == "right"
    assert "p > t instead of p >= t, or was your grid too coarse?" in found.message
