"""Readers: attention summed over a candidate's places (Kadlec et al., 2016), words guessed at a mask, spans by start and end.

A reader of cloze questions scores every place in the context where a candidate occurs; softmax over these places is where it
looks, and a candidate's probability is the sum over its own places. As logits: the logarithm of that sum, up to a constant.
In every input 0 is padding: a place's `candidate` is 1..10, its `distance` 1..20 sentences, a token's id never 0.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..device import Hardware

FAR = 20  # sentences
CANDIDATES, MASK = 10, 103  # of a question; the id of [MASK]


class AttentionSum(nn.Module):
    """Scores places and sums up: the head of both readers, and all that is trained on a frozen encoder.

    forward takes {"place": (b, n, width) states of the places, "blank": (b, n, width) or (b, 1, width) the state of the blank as
    read with that place, "candidate": int64 (b, n), "distance": int64 (b, n)} and gives logits (b, candidates).
    A score is the product of the two states, each projected to `inner` numbers, plus one learnt number per distance.
    """

    def __init__(self, width: int, inner: int = 64, dropout: float = 0.2):
        super().__init__()
        two = ((nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, inner)) for _ in range(2))
        self.place, self.blank = (nn.Sequential(*layers) for layers in two)
        self.distance = nn.Embedding(FAR + 1, 1)
        nn.init.zeros_(self.distance.weight)

    def scores(self, inputs: dict[str, Tensor]) -> Tensor:
        """(b, n) float32; -inf where there is no candidate."""
        products = (self.place(inputs["place"].float()) * self.blank(inputs["blank"].float())).sum(-1).float()
        scores = products / self.place[-1].out_features ** 0.5 + self.distance(inputs["distance"])[..., 0]
        return scores.masked_fill(inputs["candidate"] == 0, float("-inf"))

    def attention(self, inputs: dict[str, Tensor]) -> Tensor:
        """(b, n): where it looks; each row sums to 1, and padding gets 0."""
        return self.scores(inputs).softmax(1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        own = inputs["candidate"][..., None] == torch.arange(1, CANDIDATES + 1, device=inputs["candidate"].device)
        scores = self.scores(inputs)[..., None].masked_fill(~own, -1e4)  # finite, so that a candidate may occur nowhere
        return scores.logsumexp(1)


class BothWays(nn.Module):
    """Two GRUs, one from each end of a row: words (b, t, width), mask bool (b, t) -> states (b, t, 2 * hidden).

    The second reads each row reversed within its own length, so padding changes nothing. (torch's packed sequences do the
    same, but their backward pass takes ten times as long on a CPU: 1.0 s against 0.09 s for 32 rows of 500 words.)
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.onward, self.back = (nn.GRU(width, hidden, batch_first=True) for _ in range(2))

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(mask.shape[1], device=mask.device)
        turned = torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place)[..., None]
        back = self.back(words.gather(1, turned.expand_as(words)))[0]
        return torch.cat([self.onward(words)[0], back.gather(1, turned.expand_as(back))], 2)


