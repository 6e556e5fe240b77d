"""The player and the map of notebook 12, without a browser."""

import numpy as np

from tl_helpers.lessons.widgets_clusters import map_browser, player


def test_the_player_shows_the_frame_of_its_slider():
    box = player(["<svg>one</svg>", "<svg>two</svg>"], ["0: <assign>", "1: update"])
    play, slider = box.children[0].children
    page = box.children[1]
    assert play.max == slider.max == 1 and "one" in page.value and "&lt;assign&gt;" in page.value
    slider.value = 1
    assert "two" in page.value and "1: update" in page.value and "one" not in page.value


def test_the_map_changes_with_its_menus():
    maps = {"PCA": np.array([[0, 0], [1, 1], [2, 3.0]]), "t-SNE": np.array([[5, 0], [1, 1], [2, 3.0]])}
    colours = {"cluster": ([0, 1, 1], ["cluster 0", "cluster 1"]), "artist": ([0, 0, 1], ["<G>", "T"])}
    box = map_browser(maps, colours, ["fox", "hen", "egg & ham"], note="by A & B")
    which, by = box.children[0].children
    page = box.children[1]
    first = page.value
    assert "egg &amp; ham: cluster 1" in first and "by A &amp; B" in first and first.count("<circle") == 3
    by.value = "artist"
    assert "fox: &lt;G&gt;" in page.value and "cluster" not in page.value.replace("by artist", "")
    second = page.value
    which.value = "t-SNE"
    assert page.value != second and page.value.count("<circle") == 3
