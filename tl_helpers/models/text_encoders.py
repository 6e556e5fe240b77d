"""Encoders of text: a bag of words, a CNN, a GRU and attention from scratch, and MiniLM. Padding changes no prediction.

All take {"input_ids": int64 (b, t), "attention_mask": int64 (b, t)}, where the mask is 1 for tokens and 0 for the padding
after them, and give features float32 (b, width).
"""

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..errors import CourseError
from ..sources import path_of, source
from .encoder import Encoder
from .quick_dropout import use_quick_dropout


class TextEncoder(Encoder):
    """What the text encoders share: each adds `encode(ids, mask)`, which gives features (b, width).

    tokenizer: the one whose ids it takes, or None if the caller knows.
    """

    max_tokens = 128  # what transfer and features cut documents to, unless told otherwise
    longest: int | None = None  # tokens, where there is a limit

    def __init__(self, name: str, tokenizer: Tokenizer | None, std: float = 0.1, **asked):
        super().__init__()
        self.name, self.tokenizer, self.asked = name, tokenizer, asked
        if asked:  # word vectors with this deviation, and dropout: what all those made from scratch begin with
            self.embedding = nn.Embedding(asked["vocabulary"], asked["dim"])
            nn.init.normal_(self.embedding.weight, std=std)
            self.dropout = nn.Dropout(asked["dropout"])

    @property
    def spec(self) -> dict:
        """The arguments of `text_encoder` that rebuild this architecture."""
        return {"kind": self.name, **self.asked}

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Ids and mask, both int64 (b, t) -> features (b, width)."""
        if not isinstance(inputs, dict) or not {"input_ids", "attention_mask"} <= set(inputs):
            raise CourseError(f"{self.name} takes a dict of input_ids and attention_mask, as TextBatches yields them.")
        self.check_length(inputs["input_ids"])
        return self.encode(inputs["input_ids"], inputs["attention_mask"])

    def check_length(self, ids: Tensor) -> None:
        """CourseError if a row of (b, t) has more tokens than the encoder has positions."""
        if self.longest and ids.shape[1] > self.longest:
            raise CourseError(f"{self.name} knows {self.longest} positions, found {ids.shape[1]}: lower max_tokens.")


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over real tokens: states (b, t, d), mask (b, t) -> (b, d)."""
    weight = mask.unsqueeze(2).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


def max_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The largest value over real tokens: states (b, t, d), mask (b, t) -> (b, d)."""
    return states.masked_fill(mask.unsqueeze(2) == 0, float("-inf")).amax(1)


class Bag(TextEncoder):
    """The mean of word vectors, whatever their order (Joulin et al., 2017: fastText without its n-grams)."""

    def __init__(self, name, tokenizer, vocabulary: int, dim: int = 128, dropout: float = 0.2):
        super().__init__(name, tokenizer, vocabulary=vocabulary, dim=dim, dropout=dropout)
        self.width = dim

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean over real tokens."""
        return self.dropout(mean_pool(self.embedding(ids), mask))


class CNN(TextEncoder):
    """Filters over three, four and five words, the largest answer of each (Kim, 2014)."""

    def __init__(self, name, tokenizer, vocabulary: int, dim: int = 128, filters: int = 100, dropout: float = 0.5):
        super().__init__(name, tokenizer, vocabulary=vocabulary, dim=dim, filters=filters, dropout=dropout)
        self.filters = nn.ModuleList(nn.Conv1d(dim, filters, words) for words in (3, 4, 5))
        self.width = 3 * filters

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The largest answer of each filter at a real token; beyond the end every filter sees zeros, as at the edge."""
        words = (self.embedding(ids) * mask.unsqueeze(2)).transpose(1, 2)
        wide = [(conv, conv.kernel_size[0] - 1) for conv in self.filters]
        answers = torch.cat([conv(F.pad(words, (more // 2, more - more // 2))) for conv, more in wide], 1).relu()
        return self.dropout(max_pool(answers.transpose(1, 2), mask))


class GRU(TextEncoder):
    """A gated recurrent network in both directions (Cho et al., 2014); mean and maximum of its states."""

    def __init__(self, name, tokenizer, vocabulary: int, dim: int = 128, hidden: int = 96, dropout: float = 0.3):
        super().__init__(name, tokenizer, vocabulary=vocabulary, dim=dim, hidden=hidden, dropout=dropout)
        self.recurrent = nn.GRU(dim, hidden, batch_first=True, bidirectional=True)
        self.width = 4 * hidden

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Packed, so that the backward direction begins at each document's last word and not in its padding."""
        words = self.dropout(self.embedding(ids))
        packed = pack_padded_sequence(words, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=ids.shape[1])
        return self.dropout(torch.cat([mean_pool(states, mask), max_pool(states, mask)], 1))


