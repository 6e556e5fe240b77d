"""The shape that every notebook of the course has, and that its stored outputs are whole, clean and of its present code."""

import ast
import re

import nbformat
import pytest
from lesson_cells import ALL_NOTEBOOKS, Lesson
from store_notebooks import problems

IGNORE = "nbval-ignore-output"
SECTIONS = ["Summary", "What would you try next", "References"]
MOST_WORDS = 450
MOST_LINES, MOST_WHOLE = 16, 3


@pytest.fixture(scope="module", params=ALL_NOTEBOOKS, ids=lambda path: path.stem)
def lesson(request):
    return Lesson(request.param)


def test_the_course_has_notebooks():
    assert ALL_NOTEBOOKS


def test_outputs_are_stored_and_clean(lesson):
    found = problems(lesson.nb)
    assert not found, f"{found}; mend it and run: make notebooks NB={lesson.number}"
    nbformat.validate(lesson.nb)


def test_title_promise_and_minutes_come_first(lesson):
    first = lesson.nb.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    opening = "\n".join(cell.source for cell in lesson.nb.cells[: lesson.code[0].index])
    assert re.search(r"\d\s*min", opening), "the opening does not say how many minutes it takes"


def test_the_last_sections_are_there(lesson):
    headings = re.findall(r"^##+ +(.*)$", lesson.text, re.M)
    for section in SECTIONS:
        assert any(section.lower() in heading.lower() for heading in headings), f"no section {section!r}"


def test_it_runs_as_slides(lesson):
    for cell in lesson.nb.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        if cell.source.startswith("<details"):
            assert kind == "skip", f"a solution is on a slide: {cell.source[:60]!r}"
            assert cell.source.endswith("</details>"), f"skipped with the solution: {cell.source[-60:]!r}"
        elif cell.cell_type == "markdown" and re.match("##? ", cell.source):
            assert kind in ("slide", "subslide", "skip"), f"no slide begins at {cell.source.splitlines()[0]!r}"
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            assert "\n## " not in text, (
                f"a section begins inside a cell, so on no slide of its own: {cell.source[:60]!r}"
            )


def test_no_slide_is_a_page(lesson):
    words = 0
    for cell in lesson.nb.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        words = 0 if kind in ("slide", "subslide") else words
        if cell.cell_type == "markdown" and kind != "skip":
            words += len(cell.source.split())
        assert words <= MOST_WORDS, f"{words} words on the slide up to {cell.source[:60]!r}"


def test_the_first_code_cell_opens_the_lesson(lesson):
    opening = lesson.code[0]
    assert f'tl.lesson("{lesson.number}")' in opening.raw.source
    imports = [node for node in opening.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    order = [ast.unparse(node) for node in imports]
    ours = order.index("import tl_helpers as tl")
    # tl_helpers sets how threads wait, and that must stand before torch starts them
    assert not [line for line in order[:ours] if re.search(r"\b(torch|torchvision|timm|sklearn)\b", line)]


def test_cells_are_short(lesson):
    for cell in lesson.code:
        lines = [line for line in cell.raw.source.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES or "whole" in cell.tags, f"cell {cell.raw.id} has {len(lines)} lines"
    whole = [cell for cell in lesson.code if "whole" in cell.tags]
    assert len(whole) <= MOST_WHOLE, f"{len(whole)} cells tagged `whole`: shown in full is for what the lesson is about"


def test_few_outputs_are_ignored_and_those_assert(lesson):
    ignored = [i for i, cell in enumerate(lesson.code) if IGNORE in cell.tags]
    assert len(ignored) <= 0.4 * len(lesson.code), f"{len(ignored)} of {len(lesson.code)} code cells are not compared"
    for i in ignored:
        answering = lesson.code[i : i + 2]
        assert any(cell.asserts for cell in answering), f"cell {lesson.code[i].raw.id} is ignored and asserts nothing"


def test_nothing_but_the_known_tags(lesson):
    known = {"exercise", "whole", IGNORE, "raises-exception"}
    assert not {tag for cell in lesson.code for tag in cell.tags} - known
    # nbval obeys such comments too, and they would slip past the count above
    assert not [cell.raw.id for cell in lesson.code if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.raw.source)]


def test_one_code_path_for_all_budgets(lesson):
    for cell in lesson.code:
        assert not re.search(r"\benviron\b|getenv|TL_BUDGET|%env|%set_env", cell.raw.source), cell.raw.id
        for node in ast.walk(cell.tree):
            if isinstance(node, ast.If | ast.IfExp | ast.While):
                assert "budget" not in ast.unparse(node.test), f"cell {cell.raw.id} asks for the budget"


def test_exercises_are_complete(lesson):
    assert len(lesson.exercises) >= 3
    numbers = []
    for cell in lesson.exercises:
        assert cell.checks, f"exercise cell {cell.raw.id} calls no tl.check"
        numbers += [ast.literal_eval(call.args[0]) for call in cell.checks]
        assert "..." in cell.raw.source, f"exercise cell {cell.raw.id} has no `...` to fill in"
        assert IGNORE not in cell.tags, f"the verdict of {cell.raw.id} does not change, so it is compared"
        assert lesson.solution(cell), f"no <details> with a Python block follows exercise cell {cell.raw.id}"
    assert numbers == [f"{lesson.number}.{i}" for i in range(1, len(numbers) + 1)]
    assert not [cell.raw.id for cell in lesson.code if cell.checks and cell not in lesson.exercises]


def test_no_cell_needs_an_exercise_done(lesson):
    unfinished = set()
    for cell in lesson.code:
        needed = (cell.uses - cell.binds) & unfinished
        assert not needed, f"cell {cell.raw.id} uses {sorted(needed)} from an exercise"
        unfinished = unfinished | cell.binds if cell in lesson.exercises else unfinished - cell.binds
