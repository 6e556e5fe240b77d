"""The slider, without a browser: set `.value`, read `.value`."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from tl_helpers.lessons.widgets import browse_neighbours


def test_moving_the_slider_changes_the_page(google, twitter):
    similarity = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    similarity[5, 5] = 2
    similarity[6, 6] = -1
    box = browse_neighbours(twitter, google, similarity, count=3, start=5)
    slider, page = box.children
    assert (slider.min, slider.max, slider.value) == (0, 39, 5)
    assert "<b>thing 5 of" in page.value and "number 1 of 40" in page.value
    assert page.value.count("<img") == 4 and page.value.count("✓") == 2  # in the caption and in the alt text
    first = page.value
    slider.value = 6
    assert page.value != first
    assert "number 40 of 40" in page.value and "✓" not in page.value
    assert "Twemoji · Noto Emoji" in page.value
    slider.value = 5
    assert page.value == first


def test_the_first_picture_is_the_query(google, twitter):
    box = browse_neighbours(twitter, google, torch.eye(40), start=9)
    raw = base64.b64decode(re.search(r"base64,([^']+)'", box.children[1].value)[1])
    assert np.array_equal(np.array(Image.open(io.BytesIO(raw))), twitter.images[9].permute(1, 2, 0).numpy())
