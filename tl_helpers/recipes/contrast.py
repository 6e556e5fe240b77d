"""Few labels, many pairs: fine-tune an encoder until texts of one class lie together (after SetFit, Tunstall et al., 2022)."""

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from ..data import TextSet, encode, padded
from ..data.batches import Passes, derived_seed, digest
from ..device import Hardware
from ..engine.fit import FitResult, fit
from ..engine.settings import Settings
from ..errors import CourseError
from ..models.text_encoders import TextEncoder
from .sets import tokenizer_of


class Pairs(Passes):
    """Batches of two texts of each class, drawn from a set: ({ids, mask} (k, 2, t), labels 0..k-1 (k,), weights (k,)).

    If a class has only one text, both are the same.
    """

    def __init__(self, texts: TextSet, tokenizer: Tokenizer, batches: int, max_tokens: int = 128, seed: int = 0):
        self._rows, self._at_most = encode(texts.texts, tokenizer, max_tokens), max_tokens
        self._of = [(texts.labels == label).nonzero().flatten() for label in range(len(texts.classes))]
        if not all(map(len, self._of)):
            raise CourseError("Pairs need at least one text of every class: draw them with data.train.few(…).")
        self.role, self.n, self.batch_size, self._seed = texts.role, batches, 1, seed
        self.fingerprint = digest(texts.fingerprint, batches, max_tokens, seed)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
        draw = torch.Generator().manual_seed(derived_seed(self._seed, self._begin()))
        for _ in range(self.n):
            two = torch.stack([of[torch.randperm(len(of), generator=draw)[[0, -1]]] for of in self._of])
            rows = padded([self._rows[i] for i in two.flatten().tolist()], at_most=self._at_most)
            inputs = {key: value.unflatten(0, (-1, 2)) for key, value in rows.items()}
            yield inputs, torch.arange(len(two)), torch.ones(len(two))


class PairScores(nn.Module):
    """Row i asks: which of the other k texts is of my class? Logits (k, k): cosines of features, times `scale`."""

    in_one_piece = True  # each text is compared with those of all other classes

    def __init__(self, encoder: TextEncoder, scale: float = 20.0):
        super().__init__()
        self.encoder, self.scale = encoder, scale

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        features = self.encoder({key: value.flatten(0, 1) for key, value in inputs.items()}).float()
        first, second = F.normalize(features, dim=1).unflatten(0, (-1, 2)).unbind(1)
        return self.scale * first @ second.T


def contrast(
    encoder: TextEncoder,
    texts: TextSet,
    *,
    steps: int = 40,
    lr: float = 2e-5,
    max_tokens: int = 128,
    seed: int = 0,
    hardware: Hardware | None = None,
) -> FitResult:
    """Fine-tune `encoder` in place on pairs of the few labelled `texts`; a probe on its features is the next step.

    SetFit asks of one pair at a time whether both texts are of one class; here each text finds its partner among one text
    of every class (the N-pair loss: Sohn, 2016), which is the cross-entropy that `fit` knows. No validation set is used:
    the last weights are kept, and the history's "val" columns come from pairs of the texts it learns from.
    """
    pairs, again = (Pairs(texts, tokenizer_of(encoder), n, max_tokens, seed + k) for k, n in ((0, steps), (1, 1)))
    settings = Settings(1, lr=lr, schedule="slanted", warmup=0.1, keep="last")
    return fit(PairScores(encoder), pairs, again, settings, hardware=hardware, seed=seed, phase="contrast")
