"""No window opens, no figure stays open; two small sets as if by two artists."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
from small_sets import image_set

pytest.register_assert_rewrite("verdicts")


def pytest_generate_tests(metafunc):
    """The tests of verdicts.py: each right answer of the module that imported them, each wrong one with its hint."""
    if metafunc.function.__module__ != "verdicts":
        return
    wrong = "hint" in metafunc.fixturenames
    rows = metafunc.module.WRONG if wrong else metafunc.module.RIGHT
    names = ("number", "answer", "hint") if wrong else ("number", "answer")
    metafunc.parametrize(names, rows, ids=["-".join([row[0], *row[2:]]) for row in rows])


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
