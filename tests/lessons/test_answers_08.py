"""Notebook 08: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def together(first, second):
    def answer(source, target):
        named = {"s": source, "t": target, "0": torch.zeros_like(source), "o": torch.zeros_like(target)}
        return torch.cat([torch.cat([named[k] for k in row], dim=1) for row in (first, second)])

    return answer


def statistics(mean=(0, 2, 3), variance=lambda m: m.var((0, 2, 3))):
    return lambda maps: (torch.cat(maps).mean(mean), variance(torch.cat(maps)))


def halving(factor=3, growth=3, sign=1, price=lambda n, rows: n * rows, once_more=False):
    def answer(candidates, score, rows):
        spent = 0
        while len(candidates) > 1:
            candidates = sorted(candidates, key=lambda c: -sign * score(c, rows))
            spent += price(len(candidates), rows)
            candidates, rows = candidates[: max(1, len(candidates) // factor)], rows * growth
            if once_more and len(candidates) == 1:
                score(candidates[0], rows)
                spent += rows
        return candidates[0], spent

    return answer


def left_at(count):
    """Halving that ends as soon as no more than `count` candidates are left."""

    def answer(candidates, score, rows):
        if len(candidates) <= count:
            return candidates[0], 0
        return halving()(candidates, score, rows)

    return answer


def weighed(correction):
    """The mean of the batches' variances, by their sizes."""

    def answer(maps):
        each = [len(m) * m.var((0, 2, 3), correction=correction) for m in maps]
        return torch.cat(maps).mean((0, 2, 3)), sum(each) / sum(len(m) for m in maps)

    return answer


def drop_a_third(candidates, score, rows):
    """A third of two is none: never ends."""
    spent = 0
    while len(candidates) > 1:
        candidates = sorted(candidates, key=lambda c: -score(c, rows))[: len(candidates) - len(candidates) // 3]
        spent, rows = spent + rows, rows * 3
    return candidates[0], spent


def third_of_two(candidates, score, rows):
    spent = 0
    while len(candidates) > 1:
        spent += rows * len(candidates)
        candidates, rows = sorted(candidates, key=lambda c: -score(c, rows))[: len(candidates) // 3], rows * 3
    return candidates[0], spent


def grid(candidates, score, rows):
    return max(candidates, key=lambda c: score(c, rows * 9)), rows * 9 * len(candidates)


RIGHT = [
    ("08.1", together("ss0", "tot")),
    ("08.1", lambda source, target: together("ss0", "tot")(source, target).tolist()),
    ("08.2", statistics()),
    ("08.2", statistics(variance=lambda m: m.var((0, 2, 3), correction=0))),
    ("08.2", lambda maps: torch.stack(statistics()(maps))),
    ("08.2", lambda maps: torch.stack(statistics()(maps)).numpy()),
    ("08.3", halving()),
    ("08.3", lambda *all_of_it: torch.tensor(halving()(*all_of_it))),
    ("08.4", lambda val, test: test[torch.arange(len(test)), val.argmax(1)].mean()),
    ("08.4", lambda val, test: sum(test[k, val[k].argmax()] for k in range(5)) / 5),
]
WRONG = [
    ("08.1", together("s0s", "tto"), "swapped"),
    ("08.1", together("sss", "ttt"), "every block is filled"),
    ("08.1", together("ss0", "oot"), "missing from the common block"),
    ("08.1", together("tot", "ss0"), "target's rows are on top"),
    ("08.1", lambda s, t: torch.cat([s, t]), "beside"),
    ("08.1", lambda s, t: (s, t), "one table"),
    ("08.1", lambda s, t: torch.zeros(6, 9), "a source row is"),
    ("08.2", lambda maps: (torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0), torch.ones(4)), "batches' means"),
    ("08.2", lambda maps: (maps[-1].mean((0, 2, 3)), torch.ones(4)), "last batch alone"),
    ("08.2", lambda maps: torch.cat(maps).mean((0, 2, 3)), "two results"),
    ("08.2", lambda maps: torch.var_mean(torch.cat(maps), (0, 2, 3)), "the mean first, then the variance"),
    ("08.2", lambda maps: torch.var_mean(torch.cat(maps), (0, 2, 3), correction=0), "the mean first"),
    ("08.2", lambda maps: torch.stack(statistics()(maps), dim=1), "two results"),
    ("08.2", statistics(variance=lambda m: m.std((0, 2, 3))), "standard deviation"),
    ("08.2", statistics(variance=lambda m: m.std((0, 2, 3), correction=0)), "that is the standard deviation"),
    ("08.2", weighed(1), "don't help"),
    ("08.2", weighed(0), "sizes as weights"),
    ("08.2", statistics(variance=lambda m: m.mean((2, 3)).var(0)), "how pictures differ"),
    ("08.2", statistics(variance=lambda m: m.sum((0, 2, 3))), "axes 0, 2 and 3"),
    (
        "08.2",
        lambda maps: (torch.cat(maps).mean((0, 2, 3)), torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)),
        "forget how far",
    ),
    ("08.3", grid, "plain grid"),
    ("08.3", drop_a_third, "Are there fewer candidates"),
    ("08.3", third_of_two, "keep at least one"),
    ("08.3", halving(sign=-1), "higher"),
    ("08.3", halving(factor=2), "best third"),
    ("08.3", halving(growth=2), "three times the rows"),
    ("08.3", halving(price=lambda n, rows: 1), "cost 360 rows in total"),
    ("08.3", halving(price=lambda n, rows: n), "how often"),
    ("08.3", halving(price=lambda n, rows: rows), "times the candidates"),
    ("08.3", halving(once_more=True), "nothing to compare"),
    ("08.3", left_at(2), "the second is better"),
    ("08.3", lambda c, score, rows: halving()(c, score, rows) if len(c) != 2 else (5, 60), "one round"),
    ("08.3", lambda candidates, score, rows: (candidates[0], 0), "never called"),
    ("08.3", lambda candidates, score, rows: candidates[0], "two results"),
    ("08.4", lambda val, test: val.max(1).values.mean(), "luck"),
    ("08.4", lambda val, test: test.max(1).values.mean(), "chose by the test"),
    ("08.4", lambda val, test: test[:, val.mean(0).argmax()].mean(), "One choice per split"),
    ("08.4", lambda val, test: test.mean(), "all candidates"),
    ("08.4", lambda val, test: val[torch.arange(5), test.argmax(1)].mean(), "changed places"),
    ("08.4", lambda val, test: test[torch.arange(5), val.argmax(1)].sum(), "sum over the splits"),
    ("08.4", lambda val, test: test[:, val.argmax(1)].mean(), "row i needs its own column"),
    ("08.4", lambda val, test: test.flatten()[val.argmax()], "the whole table"),
    ("08.4", lambda val, test: 0.123, "for the table"),
]
