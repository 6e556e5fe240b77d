"""Exercises of notebook 05: a gain in labels, the first k stages copied, how well SimCLR does its own task."""

import copy
import itertools
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from


@exercise("05.1", start="Which of the labels in `curve` reach the goal at all? The least of those is wanted.")
def labels_needed(answer: Any) -> str:
    """`answer`: labels_needed(curve {labels: accuracy}, goal) -> fewest labels with accuracy >= goal, or None."""
    curve = {20: 0.93, 1: 0.62, 5: 0.875, 10: 0.86, 50: 0.97}
    none_means = "None means that no number of labels reaches {}; here 5 labels do. Do you look at all of them first?"
    found = number_from(ask(answer, dict(curve), 0.85, none_means=none_means.format(0.85)))
    mistakes = [
        (20, "the curve is in no particular order: 20 comes first in the dict, but fewer labels reach the goal, too."),
        (10, "10 labels reach it, but so do 5: this curve has a dip, as real ones do. Find the **smallest** number."),
        (50, "that is the most labels, or the best accuracy. What is the smallest number that is good enough?"),
        (1, "1 label reaches 0.62, and the goal is 0.85. Do you compare the accuracy, or the labels?"),
        (0.875, "this is the accuracy reached; return the number of **labels**, the key in the dict."),
        (0.86, "this is an accuracy; return the number of **labels**, the key in the dict."),
    ]
    compare(found, 5, mistakes, f"for a goal of 0.85 five labels are enough; yours is {found:g}.")
    exact = number_from(ask(answer, dict(curve), 0.875, none_means=none_means.format(0.875)))
    need(
        exact != 20 or number_from(ask(answer, dict(curve), 0.87)) != 20,
        "you ask from where on the goal is **always** reached. That 10 labels fall below it again does not matter: "
        "the smallest number that reaches it is wanted.",
    )
    need(exact == 5, f"an accuracy of 0.875 reaches a goal of exactly 0.875: use `>=`. Yours is {exact:g}, not 5.")
    try:
        never = answer(dict(curve), 0.99)
    except Exception as error:
        need(
            False, f"no number of labels reaches 0.99; your function stopped with {type(error).__name__}. Return None."
        )
    need(never is None, f"no number of labels reaches 0.99, so the answer is None; yours is {never!r}.")
    return "Take two such numbers, with and without pretraining: their difference is what pretraining saves."


