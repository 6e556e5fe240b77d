"""Notebook 13: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def by_class(how):
    return lambda features, labels, classes: torch.stack([how(features[labels == c]) for c in range(classes)])


def by_sums(features, labels, classes):
    one = torch.nn.functional.one_hot(labels, classes).float()
    return one.T @ features / one.sum(0)[:, None]


def distance(guesses, domains):
    return max(0.0, 2 * (1 - 2 * (guesses != domains).float().mean().item()))


def keep(reservoir, item, seen, size, number):
    if len(reservoir) < size:
        reservoir.append(item)
    elif number < size:
        reservoir[number] = item
    return reservoir


def always_replaced(reservoir, item, seen, size, number):
    if len(reservoir) < size:
        return [*reservoir, item]
    return [item if i == number % size else old for i, old in enumerate(reservoir)]


def one_too_far(reservoir, item, seen, size, number):
    return keep(reservoir, item, seen, size, min(number, size - 1) if number <= size else number)


def no_place_zero(reservoir, item, seen, size, number):
    return keep(reservoir, item, seen, size, number or size)


RIGHT = [
    ("13.1", by_class(lambda rows: rows.mean(dim=0))),
    ("13.1", by_sums),
    ("13.2", distance),
    ("13.2", lambda g, d: (4 * (g == d).float().mean() - 2).clamp(min=0)),
    ("13.3", keep),
]
WRONG = [
    ("13.1", by_class(lambda rows: rows.sum(dim=0)), "these are sums"),
    ("13.1", by_class(lambda rows: rows[0]), "first row"),
    ("13.1", by_class(lambda rows: rows.median(dim=0).values), "median"),
    ("13.1", lambda features, labels, classes: features.mean(dim=0).expand(classes, -1), "all rows"),
    (
        "13.1",
        lambda f, labels, classes: by_class(lambda rows: rows.sum(dim=0))(f, labels, classes) / len(f),
        "**its own**",
    ),
    ("13.1", lambda f, labels, classes: by_class(lambda rows: rows.mean(dim=0))(f, labels.flip(0), classes), "wrong"),
    (
        "13.1",
        lambda f, labels, classes: by_class(lambda rows: rows.mean(dim=0))(f - f.mean(dim=0), labels, classes),
        "subtracted",
    ),
    (
        "13.1",
        lambda f, labels, classes: torch.nn.functional.normalize(by_sums(f, labels, classes), dim=1),
        "length 1",
    ),
    ("13.1", by_class(lambda rows: rows.mean(dim=1)[:1].expand(4) * 0), "means are wrong"),
    ("13.2", lambda g, d: 2 * (1 - 2 * (g == d).float().mean().item()), "**right** ones"),
    ("13.2", lambda g, d: max(0.0, 2 * (1 - 2 * (g == d).float().mean().item())), "far apart"),
    ("13.2", lambda g, d: 1 - 2 * (g != d).float().mean().item(), "twice as much"),
    ("13.2", lambda g, d: 2 * (1 - (g != d).float().mean().item()), "counts twice"),
    ("13.2", lambda g, d: 2 * (1 - 2 * (g != d).sum().item()), "**number**"),
    ("13.2", lambda g, d: (g != d).float().mean().item(), "that is the error"),
    ("13.2", lambda g, d: 2 * (1 - 2 * (g != d).float().mean().item()), "worse than chance"),
    ("13.2", lambda g, d: abs(2 * (1 - 2 * (g != d).float().mean().item())), "the distance is 0"),
    ("13.2", lambda g, d: 0.5, "you have 0.5"),
    ("13.3", lambda reservoir, item, seen, size, number: [*reservoir, item], "never hold more"),
    ("13.3", lambda reservoir, item, seen, size, number: reservoir, "has room"),
    ("13.3", lambda reservoir, item, seen, size, number: [*reservoir, item][-size:], "replaces the one at position 1"),
    ("13.3", always_replaced, "is dropped"),
    ("13.3", one_too_far, "equal to `size`"),
    ("13.3", no_place_zero, "position 0"),
    ("13.3", lambda reservoir, item, seen, size, number: item, "a list was expected"),
]
