"""Batches of pictures or of documents, whichever a network reads: the one place where recipes tell them apart."""

from numbers import Integral

import torch
from tokenizers import Tokenizer
from torch import nn
from torchvision.transforms import v2

from ..data import Batches, ImageSet, Mixed, TextBatches, TextSet, minilm_tokenizer, training_batches
from ..device import Hardware
from ..errors import CourseError
from ..models.text_encoders import TextEncoder


def batches_for(
    network: nn.Module,
    items: ImageSet | TextSet,
    *,
    size: int,
    batch_size: int,
    hardware: Hardware,
    augment: str | v2.Transform | None = None,
    shuffle: bool = False,
    seed: int = 0,
) -> Batches | Mixed | TextBatches:
    """Batches as `network` (a classifier or its backbone) reads them: shuffled to train on, or each item once to look at.

    augment: as `training_batches` takes it; unshuffled, a transform: one view, for test-time augmentation.
    """
    if tokenizer := _tokenizer_for(network, items, augment not in (None, "none")):
        return TextBatches(items, tokenizer, batch_size=batch_size, max_tokens=size, shuffle=shuffle, seed=seed)
    make = training_batches if shuffle else Batches  # only the first knows augmentations by name, and mixes
    common = {"size": size, "workers": hardware.workers, "pin_memory": hardware.pin_memory}
    return make(items, augment=augment, batch_size=batch_size, seed=seed, **common)


def check_set(items) -> None:
    """CourseError for a tensor, a name or a folder where a set of pictures or texts belongs."""
    if not hasattr(items, "role"):
        whole = "a set of pictures or texts, as tl.data.load(…) gives it"
        raise CourseError(f"Expected {whole}; found a {type(items).__name__}. Tensors go into model(x).")


def asked_size(network: nn.Module, size: int | None, max_tokens: int | None) -> int:
    """Pixels a side, or tokens of a document: as asked for, else as trained here, else the backbone's own.

    CourseError if the other measure is given.
    """
    backbone = getattr(network, "backbone", network)
    reads = isinstance(backbone, TextEncoder)
    what, right, other = ("texts", "max_tokens", "size") if reads else ("pictures", "size", "max_tokens")
    asked, wrong = (max_tokens, size) if reads else (size, max_tokens)
    if wrong is not None:
        raise CourseError(f"This network takes {what}: give it {right}={wrong} (found: {other}={wrong}).")
    own = backbone.max_tokens if reads else getattr(getattr(backbone, "preprocess", None), "size", 224)
    if asked is not None and not (isinstance(asked, Integral) and asked >= 1):
        raise CourseError(f"{right} has to be at least 1, a whole number; found {asked}.")
    if reads and asked:
        backbone.check_length(torch.empty(0, asked))  # now, not at the first long document
    return asked or getattr(network, "trained_size", None) or own


def tokenizer_of(encoder: TextEncoder) -> Tokenizer:
    """The tokenizer whose ids a text encoder takes; MiniLM knows its own."""
    if encoder.tokenizer is None and encoder.name == "minilm":
        encoder.tokenizer = minilm_tokenizer()
    if encoder.tokenizer is None:
        raise CourseError(
            f"The encoder {encoder.name!r} doesn't know which words its ids stand for. Give it the tokenizer: "
            f"text_encoder({encoder.name!r}, tokenizer=word_tokenizer(data.train.texts))."
        )
    return encoder.tokenizer


def _tokenizer_for(network, items, augmented: bool) -> Tokenizer | None:
    """The tokenizer to make batches with, None for pictures. CourseError if network and set don't go together."""
    encoder = getattr(network, "backbone", network)
    reads = isinstance(encoder, TextEncoder)
    if (reads and isinstance(items, ImageSet)) or (not reads and isinstance(items, TextSet)):
        what = "pictures" if reads else "texts"
        name = getattr(encoder, "name", type(encoder).__name__)
        other = "load_backbone" if reads else "load_text_encoder or text_encoder"
        raise CourseError(f"{items.name} contains {what}, which {name} can't read: use {other}.")
    if not reads:
        return None
    if augmented:
        raise CourseError("Augmentation and views are for pictures: a document is read as it is.")
    return tokenizer_of(encoder)
