"""Exercises of notebook 06: attention pooling, nearest neighbours that vote, calibration error, a temperature."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy, normalize, one_hot

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from, tensor_from


@exercise("06.1", start="`scores.softmax(dim=1)` makes weights of the scores: positive, and 1 in sum for each picture.")
def attend(answer: Any) -> str:
    """`answer`: attend(places (b, n, c), scores (b, n)) -> (b, c), the places' mean, weighted by softmax of the scores."""
    draw = torch.Generator().manual_seed(1)
    places, scores = torch.randn(3, 5, 4, generator=draw), 2 * torch.randn(3, 5, generator=draw)
    found = tensor_from(ask(answer, places.clone(), scores.clone()), (3, 4))
    weights = scores.softmax(1)[..., None]
    mistakes = [
        (places.mean(1), "that is plain average pooling: every place counts alike, whatever its score."),
        (places.amax(1), "that is max pooling; it ignores the scores."),
        ((scores[..., None] * places).sum(1), "scores are not weights yet: they may be negative. Softmax first."),
        (
            (scores.softmax(0)[..., None] * places).sum(1),
            "your softmax runs over the pictures. The places of **one** picture compete: `dim=1`.",
        ),
        ((weights * places).mean(1), "the weights sum to 1 already: take the sum, not the mean."),
        (
            places[torch.arange(3), scores.argmax(1)],
            "that takes only the best place. Softmax gives every place a say, and a gradient.",
        ),
        (
            (scores.sigmoid()[..., None] * places).sum(1),
            "sigmoid weights do not sum to 1: a larger map would give larger features.",
        ),
    ]
    compare(
        found,
        (weights * places).sum(1),
        mistakes,
        "each picture's weights, the softmax of its scores, should multiply its places.",
    )
    return "With equal scores it is average pooling; with one large score it looks at one place."


@exercise(
    "06.2",
    start="With `normalize = nn.functional.normalize`, `normalize(new, dim=1) @ normalize(known, dim=1).T` says how alike; "
    "`.topk(k, dim=1)` who is nearest.",
)
def vote(answer: Any) -> str:
    """`answer`: vote(known (n, d), labels (n,), new (m, d), k) -> int64 (m,), the most frequent label of the k nearest by cosine."""
    draw = torch.Generator().manual_seed(2)
    centres = 1.2 * torch.randn(4, 6, generator=draw)
    labels = torch.arange(80) % 4
    lengths = torch.rand(80, 1, generator=draw) * 5 + 0.2
    known = (centres[labels] + torch.randn(80, 6, generator=draw)) * lengths
    new = centres[torch.arange(40) % 4] + 1.5 * torch.randn(40, 6, generator=draw)

    def truth(k: int, largest: bool = True, cosine: bool = True) -> torch.Tensor:
        alike = normalize(new, dim=1) @ normalize(known, dim=1).T if cosine else new @ known.T
        return one_hot(labels[alike.topk(k, largest=largest).indices], 4).sum(1).argmax(1)

    raw = ask(answer, known.clone(), labels.clone(), new.clone(), 7)
    found = tensor_from(raw, (40,))
    nearest = (normalize(new, dim=1) @ normalize(known, dim=1).T).topk(7).indices
    # a tie may go to any of the leading labels, so only rows with a single winner are compared
    counts = one_hot(labels[nearest], 4).sum(1)
    clear = (counts == counts.amax(1, keepdim=True)).sum(1) == 1

    def same(other: torch.Tensor) -> bool:
        return bool((found == other)[clear].all())

    if not same(truth(7)):
        distance = torch.cdist(new, known).topk(7, largest=False).indices
        mistakes = [
            (nearest[:, 0], "those are row numbers. Look up the **labels** of these rows."),
            (truth(1), "that is the nearest neighbour alone. Let k of them vote."),
            (truth(7, largest=False), "those are the k **least** alike."),
            (truth(7, cosine=False), "you compare plain dot products: a long row is near everything. Normalise first."),
            (
                one_hot(labels[distance], 4).sum(1).argmax(1),
                "that goes by distance; the cosine looks only at directions. Normalise first.",
            ),
            (labels[nearest].double().mean(1).round(), "labels are names: their mean has no meaning. Count votes."),
            (labels[nearest].median(1).values, "labels are names: their median has no meaning. Count votes."),
            (
                nearest.mode(1).values,
                "you let row numbers vote, and each has one vote. Look up their **labels** first.",
            ),
            (counts.amax(1), "that is how many votes the winner has. Which label is it? `argmax`, not `max`."),
        ]
        for wrong, hint in mistakes:
            need(not same(wrong), hint)
        need(False, f"{int((found == truth(7))[clear].sum())} of {int(clear.sum())} clear votes are as they should be.")
    again = tensor_from(ask(answer, known.clone(), labels.clone(), new.clone(), 1), (40,))
    need((again == truth(1)).all(), "for k = 1 it should be the nearest row's label. Is k used?")
    near = torch.tensor([[1.0, 0.0], [0.99, 0.14], [0.3, 0.95], [0.25, 0.97], [0.2, 0.98]])
    said = tensor_from(ask(answer, near.clone(), torch.tensor([0, 0, 1, 1, 1]), near[:2].clone(), 5), (2,))
    need((said == 1).all(), "three of five say 1, the two nearest 0. Each neighbour has **one** vote, near or far.")
    return "Nothing is trained, and a new label takes effect at once."


