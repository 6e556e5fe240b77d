"""The panel, without a browser: choose, move, press, and read the page."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from tl_helpers.lessons.widgets_augment import play_augment


def pictures(page):
    found = re.findall(r"base64,([^']+)'", page.value)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(raw)))) for raw in found]


def test_the_panel_shows_what_is_chosen(google):
    method, strength, again, page = play_augment(google, [3, 7, 12], size=24).children
    method.value, strength.value = "flip", 1.0
    seen = pictures(page)
    assert len(seen) == 6
    for before, after in zip(seen[:3], seen[3:], strict=True):
        assert np.array_equal(before[:, ::-1], after)
    method.value = "turn"
    first = page.value
    again.click()
    assert page.value != first and google.attribution in page.value


def test_pictures_are_chosen_as_a_subset_is(google):
    for chosen in (google.labels == 2, torch.arange(2, 40, 6)):
        *_, page = play_augment(google, chosen, size=24).children
        assert len(pictures(page)) == 14 and page.value.count("a class, number 2") >= 7
        assert np.array_equal(pictures(page)[1], google.images[8].permute(1, 2, 0).numpy())


def test_the_strength_rests_where_a_method_ignores_it(google):
    method, strength, _, page = play_augment(google, [3, 7, 12], size=24).children
    for name in method.options:
        method.value, strength.value = name, 0.1
        first = page.value
        strength.value = 1.0
        assert strength.disabled == (page.value == first), name
    assert name != "trivial"
    method.value = "trivial"
    assert strength.disabled


def test_mixed_pictures_say_what_their_label_is(google):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    method, _, _, page = play_augment(google, [3, 7, 12, 20], size=24).children
    method.value = "cutmix"
    shares = [float(share) for share in re.findall(r"<br>(\d\.\d\d) a class", page.value)]
    assert len(shares) == 4 and all(0.5 <= share <= 1 for share in shares)
    assert torch.equal(torch.rand(1), expected)  # the lesson's own random numbers are left alone
