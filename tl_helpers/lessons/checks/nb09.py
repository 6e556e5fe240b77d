"""Exercises of notebook 09: how rare a word is, the words that decided, a mean that leaves padding out."""

import math
from typing import Any

import torch

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, tensor_from


@exercise("09.1", start="In how many documents does each word occur? `(counts > 0).sum(dim=0)`.")
def inverse_document_frequency(answer: Any) -> str:
    """`answer`: idf(counts (n, words)) -> (words,), log((1 + n) / (1 + documents with the word)) + 1."""
    counts = torch.tensor([[3, 0, 1, 0], [0, 0, 2, 0], [5, 1, 1, 0]])
    before = counts.clone()
    found = tensor_from(ask(answer, counts), (4,))
    need(torch.equal(counts, before), "your function changes the counts it is given. Work on a copy.")
    n, df, total = 3, (counts > 0).sum(0).double(), counts.sum(0).double()
    right = ((1 + n) / (1 + df)).log() + 1
    mistakes = [
        (right - 1, "the logarithm is right. scikit-learn adds 1, so that a word in every document still counts."),
        (
            ((1 + n) / (1 + total)).log() + 1,
            "you counted occurrences. Three times in one document is **one** document.",
        ),
        ((n / df).log() + 1, "without the 1 + in both places, a word that occurs nowhere divides by zero."),
        ((n / (1 + df)).log() + 1, "the extra document in the denominator belongs in the numerator, too: 1 + n."),
        (((1 + n) / (1 + df)).log10() + 1, "that is the logarithm to base 10; use the natural one, `torch.log`."),
        (((1 + n) / (1 + df)).log2() + 1, "that is the logarithm to base 2; use the natural one, `torch.log`."),
        (((1 + df) / (1 + n)).log() + 1, "the fraction is upside down: a rare word should weigh **more**."),
        ((1 + n) / (1 + df), "the logarithm is missing."),
    ]
    compare(found, right, mistakes, f"a word in all documents gets 1, one in none {math.log(4) + 1:.4f}: check both.")
    return "A word in all documents weighs 1; one in none of 4,706 would weigh 9.5."


@exercise("09.2", start="A word's share in the logit is its value times its weight: `row * weights`. Then `.topk(k)`.")
def evidence(answer: Any) -> str:
    """`answer`: evidence(row (words,), weights (words,), k) -> positions of the k words strongest for the class."""
    row = torch.tensor([0.0, 0.5, 0.1, 0.2, 0.0, 0.3, 0.36])
    weights = torch.tensor([9.0, 0.2, 3.0, 2.0, -8.0, -4.0, 1.0])
    found = ask(answer, row.clone(), weights.clone(), 3)
    need(
        not isinstance(found, torch.return_types.topk),
        "`topk` returns two things, the largest shares and their positions. Return the one that is asked for.",
    )
    need(hasattr(found, "__len__") and len(found) == 3, "for k = 3, the positions of three words are expected.")
    found, share = tensor_from(found, (3,)), row * weights
    need(
        not close(found, share.topk(3).values),
        "these are the shares themselves. Return **where** they are, the words' positions (`.indices`).",
    )
    need(torch.equal(found, found.round()), f"positions are whole numbers; yours are {found.tolist()}.")
    found = found.long().tolist()
    right = share.topk(3).indices.tolist()
    hints = [
        (
            weights.topk(3).indices,
            "these words have the largest weights. The first is not in this document at all: its value is 0.",
        ),
        (row.topk(3).indices, "these are the heaviest words in the document. They need not speak for this class."),
        (
            share.abs().topk(3).indices,
            "you took the size without the sign: the word at position 5 speaks **against** the class.",
        ),
        (share.topk(3, largest=False).indices, "these speak most against the class."),
    ]
    for wrong, hint in hints:
        need(sorted(found) != sorted(wrong.tolist()), hint)
    present = ((row > 0) * weights).topk(3).indices.tolist()
    need(found != present, "you rank the document's words by weight alone. Multiply by the value: `row * weights`.")
    need(sorted(found) == sorted(right), f"for the test document the answer is {right}; yours is {found}.")
    need(found == right, f"the right words in the wrong order; the strongest comes first: {right}.")
    two = ask(answer, row.clone(), weights.clone(), 2)
    need(hasattr(two, "__len__") and len(two) == 2, "for k = 2, two positions are expected. Did you write 3, not `k`?")
    need(tensor_from(two, (2,)).tolist() == right[:2], f"for k = 2 the answer is {right[:2]}: the strongest two.")
    turned = tensor_from(ask(answer, row.flip(0), weights.flip(0), 3), (3,))
    need(
        turned.tolist() == [6 - place for place in right],
        f"with the words in the opposite order your answer is {turned.long().tolist()}. Does it use `row` and `weights`?",
    )
    return "This explanation adds up: all the shares plus the intercept make the logit."


@exercise("09.3", start="Multiply by `mask.unsqueeze(2)`, and padding is zero. What do you divide the sum by?")
def masked_mean(answer: Any) -> str:
    """`answer`: masked_mean(states (b, t, d), mask (b, t)) -> (b, d), the mean over the real tokens."""
    draw = torch.Generator().manual_seed(9)
    states = torch.randn(3, 5, 4, generator=draw)
    mask = (torch.arange(5) < torch.tensor([5, 2, 1])[:, None]).long()
    found = tensor_from(ask(answer, states.clone(), mask.clone()), (3, 4)).float()
    weight = mask.unsqueeze(2).float()
    total = (states * weight).sum(1)
    right = total / weight.sum(1)
    mistakes = [
        (states.mean(1), "the padding is still in it. What is the mask for?"),
        (total / 5, "padding adds nothing now, but you still divide by all positions. Divide by the **real** ones."),
        (total, "that is the sum. Divide by how many real tokens there are."),
        (total / weight.sum(), "divide each document by its own number of tokens: `mask.sum(dim=1)`."),
        ((states * (1 - weight)).sum(1) / (1 - weight).sum(1).clamp(min=1), "that is the mean of the padding."),
        ((states * weight).amax(1), "that is a maximum, and it includes the padding's zeros. A mean is asked for."),
    ]
    compare(found, right, mistakes, "the second document has two real tokens; is its row the mean of those two?", 1e-4)
    longer = torch.cat([states, torch.full((3, 2, 4), 99.0)], 1)
    again = tensor_from(ask(answer, longer, torch.nn.functional.pad(mask, (0, 2))), (3, 4)).float()
    need(torch.allclose(again, right, atol=1e-4), "your answer changes when two more positions of padding are added.")
    empty = tensor_from(ask(answer, states.clone(), torch.zeros_like(mask)), (3, 4))
    need((empty == 0).all(), "a document without a real token should get zeros; yours gets nan? That is 0 / 0.")
    return "Padding can contain anything now: nobody looks."
