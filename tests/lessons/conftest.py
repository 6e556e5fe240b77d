"""No window opens, no figure stays open; two small sets as if by two artists."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
from small_sets import image_set


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    plt.close("all")


@pytest.fixture
def google():
    return image_set("emoji-google", attribution="Noto Emoji")


@pytest.fixture
def twitter():
    return image_set("emoji-twitter", attribution="Twemoji")
