"""Exercises of notebook 11: counting candidates, chunks of whole sentences, summed attention, the best span."""

from typing import Any

import torch

from tl_helpers.lessons.checks import a_kind, ask, compare, exercise, need, number_from, parts_from, tensor_from


@exercise("11.1", start="Count one word first: `context.count(word)`, if `context` is one list of words in lower case.")
def most_frequent(answer: Any) -> str:
    """`answer`: f(context: list of sentences, each a list of words; candidates) -> the candidate that appears most often."""
    context = [
        ["The", "fox", "saw", "the", "king", "."],
        ["King", "and", "queen", "saw", "the", "foxglove", "and", "the", "foxglove", "."],
        ["The", "King", "saw", "a", "fox", "."],
        ["The", "queen", "said", ":", "foxglove", "!"],
    ]
    found = ask(answer, context, ("fox", "king", "queen", "mill"))
    need(not isinstance(found, int), "your function returned a number. Return the word itself: `candidates[k]`.")
    need(isinstance(found, str), f"one word is expected; this is {a_kind(found)}.")
    need(found != "the", "the commonest word of all is not a candidate. Look at the four that are offered.")
    need(found != "mill", "that is the rarest: it does not appear in the context at all.")
    need(
        found != "fox",
        "a foxglove is not a fox, and 'King' at the start of a sentence is a king: compare whole words, in lower case.",
    )
    need(found != "queen", "'queen' appears twice, 'king' three times, two of them with a capital: use `word.lower()`.")
    need(found == "king", f"king appears three times, fox and queen twice each; yours is {found!r}.")
    again = ask(answer, [["a", "hen", "a", "hen", "a", "hen"], ["the", "cock"], ["a", "cock"]], ("hen", "cock"))
    need(
        again != "cock",
        "'hen' appears three times in one sentence, 'cock' once in each of two: count occurrences, not sentences.",
    )
    need(again == "hen", "for another context the answer did not change as it should. Is the context used?")
    return "On nouns this scores 0.31, averaged over tales. Chance scores 0.10."


@exercise(
    "11.3", start="Keep a list of chunks. A sentence goes into the last one if it still fits, else it begins a new one."
)
def chunks(answer: Any) -> str:
    """`answer`: f(lengths, room) -> list of lists of sentence numbers, filled in order, each list of at most `room` pieces."""
    lengths, room = [30, 50, 20, 80, 10, 10, 60, 40, 60], 100
    found = _as_list(ask(answer, list(lengths), room))
    found = [_as_list(part) for part in found] if isinstance(found, (list, tuple)) else found
    need(
        isinstance(found, (list, tuple)) and all(isinstance(part, (list, tuple)) for part in found),
        "a list of lists is expected: `[[0, 1, 2], [3, …], …]`.",
    )
    found = [list(map(int, part)) for part in found]
    flat = [number for part in found for number in part]
    need(not found or found[0] or len(found) == 1, "the first chunk is empty. Begin with no chunk at all.")
    need(all(found), "a chunk is empty.")
    need(flat != list(lengths), "these are the lengths; the sentences' **numbers** are asked for, 0 to 8.")
    lost = set(range(len(lengths))) - set(flat)
    need(set(flat) <= set(range(len(lengths))), "the sentences are numbered from 0 to 8.")
    need(len(lengths) - 1 not in lost, "the last sentence is lost. Do you return the last chunk, too?")
    need(not lost, f"sentence {min(lost, default=0)} is lost: a sentence that does not fit begins the next chunk.")
    need(len(flat) == len(set(flat)), "a sentence is in two chunks. (Overlap can help; here each belongs to just one.)")
    need(flat == sorted(flat), "the order is changed. A tale is read from the beginning.")
    sizes = [sum(lengths[number] for number in part) for part in found]
    need(max(sizes) <= room, f"a chunk of {max(sizes)} pieces does not fit into {room}. Look before you add.")
    need(
        found != [[number] for number in range(9)],
        "each sentence alone fits, but with nine chunks the query is read nine times. Fill them up.",
    )
    right = [[0, 1, 2], [3, 4, 5], [6, 7], [8]]
    need(sizes[0] == 100, "30 + 50 + 20 is exactly 100, and 100 fits: `<=`, not `<`.")
    need(found == right, f"filled in order, the chunks are {right}; yours are {found}.")
    again = [list(map(int, _as_list(part))) for part in _as_list(ask(answer, [60, 60, 30, 20], 100))]
    need([0, 2] not in again, "of 60, 60, 30, the last went back into the first chunk. Only the last chunk is open.")
    need([1, 2, 3] not in again, "60, 30 and 20 do not fit into 100 together. Count from where the chunk began.")
    need([0, 1] not in again, "60 and 60 do not fit into 100. Look before you add.")
    need(again == [[0], [1, 2], [3]], f"60, 60, 30 and 20 pieces make [[0], [1, 2], [3]]; yours is {again}.")
    return "Nine sentences in four chunks. The query is read four times, the tale once."


def _as_list(value: Any) -> Any:
    """A list from an array, a tensor or a range; anything else unchanged."""
    if isinstance(value, range):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else value


