"""A language model: it guesses the next word of any text, needs no labels to learn that, and leaves an encoder behind.

Words are ids from a `word_tokenizer`; 0 follows each text, 1 stands for an unknown word.
"""

import math

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CourseError
from .text_encoders import _KINDS, TextEncoder, max_pool, mean_pool

UNKNOWN = 1


class CausalEncoder(TextEncoder):
    """Reads from left to right: its state at a word depends on that word and those before it. Features: mean and maximum.

    name: "lm-gru", or "lm-transformer" (two blocks with a causal mask; Vaswani et al., 2017).
    """

    def __init__(self, name, tokenizer, vocabulary: int, dim: int = 160, dropout: float = 0.2):
        super().__init__(name, tokenizer, dim**-0.5, vocabulary=vocabulary, dim=dim, dropout=dropout)
        self.width = 2 * dim
        if name == "lm-gru":
            self.reader = nn.GRU(dim, dim, batch_first=True)
        else:
            self.longest = 512
            self.position = nn.Parameter(0.02 * torch.randn(self.longest, dim))
            block = nn.TransformerEncoderLayer(dim, 4, 4 * dim, dropout, "gelu", batch_first=True, norm_first=True)
            self.reader = nn.TransformerEncoder(block, 2, nn.LayerNorm(dim), enable_nested_tensor=False)

    def states(self, ids: Tensor) -> Tensor:
        """int64 (b, t) -> what is known after each word, float (b, t, dim)."""
        x = self.embedding(ids) * self.embedding.embedding_dim**0.5
        if self.longest is None:
            return self.reader(self.dropout(x))[0]
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], device=ids.device)
        return self.reader(self.dropout(x + self.position[: ids.shape[1]]), mask, is_causal=True)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Mean and maximum over real tokens. Padding comes after them, where no earlier state looks."""
        states = self.dropout(self.states(ids))
        return torch.cat([mean_pool(states, mask), max_pool(states, mask)], 1)


class LanguageModel(nn.Module):
    """The encoder, and a score for every word that might come next. `fit` trains it on a `TokenStream`.

    The vectors that read words also write them (tied weights: Press and Wolf, 2017).
    """

    def __init__(self, encoder: CausalEncoder):
        super().__init__()
        self.encoder = encoder
        self.bias = nn.Parameter(torch.zeros(encoder.embedding.num_embeddings))

    def forward(self, ids: Tensor) -> Tensor:
        """int64 (b, t) -> logits of each next word, float (b * t, vocabulary)."""
        self.encoder.check_length(ids)
        return self._scores(self.encoder.dropout(self.encoder.states(ids))).flatten(0, 1)

    def _scores(self, states: Tensor) -> Tensor:
        return F.linear(states, self.encoder.embedding.weight, self.bias)

    @torch.inference_mode()
    def write(self, start: str, length: int = 40, temperature: float = 0.8, seed: int = 0) -> str:
        """Continue from the words `start` with up to `length` words, drawn one by one, until the model ends the text.

        temperature: below 1, likely words become likelier still; towards 0, the likeliest is always taken. The unknown word
        is never drawn. Raises CourseError for a start without a known word or a temperature of 0 or less.
        """
        tokenizer = self.encoder.tokenizer
        words = [word for word in tokenizer.encode(start).ids if word != UNKNOWN]
        if not words or not temperature > 0:
            raise CourseError(f"write takes a known word and a temperature above 0, found {start!r}, {temperature}.")
        draw, device = torch.Generator().manual_seed(int(seed)), self.bias.device
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            for _ in range(length):
                read = torch.tensor([words[-(self.encoder.longest or 512) :]], device=device)
                scores = self._scores(self.encoder.states(read)[0, -1]).float().cpu()
                scores[UNKNOWN] = -torch.inf
                scores = (scores - scores.max()) / min(max(temperature, 1e-30), 1e30)  # at most 0: no overflow
                words.append(int(torch.multinomial(scores.softmax(0), 1, generator=draw)))
                if words[-1] == 0:
                    break
        finally:
            for module, training in modes.items():
                module.training = training
        return " ".join(tokenizer.id_to_token(word) for word in words if word)


def language_model(kind: str, tokenizer: Tokenizer, *, dim: int = 160, dropout: float = 0.2) -> LanguageModel:
    """A language model with random weights, "gru" or "transformer", for the words of `tokenizer`."""
    if kind not in ("gru", "transformer"):
        raise CourseError(f'A language model is of kind "gru" or "transformer", found {kind!r}.')
    if dim % 4:
        raise CourseError(f"dim must be a multiple of 4 (a transformer has four heads), found {dim}.")
    return LanguageModel(CausalEncoder(f"lm-{kind}", tokenizer, tokenizer.get_vocab_size(), dim, dropout))


def perplexity(loss: float) -> float:
    """How many words a model hesitates between, on average: e to the power of the cross-entropy in nats."""
    return math.exp(min(loss, 700.0))


_KINDS |= {"lm-gru": CausalEncoder, "lm-transformer": CausalEncoder}  # so that `build` can make a checkpoint's encoder