def _stages(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    widths = (3, 4, 5, 6)
    net = nn.Sequential(*(nn.Sequential(nn.Conv2d(a, b, 3), nn.BatchNorm2d(b)) for a, b in itertools.pairwise(widths)))
    for stage in net:
        stage[1].running_mean.normal_()
        stage[1].running_var.uniform_(0.5, 2)
    return net


def _alike(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@exercise("05.2", start="`source[0]` is the first stage. Its `state_dict()` has weights and buffers.")
def copy_first(answer: Any) -> str:
    """`answer`: copy_first(source, target, k): target's first k children get source's state; returns target."""
    source, target = _stages(1), _stages(2)
    old, new = copy.deepcopy(source), copy.deepcopy(target)
    found = ask(answer, source, target, 2)
    need(found is target, "return `target` itself: the network whose first stages have changed.")
    need(len(target) == 3, f"`target` has {len(target)} stages now; it had 3.")
    need(_alike(source, old), "`source` has changed. Copy from it; don't touch it.")
    ours, theirs = ({p.data_ptr() for p in net.state_dict().values()} for net in (source, target))
    need(
        not ours & theirs,
        "the two networks now share their tensors: train one, and the other moves. Copy the values.",
    )
    same = [_alike(a, b) for a, b in zip(target, old, strict=True)]
    need(not all(same), "all three stages were copied; with k = 2 the third should keep its own weights.")
    need(same != [False, True, True], "you copied from the top. The stem comes first: `source[0]`.")
    need(any(same) or not _alike(target, new), "nothing was copied.")
    weights = all(torch.equal(p, q) for p, q in zip(target[:2].parameters(), old[:2].parameters(), strict=True))
    need(
        same[0] or not weights,
        "the weights are right, but batch norm's buffers, its running mean and variance, stayed behind.",
    )
    need(same[0] and same[1], f"of the first two stages, {sum(same[:2])} were copied completely.")
    need(_alike(target[2], new[2]), "the third stage has changed, though k is 2.")
    need(
        all(p.requires_grad for p in target.parameters()),
        "everything in `target` should still learn; something is frozen.",
    )
    untouched = _stages(2)
    need(_alike(ask(answer, source, untouched, 0), new), "with k = 0 nothing should be copied.")
    need(_alike(ask(answer, source, untouched, 3), old), "with k = 3 all three stages should be copied.")
    return "Weights and buffers are copied, and the two networks stay separate."


@exercise("05.3", start="Put both halves into one table of 2n unit vectors; `z @ z.T` holds every cosine.")
def partners_found(answer: Any) -> str:
    """`answer`: partners_found(a (n, d), b (n, d)) -> share of the 2n views whose nearest other view is the partner."""
    draw = torch.Generator().manual_seed(5)
    a = torch.randn(24, 6, generator=draw)
    b = a + 0.9 * torch.randn(24, 6, generator=draw)
    b *= torch.linspace(0.2, 5, 24)[:, None]
    before = a.clone(), b.clone()
    found = number_from(ask(answer, a, b))
    need(
        torch.equal(a, before[0]) and torch.equal(b, before[1]),
        "your function changes what it is given: work on copies.",
    )

    def share(a, b, unit=normalize, itself=False, across=False, views=None) -> float:
        z = unit(torch.cat([a, b]))
        table = z @ z.T
        n = len(a)
        if across:
            return (table[:n, n:].argmax(1) == torch.arange(n)).float().mean().item()
        table = table if itself else table.fill_diagonal_(-torch.inf)
        return (table.argmax(1) == torch.arange(2 * n).roll(n))[:views].float().mean().item()

    right = share(a, b)
    mistakes = [
        (
            share(a, b, itself=True),
            "no view finds its partner. Each is most similar to **itself**: take the diagonal out first. "
            "If it is out, look at who is whose partner: row i's is i + n.",
        ),
        (share(a, b, lambda z: z), "long vectors win here. The cosine is wanted: scale every row to length 1."),
        (48 * right, "that is a count. Divide by all 2n views."),
        (2 * right, "you divide by n, but all 2n views look for a partner."),
        (100 * right, "that is a percentage; a share lies between 0 and 1."),
        (
            share(a, b, across=True),
            "you compare a's views only with b's. A view may also be nearest to one from its own half.",
        ),
        (share(a, b, views=24), "only a's views look for a partner here. b's look, too: 2n views in all."),
        (1 - right, "that is the share of views that miss."),
    ]
    compare(found, right, mistakes, f"on a test table of 2 × 24 views the share is {right:.3f}; yours is {found:.4g}.")
    perfect = number_from(ask(answer, torch.eye(5), torch.eye(5)))
    second = "take the diagonal out instead of using the second place"
    need(not close(perfect, 0.5), f"a partner may be just as similar as the view itself: {second}.")
    need(
        close(perfect, 1.0),
        f"where partners are identical and all others at right angles the share is 1; yours is {perfect:.4g}.",
    )
    x, y = 0.4**0.5, 0.6**0.5  # every cosine is negative: -0.2 for partners, -0.4 for all others
    apart = number_from(ask(answer, torch.tensor([[x, y, 0], [-x, 0, y]]), torch.tensor([[x, -y, 0], [-x, 0, -y]])))
    need(
        close(apart, 1.0),
        f"where all cosines are negative, partners' least so, the share is 1; yours is {apart:.4g}. A diagonal of 0 still "
        "wins there: make it `-torch.inf`.",
    )
    return "With 256 views guessing gets 1 in 255."
