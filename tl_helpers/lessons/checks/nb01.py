"""Exercises of notebook 01: features of two artists, the right answer among the first k, paired differences."""

from typing import Any

import torch

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from, parts_from, tensor_from


@exercise("01.1", start="Begin with one artist: `features[artist == 0]`. Its column means are `.mean(dim=0)`.")
def standardise_per_artist(answer: Any) -> str:
    """`answer`: f(features (n, d), artist (n,)) -> (n, d); each artist's columns have mean 0 and deviation 1."""
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(40, 5, generator=draw) * torch.tensor([1.0, 2, 3, 4, 5]) + 7
    artist = torch.arange(40) % 2
    features[artist == 1] = features[artist == 1] * 2 + 3
    before = features.clone()
    found = tensor_from(ask(answer, features, artist), (40, 5)).float()
    need(torch.equal(features, before), "your function changes the features it is given. Work on a copy: `.clone()`.")
    centred, right, biased = before.clone(), before.clone(), before.clone()
    for one in (0, 1):
        rows = before[artist == one]
        centred[artist == one] = rows - rows.mean(0)
        right[artist == one] = (rows - rows.mean(0)) / rows.std(0)
        biased[artist == one] = (rows - rows.mean(0)) / rows.std(0, correction=0)
    if not close(found, biased, 1e-3):
        together = (before - before.mean(0)) / before.std(0)
        by_row = (before - before.mean(1, keepdim=True)) / before.std(1, keepdim=True)
        mistakes = [
            (together, "you standardised both artists together; each has a style, and so a mean, of their own."),
            (centred, "the means are right. Now divide by each column's standard deviation, artist by artist."),
            (by_row, "you standardised each row. A feature is a **column**: take its mean down the rows, `dim=0`."),
            (
                torch.cat([right[artist == 0], right[artist == 1]]),
                "the rows have changed places: row i must stay row i.",
            ),
        ]
        compare(found, right, mistakes, "each artist's columns should have mean 0 and standard deviation 1.", 1e-3)
    before[:, 2] = 4.0
    flat = tensor_from(ask(answer, before, artist), (40, 5))
    need(
        flat.isfinite().all(),
        "with a feature that never changes, your function divides by zero. Add a tiny number or use `.clamp(min=…)`.",
    )
    return "The artist's style is gone, as far as it only shifts and stretches each feature."


@exercise("01.2", start="`similarity.topk(k, dim=?)` is a good start.")
def share_in_top(answer: Any) -> str:
    """`answer`: share_in_top(similarity (n, n), k) -> share of rows i whose column i is among their k largest."""
    similarity = torch.randn(60, 60, generator=torch.Generator().manual_seed(2))
    similarity += torch.diag(torch.cat([torch.full((50,), 2.0), torch.full((10,), -2.0)]))  # ten lie far from their own
    own = torch.arange(60)

    def truth(k: int, dim: int = 1, largest: bool = True) -> float:
        places = similarity.topk(k, dim=dim, largest=largest).indices
        return (places == own.unsqueeze(dim)).any(dim).float().mean().item()

    found = number_from(ask(answer, similarity.clone(), 5))
    right = truth(5)
    mistakes = [
        (0, "nothing is found. Did you compare with `.values` instead of `.indices`, or take the diagonal out?"),
        (60 * right, "this is a count. What would a set with twice as many emoji get?"),
        (100 * right, "this is a percentage; a share lies between 0 and 1."),
        (truth(5, dim=0), "you asked which new drawings are nearest to a known one. Here each **row** is a question."),
        (right / 5, "you divided the hits by all n · k candidates. One hit per row is enough: `any`, then the mean."),
        (truth(1), "that is the first answer alone, whatever k is."),
        (truth(5, largest=False), "these are the k **smallest**. Near means a large similarity."),
        (1 - right, "that is the share of rows that miss."),
    ]
    compare(found, right, mistakes, f"a test table of 60 rows gives {right:.3f} for k = 5; yours gives {found:.4g}.")
    for k, name in ((1, "k = 1"), (60, "k = n")):
        again = number_from(ask(answer, similarity.clone(), k))
        need(close(again, truth(k)), f"for {name} the answer is {truth(k):.3f}; yours is {again:.4g}. Is k used?")
    return "At 128 pixels ImageNet's features reach about 0.65 with k = 5."


@exercise("01.3", start="Subtract split by split first: `difference = b - a`. The rest is a mean and a spread of that.")
def paired_difference(answer: Any) -> str:
    """`answer`: f(a (n,), b (n,)) -> (mean of b - a, standard error of that mean), for paired splits."""
    a = torch.tensor([0.62, 0.71, 0.55, 0.66, 0.60], dtype=torch.float64)
    b = torch.tensor([0.66, 0.76, 0.58, 0.72, 0.63], dtype=torch.float64)
    found = parts_from(ask(answer, a.clone(), b.clone()), 2, "two numbers are expected: `return mean, error`.")
    mean, error = (number_from(part) for part in found)
    difference, root = b - a, 5**0.5
    mistakes = [
        (-difference.mean(), "the sign is reversed: a gain of b over a is positive."),
        (100 * difference.mean(), "this is in points. Stay with shares."),
        (difference.sum(), "that is the sum over the splits. Divide by the number of splits."),
        (difference.median(), "that is the median; the exercise asks for the mean."),
    ]
    compare(mean, difference.mean(), mistakes, f"the mean difference is {difference.mean():.4f}; yours is {mean:.4g}.")
    unpaired = ((a.var() + b.var()) / 5).sqrt()
    mistakes = [
        (difference.std(), "that is the spread of one split. The mean over n splits is steadier: divide by √n."),
        (
            difference.std(correction=0),  # two standard errors are the same number where n is 5
            "that is two standard errors, where one is asked for; or the spread of one split, divided by n where n - 1 is fair.",
        ),
        (
            difference.std(correction=0) / root,
            "nearly: with few splits the spread should divide by n - 1 (as `.std()` does).",
        ),
        (difference.var() / 5, "that is a variance. Take the square root."),
        (difference.std() / 5, "divide by √n, not by n."),
        (
            unpaired,
            "you took two separate spreads. Hard splits are hard for both: take the spread of the **differences**.",
        ),
        ((a.std() + b.std()) / root, "the spreads of a and b don't matter, only that of their differences."),
    ]
    compare(
        error,
        difference.std() / root,
        mistakes,
        f"the standard error is {difference.std() / root:.4f}; yours is {error:.4g}.",
    )
    _three_splits(answer)
    return "In our example it is 4.2 points, give or take 0.6. Unpaired, an error of 4.2 would hide the gain."


def _three_splits(answer: Any) -> None:
    """Check with another number of splits (three), in one of which b is behind."""
    a = torch.tensor([0.50, 0.61, 0.70], dtype=torch.float64)
    b = torch.tensor([0.56, 0.59, 0.79], dtype=torch.float64)
    found = parts_from(ask(answer, a.clone(), b.clone()), 2, "two numbers are expected: `return mean, error`.")
    mean, error = (number_from(part) for part in found)
    difference = b - a
    right, spread = difference.mean(), difference.std()
    mistakes = [(difference.abs().mean(), "keep the sign of each difference: if b is behind, it counts against b.")]
    compare(mean, right, mistakes, f"with three splits the mean difference is {right:.4f}; yours is {mean:.4g}.")
    otherwise = f"with three splits the standard error is {spread / 3**0.5:.4f}; yours is {error:.4g}."
    compare(
        error,
        spread / 3**0.5,
        [(spread / 5**0.5, "is the 5 hard-coded? Here there are three splits.")],
        otherwise,
    )
