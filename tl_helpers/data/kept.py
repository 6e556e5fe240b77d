"""Decoded pictures kept on disk, so that the second load of a set is instant."""

import contextlib
import hashlib
from collections.abc import Callable

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tl_helpers import sources


def kept(name: str, depends_on: tuple[str, ...], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """`compute()`, or what it returned earlier for the same sources: `data/cache/images/NAME-HASH.safetensors`.

    `depends_on` names rows of sources.toml, whose sha256 are the key. A kept file that is cut off is written anew.
    """
    key = hashlib.sha256(" ".join(sources.source(row).sha256 for row in depends_on).encode()).hexdigest()[:16]
    path = sources.cache_dir() / "images" / f"{name}-{key}.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        tensors = compute()
    with contextlib.suppress(OSError, SafetensorError), sources.atomic_path(path) as temporary:  # a full disk, say
        save_file(tensors, temporary)
    return tensors
