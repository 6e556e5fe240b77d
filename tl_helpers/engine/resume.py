"""The file from which an interrupted training continues, and the checks that the file is this training's."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..device import Hardware
from ..errors import CourseError
from . import checkpoint as files

CHOSEN = ("precision", "channels_last", "deterministic")  # the bits depend on these, and a resumed training can follow


def save(path: Path, tensors: dict[str, Tensor], state: dict, identity: dict, hardware: Hardware) -> None:
    """Write weights, optimiser, best weights and history, atomically, with the settings that the bits depend on."""
    bits = {key: getattr(hardware, key) for key in CHOSEN} | {"device": hardware.device.type}
    bits |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    files.save(path, tensors, {**state, "identity": identity, "hardware": bits})


def load(path: Path, identity: dict, hardware: Hardware) -> tuple[dict[str, Tensor], dict, Hardware]:
    """Tensors, state and the hardware to continue with. CourseError if the file is another training's."""
    tensors, state = files.load(path)
    differs = [key for key, value in identity.items() if state.get("identity", {}).get(key) != value]
    if differs:
        since = " (another set, or files that have changed since)" if "training data" in differs else ""
        raise CourseError(
            f"{path} was written by another training: it differs in {', '.join(differs)}{since}. Give this one "
            "a folder of its own (such as --out runs/second), or delete that file to start over."
        )
    then = state["hardware"]
    if then["device"] != hardware.device.type or then["torch"] != torch.__version__:
        raise CourseError(
            f"{path} was trained on {then['device']} with torch {then['torch']}; here it would continue on "
            f"{hardware.device.type} with torch {torch.__version__} and end with other numbers. "
            f"Continue there, or delete the file to start over."
        )
    torch.set_num_threads(then["threads"])
    return tensors, state, replace(hardware, **{key: then[key] for key in CHOSEN if key in then})
