"""Notebook 12 in a real browser: the player plays and steps, the map changes with its menus and names its dots."""

import json
import os
from pathlib import Path

import pytest
from browser.test_slider import CHROMIUM, CHROMIUM_FLAGS, TOKEN, jupyterlab, run_all
from lesson_cells import ALL_NOTEBOOKS, Lesson
from playwright.sync_api import sync_playwright

AREA = ".jp-OutputArea-output:has(%s)"
SHOT = Path(os.environ.get("TL_SCREENSHOTS", ""))  # a folder: keep pictures of what was seen


def small(path: Path, folder: Path) -> str:
    """The first player and the map with only the cells that they need, so that the test takes seconds."""
    lesson = Lesson(path)
    shown = [next(cell for cell in lesson.code if f"{name}(" in cell.raw.source) for name in ("player", "map_browser")]
    needed = {id(cell): cell for one in shown for cell in [*lesson.leading_to(one, one.uses), one]}
    cells = [cell.raw for cell in lesson.code if id(cell) in needed]
    book = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": lesson.nb.metadata["kernelspec"]},
        "cells": [],
    }
    for cell in cells:
        book["cells"].append({**cell, "outputs": [], "execution_count": None})
    (folder / path.name).write_text(json.dumps(book), "utf-8")
    return path.name


@pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("NEEDS_CHROMIUM"), reason="no Chromium here: apt-get install chromium"
)
def test_the_player_plays_and_the_map_answers(tmp_path):
    assert CHROMIUM, "CI needs Chromium: .ci/run installs it"
    folder, home = tmp_path / "course", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    name = small(next(path for path in ALL_NOTEBOOKS if path.name.startswith("12_")), folder)
    with jupyterlab(folder, home) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1100})
        page.set_default_timeout(180_000)
        page.goto(f"http://{host}/lab/tree/{name}?token={TOKEN}&reset")
        page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
        run_all(page)
        steps = page.locator(AREA % ".widget-play").first
        steps.scroll_into_view_if_needed()
        assert "0: assign" in steps.inner_text()
        before = steps.locator("svg").inner_html()
        handle = steps.locator(".noUi-handle")
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("area => area.innerText.includes('1: update')", arg=steps.element_handle())
        assert steps.locator("svg").inner_html() != before
        steps.locator(".widget-play button").first.click()
        page.wait_for_function("area => area.innerText.includes('3: update')", arg=steps.element_handle())
        chart = page.locator(AREA % ".widget-dropdown").first
        chart.scroll_into_view_if_needed()
        before = chart.locator("svg").inner_html()
        chart.locator("select").nth(1).select_option("category")
        page.wait_for_function("area => area.innerText.includes('Food & Drink')", arg=chart.element_handle())
        coloured = chart.locator("svg").inner_html()
        chart.locator("select").nth(0).select_option("t-SNE")
        page.wait_for_function(
            "([area, before]) => area.querySelector('svg').innerHTML !== before", arg=[chart.element_handle(), coloured]
        )
        assert before != coloured
        dots = chart.locator("circle")
        assert dots.count() > 100 and ": " in dots.first.locator("title").inner_html()
        if SHOT.name:
            for what, area in (("player", steps), ("map", chart)):
                area.scroll_into_view_if_needed()
                page.screenshot(path=SHOT / f"12_{what}.png")
        browser.close()
