"""Exercises of notebook 13: class means, the distance between two domains, a fair sample of a stream."""

from typing import Any

import torch

from tl_helpers.lessons.checks import a_kind, ask, compare, exercise, need, number_from, tensor_from


@exercise("13.1", start="`features[labels == c]` are the rows of class `c`; their mean goes over `dim=0`.")
def prototypes(answer: Any) -> str:
    """`answer`: f(features (n, d), labels (n,), classes) -> (classes, d), the mean of the rows of each class."""
    draw = torch.Generator().manual_seed(13)
    features, labels = torch.randn(20, 4, generator=draw), torch.arange(20).fmod(7).clamp(max=2)
    found = tensor_from(ask(answer, features.clone(), labels.clone(), 3), (3, 4))
    own = [features[labels == c] for c in range(3)]
    mistakes = [
        (torch.stack([x.sum(0) for x in own]), "these are sums: a class with more pictures would lie further out."),
        (torch.stack([x[0] for x in own]), "that is the first row of each class, not the mean."),
        (features.mean(0).expand(3, 4), "that is the mean of all rows, three times."),
        (torch.stack([x.median(0).values for x in own]), "that is the median. The mean is asked for."),
        (
            torch.stack([(x - features.mean(0)).mean(0) for x in own]),
            "the mean of all rows has been subtracted. Leave that to the cell below: the plain means are asked for.",
        ),
        (
            torch.nn.functional.normalize(torch.stack([x.mean(0) for x in own]), dim=1),
            "these have been scaled to length 1. Leave that to the cell below: the plain means are asked for.",
        ),
        (
            torch.stack([x.sum(0) for x in own]) / len(labels),
            "divide each class by the number of **its own** rows.",
        ),
    ]
    compare(
        found, torch.stack([x.mean(0) for x in own]), mistakes, "the means are wrong. Is each row in its own class?"
    )
    return "With one picture per class, the mean is that picture: notebook 01's test."


@exercise("13.2", start="The error is the share of `guesses != domains`; the distance is `2 * (1 - 2 * error)`.")
def a_distance(answer: Any) -> str:
    """`answer`: f(guesses (n,), domains (n,)) -> max(0, 2 (1 - 2 error))."""
    domains = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    good = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    found = number_from(ask(answer, good.clone(), domains.clone()))
    mistakes = [
        (-1.6, "nine of ten guesses are right, so the error is 0.1; you used the share of **right** ones."),
        (0.0, "nine of ten guesses are right: these domains are far apart."),
        (0.8, "that is 1 − 2 · error. The distance is twice as much: it goes from 0 to 2."),
        (1.8, "the error counts twice: 1 − 2 · error. At an error of one half the distance is 0."),
        (2 * (1 - 2 * 1.0), "that takes the **number** of errors; the share is asked for."),
        (0.1, "that is the error. The distance is 2 · (1 − 2 · error)."),
    ]
    compare(found, 1.6, mistakes, f"with one of ten guesses wrong it is 2 · (1 − 0.2) = 1.6; you have {found:g}.")
    worse = number_from(ask(answer, 1 - good, domains.clone()))
    need(worse >= 0, "guesses that are worse than chance give a negative number here. A distance is at least 0.")
    compare(worse, 0.0, [], "where the guesses are worse than chance, the distance is 0.", tolerance=1e-6)
    return "Two if the artists can always be told apart, zero if nobody can tell."


@exercise("13.3", start="First fill the list: `if len(reservoir) < size: return [*reservoir, item]`.")
def keep(answer: Any) -> str:
    """`answer`: f(reservoir, item, seen, size, number) -> the list after the item came by."""
    cases = [
        ((["a"], "b", 1, 3, 0), ["a", "b"], "the list has room: the item is added, whatever the number."),
        (
            (["a", "b", "c"], "d", 3, 3, 1),
            ["a", "d", "c"],
            "the list is full and the number is 1: the item replaces the one at position 1.",
        ),
        ((["a", "b", "c"], "d", 9, 3, 7), ["a", "b", "c"], "the number is not below `size`: the item is dropped."),
        (
            (["a", "b", "c"], "d", 3, 3, 3),
            ["a", "b", "c"],
            "a number equal to `size` is not below it: the item is dropped.",
        ),
        ((["a", "b", "c"], "d", 5, 3, 0), ["d", "b", "c"], "position 0 is a position, too."),
    ]
    for given, right, hint in cases:
        found = ask(answer, list(given[0]), *given[1:])
        need(isinstance(found, (list, tuple)), f"a list was expected; this is {a_kind(found)}.")
        need(len(found) <= given[3], f"the list holds {len(found)} items; it must never hold more than {given[3]}.")
        need(list(found) == right, hint)
    return (
        "After a thousand items, each is in the list with probability size / 1000, and you never kept more than size."
    )
