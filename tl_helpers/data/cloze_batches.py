"""Cloze questions as numbers: words for a reader of our own, word pieces for a pretrained one, in chunks or with a mask to fill."""

import collections
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from tl_helpers.data.batches import Passes, digest
from tl_helpers.data.cloze import BLANK, ClozeSet, Question, Tale
from tl_helpers.data.tokens import bare
from tl_helpers.errors import CourseError

Encoder = Callable[[Question], dict[str, Tensor]]
UNKNOWN = 1


def words_encoder(train: ClozeSet, size: int = 4000) -> tuple[Encoder, int]:
    """An encoder to lower-case whole words, the most frequent of the training contexts, and the size of its vocabulary.

    It returns {"context", "candidate", "distance": int64 (t,), "query": int64 (q,), "blank": int64 ()}. 0 is padding, 1 an
    unknown word, 2 the blank. A word's `candidate` is 1..10 if it is one, else 0; its `distance` is 20..1 sentences before
    the query.
    """
    counts = collections.Counter(w.lower() for q in train.questions for s in q.context for w in s)
    number = {word: k for k, (word, _) in enumerate(counts.most_common(size - 3), 3)} | {BLANK: 2}

    def encode(question: Question) -> dict[str, Tensor]:
        words = [word.lower() for sentence in question.context for word in sentence]
        own = {word: k for k, word in enumerate(question.candidates, 1)}
        ago = [len(question.context) - s for s, sentence in enumerate(question.context) for _ in sentence]
        query = [number.get(word if word == BLANK else word.lower(), UNKNOWN) for word in question.query]
        found = {"context": [number.get(word, UNKNOWN) for word in words], "distance": ago, "query": query}
        found |= {"candidate": [own.get(word, 0) for word in words], "blank": question.blank}
        return {key: torch.tensor(value) for key, value in found.items()}

    return encode, len(number) + 2


def pieces_encoder(tokenizer: Tokenizer) -> Encoder:
    """An encoder to BERT's word pieces: the context in chunks of whole sentences, each next to the query.

    It returns {"input_ids", "candidate", "distance": int64 (c, t), "blank": int64 ()}: c chunks of at most 256 pieces,
    `[CLS] query with [MASK] [SEP] chunk [SEP]`. A candidate is marked at its first piece. Of a query that is too long, the
    pieces around the blank are kept; of a sentence longer than a chunk, its beginning.
    """
    pieces, (cls, sep, mask) = _word_pieces(tokenizer)

    def encode(question: Question) -> dict[str, Tensor]:
        query = [cls, *_query(question, pieces, mask, 96), sep]
        own = {word: k for k, word in enumerate(question.candidates, 1)}
        chunks, room = [], 256 - len(query) - 1
        for s, sentence in enumerate(question.context):
            rows = [
                (piece, 0 if n else own.get(word.lower(), 0), len(question.context) - s)
                for word in sentence
                for n, piece in enumerate(pieces(word))
            ][:room]
            if not chunks or len(chunks[-1]) + len(rows) > room:
                chunks.append([])
            chunks[-1] += rows
        head, tail = [(piece, 0, 0) for piece in query], [(sep, 0, 0)]
        table = pad([torch.tensor(head + chunk + tail) for chunk in chunks])  # (c, t, 3)
        found = {"input_ids": table[..., 0], "candidate": table[..., 1], "distance": table[..., 2]}
        return found | {"blank": torch.tensor(query.index(mask))}

    return encode


def guess_encoder(tokenizer: Tokenizer, max_pieces: int = 128) -> Encoder:
    """An encoder to BERT's word pieces for a `WordGuesser`: the query, its blank a [MASK], and the text before it.

    It returns {"input_ids": int64 (t,), "offered": int64 (10,)}: `[CLS] end of the context, query with [MASK] [SEP]`, at
    most `max_pieces`, and the first piece of each candidate. A query that is too long is cut as in `pieces_encoder`.
    """
    pieces, (cls, sep, mask) = _word_pieces(tokenizer)

    def encode(question: Question) -> dict[str, Tensor]:
        query = _query(question, pieces, mask, min(96, max_pieces - 3))
        context = [piece for sentence in question.context for word in sentence for piece in pieces(word)]
        row = [cls, *context[max(0, len(context) + len(query) + 2 - max_pieces) :], *query, sep]
        offered = [pieces(word)[0] for word in question.candidates]
        return {"input_ids": torch.tensor(row), "offered": torch.tensor(offered)}

    return encode


