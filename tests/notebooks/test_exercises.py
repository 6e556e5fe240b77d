"""Every exercise as shipped counts as not attempted, and with the solution that is printed below it as right."""

import ast

import pytest
from lesson_cells import ALL_NOTEBOOKS, Cell, Lesson
from nbformat.v4 import new_code_cell

from tl_helpers.lessons import checks

LESSONS = {path.name[:2]: Lesson(path) for path in ALL_NOTEBOOKS}
CASES = [(number, cell) for number, lesson in LESSONS.items() for cell in lesson.exercises]


@pytest.fixture
def small(monkeypatch):
    """The smallest budget, no window, and no figure left open."""
    import matplotlib.pyplot as plt

    monkeypatch.setenv("TL_BUDGET", "ci")
    monkeypatch.setenv("CI", "1")
    plt.switch_backend("agg")
    yield
    plt.close("all")


def _outcomes(cell: Cell, names: dict) -> dict[str, str]:
    """The verdict on each `tl.check(number, answer)` of a cell, with its arguments looked up in `names`."""
    found = {}
    for call in cell.checks:
        number, *answer = (eval(ast.unparse(argument), names) for argument in call.args)
        found[number] = checks.verdict(number, *answer)
    return found


@pytest.mark.parametrize(("number", "cell"), CASES, ids=[f"{number}-{cell.raw.id}" for number, cell in CASES])
def test_shipped_blank_and_solved_right(number, cell, small, capsys):
    lesson = LESSONS[number]
    solution = lesson.solution(cell)
    assert solution, "no solution in a <details> of the Markdown cell that follows"
    solved = Cell(cell.index, new_code_cell(solution))
    names = {"__name__": "__main__"}
    # only the cells that the exercise or its solution needs, so that no training runs for nothing
    for before in [*lesson.leading_to(cell, cell.uses | solved.uses), cell]:
        exec(compile(before.python, f"notebook {number}, cell {before.index}", "exec"), names)
    for exercise, verdict in _outcomes(cell, names).items():
        assert verdict.outcome == "not attempted", f"{exercise} as shipped: {verdict}"
    exec(compile(solution, f"solution after cell {cell.index} of notebook {number}", "exec"), names)
    for exercise, verdict in _outcomes(cell, names).items():
        assert verdict.outcome == "right", f"{exercise} with its solution: {verdict}"


@pytest.mark.parametrize("number", LESSONS)
def test_every_check_has_its_exercise(number):
    used = {ast.literal_eval(call.args[0]) for cell in LESSONS[number].exercises for call in cell.checks}
    assert used == set(checks.exercises(number))
