"""Running text for a language model: all texts one after another, cut into rows; each word's label is the next word."""

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tl_helpers.data.batches import Passes, derived_seed, digest
from tl_helpers.data.text import TextSet
from tl_helpers.data.tokens import UNKNOWN, bare
from tl_helpers.errors import CourseError


class TokenStream(Passes):
    """Batches (words int64 (b, t), next words int64 (b * t,), weights float32 (b * t,)) that `fit` takes.

    A 0 follows each text. A next word that the tokeniser does not know has weight 0:
    nobody can guess it, and counting it would flatter the model. The set's labels are never read.

    Args:
        batch_size, length: rows per batch, and words per row.
        batches: how many batches an epoch takes, starting where the last epoch stopped; None for all the text. To
            validate, take a few: validation keeps a score for each word of the vocabulary at every word that was read.
        shuffle: draw the order of the texts anew each time all have been read. Without it, every pass begins at the
            first text, as validation has to.
    """

    def __init__(
        self,
        texts: TextSet,
        tokenizer: Tokenizer,
        *,
        batch_size: int = 16,
        length: int = 64,
        batches: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ):
        if min(batch_size, length, 1 if batches is None else batches) < 1 or seed < 0:
            raise CourseError(
                f"batch_size, length and batches have to be at least 1, seed at least 0; found {batch_size}, {length}, "
                f"{batches} and {seed}."
            )
        rows = bare(tokenizer).encode_batch_fast(list(texts.texts), add_special_tokens=False)
        self._texts = [torch.tensor([*row.ids, 0]) for row in rows if row.ids]
        self.batch_size, self.length, self.shuffle, self.seed = int(batch_size), length, shuffle, int(seed)
        self.n = sum(map(len, self._texts))
        self._whole = max(0, self.n - 1) // (batch_size * length)
        if not self._whole:
            raise CourseError(f"{self.n} words do not fill one batch of {batch_size} rows of {length}: take fewer.")
        self._batches = min(batches or self._whole, self._whole)
        self._unknown = tokenizer.get_vocab().get(UNKNOWN, -1)
        self.role, source = texts.role, (texts.fingerprint, tokenizer.to_str())
        self.fingerprint = digest(source, self.n, self.batch_size, length, self._batches, shuffle, self.seed)

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        first = self._begin() * self._batches if self.shuffle else 0
        for number in range(first, first + self._batches):
            times, place = divmod(number, self._whole)
            if number == first or place == 0:
                text = self._in_order(times)
            start, size = place * self.batch_size * self.length, self.batch_size * self.length
            words, following = (text[start + k : start + k + size] for k in (0, 1))
            yield words.view(self.batch_size, self.length), following, (following != self._unknown).float()

    def _in_order(self, times: int) -> Tensor:
        """All texts one after another, in the order in which they are read after `times` whole readings."""
        if not self.shuffle:
            return torch.cat(self._texts)
        draw = torch.Generator().manual_seed(derived_seed(self.seed, times))
        return torch.cat([self._texts[i] for i in torch.randperm(len(self._texts), generator=draw)])
