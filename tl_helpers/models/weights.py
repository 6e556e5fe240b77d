"""Where a backbone's weights come from: a checked file on this machine, or torchvision's and timm's own stores.

Nothing is unpickled (``weights_only=True``, safetensors, h5py) and random weights never stand in for missing ones.
"""

import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import timm
import torch
import torchvision
from torch import nn

from ..errors import CourseError
from ..sources import path_of, sha256_of
from .table import Row

_PATIENCE = 8  # seconds without an answer that count as "no network"


def weights_file(row: Row) -> Path:
    """The file with the row's trained weights, fetched by its library's own client if it is not here yet.

    Raises:
        CourseError: it is neither on this machine nor within reach, or it is damaged.
    """
    if not row.weights:
        raise CourseError(
            f"{row.name} comes untrained: load_backbone({row.name!r}, weights=None), then pretrain it (notebook 05)."
        )
    if row.weights == "torchvision":
        return _torchvision_file(row)
    return _timm_file(row) if row.weights == "timm" else path_of(row.weights)


def read_into(row: Row, model: nn.Module, path: Path) -> None:
    """Load the file into `model` (the whole network, its own classifier included), in place. timm reads its own."""
    if row.library == "vgg-conv":
        _fill_convolutions(model, path)
        return
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    if row.weights == "torchvision":
        model.load_state_dict(_modern_names(tensors))
    else:
        _fill_in_order(model, tensors, row.name)


def _fill_in_order(model: nn.Module, tensors: dict[str, torch.Tensor], name: str) -> None:
    """The same tensors in the same order under other names: copied one to one, each shape compared."""
    own = model.state_dict()
    shapes = [tuple(t.shape) for t in tensors.values()]
    if shapes != [tuple(t.shape) for t in own.values()]:
        raise CourseError(f"The weights of {name} do not fit this version of timm ({timm.__version__}): shapes differ.")
    model.load_state_dict(dict(zip(own, tensors.values(), strict=True)))


def _fill_convolutions(model: nn.Module, path: Path) -> None:
    """HED's file: 13 kernels as (height, width, in, out) with their biases, in order, into VGG16's 13 convolutions."""
    import h5py

    blocks = [(block, layer) for block, n in enumerate((2, 2, 3, 3, 3), 1) for layer in range(n)]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    with h5py.File(path, "r") as file, torch.no_grad():
        for convolution, (block, layer) in zip(convolutions, blocks, strict=True):
            read_convolution(convolution, file[f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}/vars"])


def read_convolution(convolution: nn.Conv2d, group) -> None:
    """Copy a Keras convolution (h5py group with "0": HWIO kernel and "1": bias) into a torch one, in place."""
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(group["0"][()]).permute(3, 2, 0, 1))
        convolution.bias.copy_(torch.from_numpy(group["1"][()]))


def _torchvision_file(row: Row) -> Path:
    """torchvision's own file for the row: kept on this machine, else fetched; its sha256 begins as its name ends."""
    url = torchvision.models.get_model_weights(row.architecture).DEFAULT.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
    prefix = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    if not path.exists():
        _reach(url, row.name)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)  # torch.hub itself would wait for ever
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), prefix and prefix[1], progress=False)
        except (OSError, RuntimeError) as error:
            raise _out_of_reach(row.name, error) from error
        finally:
            socket.setdefaulttimeout(before)
    if prefix:
        _check_sha256(path, prefix[1])
    return path


def _modern_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision's DenseNet files date from a time when a name could be `norm.1`; today it is `norm1`."""
    old = r"(denselayer\d+)\.(norm|relu|conv)\.([12])\."
    return {re.sub(old, r"\1.\2\3.", key): tensor for key, tensor in tensors.items()}


def _timm_file(row: Row) -> Path:
    """timm's own file for the row (safetensors), from the hub's cache on this machine, else fetched."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache

    cfg = timm.get_pretrained_cfg(row.architecture)
    if not cfg.hf_hub_id:
        raise CourseError(f"timm has no weights for {row.name}: choose another backbone, or weights=None (random).")
    where = {"repo_id": cfg.hf_hub_id, "filename": "model.safetensors"}
    path = try_to_load_from_cache(**where)
    if not isinstance(path, str):
        if constants.HF_HUB_OFFLINE:
            raise _out_of_reach(row.name, "HF_HUB_OFFLINE is set and the hub's cache does not have them")
        _reach(hf_hub_url(**where), row.name)
        try:
            path = hf_hub_download(**where, etag_timeout=_PATIENCE)
        except Exception as error:  # the hub's client raises a dozen kinds, not all of one family
            raise _out_of_reach(row.name, error) from error
    stored = Path(path).resolve().name  # the hub's cache names a file by its hash
    if re.fullmatch("[0-9a-f]{64}", stored):
        _check_sha256(Path(path), stored)
    return Path(path)


def _check_sha256(path: Path, beginning: str) -> None:
    found = sha256_of(path)
    if not found.startswith(beginning):
        raise CourseError(
            f"{path} is damaged (sha256 {found[:8]}… instead of {beginning[:8]}…). Delete it and load the backbone again."
        )


def _reach(url: str, name: str) -> None:
    """Ask once, briefly, before calling a client that would try again and again."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE).close()
    except urllib.error.HTTPError:
        return  # something answered: the client called next says what is wrong
    except (OSError, ValueError) as error:
        raise _out_of_reach(name, getattr(error, "reason", error)) from error


def _out_of_reach(name: str, reason: object) -> CourseError:
    return CourseError(
        f"The trained weights of {name} are not on this machine and cannot be fetched ({str(reason)[:200]}). "
        "Without a network, efficientnet_lite0 (ImageNet) and vgg16_edges (edges) have real weights here; "
        f'load_backbone("{name}", weights=None) gives this architecture with random ones.'
    )
