"""The opening cell: three lines, seeds, a budget."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_helpers.errors import CourseError
from tl_helpers.lessons.lesson import NUMBERS, lesson, measured


def test_three_lines_and_a_budget(capsys, monkeypatch):
    monkeypatch.setenv("TL_BUDGET", "ci")
    budget = lesson("07")
    title, hardware, line = capsys.readouterr().out.splitlines()
    assert title == "Notebook 07 · Fine-tuning on images"
    assert hardware.startswith("hardware: ")
    assert line.startswith("budget: ci · image size")
    assert budget.name == "ci"
    monkeypatch.setenv("TL_BUDGET", "class")
    lesson("07")
    assert "labels per class (1, 5, 20, all)" in capsys.readouterr().out


def test_the_same_random_numbers_each_time(capsys):
    drawn = []
    for _ in range(2):
        lesson("01", seed=5)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


def test_unknown_numbers_are_named(capsys):
    with pytest.raises(CourseError, match="no notebook 7; there are 00, 01"):
        lesson(7)
    notebooks = {path.name[:2] for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(NUMBERS)


def test_a_table_says_how_it_was_measured(capsys):
    folder = Path(__file__).parents[2] / "data" / "results"
    speeds = {"speed", "text_speed", "time_to_accuracy"}  # these compare, they have no rows
    for name in sorted({path.stem for path in folder.glob("*.json")} - speeds - {"augment"}):
        table = measured(name)
        for key in ("date", "hardware"):  # of every row, in the row or above all of them
            assert table["rows"] and (key in table or all(key in row for row in table["rows"])), f"{name}: no {key}"
        line = capsys.readouterr().out
        assert line.startswith("measured by python tests/benchmarks/") and "; cpu (" in line and line.count("\n") == 1
        assert ", 2026-" in line and "as in the script" not in line, f"{name}: {line}"
    assert measured("augment", "digits")["rows"]
    with pytest.raises(CourseError, match=r"no table 'emojis'; there are .*emoji_recipes"):
        measured("emojis")
    for wrong in (("augment",), ("augment", "emojis"), ("speed",)):
        with pytest.raises(CourseError, match=r"parts of it that have: (digits, emoji, letters, cells|none)"):
            measured(*wrong)