class WordReader(nn.Module):
    """The attention-sum reader from scratch: two bi-GRUs, one over the context, one over the query.

    Takes {"context", "candidate", "distance": int64 (b, t), "query": int64 (b, q), "blank": int64 (b,)}. Kadlec et al. take the
    query's last state; here it is the state at the blank.
    """

    def __init__(self, words: int):
        super().__init__()
        self.words = nn.Sequential(nn.Embedding(words, 96, padding_idx=0), nn.Dropout(0.2))
        self.context, self.query = (BothWays(96, 64) for _ in range(2))
        self.head = AttentionSum(2 * 64)

    def places(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the head takes: the states of all words of the context, and of the blank."""
        query = self.query(self.words(inputs["query"]), inputs["query"] != 0)
        blank = query[torch.arange(len(query)), inputs["blank"]][:, None]
        context = self.context(self.words(inputs["context"]), inputs["context"] != 0)
        return {"place": context, "blank": blank, "candidate": inputs["candidate"], "distance": inputs["distance"]}

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(self.places(inputs))


class PieceReader(nn.Module):
    """A pretrained transformer that reads the query with each chunk of the context, and the same head on its states.

    Takes {"input_ids": int64 (b, c, t), `[CLS] query with [MASK] [SEP] chunk [SEP]`, "candidate" and "distance": int64
    (b, c, t), "blank": int64 (b,) the place of [MASK]}. `encoder` is a transformers model with `config.hidden_size`.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, AttentionSum(encoder.config.hidden_size)

    def places(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the head takes, only for places where a candidate occurs: n is their largest number per row."""
        ids, b, chunks = inputs["input_ids"], *inputs["input_ids"].shape[:2]
        real = (ids != 0).any(-1)  # chunks that are padding are not read
        states = _transform(self.encoder, ids[real])
        row = torch.arange(b, device=ids.device)[:, None].expand(b, chunks)[real]
        masks = states[torch.arange(len(states), device=ids.device), inputs["blank"][row]]
        chunk, piece = (inputs["candidate"][real] > 0).nonzero(as_tuple=True)
        owner = row[chunk]
        to = owner, torch.arange(len(owner), device=ids.device) - torch.searchsorted(owner, owner)
        n = int(torch.bincount(owner, minlength=b).max())
        found = {"place": states[chunk, piece], "blank": masks[chunk]}
        found |= {key: inputs[key][real][chunk, piece] for key in ("candidate", "distance")}
        return {key: value.new_zeros(b, n, *value.shape[1:]).index_put(to, value) for key, value in found.items()}

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(self.places(inputs))


class WordGuesser(nn.Module):
    """What belongs at each [MASK]? BERT's own task (Devlin et al., 2019), whose head all-MiniLM-L6-v2 has lost: here is a new one.

    Takes {"input_ids": int64 (b, t)} and gives logits of all pieces, (masks, vocabulary), row by row; with {"offered": int64
    (b, k)} too, and one [MASK] per row, only those of the pieces offered, (b, k). The vectors that read pieces also score
    them (tied weights). `encoder` is a transformers model with BERT's vocabulary.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder, width = encoder, encoder.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        ids = inputs["input_ids"]
        states = self.transform(_transform(self.encoder, ids)[ids == MASK])
        logits = nn.functional.linear(states, self.encoder.get_input_embeddings().weight, self.bias)
        return logits.gather(1, inputs["offered"]) if "offered" in inputs else logits


class SpanReader(nn.Module):
    """Answers as spans of the text (SQuAD): a start head and an end head on a pretrained transformer.

    Takes {"input_ids": int64 (b, t), "allowed": bool (b, t): pieces of the paragraph, and [CLS] for "no answer"} and gives logits
    (b, t * longest): class `start * longest + length - 1`, so that one softmax chooses among all possible spans.
    """

    def __init__(self, encoder: nn.Module, longest: int = 30):
        super().__init__()
        self.encoder, self.longest = encoder, longest
        self.ends = nn.Linear(encoder.config.hidden_size, 2)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        states = _transform(self.encoder, inputs["input_ids"])
        start, end = self.ends(states).float().masked_fill(~inputs["allowed"][..., None], -1e4).unbind(-1)
        ends = nn.functional.pad(end, (0, self.longest - 1), value=-1e4).unfold(1, self.longest, 1)  # (b, t, longest)
        logits = start[..., None] + ends
        return torch.cat([torch.cat([logits[:, :1, :1], logits[:, :1, 1:] - 1e4], 2), logits[:, 1:]], 1).flatten(1)


def _transform(encoder: nn.Module, ids: Tensor) -> Tensor:
    return encoder(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state


def read_ahead(reader: PieceReader, batches: Iterable, hardware: Hardware) -> list[dict[str, Tensor]]:
    """`reader.places` of every question of unshuffled batches, once, on the CPU: a frozen encoder's output never changes.

    One dict per question, each tensor (n, …) without padding; states are kept as float16.
    """
    found = []
    reader.eval()
    with hardware.lend(reader), torch.inference_mode(), hardware.autocast():
        for inputs, *_ in batches:
            places = {key: value.cpu() for key, value in reader.places(hardware.send(inputs)).items()}
            places |= {key: places[key].half() for key in ("place", "blank")}
            for row, n in enumerate((places["candidate"] > 0).sum(1).tolist()):
                found.append({key: value[row, :n].clone() for key, value in places.items()})
    return found