def _word_pieces(tokenizer: Tokenizer) -> tuple[Callable[[str], list[int]], list[int]]:
    """The pieces of a word, and the ids of [CLS], [SEP] and [MASK]."""
    plain = bare(tokenizer)
    pieces = functools.cache(lambda word: plain.encode(word, add_special_tokens=False).ids)
    return pieces, [tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[MASK]")]


def _query(question: Question, pieces: Callable[[str], list[int]], mask: int, longest: int) -> list[int]:
    """The query's pieces with `mask` at the blank; if there are more than `longest`, those around the blank."""
    sides = question.query[: question.blank], question.query[question.blank + 1 :]
    before, after = ([piece for word in side for piece in pieces(word)] for side in sides)
    start = max(0, len(before) - max(longest // 2, longest - len(after)))
    return [*before[start:], mask, *after][: longest + 1]


class MaskedBatches(Passes):
    """Tales with hidden words, to `fit` a `WordGuesser` on: ({"input_ids": int64 (b, t)}, labels int64 (b * masks,), weights).

    A row is `words` words and punctuation marks of a tale; (seed, epoch) determines where rows begin and which words are
    hidden. A hidden word becomes one [MASK], however many pieces it has, and its label is the first of them.
    """

    role = "train"

    def __init__(self, tales: Iterable[Tale], tokenizer: Tokenizer, *, words=100, masks=20, batch_size=16, seed=0):
        self.tales = [[word for sentence in tale.sentences for word in sentence] for tale in tales]
        self.words, self.masks, self.batch_size, self.seed = words, masks, int(batch_size), int(seed)
        self.n = sum(len(tale) // words for tale in self.tales)
        if not self.n or not 0 < masks <= words // 2:
            raise CourseError(
                f"Hiding {masks} of every {words} words needs tales of at least {words} words, and half of them left to "
                f"read; found {self.n} such rows. Try fewer masks, or shorter rows."
            )
        self._pieces, self._marks = _word_pieces(tokenizer)
        self.fingerprint = digest(self.tales, tokenizer.to_str(), words, masks, self.batch_size, self.seed)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
        rng, rows = np.random.default_rng([self.seed, self._begin()]), []
        for tale in self.tales:
            start = int(rng.integers(len(tale) % self.words + 1))
            rows += [tale[i : i + self.words] for i in range(start, len(tale) - self.words + 1, self.words)]
        order = rng.permutation(self.n)
        for first in range(0, self.n, self.batch_size):
            ids, labels = zip(*(self._hide(rows[i], rng) for i in order[first : first + self.batch_size]), strict=True)
            yield {"input_ids": pad(ids)}, torch.cat(labels), torch.ones(len(ids) * self.masks)

    def _hide(self, words: list[str], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        cls, sep, mask = self._marks
        places = [i for i, word in enumerate(words) if word[0].isalpha()]
        # in a row of hardly any words, marks are hidden, too
        places = places if len(places) >= self.masks else range(len(words))
        hidden = np.sort(rng.choice(places, self.masks, replace=False))
        labels = [self._pieces(words[i])[0] for i in hidden]
        row = [[mask] if i in hidden else self._pieces(word) for i, word in enumerate(words)]
        return torch.tensor([cls, *(piece for word in row for piece in word), sep]), torch.tensor(labels)


class RowBatches(Passes):
    """Batches of rows that are already encoded, for `fit`: (dict of tensors (b, …) padded with 0, labels int64 (b,), weights).

    Unshuffled batches keep the order of the rows; shuffled ones are determined by (seed, epoch).
    """

    def __init__(self, rows: list[dict[str, Tensor]], labels, role: str, *, batch_size=16, shuffle=False, seed=0):
        if not rows or batch_size < 1:
            raise CourseError(f"{len(rows)} questions in batches of {batch_size}: there is nothing to read.")
        self.rows, self.labels, self.role, self.n = rows, torch.as_tensor(labels), role, len(rows)
        self.batch_size, self.shuffle, self.seed = int(batch_size), shuffle, int(seed)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the rows as they are encoded, and of their order."""
        found = hashlib.sha256(repr((self.batch_size, self.shuffle, self.seed, self.labels.tolist())).encode())
        for row in self.rows:
            for key, tensor in row.items():
                found.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
                found.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
        return found.hexdigest()

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
        order = torch.arange(self.n)
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng([self.seed, self._begin()]).permutation(self.n))
        for chosen in order.split(self.batch_size):
            rows = [self.rows[i] for i in chosen.tolist()]
            yield {key: pad([row[key] for row in rows]) for key in rows[0]}, self.labels[chosen], torch.ones(len(rows))


class ClozeBatches(RowBatches):
    """Batches of cloze questions, each encoded once: by `words_encoder`, `pieces_encoder`, or a look-up of stored states."""

    def __init__(self, cloze: ClozeSet, encode: Encoder, **how) -> None:
        super().__init__(list(map(encode, cloze.questions)), cloze.labels, cloze.role, **how)


def pad(tensors: list[Tensor]) -> Tensor:
    """Stack tensors of equal rank, each dimension as long as the longest, and fill the rest with 0."""
    shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
    stacked = tensors[0].new_zeros(len(tensors), *shape)
    for row, tensor in zip(stacked, tensors, strict=True):
        row[tuple(slice(size) for size in tensor.shape)] = tensor
    return stacked
