"""Exercises of notebook 10: perplexity, temperature, what LoRA trains, where two curves cross."""

from typing import Any

import torch
from torch.nn import functional as F

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from, tensor_from


@exercise("10.1", start="`logits.log_softmax(dim=1)` holds a log-probability a word. Which one of each row counts?")
def perplexity(answer: Any) -> str:
    """`answer`: perplexity(logits (n, V), words (n,), known (n,) bool) -> e to the mean surprise at the known words."""
    draw = torch.Generator().manual_seed(10)
    logits, words = 2 * torch.randn(20, 12, generator=draw), torch.randint(0, 12, (20,), generator=draw)
    known = torch.rand(20, generator=draw) < 0.7  # so few that a product of 1 / p is finite, too
    found = number_from(ask(answer, logits.clone(), words.clone(), known.clone()))
    losses = F.cross_entropy(logits, words, reduction="none")
    right = losses[known].mean().exp()
    mistakes = [
        (losses[known].mean(), "that is the mean loss in nats. Perplexity is e to the power of that: `.exp()`."),
        (losses.mean().exp(), "the unknown words are included. Only `losses[known]` count."),
        ((losses * known).mean().exp(), "you sum over the known words only, but divide by the number of all words."),
        (losses[known].exp().mean(), "take the mean first, then e to that power; you did it the other way round."),
        (2 ** losses[known].mean(), "the loss is in nats, so the base is e. Base 2 goes with bits."),
        ((-losses[known].mean()).exp(), "the sign is flipped: the loss is **minus** the log-probability."),
        (losses[known].sum().exp(), "that is e to the sum. Take the mean over the known words."),
    ]
    compare(found, right, mistakes, f"on a test table it is {right:.3f}; yours is {found:.4g}.")
    even = number_from(ask(answer, torch.zeros(5, 12), torch.arange(5), torch.ones(5, dtype=torch.bool)))
    need(close(even, 12.0), f"if 12 words are equally likely, the perplexity is 12; yours is {even:.4g}.")
    return "A model that finds V words equally likely has a perplexity of V."


@exercise("10.2", start="Divide the scores by the temperature, then make probabilities of them.")
def sharpened(answer: Any) -> str:
    """`answer`: sharpened(scores (V,), temperature) -> probabilities (V,)."""
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    before = scores.clone()
    found = tensor_from(ask(answer, scores, 0.5), (4,))
    need(torch.equal(scores, before), "your function changes the scores it is given. Make new ones: `scores / …`.")
    mistakes = [
        ((scores * 0.5).softmax(0), "you multiplied. A low temperature makes differences **larger**: divide."),
        (scores.softmax(0), "the temperature is not used."),
        (scores.softmax(0) / 0.5, "divide the scores **before** the softmax; afterwards it only rescales."),
        (scores / 0.5, "those are still scores: they don't add up to 1. `softmax` is missing."),
        ((scores / 0.5).log_softmax(0), "those are log-probabilities. `softmax`, not `log_softmax`."),
        ((scores / 0.5).exp(), "they don't add up to 1: divide by their sum, or use `softmax`."),
    ]
    compare(found, (scores / 0.5).softmax(0), mistakes, "at temperature 0.5 the first of 2, 1, 0, -1 gets 0.865.")
    hot = tensor_from(ask(answer, scores, 1000.0), (4,))
    need(close(hot, torch.full((4,), 0.25), 1e-2), "at temperature 1000 all words should be nearly equally likely.")
    return "Towards 0 it always says the likeliest word; far above 1 it rolls dice."


@exercise("10.3", start="A matrix of out × in gets two thin ones: rank × in, and out × rank.")
def adapter_size(answer: Any) -> str:
    """`answer`: adapter_size(layers: list of (in, out), rank) -> how many numbers LoRA trains."""
    found = number_from(ask(answer, [(384, 384)] * 12, 8))
    mistakes = [
        (12 * 384 * 384, "that is every number of the matrices themselves. They are frozen; count the thin ones."),
        (8 * 384 * 2, "that is one matrix. There are twelve in the list."),
        (12 * 8 * 384, "each matrix gets **two** thin ones: rank × in, and out × rank."),
        (12 * 8 * 384 * 384, "the two thin matrices are separate: their sizes add up, they don't multiply."),
        (12 * 384 * 2, "the rank is missing."),
        (12 * (8 * 384 * 2 + 8), "there is no bias in an adapter."),
    ]
    compare(
        found, 12 * 8 * 768, mistakes, f"for twelve matrices of 384 × 384 at rank 8 it is 73,728; yours is {found:.0f}."
    )
    again = number_from(ask(answer, [(100, 30), (20, 50)], 2))
    need(close(again, 2 * 130 + 2 * 70), f"for (100, 30) and (20, 50) at rank 2 it is 400; yours is {again:.0f}.")
    return "And the whole of MiniLM has 22.6 million."


@exercise(
    "10.4",
    start="Walk from the right: while b is at least as good as a, remember the number of labels. Where it is not, stop.",
)
def crossing(answer: Any) -> str:
    """`answer`: crossing(labels, a, b) -> the first number of labels from which on b is never below a; None if never."""
    labels, a, b = [1, 5, 10, 40, 100], [0.34, 0.57, 0.64, 0.70, 0.72], [0.21, 0.44, 0.57, 0.72, 0.79]
    none_means = "None would mean that b never catches up for good; here it does, at {} labels. Look at each case."
    found = number_from(ask(answer, list(labels), list(a), list(b), none_means=none_means.format(40)))
    need(found != 10, "at 10 labels b is still below a.")
    need(found != 1, "at one label a is ahead. Compare b with a, not a with b.")
    need(found != 3, "that is a position in the list. Return the number of labels at that position.")
    need(found == 40, f"b overtakes a at 40 labels; yours is {found:g}.")
    curves = [0.3, 0.4, 0.6, 0.7], [0.31, 0.39, 0.5, 0.8]
    luck = number_from(ask(answer, [1, 2, 5, 10], *curves, none_means=none_means.format(10)))
    need(luck != 1, "b leads at 1, then falls behind, and leads again at 10. From where on does it **stay** ahead?")
    need(luck == 10, f"b stays ahead from 10 on; yours is {luck:g}.")
    curves = [0.3, 0.6, 0.7], [0.2, 0.6, 0.8]
    tied = number_from(ask(answer, [1, 5, 10], *curves, none_means=none_means.format(5)))
    need(tied == 5, f"at 5 the two are level, and level is not below, so it is 5; yours is {tied:g}.")
    ahead = _outcome(answer, [0.3, 0.4, 0.5], [0.5, 0.6, 0.7])
    need(ahead == 1, f"b is ahead at every number, so it is the first one, 1; yours is {ahead!r}.")
    behind = _outcome(answer, [0.5, 0.5, 0.7], [0.4, 0.6, 0.6])
    need(behind is None, f"b leads in the middle and falls behind again: return None, not {behind!r}.")
    never = _outcome(answer, [0.5, 0.6, 0.7], [0.4, 0.5, 0.6])
    need(never is None, f"where b never catches up there is no crossing: return None, not {never!r}.")
    return "From there on `b` stays ahead. Before that, `b` may have led, too: look at R8 with one label."


def _outcome(answer: Any, a: list, b: list) -> Any:
    """What the function returns for curves that don't cross for good; `ask` would take None for a forgotten return."""
    try:
        return answer([1, 5, 10], a, b)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
