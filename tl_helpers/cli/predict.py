"""`predict`: what a checkpoint says about files."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from tl_helpers.errors import CourseError

AT_ONCE = 32  # pictures that are looked at together


def add(command: Callable) -> None:
    """Its arguments and their help."""
    predict = command("predict", run, "Name what is on pictures, with a checkpoint that train wrote.")
    predict.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="model.safetensors in the folder of a training"
    )
    predict.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="a picture: PNG, JPEG, WebP, TIFF, BMP, GIF …"
    )
    predict.add_argument(
        "--json", action="store_true", help="print one line of JSON per picture, with all probabilities"
    )


def run(arguments: argparse.Namespace) -> int:
    """Name what is on each picture. Files that can't be read are named on stderr after the others were answered."""
    import torch

    from tl_helpers.data import decode, fit_square
    from tl_helpers.device import pick_device
    from tl_helpers.recipes.transfer import load_model

    model, state = load_model(arguments.checkpoint)
    hardware, classes, unread = pick_device(), state["classes"], []
    hardware.place(model)
    for start in range(0, len(arguments.files), AT_ONCE):
        read = {}
        for file in arguments.files[start : start + AT_ONCE]:
            try:
                read[file] = fit_square(decode(file), state["size"])
            except CourseError as error:
                unread.append(str(error))
        if not read:
            continue
        with torch.inference_mode(), hardware.autocast():
            logits = model(hardware.send(torch.stack(list(read.values()))))
        for file, row in zip(read, logits.float().softmax(1).tolist(), strict=True):
            best = max(range(len(classes)), key=row.__getitem__)
            answer = {"file": str(file), "class": classes[best], "probability": row[best]}
            answer |= {"probabilities": dict(zip(classes, row, strict=True))}
            print(json.dumps(answer) if arguments.json else f"{file}: {classes[best]} ({row[best]:.3f})")
    if unread:
        raise CourseError("\n".join(unread))
    return 0
