"""Batches of pictures or of documents, whichever a network reads: the one place where recipes tell them apart."""

from tokenizers import Tokenizer
from torch import nn

from ..data import Batches, ImageSet, TextBatches, TextSet, minilm_tokenizer, training_batches
from ..device import Hardware
from ..errors import CourseError
from ..models.text_encoders import TextEncoder


def learning_batches(
    network: nn.Module,
    items: ImageSet | TextSet,
    augment,
    *,
    size: int,
    batch_size: int,
    seed: int,
    hardware: Hardware,
) -> Batches | TextBatches:
    """Shuffled batches to train `network` (a classifier or its backbone) on; augment as `training_batches` takes it."""
    if tokenizer := _tokenizer_for(network, items, augment not in (None, "none")):
        return TextBatches(items, tokenizer, batch_size=batch_size, max_tokens=size, shuffle=True, seed=seed)
    common = {"size": size, "workers": hardware.workers, "pin_memory": hardware.pin_memory}
    return training_batches(items, augment, batch_size=batch_size, seed=seed, **common)


def looking_batches(
    network: nn.Module,
    items: ImageSet | TextSet,
    *,
    size: int,
    batch_size: int,
    hardware: Hardware,
    augment=None,
    seed: int = 0,
) -> Batches | TextBatches:
    """Batches for looking at every item once; augment: a view of pictures, for test-time augmentation."""
    if tokenizer := _tokenizer_for(network, items, augment is not None):
        return TextBatches(items, tokenizer, batch_size=batch_size, max_tokens=size)
    common = {"size": size, "workers": hardware.workers, "pin_memory": hardware.pin_memory}
    return Batches(items, batch_size=batch_size, augment=augment, seed=seed, **common)


def asked_size(network: nn.Module, size: int | None, max_tokens: int | None) -> int:
    """Pixels a side, or tokens of a document, as asked for or by default. CourseError if the other measure is given."""
    reads = isinstance(getattr(network, "backbone", network), TextEncoder)
    wrong = size if reads else max_tokens
    if wrong is not None:
        what, right, other = ("texts", "max_tokens", "size") if reads else ("pictures", "size", "max_tokens")
        raise CourseError(f"This network takes {what}: give it {right}={wrong} (found: {other}={wrong}).")
    return (max_tokens if reads else size) or default_size(network)


def default_size(network: nn.Module) -> int:
    """Pixels a side, or tokens of a document, that a network was trained with here; else its backbone's own."""
    backbone = getattr(network, "backbone", network)
    own = getattr(backbone, "max_tokens", None) or getattr(getattr(backbone, "preprocess", None), "size", 224)
    return getattr(network, "trained_size", None) or own


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
