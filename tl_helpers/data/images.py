"""From picture files of any kind to uint8 tensors: in memory if they fit, streamed if not."""

import contextlib
import dataclasses
import functools
import os
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from tl_helpers.errors import CourseError

MEMORY_SHARE = 0.4  # of what is free now: training needs the rest
# EXIF's orientations, and what turns them upright. ImageOps.exif_transpose would rewrite the header, and fail if
# anything else in it is odd.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# what Pillow raises on broken files; the last two come from a malformed header, or from an AVIF that is cut off
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, RuntimeError)


def decode(path: Path | str, background: str = "white", *, size: int | None = None) -> Tensor:
    """Read a picture as uint8 (3, H, W), RGB, upright.

    Grey, palette, CMYK and 16-bit files become 8-bit RGB; transparent parts show `background` (a colour's name or
    "#rrggbb"), never the colour hidden beneath them; a camera's EXIF rotation is applied. With `size`, the shorter side
    is resized to it (antialiased) and the middle cut out: (3, size, size).
    Raises a CourseError that names the file if it is missing, empty, truncated or not a picture.
    """

    def read(image: Image.Image) -> Image.Image:
        if size and image.format == "JPEG":
            image.draft(image.mode, (size, size))  # lets the decoder skip detail that would be thrown away
        # Pillow turns TIFF files itself
        turn = None if image.format == "TIFF" else _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
        upright = image if turn is None else image.transpose(turn)
        rgb = _to_rgb(upright, check_colour(background), path)
        return ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR) if size else rgb

    return torch.from_numpy(np.array(_guarded(Path(path), read))).permute(2, 0, 1).contiguous()


def picture_size(path: Path | str) -> tuple[int, int]:
    """Width and height from the file's header alone (before EXIF rotation). Raises CourseError like `decode`."""
    return _guarded(Path(path), lambda image: image.size)


def fit_square(images: Tensor, size: int) -> Tensor:
    """uint8 (..., C, H, W) -> uint8 (..., C, size, size): shorter side to `size` (antialiased bilinear), middle cut out."""
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    resized = F.resize(images, [size, size] if height == width else [size], antialias=True)
    return F.center_crop(resized, [size, size])


def fits_in_memory(n_bytes: int) -> bool:
    """Whether `n_bytes` is less than MEMORY_SHARE of the memory that is free now (a container's limit counts)."""
    return n_bytes < MEMORY_SHARE * _free_memory()


def room_for(name: str, n: int, size: int) -> Tensor | None:
    """uint8 (n, 3, size, size) to be filled, if that fits into memory; otherwise None, and a printed line says so."""
    needed = n * 3 * size**2
    if fits_in_memory(needed):
        return torch.empty(n, 3, size, size, dtype=torch.uint8)  # filled in place: a stack takes twice as much
    if not os.environ.get("CI"):
        why = f"{needed / 1e9:.1f} GB; of {_free_memory() / 1e9:.1f} GB that are free, {MEMORY_SHARE:.0%} may be used"
        print(f"{name}: {n} pictures of {size} px don't fit into memory ({why}), so they are read when needed.")
    return None


def read_many(read: Callable[[int], Tensor], indices: Iterable[int]) -> list[Tensor]:
    """`read(i)` for each index, in order; decoders release Python's lock, so threads share the cores."""
    indices = list(indices)
    if len(indices) < 8 or torch.utils.data.get_worker_info() is not None:  # a loader's worker has one core
        return [read(i) for i in indices]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(read, indices))


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Pictures that are read on demand, for sets that don't fit into memory.

    `read(i)` returns item i as uint8 (3, size, size); `indices` says which items this set has; `state` names the files and
    their state, for the fingerprint. Indexed like the tensor it replaces: by an int, or by a tensor of positions.
    """

    read: Callable[[int], Tensor]
    indices: Tensor
    size: int
    state: str

    dtype = torch.uint8

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shape(self) -> torch.Size:
        """(n, 3, size, size), as the tensor would have it."""
        return torch.Size((len(self), 3, self.size, self.size))

    def __getitem__(self, index: int | Tensor) -> Tensor:
        chosen = self.indices[index]
        if chosen.ndim == 0:
            return self.read(int(chosen))
        return torch.stack(read_many(self.read, chosen.tolist()))

    def subset(self, positions: Tensor) -> "StreamedImages":
        """The same pictures, only those at `positions`; nothing is read."""
        return dataclasses.replace(self, indices=self.indices[positions])


def _guarded(path: Path, use: Callable[[Image.Image], object]):
    """Open a picture and use it; every way in which that can fail is reported in one sentence."""
    try:
        if path.is_dir():
            raise CourseError(f"{path} is a folder: name the pictures in it, such as {path / '*.png'}.")
        if path.stat().st_size == 0:
            raise CourseError(f"{path} is empty (0 bytes). Copy it again or remove it.")
        with Image.open(path) as image:
            return use(image)
    except (FileNotFoundError, PermissionError) as error:
        said = "does not exist" if isinstance(error, FileNotFoundError) else "can't be read (permission denied)"
        raise CourseError(f"{path} {said}.") from error
    except UnidentifiedImageError as error:
        raise CourseError(f"{path} is not a picture that can be read (PNG, JPEG, WebP, TIFF, BMP, GIF …).") from error
    except Image.DecompressionBombError as error:
        raise CourseError(f"{path} is too large to be read safely: {error} Make it smaller first.") from error
    except _BROKEN as error:
        raise CourseError(f"{path} is damaged or cut off ({error}). Copy it again or remove it.") from error


def _to_rgb(image: Image.Image, background: tuple[int, ...], path: Path | str) -> Image.Image:
    if image.mode == "F":
        raise CourseError(f"{path} contains floating-point values without a range. Save it as an 8- or 16-bit picture.")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise CourseError(f"{path} contains whole numbers beyond 16 bits. Save it as an 8- or 16-bit picture.")
        clear = np.where(values == image.info.get("transparency", -1), 0, 255).astype(np.uint8)
        image = Image.merge("LA", [Image.fromarray(np.round(values / 257).astype(np.uint8)), Image.fromarray(clear)])
    if not (image.has_transparency_data or image.mode == "PA"):
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


@functools.cache
def check_colour(name: str) -> tuple[int, ...]:
    """The colour for a name or "#rrggbb"; CourseError if there is none."""
    try:
        return ImageColor.getrgb(name)
    except (ValueError, AttributeError) as error:
        raise CourseError(f"{name!r} is not a colour. Try a name such as 'white' or '#rrggbb'.") from error


def _free_memory() -> int:
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no such limit here
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(free, 0)
