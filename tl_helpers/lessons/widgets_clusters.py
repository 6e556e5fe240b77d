"""Interactive widgets for clusters: a player that steps through pictures of a method, and a map to explore."""

import html
from collections.abc import Mapping, Sequence

import ipywidgets

from tl_helpers.recipes.cluster_views import colour, map_svg


def player(frames: Sequence[str], captions: Sequence[str]) -> ipywidgets.VBox:
    """Play `frames` (HTML or SVG), each under its caption, or step through them with the slider.

    Set `box.children[0].children[1].value` (0 to the last frame), read `box.children[1].value`.
    """
    play = ipywidgets.Play(min=0, max=len(frames) - 1, interval=900)
    slider = ipywidgets.IntSlider(min=0, max=len(frames) - 1, description="step", layout={"width": "60%"})
    ipywidgets.jslink((play, "value"), (slider, "value"))
    page = ipywidgets.HTML()

    def show(_=None) -> None:
        caption = html.escape(captions[slider.value])
        page.value = f"<div style='font-size:16px'><b>{caption}</b></div>{frames[slider.value]}"

    slider.observe(show, names="value")
    show()
    return ipywidgets.VBox([ipywidgets.HBox([play, slider]), page])


def map_browser(
    maps: Mapping[str, object], colours: Mapping[str, tuple], names: Sequence[str], *, note: str = ""
) -> ipywidgets.VBox:
    """Choose a map and what its dots are coloured by; a dot's name appears under the mouse.

    `maps`: name to (n, 2). `colours`: name to (labels (n,), the names of the labels). Set the `value` of
    `box.children[0].children[0]` (the map) and `[1]` (the colours), read `box.children[1].value`.
    """
    which = ipywidgets.Dropdown(options=list(maps), description="map")
    by = ipywidgets.Dropdown(options=list(colours), description="colour")
    page = ipywidgets.HTML()

    def show(_=None) -> None:
        labels, classes = colours[by.value]
        keys = "".join(
            f"<span style='color:{colour(i)};margin-right:12px'>● {html.escape(str(name))}</span>"
            for i, name in enumerate(classes)
        )
        drawn = map_svg(maps[which.value], labels, names=names, classes=classes, title=f"{which.value}, by {by.value}")
        small = f"<div style='color:#595959;font-size:11px'>{html.escape(note)}</div>"
        page.value = f"<div style='font-size:15px'>{keys}</div>{drawn}{small}"

    which.observe(show, names="value")
    by.observe(show, names="value")
    show()
    return ipywidgets.VBox([ipywidgets.HBox([which, by]), page])
