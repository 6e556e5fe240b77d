"""Notebook 07's later exercises: right answers of several kinds pass, each mistake foreseen gets its own hint."""

import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def near(rates, losses):
    return [rate for rate, loss in zip(rates, losses, strict=True) if loss <= 1.1 * min(losses)]


def highest(rates, losses, may):
    return max(rate for rate, loss in zip(rates, losses, strict=True) if may(loss)) / 3


def moving(values, share, start=None, new=None):
    mean = values[0] if start is None else start
    for value in values[1:] if start is None else values:
        mean = share * mean + (1 - share if new is None else new) * value
    return mean


RIGHT = [
    ("07.5", lambda rates, losses: max(near(rates, losses)) / 3),
    ("07.5", lambda rates, losses: torch.tensor(rates)[torch.tensor(losses) <= 1.1 * min(losses)].max() / 3),
    ("07.6", moving),
    ("07.6", lambda values, share: torch.tensor(moving(values, share))),
    ("07.6", lambda values, share: moving(values, share, start=values[0])),  # the first once more changes nothing
]

WRONG = [
    ("07.5", lambda rates, losses: max(near(rates, losses)), "the edge itself"),
    ("07.5", lambda rates, losses: rates[losses.index(min(losses))], "the lowest loss. A higher"),
    ("07.5", lambda rates, losses: rates[losses.index(min(losses))] / 3, "a third of the rate with the lowest"),
    ("07.5", lambda rates, losses: near(rates, losses)[0] / 3, "**smallest**"),
    ("07.5", lambda rates, losses: 1e-3, "falls fastest"),
    ("07.5", lambda rates, losses: rates[-1] / 3, "exploded"),
    ("07.5", lambda rates, losses: max(x for x in losses if x <= 1.1 * min(losses)), "that is a loss"),
    ("07.5", lambda rates, losses: rates.index(max(near(rates, losses))), "a position in the list"),
    ("07.5", lambda rates, losses: 0.5, "0.1 is the largest rate whose loss"),
    ("07.5", lambda rates, losses: 0.1 / 3, "first two"),
    ("07.5", lambda rates, losses: highest(rates, losses, lambda x: x <= min(losses) + 0.1), "**of the lowest loss**"),
    ("07.5", lambda rates, losses: highest(rates, losses, lambda x: 0.9 * x <= min(losses)), "**of the lowest loss**"),
    ("07.6", lambda values, share: moving(values, share, start=0.0), "began at zero"),
    ("07.6", lambda values, share: moving(values, 1 - share), "wrong way round"),
    ("07.6", lambda values, share: sum(values) / len(values), "plain mean"),
    ("07.6", lambda values, share: values[-1], "last value"),
    ("07.6", lambda values, share: values[0], "first value"),
    ("07.6", lambda values, share: moving(values[:2], share), "after the loop"),
    ("07.6", lambda values, share: moving(values, share, new=1.0), "grows with every step"),
    ("07.6", lambda values, share: values, "one number is expected"),
    ("07.6", lambda values, share: 0.7, "then 1.28"),
    ("07.6", lambda values, share: moving(values, 0.9), "Is `share` used"),
    ("07.6", lambda values, share: moving(values, share) if len(values) > 1 else 0.0, "one value is that value"),
]