@exercise("11.2", start="`attention[candidate == 1].sum()` is what the first candidate gets. Now for all of them.")
def attention_sum(answer: Any) -> str:
    """`answer`: f(scores (n,), candidate int (n,) 1..k, 0 = padding, k) -> probabilities (k,)."""
    draw = torch.Generator().manual_seed(3)
    scores, candidate = torch.randn(12, generator=draw), torch.tensor([1, 2, 1, 3, 3, 3, 2, 4, 1, 0, 0, 0])
    scores[9:] = 2.0
    found = tensor_from(ask(answer, scores.clone(), candidate.clone(), 5), (5,))
    own = torch.stack([candidate == k for k in range(1, 6)]).double()
    real = (candidate > 0).double()
    weights = scores.double().exp() * real
    right = own @ (weights / weights.sum())
    padded = own @ scores.double().softmax(0)
    best = torch.stack([torch.where(row > 0, weights / weights.sum(), 0).max() for row in own])
    mistakes = [
        (
            padded,
            "padding gets attention. Give it a score of -inf **before** the softmax: `masked_fill(candidate == 0, …)`.",
        ),
        (own @ (scores.double() * real).softmax(0), "with a score of 0, padding still gets e⁰ of attention: use −inf."),
        (
            right / own.sum(1).clamp(min=1),
            "that is the mean over a candidate's places. Here the **sum** counts: being named often is evidence.",
        ),
        (best, "that is the largest of a candidate's places. Sum them."),
        (own @ (scores.double() * real), "those are sums of scores. Take the softmax first, to make shares of them."),
        (
            (own @ (scores.double() * real)).softmax(0),
            "softmax over the places first, then the sum; not the other way round.",
        ),
        (right.log(), "those are logarithms. A probability is asked for."),
    ]
    compare(
        found,
        right,
        mistakes,
        f"the five probabilities sum to one and begin with {right[0]:.4f}; yours begin with {found[0]:.4g}.",
    )
    return "Candidate 5 appears nowhere and gets nothing. In our questions every candidate appears in the context."


@exercise(
    "11.4",
    start="Try every start i and every end j from i to i + longest - 1; keep the pair with the largest start[i] + end[j].",
)
def best_span(answer: Any) -> str:
    """`answer`: f(start (t,), end (t,), longest) -> (i, j), i <= j < i + longest, with the largest start[i] + end[j]."""
    start = torch.tensor([0.0, 1.0, 0.5, 0.2, 3.0, 0.1, 2.5, 0.0])
    end = torch.tensor([0.3, 0.2, 4.0, 0.1, 0.0, 0.4, 0.2, 2.2])
    i, j = _two_places(ask(answer, start.clone(), end.clone(), 3))
    need(i >= 0 and j < 8, f"there are places 0 to 7; yours are {i} and {j}.")
    need((i, j) != (4, 2), "you chose the best start and the best end separately: this answer ends before it begins.")
    need(i <= j, f"an answer from {i} to {j} ends before it begins.")
    need((i, j) != (4, 7), "from 4 to 7 is four pieces; an answer may have at most three.")
    need(j - i < 3, f"from {i} to {j} is {j - i + 1} pieces; an answer may have at most three.")
    need(
        (i, j) == (1, 2),
        f"1 to 2 is worth {start[1] + end[2]:.1f}; yours, {i} to {j}, is worth {start[i] + end[j]:.1f}.",
    )
    i, j = _two_places(ask(answer, start.clone(), end.clone(), 1, none_means="With longest = 1, j may equal i."))
    need((i, j) == (2, 2), f"with longest = 1, start and end are one piece, at best 2; yours is {i} to {j}.")
    _, last = _two_places(ask(answer, torch.zeros(5), torch.tensor([0.0, 0, 0, 0, 1.0]), 3))
    need(last == 4, "an answer may end with the last piece.")
    i, j = _two_places(ask(answer, torch.tensor([0.0, 0.0, 5.0, 0.0]), torch.tensor([3.0, 0.0, 2.0, 0.0]), 3))
    need(
        (i, j) == (2, 2),
        f"in another paragraph 2 to 2 is worth 7; you have {i} to {j}. Choose the pair, not one end first.",
    )
    below = "Logits may all be below zero, so the best so far begins at −inf, not at 0."
    scores = torch.tensor([-5.0, -1.0, -3.0]), torch.tensor([-4.0, -2.0, -1.0])
    i, j = _two_places(ask(answer, *scores, 2, none_means=below))
    need(
        (i, j) == (1, 2),
        "where all scores are below zero, the best is 1 to 2, worth −2; "
        f"you have {i} to {j}. Logits may all be below zero, so what is not allowed needs −inf, not 0.",
    )
    first, _ = _two_places(ask(answer, torch.tensor([1.0, 0, 0, 0, 0]), torch.zeros(5), 3))
    need(first == 0, "an answer may begin with the first piece.")
    return "SpanReader scores all of these pairs at once, and takes one softmax over them."


def _two_places(found: Any) -> tuple[int, int]:
    """Start and end of the student's answer, as whole numbers."""
    i, j = (number_from(place) for place in parts_from(found, 2, "two places are expected: `return i, j`."))
    return int(i), int(j)
