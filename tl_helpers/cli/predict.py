"""`predict`: what a checkpoint says about pictures in files, or about documents on stdin."""

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator
from glob import glob
from itertools import islice
from pathlib import Path

from tl_helpers.cli.train import place
from tl_helpers.errors import CourseError, count

AT_ONCE = 32  # pictures or documents that are processed together


def add(command: Callable) -> None:
    """The command's arguments and their help."""
    predict = command("predict", run, "Name what pictures show, or the class of texts, with a checkpoint from train.")
    text = "the folder of a training run, or model.safetensors in it"
    predict.add_argument("checkpoint", type=place, metavar="CHECKPOINT", help=text)
    text = "a picture (PNG, JPEG, WebP, TIFF, BMP, GIF …) or a folder of them; for a model of texts a .txt with one document per line, or none to read stdin"
    predict.add_argument("files", type=place, nargs="*", metavar="FILE", help=text)
    predict.add_argument("--json", action="store_true", help="print one line of JSON per item, with all probabilities")


def run(arguments: argparse.Namespace) -> int:
    """Print an answer for each item. Items that can't be read are named on stderr after all the answers."""
    import torch

    from tl_helpers.data import encode, padded
    from tl_helpers.device import pick_device
    from tl_helpers.engine.metrics import logits_of
    from tl_helpers.models.text_encoders import TextEncoder
    from tl_helpers.recipes.saved import load_model

    model, state = load_model(arguments.checkpoint)
    reads = isinstance(model.backbone, TextEncoder)
    files = arguments.files
    if reads and [file.suffix.lower() for file in files] not in ([], [".txt"]):
        raise CourseError(
            f"{arguments.checkpoint} is a model of texts: give one .txt, one text per line, or the lines on stdin; found "
            f"{' '.join(map(str, files))[:200]}."
        )
    if not reads and not files:
        raise CourseError(f"{arguments.checkpoint} is a model of pictures: name the picture files.")
    hardware, classes, unread = pick_device(), state["classes"], []
    hardware.place(model)
    items = _documents(*files, unread=unread) if reads else _pictures(files, state, unread)
    typed = reads and not files and sys.stdin and sys.stdin.isatty()  # someone typing waits for an answer to each line
    if typed:
        print("Type one text per line; Ctrl-D (Windows: Ctrl-Z and Enter) ends the input.", file=sys.stderr)
    if state.get("ended") == "interrupted":
        done = count(sum(row["phase"] != "probe" for row in state["history"]), "epoch")
        print(f"This training was interrupted after {done}: its model answers, but is unfinished.", file=sys.stderr)
    while chunk := list(islice(items, 1 if typed else AT_ONCE)):
        names, things = zip(*chunk, strict=True)
        inputs = padded(encode(things, model.backbone.tokenizer, state["size"])) if reads else torch.stack(things)
        with torch.inference_mode():
            logits = logits_of(model, inputs, hardware)
        for name, row in zip(names, logits.softmax(1).tolist(), strict=True):
            best = max(range(len(classes)), key=row.__getitem__)
            answer = {"line" if reads else "file": name, "class": classes[best], "probability": row[best]}
            answer |= {"probabilities": dict(zip(classes, row, strict=True))}
            print(json.dumps(answer) if arguments.json else f"{name}: {classes[best]} ({row[best]:.3f})", flush=reads)
    if unread:
        raise CourseError("\n".join(unread))
    return 0


def _pictures(files: list[Path], state: dict, unread: list[str]) -> Iterator[tuple]:
    """(name, uint8 (3, size, size)) of each file that is a picture, and of each picture in a folder.

    Each picture is treated as in training: resized first to the side that the set was kept in, then to the network's.
    """
    from tl_helpers.data import decode, fit_square
    from tl_helpers.data.folders import files_below

    made = state["made"]
    for file in files:
        if file.is_dir():
            inside = files_below(file)
        else:  # Windows' shells leave it to us to expand *.png
            inside = [file] if file.exists() else sorted(map(Path, glob(str(file)))) or [file]
        if not inside:
            unread.append(f"{file} is a folder without a picture.")
        for one in inside:
            try:
                picture = decode(one, made.get("background", "white"), size=made.get("side"))
                yield str(one), fit_square(picture, state["size"])
            except CourseError as error:
                unread.append(str(error))


def _documents(file: Path | None = None, *, unread: list[str]) -> Iterator[tuple[int, str]]:
    """(number, text) of each line of the file, or of stdin, that contains text."""
    from tl_helpers.data.rows import LONGEST, refuse_utf16

    # bytes: the terminal's encoding need not be the file's
    lines, number = getattr(sys.stdin, "buffer", ()), 0
    if file:
        content = file.read_bytes()
        lines = io.BytesIO(content if b"\n" in content else content.replace(b"\r", b"\n"))  # old Macs' line ends
    for number, line in enumerate(lines, 1):
        if number == 1:
            refuse_utf16(line, file or "stdin")
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            unread.append(f"line {number} is not UTF-8")
            continue
        if 0 < len(text) <= LONGEST:
            yield number, text
        else:
            long = f"has {len(text):,} characters; a text has at most {LONGEST:,}"
            unread.append(f"line {number} {long if text else 'is empty'}")
    if not number:
        unread.append("There is no document; expected one per line, as in `predict CHECKPOINT texts.txt`.")
