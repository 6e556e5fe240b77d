"""The checks' machinery: three outcomes, never an exception, no trace left behind."""

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_helpers.device import seed_everything
from tl_helpers.lessons import checks
from tl_helpers.lessons.checks import (
    NotYet,
    Verdict,
    check,
    close,
    compare,
    number_from,
    parts_from,
    tensor_from,
    verdict,
)

NOTEBOOKS = sorted(path.stem[2:] for path in Path(checks.__file__).parent.glob("nb[0-9]*.py"))
ALL = [number for notebook in NOTEBOOKS for number in checks.exercises(notebook)]
FUNCTIONS = [number for number in ALL if number != "00.1"]


def blank(*arguments): ...


def blank_with_docstring(*arguments):
    """What it should do."""
    ...


def returns_dots(*arguments):
    return ...


def half_done(*arguments):
    result = len(arguments)
    result = ...
    return result


def test_three_exercises_a_notebook():
    assert all(len(checks.exercises(notebook)) >= 3 for notebook in NOTEBOOKS)
    assert checks.exercises("99") == {}


@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize("answer", [..., None, blank, blank_with_docstring, returns_dots, [..., 1]])
def test_untouched_is_not_attempted(number, answer):
    found = verdict(number, answer)
    assert found.outcome == "not attempted"
    assert found.message == checks.exercises(number[:2])[number].start


@pytest.mark.parametrize("number", FUNCTIONS)
def test_dots_inside_a_function_are_not_attempted(number):
    assert verdict(number, half_done).outcome == "not attempted"


@pytest.mark.parametrize("number", FUNCTIONS)
def test_a_raising_function_is_told_what_it_raised(number):
    def raises(*arguments):
        raise KeyError("colour")

    found = verdict(number, raises)
    assert found.outcome == "not yet"
    assert found.message == "your function stopped with KeyError: 'colour'"

    def leaves(*arguments):
        raise SystemExit

    assert verdict(number, leaves).message == "your function stopped with SystemExit"
    assert "TypeError" in verdict(number, lambda: 1).message  # too few parameters


@pytest.mark.parametrize("number", FUNCTIONS)
@pytest.mark.parametrize("value", ["text", {"a": 1}, object(), torch.zeros(2, 3), [], float("nan"), -1, True, ()])
def test_any_result_gets_a_verdict(number, value):
    found = verdict(number, lambda *arguments: value)
    if number != "04.2":  # there nothing need be returned
        assert found.outcome == "not yet"
        assert "make sense" not in found.message
    assert verdict(number, value).outcome == "not yet"  # handed over instead of a function


@pytest.mark.parametrize("number", [number for number in FUNCTIONS if number != "04.2"])
def test_a_forgotten_return_is_noticed(number):
    def forgets(*arguments):
        sum([1, 2])

    assert "returns nothing" in verdict(number, forgets).message


@pytest.mark.parametrize("number", ["01.9", "99.1", 1.2, None, "", "../x"])
def test_an_unknown_number_does_not_raise(number):
    found = verdict(number, 1)
    assert found.outcome == "not yet"
    assert "no exercise" in found.message


def test_an_answer_that_no_check_foresaw(monkeypatch):
    def breaks(answer):
        raise RuntimeError("unforeseen")

    monkeypatch.setitem(checks._EXERCISES, "00.9", checks.Exercise("start", breaks))
    assert verdict("00.9", 1) == Verdict(
        "not yet", "the check could not make sense of this answer (RuntimeError: unforeseen)."
    )


def test_check_prints_one_line(capsys):
    assert check("00.1", 7686) is None
    assert check("00.1", 7680) is None
    assert check("00.1", ...) is None
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["Right.", "Not", "Not"]
    assert lines[1].startswith("Not yet: ")
    assert lines[2].startswith("Not attempted yet. ")


@pytest.mark.parametrize("number", ALL)
def test_random_numbers_go_on_as_if_nothing_was_checked(number):
    def draws(*arguments):
        return torch.tensor([float(torch.rand(1)), np.random.rand(), random.random()])

    seed_everything(3)
    expected = draws()
    seed_everything(3)
    verdict(number, draws)
    assert torch.equal(draws(), expected)


def test_numbers_and_tensors_of_any_make():
    for half in (np.float32(0.5), torch.tensor([0.5]), np.array(0.5), np.array([0.5])):
        assert number_from(half) == 0.5
    for wrong in ("0.5", True, torch.zeros(2), [1], {}):
        with pytest.raises(NotYet, match="one number was expected"):
            number_from(wrong)
    assert torch.equal(tensor_from(np.ones((2, 2)), (2, 2)), tensor_from([[1, 1], [1, 1]], (2, 2)))
    rows = [torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.long)]
    assert torch.equal(tensor_from(rows, (2, 2)), tensor_from(np.ones((2, 2))[::-1], (2, 2)))
    with pytest.raises(NotYet, match=r"shape \(2,\); \(3,\)"):
        tensor_from([1.0, 2.0], (3,))
    for two in ((1, 2), [1, 2], torch.tensor([1, 2]), np.array([1, 2])):
        assert parts_from(two, 2, "two") == [1, 2]
    for wrong in (1, "ab", {1, 2}, (1, 2, 3), torch.tensor(1), np.float64(1)):
        with pytest.raises(NotYet, match="two"):
            parts_from(wrong, 2, "two")
    for wrong in ("text", [torch.ones(2), torch.ones(3)], [torch.ones(2), "text"]):
        with pytest.raises(NotYet, match="a tensor was expected"):
            tensor_from(wrong, (1,))
    with pytest.raises(NotYet, match="numbers were expected; this is a list"):
        tensor_from(["a"], (1,), "numbers were")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of a number that still asks for gradients
        assert number_from(torch.tensor([0.5], requires_grad=True)) == 0.5
    assert not close(float("nan"), float("nan"))
    compare(1.0, 1.0, [(1.0, "never")], "never")
