"""What `train` does differently for documents: an encoder instead of a backbone, tokens instead of pixels."""

import argparse

from tl_helpers.errors import CourseError

ENCODERS = ("minilm", "bag", "cnn", "gru", "attention")


def add_columns(command: argparse.ArgumentParser) -> None:
    """The options that name the columns of a file of texts."""
    for what in ("text", "label"):
        text = f"in a file of texts; default: one called {what} or similar"
        command.add_argument(f"--{what}-column", metavar="NAME", help=text)


def settle(arguments: argparse.Namespace) -> None:
    """Fill in what suits texts: MiniLM, or one of the small encoders, which know nothing yet and train from scratch."""
    arguments.backbone = arguments.backbone or "minilm"
    if arguments.backbone not in ENCODERS:
        raise CourseError(f"{arguments.backbone} does not read text; --backbone is one of {', '.join(ENCODERS)}.")
    arguments.recipe = arguments.recipe or ("lp-ft" if arguments.backbone == "minilm" else "scratch")
    if arguments.size or arguments.augment:
        raise CourseError("--size and --augment are for pictures; documents are cut to --max-tokens.")
    arguments.size, arguments.augment = arguments.max_tokens or 128, "none"


def cut(encoder, data, most: int) -> list[str]:
    """A sentence on how many documents of `data.train` have more than `most` tokens, judged by at most 1,000; [] if none."""
    from tl_helpers.data import encode
    from tl_helpers.recipes.sets import tokenizer_of

    some = data.train.texts[:: -(-len(data.train) // 1000)]
    share = sum(len(row) > most for row in encode(some, tokenizer_of(encoder), most + 1)) / len(some)
    told = f"About {100 * share:.3g} % of the documents are longer than {most} tokens and are cut; --max-tokens keeps more."
    return [told] if share else []


def encoder(arguments: argparse.Namespace, data):
    """The requested encoder; a small one gets the 20,000 most frequent words of the training part as its vocabulary."""
    from tl_helpers.data import word_tokenizer
    from tl_helpers.models import load_text_encoder, text_encoder

    if arguments.backbone == "minilm":
        return text_encoder("minilm") if arguments.recipe == "scratch" else load_text_encoder()
    return text_encoder(arguments.backbone, tokenizer=word_tokenizer(data.train.texts, 20_000))
