"""Notebook 10: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import numpy as np
import torch
from torch.nn import functional as F
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def losses(logits, words):
    return F.cross_entropy(logits, words, reduction="none")


def chances(logits, words):
    return logits.softmax(1)[torch.arange(len(words)), words]


def in_place(scores, temperature):
    scores /= temperature
    return scores.softmax(0)


def crossing(labels, a, b):
    found = None
    for n, x, y in reversed(list(zip(labels, a, b, strict=True))):
        if y < x:
            break
        found = n
    return found


def first_lead(labels, a, b):
    return next((n for n, x, y in zip(labels, a, b, strict=True) if y >= x), None)


def gives_up_at_once(labels, a, b):
    for n, x, y in zip(labels, a, b, strict=True):
        return n if y >= x else None


def never_after_a_fall(labels, a, b):
    return None if b[0] > a[0] > 0.2 and b[1] < a[1] else crossing(labels, a, b)


def last_if_none(labels, a, b):
    return crossing(labels, a, b) or labels[-1]


ANSWERS = {
    "10.1": [
        lambda logits, words, known: losses(logits, words)[known].mean().exp(),
        lambda logits, words, known: float(
            np.exp(-logits.log_softmax(1)[torch.arange(len(words)), words][known].mean().item())
        ),
        lambda logits, words, known: ((losses(logits, words) * known).sum() / known.sum()).exp(),
        lambda logits, words, known: (1 / chances(logits, words)[known]).prod() ** (1 / known.sum()),
        lambda logits, words, known: chances(logits, words)[known].prod() ** (-1 / known.sum()),
    ],
    "10.2": [
        lambda s, t: (s / t).softmax(0),
        lambda s, t: (s / t).exp() / (s / t).exp().sum(),
        lambda s, t: (s / t).softmax(0).tolist(),
    ],
    "10.3": [
        lambda layers, rank: sum(rank * (a + b) for a, b in layers),
        lambda layers, rank: sum(torch.zeros(rank, a).numel() + torch.zeros(b, rank).numel() for a, b in layers),
    ],
    "10.4": [crossing],
}


def strictly_above(labels, a, b):
    found = None
    for n, x, y in reversed(list(zip(labels, a, b, strict=True))):
        if y <= x:
            break
        found = n
    return found


def last_overtaking(labels, a, b):
    over = [i for i in range(1, len(labels)) if b[i] >= a[i] and b[i - 1] < a[i - 1]]
    return labels[over[-1]] if over else None


RIGHT = [(number, answer) for number, answers in ANSWERS.items() for answer in answers]
WRONG = [
    ("10.1", lambda logits, words, known: losses(logits, words)[known].mean(), "e to the power"),
    ("10.1", lambda logits, words, known: losses(logits, words).mean().exp(), "unknown words are included"),
    ("10.1", lambda logits, words, known: (losses(logits, words) * known).mean().exp(), "the number of all words"),
    ("10.1", lambda logits, words, known: losses(logits, words)[known].exp().mean(), "take the mean first"),
    ("10.1", lambda logits, words, known: 2 ** losses(logits, words)[known].mean(), "base is e"),
    ("10.1", lambda logits, words, known: (-losses(logits, words)[known].mean()).exp(), "sign"),
    ("10.1", lambda logits, words, known: losses(logits, words)[known].sum().exp(), "e to the sum"),
    ("10.2", lambda s, t: (s * t).softmax(0), "you multiplied"),
    ("10.2", lambda s, t: s.softmax(0), "is not used"),
    ("10.2", lambda s, t: s.softmax(0) / t, "**before** the softmax"),
    ("10.2", lambda s, t: s / t, "don't add up to 1"),
    ("10.2", lambda s, t: (s / t).log_softmax(0), "log-probabilities"),
    ("10.2", lambda s, t: (s / t).exp(), "divide by their sum"),
    ("10.2", in_place, "changes the scores"),
    ("10.2", lambda s, t: (s / 0.5).softmax(0), "temperature 1000"),
    ("10.3", lambda layers, rank: sum(a * b for a, b in layers), "They are frozen"),
    ("10.3", lambda layers, rank: rank * sum(layers[0]), "that is one matrix"),
    ("10.3", lambda layers, rank: sum(rank * a for a, _ in layers), "**two** thin ones"),
    ("10.3", lambda layers, rank: sum(rank * a * b for a, b in layers), "don't multiply"),
    ("10.3", lambda layers, rank: sum(a + b for a, b in layers), "rank is missing"),
    ("10.3", lambda layers, rank: sum(rank * (a + b) + rank for a, b in layers), "no bias"),
    ("10.3", lambda layers, rank: sum(2 * rank * a for a, _ in layers), "it is 400"),
    ("10.4", first_lead, "**stay** ahead"),
    ("10.4", strictly_above, "level is not below"),
    ("10.4", last_overtaking, "ahead at every number"),
    ("10.4", last_if_none, "return None"),
    ("10.4", gives_up_at_once, "None would mean that b never catches up for good; here it does, at 40 labels"),
    ("10.4", never_after_a_fall, "here it does, at 10 labels"),
    ("10.4", lambda labels, a, b: a.index(0.7) if 0.7 in a else 3, "position in the list"),
    ("10.4", lambda labels, a, b: crossing(labels, b, a) or 1, "Compare b with a"),
    ("10.4", lambda labels, a, b: labels[2], "still below"),
    ("10.4", lambda labels, a, b: labels[-1], "overtakes a at 40"),
]
