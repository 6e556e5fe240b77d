"""Notebook 09: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import numpy as np
import pytest
import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401

from tl_helpers.lessons.checks import verdict


def idf(add=1.0, above=1, below=1, of=lambda counts: (counts > 0).sum(0), log=torch.log, turned=False):
    def answer(counts):
        share = (above + len(counts)) / (below + of(counts))
        return log(1 / share if turned else share) + add

    return answer


def mean(states, mask):
    return torch.stack([rows[m == 1].sum(0) / max(1, int(m.sum())) for rows, m in zip(states, mask, strict=True)])


def weighted(states, mask):
    return (states * mask.unsqueeze(2)).sum(1)


RIGHT = [
    ("09.1", idf()),
    ("09.1", lambda counts: torch.log((1 + len(counts)) / (1 + (counts > 0).double().sum(0))).numpy() + 1),
    ("09.2", lambda row, weights, k: (row * weights).topk(k).indices),
    ("09.2", lambda row, weights, k: sorted(range(len(row)), key=lambda i: -float(row[i] * weights[i]))[:k]),
    ("09.2", lambda row, weights, k: np.argsort(-(row * weights).numpy())[:k]),
    ("09.3", lambda states, mask: weighted(states, mask) / mask.sum(1, keepdim=True).clamp(min=1)),
    ("09.3", mean),
]
WRONG = [
    ("09.1", idf(add=0), "adds 1"),
    ("09.1", idf(of=lambda counts: counts.sum(0)), "one** document"),
    ("09.1", idf(below=0, above=0), "occurs nowhere divides by zero"),
    ("09.1", idf(above=0), "1 + n"),
    ("09.1", idf(log=torch.log10), "base 10"),
    ("09.1", idf(log=torch.log2), "base 2"),
    ("09.1", idf(turned=True), "upside down"),
    ("09.1", idf(log=lambda share: share, add=0), "logarithm is missing"),
    ("09.1", idf(add=5), "in none 2.3863"),
    ("09.1", lambda counts: counts.clamp_(max=1).sum(0), "changes the counts"),
    ("09.2", lambda row, weights, k: weights.topk(k).indices, "not in this document"),
    ("09.2", lambda row, weights, k: row.topk(k).indices, "heaviest words"),
    ("09.2", lambda row, weights, k: (row * weights).abs().topk(k).indices, "without the sign"),
    ("09.2", lambda row, weights, k: (row * weights).topk(k, largest=False).indices, "against the class"),
    ("09.2", lambda row, weights, k: (row * weights).topk(k).indices.flip(0), "strongest comes first"),
    ("09.2", lambda row, weights, k: (row * weights).topk(3).indices, "Did you write 3"),
    ("09.2", lambda row, weights, k: (row * weights).topk(3).indices[3 - k :], "the strongest two"),
    ("09.2", lambda row, weights, k: [0, 1, 4], "the answer is [3, 6, 2]"),
    ("09.2", lambda row, weights, k: row * weights, "three words"),
    ("09.2", lambda row, weights, k: (row * weights).topk(k).values, "shares themselves"),
    ("09.2", lambda row, weights, k: (row * weights).topk(k), "two things"),
    ("09.2", lambda row, weights, k: row.topk(k).values, "whole numbers"),
    ("09.3", lambda states, mask: states.mean(1), "padding is still in it"),
    ("09.3", lambda states, mask: weighted(states, mask) / states.shape[1], "all positions"),
    ("09.3", lambda states, mask: weighted(states, mask) / mask.sum(1, keepdim=True), "0 / 0"),
    ("09.2", lambda row, weights, k: (row * weights).argmax(), "k"),
    ("09.3", weighted, "that is the sum"),
    ("09.3", lambda states, mask: weighted(states, mask) / mask.sum(), "its own number"),
    ("09.3", lambda states, mask: (states * mask.unsqueeze(2)).amax(1), "maximum"),
    ("09.3", lambda states, mask: states[:, 0], "mean of those two"),
    (
        "09.3",
        lambda states, mask: weighted(states, (1 - mask)) / (1 - mask).sum(1, keepdim=True).clamp(min=1),
        "mean of the padding",
    ),
    ("09.3", lambda states, mask: mean(states[:, :5], mask[:, :5])[:, :2], "(3, 4) was expected"),
]


@pytest.mark.parametrize("number", ["09.1", "09.2", "09.3"])
def test_blank_is_not_attempted(number):
    assert verdict(number, ...).outcome == "not attempted"
    assert verdict(number, lambda *arguments: ...).outcome == "not attempted"
