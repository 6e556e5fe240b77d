"""From words to numbers: tokenizers from a maintained library, and batches of documents padded no further than necessary."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tl_helpers.data.batches import Passes, derived_seed, digest
from tl_helpers.data.text import TextSet
from tl_helpers.errors import CourseError
from tl_helpers.sources import path_of

PAD, UNKNOWN = "[PAD]", "[UNK]"
BUCKET = 50  # batches whose documents are sorted by length together


def _several(texts: Iterable[str]) -> Iterable[str]:
    if isinstance(texts, str) or hasattr(texts, "texts"):  # a str would be read letter by letter
        raise CourseError(f"Expected several texts, [text] or data.train.texts; found one {type(texts).__name__}.")
    return texts


def word_tokenizer(texts: Iterable[str], size: int = 8000) -> Tokenizer:
    """Lower-cased words and punctuation marks: the most frequent of `texts`, the rest is [UNK].

    Of `size` numbers [PAD] is 0, [UNK] is 1, then come words by falling frequency. Train it on training texts only.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=[PAD, UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(_several(texts), trainer)
    return tokenizer


def minilm_tokenizer() -> Tokenizer:
    """The word pieces of MiniLM, 30,522 of them, without the truncation to 128 and the padding that its file has built in."""
    return bare(Tokenizer.from_file(str(path_of("minilm") / "tokenizer.json")))


def bare(tokenizer: Tokenizer) -> Tokenizer:
    """A copy without the truncation and padding that many tokenizer files ask for; the caller's is left as it is."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def encode(texts: Iterable[str], tokenizer: Tokenizer, max_tokens: int = 128) -> list[list[int]]:
    """Token ids of each text, at most max_tokens of them, special ones included; a text that would have none becomes one [UNK]."""
    if max_tokens < 3:
        raise CourseError(f"max_tokens has to be 3 or more; found {max_tokens}.")
    cutting = bare(tokenizer)
    cutting.enable_truncation(max_tokens)
    unknown = cutting.token_to_id(UNKNOWN) or 0
    return [encoded.ids or [unknown] for encoded in cutting.encode_batch_fast(list(_several(texts)))]


def padded(rows: list[list[int]], pad: int = 0, at_most: int = 0) -> dict[str, Tensor]:
    """Rows of ids as {"input_ids": int64 (b, t), "attention_mask": int64 (b, t)}; mask 1 is a token, 0 padding.

    t is the longest row, or with `at_most` the next multiple of 16 up to at_most: a training that meets few shapes finds
    freed memory of the right size (MiniLM on R52: 2.6 GB after 120 steps, and 3.7, still rising, with every length).
    """
    lengths = torch.tensor([len(row) for row in rows])
    ids = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=pad)
    ids = F.pad(ids, (0, max(0, min(-ids.shape[1] % 16, at_most - ids.shape[1]))), value=pad)
    return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}


class TextBatches(Passes):
    """Iterable of ({"input_ids": int64 (b, t), "attention_mask": int64 (b, t)}, labels int64 (b,), weights float32 (b,)).

    A batch contains documents of similar length; t is its longest, rounded up to a multiple of 16 where max_tokens allows.
    shuffle: a new order each epoch, depending on (seed, epoch) only; documents are sorted only within shuffled buckets of
    50 batches, so batches differ from epoch to epoch. Without shuffle, all are sorted, longest first: `in_order` puts what
    was computed back into the set's order.
    """

    def __init__(
        self,
        text_set: TextSet,
        tokenizer: Tokenizer,
        *,
        batch_size: int = 32,
        max_tokens: int = 128,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        if batch_size < 1 or seed < 0:
            raise CourseError(f"batch_size has to be 1 or more, seed 0 or more; found {batch_size} and {seed}.")
        if not len(text_set):
            raise CourseError(f"The {text_set.role} part of {text_set.name} is empty: nothing to make batches of.")
        self.text_set, self.batch_size, self.shuffle, self.seed = text_set, int(batch_size), shuffle, int(seed)
        self.role, self.n = text_set.role, len(text_set)
        self.rows, self.size = encode(text_set.texts, tokenizer, max_tokens), max_tokens
        self._lengths = torch.tensor([len(row) for row in self.rows])
        self._pad = tokenizer.token_to_id(PAD) or 0
        self._weights = torch.ones(self.n) if text_set.weights is None else text_set.weights
        what = (text_set.fingerprint, tokenizer.to_str(), max_tokens, self.batch_size, shuffle, self.seed)
        self.fingerprint = digest(*what, self._weights.tolist())

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
        for index in self._plan():
            inputs = padded([self.rows[i] for i in index.tolist()], self._pad, self.size)
            yield inputs, self.text_set.labels[index], self._weights[index]

    def in_order(self, gathered: Tensor) -> Tensor:
        """Rows (n, …) that were computed batch by batch, in the order of the set (if shuffled: as they came)."""
        if self.shuffle:
            return gathered
        return torch.empty_like(gathered).index_copy_(0, self._sorted(torch.arange(self.n)), gathered)

    def _sorted(self, order: Tensor) -> Tensor:
        return order[self._lengths[order].argsort(descending=True, stable=True)]

    def _plan(self) -> list[Tensor]:
        """The positions of each batch of this pass."""
        if not self.shuffle:
            return list(self._sorted(torch.arange(self.n)).split(self.batch_size))
        draw = torch.Generator().manual_seed(derived_seed(self.seed, self._begin()))
        order = torch.randperm(self.n, generator=draw).split(BUCKET * self.batch_size)
        batches = [batch for bucket in order for batch in self._sorted(bucket).split(self.batch_size)]
        return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]