class Attention(TextEncoder):
    """A small transformer encoder with learnt positions (Vaswani et al., 2017); the mean of its states."""

    longest = 512

    def __init__(self, name, tokenizer, vocabulary: int, dim: int = 128, layers: int = 2, dropout: float = 0.2):
        super().__init__(name, tokenizer, vocabulary=vocabulary, dim=dim, layers=layers, dropout=dropout)
        self.position = nn.Parameter(0.1 * torch.randn(self.longest, dim))
        how = {"batch_first": True, "norm_first": True}
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout, **how) for _ in range(layers))
        self.norm, self.width = nn.LayerNorm(dim), dim

    @property
    def stages(self) -> dict[str, list[nn.Module]]:
        """Word vectors and positions, then each layer."""
        named = {f"layer{i}": [layer] for i, layer in enumerate(self.layers)}
        last = f"layer{len(self.layers) - 1}"
        return {"embedding": [self.embedding], **named, last: [*named[last], self.norm]}

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """No token looks at padding, and the mean leaves it out."""
        states = self.dropout(self.embedding(ids) + self.position[: ids.shape[1]])
        for layer in self.layers:
            states = layer(states, src_key_padding_mask=mask == 0)
        return mean_pool(self.norm(states), mask)


class MiniLM(TextEncoder):
    """all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019): six layers, the mean of the last states."""

    longest = 512
    width = 384

    def __init__(self, name, tokenizer=None, vocabulary: int = 30_522, trained: bool = False):
        super().__init__(name, tokenizer)
        from transformers import AutoConfig, AutoModel  # takes seconds: only when needed

        row, folder = source("minilm"), path_of("minilm")
        self.body = AutoModel.from_config(AutoConfig.from_pretrained(folder), add_pooling_layer=False)
        use_quick_dropout(self.body)
        if trained:  # from_pretrained would print a report on the pooling layer that is left out on purpose
            tensors = load_file(folder / "model.safetensors")
            self.body.load_state_dict({name: t for name, t in tensors.items() if name in self.body.state_dict()})
            self.source, self.licence = f"minilm: {row.package} {row.version}", row.licence

    def __setstate__(self, state: dict) -> None:
        """Unpickled elsewhere, transformers has to be told of the attention in use."""
        super().__setstate__(state)
        use_quick_dropout(self.body)

    @property
    def stages(self) -> dict[str, list[nn.Module]]:
        """Embeddings, then each of the six layers."""
        layers = {f"layer{i}": [layer] for i, layer in enumerate(self.body.encoder.layer)}
        return {"embeddings": [self.body.embeddings], **layers}

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean of the last layer's states over real pieces."""
        return mean_pool(self.body(input_ids=ids, attention_mask=mask).last_hidden_state, mask)


def text_encoder(
    kind: str, vocabulary: int = 8000, *, tokenizer: Tokenizer | None = None, **sizes: float
) -> TextEncoder:
    """An encoder with random weights: "bag", "cnn", "gru", "attention", or "minilm" (a control experiment).

    Args:
        vocabulary: how many token ids there are; `tokenizer`'s if one is given, which then goes with the encoder.
        sizes: dim, dropout, and filters (cnn), hidden (gru) or layers (attention), if the usual ones don't suit.

    Raises CourseError for another kind or an unknown size.
    """
    if kind not in _KINDS:
        raise CourseError(f"There is no text encoder {kind!r}; there are {', '.join(_KINDS)}.")
    if tokenizer is not None:
        vocabulary = tokenizer.get_vocab_size()
    try:
        if min((value for key, value in sizes.items() if key != "dropout"), default=1) < 1:
            raise ValueError("every size is at least 1")
        return _KINDS[kind](kind, tokenizer, vocabulary=vocabulary, **sizes)
    except CourseError:  # missing or damaged weights of MiniLM
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:  # an unknown name; dropout=2; four heads
        asked = ", ".join(f"{key}={value}" for key, value in {"vocabulary": vocabulary, **sizes}.items())
        raise CourseError(f"The encoder {kind!r} can't be made with {asked} ({error}).") from error


def load_text_encoder(name: str = "minilm") -> MiniLM:
    """MiniLM with its trained weights; CourseError for another name, or if the weights are not installed."""
    if name != "minilm":
        raise CourseError(f"There are no trained weights for {name!r}, only for minilm. text_encoder makes others.")
    return MiniLM(name, trained=True)


_KINDS = {"bag": Bag, "cnn": CNN, "gru": GRU, "attention": Attention, "minilm": MiniLM}