def error(p: torch.Tensor, right: torch.Tensor, bins: int = 10, weighted: bool = True, signed: bool = False) -> float:
    """The expected calibration error, and two ways of getting it wrong."""
    total, gaps = 0.0, []
    place = (p * bins).long().clamp(max=bins - 1)
    for b in place.unique():
        gap = right[place == b].double().mean() - p[place == b].double().mean()
        gaps.append(gap.abs())
        total += float((gap if signed else gap.abs()) * (place == b).double().mean())
    return total if weighted else float(sum(gaps) / len(gaps))


@exercise(
    "06.3", start="`sure, says = probabilities.max(dim=1)`: how sure it is, and of what. Then go through the bins."
)
def calibration_error(answer: Any) -> str:
    """`answer`: ece(probabilities (n, k), labels (n,), bins) -> mean over samples of |accuracy - confidence| of their bin."""
    draw = torch.Generator().manual_seed(3)
    probabilities = (3 * torch.randn(400, 5, generator=draw)).softmax(1)
    probabilities[:12] = torch.eye(5)[0]  # a confidence of 1 belongs in the last bin, too
    labels = torch.where(
        torch.rand(400, generator=draw) < 0.55, probabilities.argmax(1), torch.randint(0, 5, (400,), generator=draw)
    )
    found = number_from(ask(answer, probabilities.clone(), labels.clone(), 10))
    need(found == found, "nan, perhaps the mean of an empty bin. Skip the bins that hold no answer.")
    sure, says = probabilities.max(1)
    right = says == labels
    value = error(sure, right)
    own = probabilities[torch.arange(400), labels]
    below = sure < 1
    middle = error(torch.where(below, (sure * 10).floor() / 10 + 0.05, 0.95), right)  # each bin's, for all in it
    lost = error(sure[below], right[below]) * float(below.double().mean())
    mistakes = [
        (100 * value, "this is in points. Stay with shares."),
        (error(sure, right, weighted=False), "you count all bins alike. Weight each by how many samples it contains."),
        (
            error(sure, right, signed=True),
            "over- and underconfident bins cancel out. Take the **absolute** gap in each of the `bins`.",
        ),
        (
            -error(sure, right, signed=True),
            "over- and underconfident bins cancel out. Take the **absolute** gap in each of the `bins`.",
        ),
        (
            (sure - right.float()).abs().mean(),
            "that is the gap of each sample alone. First average within a bin: only a group can be calibrated.",
        ),
        (
            lost,
            "a confidence of exactly 1 falls out of your last bin, and these samples are lost. End that bin with `<=`.",
        ),
        (
            middle,
            "you take the middle of a bin for its confidence. Take the **mean** confidence of the samples in it.",
        ),
        (own.sub(1).abs().mean(), "that looks at the true label's probability. Confidence is the **largest** one."),
        (cross_entropy(probabilities.log(), labels), "that is the cross-entropy."),
    ]
    compare(found, value, mistakes, f"the error is {value:.4f} here with ten bins; yours is {found:.4g}.", 1e-3)
    last = number_from(ask(answer, torch.tensor([[1.0, 0.0], [0.95, 0.05]]), torch.tensor([1, 0]), 10))
    need(
        not close(last, 0.525),
        "a confidence of exactly 1 has a bin of its own here; it belongs in the last of the `bins`.",
    )
    need(close(last, 0.475), f"for answers 1.00 sure (wrong) and 0.95 sure (right) it is 0.475; yours is {last:.4g}.")
    again = number_from(ask(answer, probabilities.clone(), labels.clone(), 4))
    need(close(again, error(sure, right, 4), 1e-3), "with four bins the error should be different. Is `bins` used?")
    return (
        "An error of 0.10 says: over all answers, how sure it is and how often it is right differ by ten points on average. "
        "It does not say in which bin, nor in which direction."
    )


@exercise(
    "06.4",
    start="Try temperatures from 0.5 to 5 in small steps; keep the one with the smallest cross-entropy of `logits / t`.",
)
def temperature(answer: Any) -> str:
    """`answer`: temperature(logits (n, k), labels (n,)) -> the t for which logits / t have the smallest cross-entropy."""
    draw = torch.Generator().manual_seed(11)
    logits = 2.5 * torch.randn(600, 4, generator=draw)
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw)[:, 0]
    labels[:60] = torch.randint(0, 4, (60,), generator=draw)  # else every reasonable score chooses the same temperature
    logits = 2.5 * logits
    steps = torch.linspace(0.2, 6, 2901)
    losses = torch.stack([cross_entropy(logits / t, labels) for t in steps])
    best = float(steps[losses.argmin()])
    found = number_from(ask(answer, logits.clone(), labels.clone()))
    mistakes = [
        (1 / best, "upside down: you multiply by it. Dividing by more than 1 makes a network less sure."),
        (losses.min(), "that is the smallest cross-entropy; return the **temperature** that achieves it."),
        (
            1.0,
            "that changes nothing. If you chose by accuracy: dividing all logits by one positive number never changes an answer.",
        ),
    ]
    for wrong, hint in mistakes:
        need(not close(found, wrong, 0.02), hint)
    need(found > 0, "a temperature is positive: a negative one would reverse every answer.")
    otherwise = f"the smallest cross-entropy is at {best:.2f} here; yours is {found:.4g}. Is it the loss you minimise, in steps that are small enough?"
    need(abs(found / best - 1) < 0.05, otherwise)
    half = number_from(ask(answer, logits / 2, labels))
    need(
        abs(2 * half / best - 1) < 0.05,
        f"with all logits halved it is {best / 2:.2f}; yours is {half:.4g}. Smaller steps?",
    )
    return "One number, learnt on validation, and not a single answer changes."
