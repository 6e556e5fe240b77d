"""What all figures share: one style, one palette, how a figure is shown, and rows of small pictures."""

import io
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython import get_ipython
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.text import Text
from PIL import Image as PILImage
from torch import Tensor

from tl_helpers.errors import CourseError
from tl_helpers.recipes.cluster_views import COLOURS as PALETTE

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RIGHT, WRONG, QUIET = PALETTE[0], PALETTE[1], "#595959"
WIDTH = 10.0  # inches, of every figure
BARE = {"xticks": [], "yticks": [], "frame_on": False}  # axes of which only the picture shows
LIMIT = 75_000  # bytes of a figure; the course allows 80 kB
# System fonts for Chinese, Japanese and Korean; those that are installed fill in where DejaVu lacks a character.
CHINESE = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", "SimHei")
CHINESE += ("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Arial Unicode MS", "Droid Sans Fallback")

STYLE = {
    "figure.dpi": 90,
    "figure.constrained_layout.use": True,
    "font.family": ["DejaVu Sans", *sorted(set(CHINESE) & set(get_font_names()))],
    "font.size": 14,
    "axes.titlesize": 16,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "legend.frameon": False,
}


def shown(draw: Callable[..., Figure]) -> Callable[..., None]:
    """Draw in the course's style and show: in a notebook as a PNG below 80 kB, elsewhere in matplotlib's window.

    The PNG is made here, not by the inline backend, so that its size is bounded, its text form is always the same and
    no matplotlib setting outlives the call. Outside a notebook the figure stays open as `plt.gcf()`.
    """

    @wraps(draw)
    def drawn(*arguments, **settings) -> None:
        with plt.rc_context(STYLE):
            there = plt.get_fignums()
            try:
                figure = draw(*arguments, **settings)
            except BaseException:  # a notebook would show what is half drawn
                for number in set(plt.get_fignums()) - set(there):
                    plt.close(number)
                raise
            # a class may be called a$b; only the ticks of a logarithmic axis are formulas
            for text in figure.findobj(Text):
                if "$" in text.get_text() and "mathdefault" not in text.get_text():
                    text.set_parse_math(False)
            if get_ipython() is not None:
                display(Image(data=png(figure), format="png", alt=title_of(figure)))
                plt.close(figure)
            elif plt.get_backend().lower() != "agg":
                plt.show()

    return drawn


def png(figure: Figure, limit: int = LIMIT) -> bytes:
    """The figure as a palette PNG below `limit` bytes: with fewer colours, then smaller, as far as necessary (the smallest try if none fits)."""
    for dpi, colours in ((90, 256), (90, 64), (90, 32), (76, 64), (76, 32), (64, 32), (56, 32), (48, 24)):
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=dpi)
        packed = io.BytesIO()
        picture = PILImage.open(raw).convert("RGB")
        # MAXCOVERAGE keeps the rare colours of a scale next to a grey photograph
        picture = picture.quantize(colours, PILImage.Quantize.MAXCOVERAGE, dither=PILImage.Dither.NONE)
        picture.save(packed, format="png", optimize=True)
        if packed.tell() <= limit:
            break
    return packed.getvalue()


def title_of(figure: Figure) -> str:
    """The figure's title, or its first axes' title: what a screen reader reads out."""
    titles = [figure.get_suptitle(), *(axes.get_title(loc=side) for axes in figure.axes for side in ("center", "left"))]
    return " ".join(next((title for title in titles if title), "figure").split())


def pixels(image: Tensor) -> np.ndarray:
    """A picture (C, h, w), uint8 or float 0..1, C = 1 or 3, as matplotlib expects it: (h, w) or (h, w, 3)."""
    if not isinstance(image, Tensor) or image.ndim != 3 or (image.is_floating_point() and image.max() > 2):
        found = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor) else f"a {type(image).__name__}"
        raise CourseError(f"A picture is (C, h, w), uint8 or float 0..1; found {found}. A batch's first part has them.")
    image = image.detach().cpu()
    if image.dtype != torch.uint8:
        image = image.float().clamp(0, 1)
    return image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()


def put(axes: Axes, image: Tensor, caption: str = "", colour: str = "black", width: int = 14) -> None:
    """Show one picture on `axes`, with its caption below in at most two lines, framed unless `colour` is black."""
    top = 255 if image.dtype == torch.uint8 else 1
    smooth = None if min(image.shape[-2:]) > 64 else "nearest"  # show a picture of few pixels as pixels
    axes.imshow(pixels(image), cmap="gray", vmin=0, vmax=top, interpolation=smooth)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(short(caption, width), color=colour, fontsize=12)
    axes.spines[:].set_visible(colour != "black")
    axes.spines[:].set(color=colour, linewidth=3)


def short(text: str, width: int) -> str:
    """Wrap `text`, keeping its line breaks; the parts share two lines of `width`, the rest becomes an ellipsis."""
    parts = text.split("\n")
    wrapped = [textwrap.wrap(part, width, max_lines=max(1, 2 // len(parts)), placeholder="…") for part in parts]
    return "\n".join(line for part in wrapped for line in part)


def tiles(
    images: Sequence[Tensor | None],
    captions: Sequence[str],
    *,
    columns: int,
    title: str,
    colours: Sequence[str] | None = None,
    row_names: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Pictures in rows of `columns`, each with its caption; `row_names` are on the left, `note` at the bottom."""
    if not len(images):
        raise CourseError("There is no picture to show: nothing was chosen.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell = min(WIDTH / max(columns, 4), 2.2)
    width = max(columns * cell, 0.56 * WIDTH)
    figure, grid = plt.subplots(rows, columns, figsize=(width, rows * (cell + 0.35) + 0.8), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for k, (axes, image, caption) in enumerate(zip(grid.flat, images, captions, strict=False)):
        if image is None:  # an empty place
            continue
        axes.axis("on")
        put(axes, image, caption, colours[k] if colours else "black", width=int(cell * 10.2))
    for axes, name in zip(grid[:, 0], row_names, strict=False):
        axes.set_ylabel(name, fontsize=14)
    figure.suptitle(title, fontsize=16)
    footnote(figure, note)
    return figure


def footnote(figure: Figure, note: str) -> None:
    """A line in small grey type under the figure: where pictures come from, which command made a table."""
    if note:
        lines = textwrap.fill(note, int(figure.get_figwidth() * 11.5))
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=10.5, color=QUIET)
