"""Interactive widgets: a slider that steps through drawings and shows the nearest neighbours of each."""

import base64
import html
import io

import ipywidgets
import torch
from PIL import Image
from torch import Tensor

from tl_helpers.lessons.plots.canvas import RIGHT, WRONG, pixels
from tl_helpers.lessons.plots.pictures import artist, credits_of, pick


def browse_neighbours(queries, known, similarity: Tensor, *, count: int = 5, start: int = 0) -> ipywidgets.VBox:
    """A slider over the `queries` and, below it, the chosen one with its `count` nearest in `known`, nearest first.

    `similarity` is (queries, known); row i of both sets is the same thing, so number i is right, marked by a tick and
    its frame's colour. The picture is an `HTML` widget: set `box.children[0].value`, read `box.children[1].value`.
    """
    similarity = torch.as_tensor(similarity).cpu()
    slider = ipywidgets.IntSlider(value=start, min=0, max=len(similarity) - 1, description="drawing")
    slider.layout.width = "90%"
    page = ipywidgets.HTML()

    def show(change: dict) -> None:
        page.value = _page(queries, known, similarity[change["new"]], change["new"], count)

    slider.observe(show, names="value")
    show({"new": start})
    return ipywidgets.VBox([slider, page])


def _page(queries, known, row: Tensor, number: int, count: int) -> str:
    best = row.topk(min(count, len(row))).indices.tolist()
    place = int((row > row[number]).sum()) + 1
    cards = [_card(pick(queries, [number])[0], f"new, by {artist(queries)}", "#bbb")]
    for picture, k in zip(pick(known, best), best, strict=True):
        mark, colour = ("✓ ", RIGHT) if k == number else ("", WRONG)
        cards.append(_card(picture, f"{mark}{known.names[k]} ({row[k]:.2f})", colour))
    said = f"<b>{html.escape(queries.names[number])}</b>: the right answer is number {place} of {len(row)}"
    credit = f"<div style='color:#595959;font-size:11px'>{html.escape(credits_of(queries, known))}</div>"
    return f"<div style='font-size:16px'>{said}</div><div style='display:flex'>{''.join(cards)}</div>{credit}"


def _card(picture: Tensor, caption: str, colour: str) -> str:
    raw = io.BytesIO()
    Image.fromarray(pixels(picture)).save(raw, format="png")
    source = f"data:image/png;base64,{base64.b64encode(raw.getvalue()).decode()}"
    alt = html.escape(caption, quote=True)
    frame = f"border:4px solid {colour};width:96px;height:96px"
    text = "width:112px;font-size:14px;line-height:1.2"
    return f"<div style='{text};margin:6px'><img style='{frame}' src='{source}' alt='{alt}'><br>{alt}</div>"
