"""A panel to play with augmentation: choose a method and its strength, and draw again."""

import html
from collections.abc import Sequence

import ipywidgets
import torch

from tl_helpers.data import MIXES, ImageSet, augmentation, fit_square, mixed
from tl_helpers.data.labelled import positions
from tl_helpers.data.transforms import SINGLE
from tl_helpers.lessons.plots.pictures import credits_of
from tl_helpers.lessons.widgets import _card


def play_augment(image_set: ImageSet, indices: Sequence[int], *, size: int = 72) -> ipywidgets.VBox:
    """The pictures at `indices` and, below each, what an augmentation makes of it; a mixed one says what its label is.

    Children: the method (a dropdown), its strength (a slider, 0 to 1; for mixup and CutMix: how evenly shares are drawn; off
    where a method draws its own), a button that draws again, and the page, an `HTML` widget. The first draw is always the same.
    """
    method = ipywidgets.Dropdown(options=[*SINGLE, "trivial", *MIXES], description="method")
    strength = ipywidgets.FloatSlider(0.5, min=0.0, max=1.0, step=0.05, description="strength")
    again, page, draws = ipywidgets.Button(description="draw again"), ipywidgets.HTML(), [0]
    indices = positions(indices, len(image_set)).tolist()
    images, labels = fit_square(image_set.images[torch.tensor(indices)], size), image_set.labels[indices]

    def show(_=None) -> None:
        strength.disabled = method.value not in (*SINGLE, *MIXES)  # the others draw their own
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draws[0])
            captions = [image_set.classes[label] for label in labels.tolist()]
            if method.value in MIXES:
                alpha = max(0.02, 2 * strength.value**2)
                batch = images, labels, torch.ones(len(labels))
                changed, soft, _ = mixed(batch, method.value, len(image_set.classes), alpha)
                captions = [_in_words(row, image_set.classes) for row in soft]
            else:
                transform = augmentation(method.value, size, strength.value)
                changed = torch.stack([transform(image) for image in images])
        rows = [[_card(image, text, "#bbb") for image, text in zip(group, words, strict=True)]
                for group, words in ((images, [image_set.names[i] for i in indices]), (changed, captions))]  # fmt: skip
        credit = f"<div style='color:#595959;font-size:11px'>{html.escape(credits_of(image_set))}</div>"
        page.value = "".join(f"<div style='display:flex'>{''.join(row)}</div>" for row in rows) + credit

    def draw(_) -> None:
        draws[0] += 1
        show()

    method.observe(show, names="value")
    strength.observe(show, names="value")
    again.on_click(draw)
    show()
    return ipywidgets.VBox([method, strength, again, page])


def _in_words(row: torch.Tensor, classes: Sequence[str]) -> str:
    """A label that is a distribution, in words: "0.62 Food & Drink, 0.38 Objects"."""
    shares, places = row.topk(2)
    return ", ".join(f"{s:.2f} {classes[k]}" for s, k in zip(shares.tolist(), places.tolist(), strict=True) if s > 0)
