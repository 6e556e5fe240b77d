"""Checkpoints: one safetensors file with tensors and a JSON state, written whole or not at all.

Nothing is unpickled. A tensor is stored contiguous (safetensors takes no other) and restored to the layout of the
parameter it belongs to: AdamW(fused=True) on a CPU reads state and parameter side by side in memory, so state in another
layout would silently lead to wrong weights.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import CourseError
from ..sources import atomic_path, command


def as_json(state: dict, **how) -> str:
    """JSON, in which NumPy's numbers are plain ones."""
    return json.dumps(state, default=lambda number: number.item(), **how)


def as_stored(state):
    """What JSON makes of it: tuples become lists, NumPy's numbers plain ones."""
    return json.loads(as_json(state))


def save(path: Path | str, tensors: dict[str, Tensor], state: dict) -> None:
    """Write tensors (any device, any layout) and a JSON-able state into one file, atomically; CourseError if it can't."""
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        with atomic_path(path) as temporary:
            save_file(flat, temporary, metadata={"state": as_json(state)})
    except (OSError, SafetensorError) as error:
        raise CourseError(
            f"{path} can't be written ({error}). Is there space on the disk, and are you allowed to write there?"
        ) from error


def load(path: Path | str) -> tuple[dict[str, Tensor], dict]:
    """Tensors (CPU, contiguous) and state from a file that `save` wrote. CourseError if it is not such a file."""
    try:
        if Path(path).is_dir():
            raise CourseError(f"{path} is a folder; a checkpoint file is expected, such as training.safetensors in it.")
        if not Path(path).is_file():
            raise CourseError(f"There is no checkpoint {path}. `{command('tl_helpers train … --out DIR')}` writes one.")
        Path(path).open("rb").close()  # safetensors says of a file that may not be read that it isn't there
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            # copied: a view would keep the file mapped, and Windows lets nobody replace a mapped file
            return {name: file.get_tensor(name).clone() for name in file.keys()}, state  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise CourseError(f"{path} can't be read ({error}). Are you allowed to?") from error
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        ours = Path(path).suffix == ".safetensors" and isinstance(error, SafetensorError)
        advice = "Delete it to train again." if ours else "Is it what `predict` should look at? CHECKPOINT comes first."
        raise CourseError(f"{path} is not a checkpoint of this course, or is damaged ({error}). {advice}") from error


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors stored under `prefix/`, by the names that follow it."""
    start = prefix + "/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors, `parameter number/key`."""
    rows = optimiser.state_dict()["state"]
    return {f"{number}/{key}": torch.as_tensor(value) for number, row in rows.items() for key, value in row.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put `optimiser_tensors` back, each tensor in the memory layout and on the device of its parameter."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for name, value in tensors.items():
        number, key = name.split("/")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        elif optimiser.defaults.get("fused") or optimiser.defaults.get("capturable"):
            value = value.to(parameter.device)
        optimiser.state[parameter][key] = value


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights and buffers that further training does not touch."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
