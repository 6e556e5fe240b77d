"""Exercises of notebook 03: mixed labels, the share a cut box leaves, a flip for each picture, the mean over views."""

from typing import Any

import torch
from torch.nn import functional as F

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from, tensor_from


@exercise("03.1", start="`F.one_hot(labels, classes).float()` turns numbers into rows; `share[:, None]` is a column.")
def mix_labels(answer: Any) -> str:
    """`answer`: mix_labels(labels (b,), partners (b,), share (b,), classes) -> float (b, classes), rows sum to 1."""
    labels, partners = torch.tensor([0, 1, 2, 3, 2]), torch.tensor([1, 3, 2, 0, 0])
    share = torch.tensor([0.9, 0.25, 0.5, 0.0, 0.4])
    found = ask(answer, labels.clone(), partners.clone(), share.clone(), 5)
    unseen = "no picture here is of the last class, but it still needs its column: pass `classes` to `F.one_hot`."
    need(getattr(found, "shape", None) != (5, 4), unseen)
    found = tensor_from(found, (5, 5))
    one, two, kept = F.one_hot(labels, 5).double(), F.one_hot(partners, 5).double(), share.double()[:, None]
    right = kept * one + (1 - kept) * two
    assigned = torch.where((one == two) & (one > 0), 1 - kept, right)  # the same-class pair has a share of 0.5
    mistakes = [
        (
            (1 - kept) * one + kept * two,
            "the shares have changed places: `share` is how much of the picture itself stays.",
        ),
        (kept * one, "only the picture itself is counted. What about its partner's part?"),
        ((one + two) / 2, "you mix every pair half and half. `share` says how much of each to take."),
        (one + two, "a row sums to 2. Weight each part by its share."),
        (share.double().mean() * one + (1 - share.double().mean()) * two, "each picture has a share of its own."),
        (assigned, "two pictures of one class: the parts must be added, but one has overwritten the other."),
        (
            kept.T * one + (1 - kept.T) * two,
            "the shares lie along the classes. `share[:, None]` lays them along the pictures.",
        ),
    ]
    otherwise = "a picture of class 0 that stays with share 0.9, its partner of class 1, has the row 0.9, 0.1, 0, 0, 0."
    compare(found, right, mistakes, otherwise)
    return "Two pictures of the same class give that class a 1 again: the parts add up."


@exercise("03.2", start="How many rows of the box lie inside the picture? `min(bottom, height) - max(top, 0)`.")
def share_kept(answer: Any) -> str:
    """`answer`: share_kept(height, width, top, left, bottom, right) -> share of pixels outside the box, cut at the edge."""

    def truth(height, width, top, left, bottom, right) -> float:
        rows = max(0, min(bottom, height) - max(top, 0))
        columns = max(0, min(right, width) - max(left, 0))
        return 1 - rows * columns / (height * width)

    cases = {
        (10, 20, 2, 5, 6, 15): "a box of 4 by 10 pixels inside a picture of 10 by 20",
        (10, 20, -3, 5, 4, 15): "a box that reaches over the top edge",
        (10, 20, 6, 15, 14, 30): "a box that reaches over the lower right corner",
        (10, 20, -3, -2, 14, 30): "a box larger than the picture",
        (10, 20, 3, 3, 3, 9): "a box with no rows",
        (10, 20, 12, 0, 15, 5): "a box that lies below the picture",
        (10, 20, 2, 22, 6, 28): "a box that lies to the right of the picture",
        (10, 20, 12, 22, 15, 28): "a box below and to the right of the picture",
        (10, 20, -6, 0, -2, 5): "a box that lies above the picture",
        (10, 20, 3, -9, 7, -4): "a box that lies to the left of the picture",
    }
    for case, name in cases.items():
        height, width, top, left, bottom, right = case
        found, right_answer = number_from(ask(answer, *case)), truth(*case)
        uncut = 1 - (bottom - top) * (right - left) / (height * width)
        mistakes = [
            (1 - right_answer, "that is the box's share. The label needs the share of the picture that stays."),
            (height * width * right_answer, "that is a number of pixels. Divide by the number in the whole picture."),
            (uncut, f"{name}: what lies outside the picture replaces no pixel. Cut the box at the edge first."),
        ]
        compare(found, right_answer, mistakes, f"{name}: {right_answer:.3f} of the pixels stay; yours is {found:.4g}.")
    return "The label says what the pixels show, even at the edge."


@exercise("03.3", start="`batch.flip(-1)` mirrors all of them; `torch.where` chooses, picture by picture.")
def mirror_some(answer: Any) -> str:
    """`answer`: mirror_some(batch uint8 (b, C, h, w), chosen bool (b,)) -> the batch with the chosen ones mirrored."""
    batch = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    chosen = torch.tensor([True, False, False, True, False])
    before = batch.clone()
    found = tensor_from(ask(answer, batch, chosen.clone()), (5, 3, 4, 6))
    need(
        torch.equal(batch, before), "your function changes the batch it is given. Work on a copy, or use `torch.where`."
    )

    def by(mirrored: torch.Tensor, mask: torch.Tensor = chosen) -> torch.Tensor:
        return torch.where(mask.view(-1, 1, 1, 1), mirrored, before)

    mistakes = [
        (before.flip(-1), "all are mirrored. Which of them were chosen?"),
        (before, "none is mirrored."),
        (by(before.flip(-1), ~chosen), "you mirrored the ones that were not chosen."),
        (
            by(before.flip(-2)),
            "they stand on their heads: the last dimension is the width, the one before it the height.",
        ),
        (by(before.flip(0)), "pictures have changed places: `flip(0)` reverses the batch, not its pictures."),
        (by(before.flip(1)), "the colours have changed places: dimension 1 is the channels."),
    ]
    compare(
        found,
        by(before.flip(-1)),
        mistakes,
        "the chosen pictures should be mirrored, left to right, and the others left as they were.",
    )
    return "One call for the batch, and each picture gets its own coin toss."


@exercise("03.4", start="A softmax over the classes first (`dim=-1`), then the mean over the views (`dim=0`).")
def mean_over_views(answer: Any) -> str:
    """`answer`: mean_over_views(logits (views, b, classes)) -> probabilities (b, classes)."""
    logits = 3 * torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(4))
    found = tensor_from(ask(answer, logits.clone()), (6, 5))
    each = logits.double().softmax(-1)
    mistakes = [
        (logits.double().mean(0).softmax(-1), "this is the softmax of the mean logits: one view that is very sure outvotes the rest. Softmax first."),
        (logits.double().mean(0), "these are still logits; a row of probabilities sums to 1."),
        (each.sum(0), "that is the sum: with four views a row sums to 4."),
        (logits.double().softmax(0).mean(0), "your softmax runs over the views. Classes are the last dimension."),
        (logits.double().softmax(1).mean(0), "your softmax runs over the pictures. Classes are the last dimension."),
        (each[0], "that is the first view alone."),
        (each.max(0).values, "that is the surest view for each class; a row no longer sums to 1."),
    ]  # fmt: skip
    compare(found, each.mean(0), mistakes, "each row should be the mean of its views' probabilities.")
    again = tensor_from(ask(answer, logits[:1].clone()), (6, 5))
    need(close(again, each[0]), "with a single view nothing should change.")
    return "With one view it changes nothing, as it should."
