"""Notebook 11: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import collections

import numpy as np
import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def counted(lower=True, pick=max, give=lambda word: word):
    def answer(context, candidates):
        words = [word.lower() if lower else word for sentence in context for word in sentence]
        return give(pick(candidates, key=words.count))

    return answer


def as_text(context, candidates):
    return max(candidates, key=" ".join(" ".join(sentence) for sentence in context).lower().count)


def in_sentences(context, candidates):
    return max(candidates, key=lambda word: sum(word in [w.lower() for w in sentence] for sentence in context))


def commonest(context, candidates):
    return collections.Counter(word.lower() for sentence in context for word in sentence).most_common(1)[0][0]


def packed(lengths, room, fits=lambda size, room: size <= room, first=()):
    parts, size = list(first), room + 1
    for number, length in enumerate(lengths):
        if not parts or not fits(size + length, room):
            parts, size = [*parts, []], 0
        parts[-1].append(number)
        size += length
    return parts


def first_fit(lengths, room):
    parts = []
    for number, length in enumerate(lengths):
        fitting = [part for part in parts if sum(lengths[k] for k in part) + length <= room]
        if fitting:
            fitting[0].append(number)
        else:
            parts.append([number])
    return parts


def dropped(lengths, room):
    """The sentence that does not fit closes a chunk, and is forgotten."""
    parts, size = [[]], 0
    for number, length in enumerate(lengths):
        if size + length <= room:
            parts[-1].append(number)
            size += length
        else:
            parts, size = [*parts, []], 0
    return parts


def cut_at_multiples(lengths, room):
    """Counts from the start of the tale, not from where the chunk began: right as long as the chunks are exactly full."""
    ends = np.cumsum(lengths)
    return [[i for i, end in enumerate(ends) if (end - 1) // room == j] for j in range((ends[-1] - 1) // room + 1)]


def summed(weigh, mask=True, reduce=torch.sum):
    def answer(scores, candidate, k):
        if mask:
            scores = scores.masked_fill(candidate == 0, float("-inf"))
        weights = weigh(scores)
        rows = [weights[candidate == one] for one in range(1, k + 1)]
        return torch.stack([reduce(row) if len(row) else torch.tensor(0.0) for row in rows])

    return answer


def scored(scores, candidate, k):
    return torch.stack([scores[candidate == one].sum() for one in range(1, k + 1)])


def spans(allowed):
    def answer(start, end, longest):
        pairs = [(i, j) for i in range(len(start)) for j in range(len(end)) if allowed(i, j, longest)]
        return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])

    return answer


def from_a_table(start, end, longest):
    """The largest of a table in which the pairs that are not allowed have 0."""
    table = (start[:, None] + end).triu() - (start[:, None] + end).triu(longest)
    place = int(table.argmax())
    return divmod(place, len(end))


def no_single_piece(start, end, longest):
    best = None
    for i in range(len(start)):
        for j in range(i + 1, min(i + longest, len(end))):
            if best is None or start[i] + end[j] > start[best[0]] + end[best[1]]:
                best = i, j
    return best


def adds_before_looking(lengths, room):
    found = [[]]
    for number in range(len(lengths)):
        if sum(lengths[k] for k in found[-1]) >= room:
            found.append([])
        found[-1].append(number)
    return found


def attended(scores):
    return scores.softmax(0)


def best_end_first(start, end, longest):
    j = int(end.argmax())
    return max(range(max(0, j - longest + 1), j + 1), key=lambda i: float(start[i])), j


RIGHT = [
    ("11.1", counted()),
    ("11.3", packed),
    ("11.3", lambda lengths, room: [np.array(part) for part in packed(lengths, room)]),
    ("11.3", lambda lengths, room: torch.arange(len(lengths)).split([len(part) for part in packed(lengths, room)])),
    ("11.3", lambda lengths, room: [range(part[0], part[-1] + 1) for part in packed(lengths, room)]),
    ("11.2", summed(attended)),
    ("11.4", spans(lambda i, j, longest: i <= j < i + longest)),
    ("11.4", lambda s, e, n: np.array(spans(lambda i, j, longest: i <= j < i + longest)(s, e, n))),
    ("11.4", lambda s, e, n: torch.tensor(spans(lambda i, j, longest: i <= j < i + longest)(s, e, n))),
]
WRONG = [
    ("11.3", adds_before_looking, "Look before you add"),
    ("11.4", no_single_piece, "j may equal i"),
    ("11.4", lambda start, end, longest: (9, 10), "places 0 to 7"),
    ("11.1", counted(give=lambda word: 1), "word itself"),
    ("11.1", counted(give=lambda word: [word]), "one word is expected"),
    ("11.1", commonest, "is not a candidate"),
    ("11.1", counted(pick=min), "the rarest"),
    ("11.1", as_text, "foxglove"),
    ("11.1", lambda context, candidates: "queen", "appears twice"),
    ("11.1", lambda context, candidates: "king", "Is the context used"),
    ("11.1", in_sentences, "not sentences"),
    ("11.1", lambda context, candidates: candidates[1], "not sentences"),
    ("11.3", first_fit, "Only the last chunk is open"),
    ("11.3", cut_at_multiples, "where the chunk began"),
    ("11.3", lambda lengths, room: packed(lengths, room) if len(lengths) == 9 else [[0], [1], [2]], "30 and 20 pieces"),
    ("11.3", dropped, "begins the next chunk"),
    ("11.3", lambda lengths, room: [[k + 1 for k in part] for part in packed(lengths, room)], "from 0 to 8"),
    ("11.3", lambda lengths, room: 4, "list of lists"),
    ("11.3", lambda lengths, room: np.arange(9), "list of lists"),
    ("11.3", lambda lengths, room: [np.array(part) for part in packed(lengths, room)][:-1], "is lost"),
    ("11.3", lambda lengths, room: [[], *packed(lengths, room)], "first chunk is empty"),
    ("11.3", lambda lengths, room: packed(lengths, room)[:-1], "is lost"),
    ("11.3", lambda lengths, room: [*packed(lengths, room), [8]], "two chunks"),
    ("11.3", lambda lengths, room: packed(lengths, room)[::-1], "order is changed"),
    ("11.3", lambda lengths, room: packed(lengths, room, lambda size, room: size < room), "`<=`"),
    ("11.3", lambda lengths, room: [list(range(9))], "does not fit"),
    ("11.3", lambda lengths, room: [[k] for k in range(9)], "the query is read nine times"),
    ("11.3", lambda lengths, room: [lengths], "numbers"),
    ("11.2", summed(attended, mask=False), "padding gets attention"),
    ("11.2", lambda s, candidate, k: summed(attended, mask=False)(s * (candidate > 0), candidate, k), "e⁰"),
    (
        "11.2",
        lambda s, candidate, k: summed(attended, mask=False)(s.masked_fill(candidate == 0, 0), candidate, k),
        "−inf",
    ),
    ("11.2", summed(attended, reduce=torch.mean), "the mean"),
    ("11.2", summed(attended, reduce=torch.max), "the largest"),
    ("11.2", scored, "sums of scores"),
    ("11.2", lambda *all_of_it: scored(*all_of_it).softmax(0), "the other way round"),
    ("11.2", lambda *all_of_it: summed(attended)(*all_of_it).log(), "logarithms"),
    ("11.2", lambda scores, candidate, k: torch.ones(k) / k, "sum to one"),
    ("11.2", lambda scores, candidate, k: scores.softmax(0), "shape"),
    ("11.4", lambda start, end, longest: (start.argmax(), end.argmax()), "separately"),
    ("11.4", lambda start, end, longest: (3, 1), "ends before it begins"),
    ("11.4", spans(lambda i, j, longest: i <= j), "four pieces"),
    ("11.4", lambda start, end, longest: (0, 5), "6 pieces; an answer may have at most three"),
    ("11.4", spans(lambda i, j, longest: i == j), "1 to 2 is worth"),
    ("11.4", lambda start, end, longest: (1, 2), "longest = 1"),
    ("11.4", lambda start, end, longest: 3, "two places"),
    ("11.4", lambda start, end, longest: np.array([1, 2, 3]), "two places"),
    ("11.4", lambda start, end, longest: np.array([start.argmax(), end.argmax()]), "separately"),
    ("11.4", best_end_first, "not one end first"),
    ("11.4", from_a_table, "−inf, not 0"),
]
