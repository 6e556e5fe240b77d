"""Exercises that check themselves: `tl.check("01.2", share_in_top)` says right, not yet (and why), or not attempted.

A check is a function that takes the student's answer, calls `need(condition, hint)` as often as it likes and returns
what to say to a right answer. Notebook 01's are in `nb01.py`, each under its number: `@exercise("01.2", start=…)`.
"""

import dis
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch

from tl_helpers.device import own_chance

RIGHT, NOT_YET, NOT_ATTEMPTED = "right", "not yet", "not attempted"
_LEADS = {RIGHT: "Right.", NOT_YET: "Not yet:", NOT_ATTEMPTED: "Not attempted yet."}


@dataclass(frozen=True)
class Verdict:
    """What a check found: `outcome` is "right", "not yet" or "not attempted"; `message` is for the student."""

    outcome: str
    message: str

    def __str__(self) -> str:
        return f"{_LEADS[self.outcome]} {self.message}"


@dataclass(frozen=True)
class Exercise:
    """A check, and the hint for a student who has not started yet."""

    start: str
    examine: Callable[[Any], str]


class NotYet(Exception):  # noqa: N818 (it is a verdict on its way up, not an error)
    """Ends a check with a hint."""


class NotAttempted(Exception):  # noqa: N818
    """Ends a check because nothing was filled in."""


_EXERCISES: dict[str, Exercise] = {}


def exercise(number: str, *, start: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register a check under its number; `start` is the hint for a student who has filled in nothing."""

    def register(examine: Callable[[Any], str]) -> Callable[[Any], str]:
        _EXERCISES[number] = Exercise(start, examine)
        return examine

    return register


def exercises(notebook: str) -> dict[str, Exercise]:
    """All exercises of a notebook such as "01", by number; empty if it has no file of checks."""
    if (Path(__file__).parent / f"nb{notebook}.py").exists():
        importlib.import_module(f"{__name__}.nb{notebook}")
    return {number: found for number, found in sorted(_EXERCISES.items()) if number.startswith(f"{notebook}.")}


def verdict(number: str, answer: Any) -> Verdict:
    """Check the `answer` to exercise `number`. Whatever the answer does, this returns a verdict and never raises."""
    known = exercises(str(number).split(".")[0])
    if number not in known:
        offer = f"This notebook has {', '.join(known)}." if known else "A number looks like '01.2'."
        return Verdict(NOT_YET, f"there is no exercise {number!r}. {offer}")
    found = known[number]
    if is_blank(answer):
        return Verdict(NOT_ATTEMPTED, found.start)
    try:
        with own_chance(0):  # a check must not shift the random numbers of the cells after it
            return Verdict(RIGHT, found.examine(answer))
    except NotAttempted:
        return Verdict(NOT_ATTEMPTED, found.start)
    except NotYet as hint:
        return Verdict(NOT_YET, str(hint))
    except Exception as error:  # a kind of answer that no check foresaw
        return Verdict(NOT_YET, f"the check could not make sense of this answer ({_in_words(error)}).")


def check(number: str, answer: Any) -> None:
    """Print the verdict on `answer`: the line a student sees under an exercise."""
    print(verdict(number, answer))


def need(condition: Any, hint: str) -> None:
    """Stop the check with `hint` unless `condition` holds."""
    if not condition:
        raise NotYet(hint)


def ask(function: Any, *arguments: Any, returns_nothing: bool = False, none_means: str = "") -> Any:
    """Call the student's function; an exception becomes a sentence, and a forgotten `return` becomes a hint.

    Where None is a possible answer, but the wrong one here, `none_means` says what it would mean.
    """
    need(callable(function), f"pass the function itself, without calling it; this is {a_kind(function)}.")
    try:
        result = function(*arguments)
    except (Exception, SystemExit) as error:
        raise NotYet(f"your function stopped with {_in_words(error)}") from error
    if result is ...:
        raise NotAttempted
    meaning = f", or None. {none_means}" if none_means else "."
    need(returns_nothing or result is not None, f"your function returns nothing{meaning} Does it end in `return …`?")
    return result.item() if getattr(result, "ndim", None) == 0 else result


def number_from(value: Any) -> float:
    """A plain float from an int, a float, or a tensor or array of one element; anything else ends in a hint."""
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        return float(value.item() if isinstance(value, (torch.Tensor, np.ndarray)) else value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"one number was expected; this is {a_kind(value)}.") from None


def parts_from(value: Any, count: int, otherwise: str) -> list:
    """The `count` parts of a tuple, list, tensor or array; anything else stops the check with `otherwise`."""
    need((isinstance(value, (tuple, list)) or getattr(value, "ndim", 0) > 0) and len(value) == count, otherwise)
    return list(value)


def tensor_from(value: Any, shape: tuple[int, ...], expected: str = "a tensor was") -> torch.Tensor:
    """A float64 tensor of `shape` from a tensor, array, list, or list of row tensors; anything else ends in a hint."""
    try:
        if isinstance(value, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in value):
            value = torch.stack([torch.as_tensor(part).detach().to("cpu", torch.float64) for part in value])
        elif isinstance(value, np.ndarray):
            value = value.copy()  # torch accepts no array that runs backwards, such as `rates[::-1]`
        result = torch.as_tensor(value).detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"{expected} expected; this is {a_kind(value)}.") from None
    need(tuple(result.shape) == shape, f"the result has shape {tuple(result.shape)}; {shape} was expected.")
    return result


def close(found: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Are two numbers (or tensors of the same shape) equal up to rounding? NaN is never close to anything."""
    found, expected = torch.as_tensor(found).double(), torch.as_tensor(expected).double()
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=tolerance, atol=tolerance * 1e-2)


def compare(found: Any, right: Any, mistakes: list[tuple[Any, str]], otherwise: str, tolerance: float = 1e-4) -> None:
    """Pass if `found` is `right`; else stop with the hint of the first wrong value it matches, or `otherwise`."""
    if close(found, right, tolerance):
        return
    for wrong, hint in mistakes:
        need(not close(found, wrong, tolerance), hint)
    rounded = (torch.as_tensor(right).double().round(decimals=places) for places in (2, 3, 4))
    need(not any(close(found, one, 1e-6) for one in rounded), "right, but rounded: return all its digits.")
    raise NotYet(otherwise)


def is_blank(answer: Any) -> bool:
    """Is this still the `...` of the exercise: the Ellipsis itself, None, or a function whose body is only `...`?"""
    if answer is ... or answer is None:
        return True
    if isinstance(answer, (list, tuple)):
        return any(part is ... for part in answer)
    if not isinstance(answer, FunctionType):
        return False
    steps = [step for step in dis.get_instructions(answer) if step.opname != "RESUME"]
    does_nothing = all(step.opname in ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST") for step in steps)
    return does_nothing and steps[-2 if steps[-1].opname == "RETURN_VALUE" else -1].argval in (None, ...)


def a_kind(value: Any) -> str:
    """What a value is, in words short enough for a hint: "a str ('7686')", "a Tensor of shape (3, 4)"."""
    if isinstance(value, torch.Tensor):
        return f"a Tensor of shape {tuple(value.shape)}"
    shown = repr(value)
    return f"a {type(value).__name__}" + (f" ({shown})" if len(shown) <= 40 else "")


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
