"""The tools that the tests of the notebooks stand on are tested on small notebooks made here."""

import base64
import io

import nbformat
import numpy as np
import pytest
import store_notebooks
from lesson_cells import Cell, Lesson
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image


def _write(folder, cells, name="01_small.ipynb"):
    path = folder / name
    nbformat.write(new_notebook(cells=cells), path)
    return path


def _png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _picture_cell(png, text="a picture"):
    output = nbformat.v4.new_output("display_data", {"image/png": png, "text/plain": text})
    return new_code_cell("show()", execution_count=1, outputs=[output])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store_notebooks, "NOTEBOOKS", tmp_path)
    for name in ("CI", "TL_BUDGET", "JUPYTER_PREFER_ENV_PATH"):  # `run` sets them for good; the fixture puts them back
        monkeypatch.setenv(name, "")
    return tmp_path


def test_outputs_are_stored_once_and_again_when_the_code_changes(folder, capsys):
    slider = "import os, ipywidgets\nprint(os.environ['TL_BUDGET'], os.environ['CI'])\nipywidgets.IntSlider(3)"
    path = _write(folder, [new_markdown_cell("# T"), new_code_cell(slider), new_code_cell("1 + 1")])
    assert store_notebooks.main([]) == 0
    stored = nbformat.read(path, as_version=4)
    assert store_notebooks.problems(stored) == []
    assert stored.cells[1].outputs[0].text == "class 1\n"
    assert list(stored.cells[1].outputs[1].data) == ["text/plain"]
    assert "widgets" not in stored.metadata
    before = path.read_bytes()
    assert store_notebooks.main([]) == 0 and "unchanged" in capsys.readouterr().out
    stored.cells[0].source = "# Another title"
    assert store_notebooks.source_hash(stored) == store_notebooks.stored_hash(stored)
    stored.cells[2].source = "1 + 2"
    assert any("changed" in problem for problem in store_notebooks.problems(stored))
    assert store_notebooks.main(["07"]) == 2 and path.read_bytes() == before


def test_what_is_not_clean_is_not_stored(folder, capsys):
    path = _write(folder, [new_code_cell("import os\nos.__file__")])
    before = path.read_bytes()
    assert store_notebooks.main(["01"]) == 1
    assert "path of this machine" in capsys.readouterr().out
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("/tmp/x.png", True),
        (r"C:\Users\me", True),
        ("lib/site-packages/a", True),
        ("data/packages/a", False),
        ("images/s", False),
        ("home/work/rest", False),
    ],
)
def test_paths_of_the_machine_are_found(text, bad):
    output = nbformat.v4.new_output("stream", text=f"see {text}\n")
    assert bool(store_notebooks.output_problems(output, [])) is bad


def test_a_large_picture_gets_fewer_colours_and_a_huge_one_is_refused():
    x = np.linspace(0, 255, 300, dtype=np.float32)
    smooth = np.stack(np.broadcast_arrays(x[:, None], x[None], x[:, None] * x[None] / 255), -1)
    smooth = (smooth + np.random.default_rng(0).normal(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8)
    nb = new_notebook(cells=[_picture_cell(_png(smooth))])
    large = len(base64.b64decode(nb.cells[0].outputs[0].data["image/png"]))
    store_notebooks.clean(nb)
    assert len(base64.b64decode(nb.cells[0].outputs[0].data["image/png"])) < large / 2
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    nb = new_notebook(cells=[_picture_cell(_png(noise))])
    store_notebooks.clean(nb)
    assert any("figure of" in problem for problem in store_notebooks.problems(nb))


def test_errors_and_skipped_cells_are_found():
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    assert store_notebooks.output_problems(error, []) and not store_notebooks.output_problems(
        error, ["raises-exception"]
    )
    nb = new_notebook(cells=[new_code_cell("1", execution_count=None)])
    assert any("in order" in problem for problem in store_notebooks.problems(nb))


def test_names_of_a_cell():
    cell = Cell(
        0, new_code_cell("import a.b as c\n%time d = e\ndef f(x):\n    return x + g\nh = [i for i in j]\nassert h")
    )
    assert {"c", "f", "h"} <= cell.binds and "x" not in cell.binds
    assert {"g", "j"} <= cell.uses and not {"x", "i"} & cell.uses
    assert cell.asserts and not Cell(0, new_code_cell("assert True")).asserts


def test_the_way_to_an_exercise_leaves_out_what_it_does_not_need(tmp_path):
    solution = "<details><summary>Solution</summary>\n\n```python\nanswer = b + 1\n```\nBecause.\n</details>"
    exercise = new_code_cell("answer = ...\ntl.check('01.1', answer)", metadata={"tags": ["exercise"]})
    sources = ["import tl_helpers as tl", "a = 1", "unused = train()", "b = a + 1"]
    path = _write(tmp_path, [*map(new_code_cell, sources), exercise, new_markdown_cell(solution)])
    lesson = Lesson(path)
    assert lesson.solution(lesson.exercises[0]) == "answer = b + 1\n"
    way = lesson.leading_to(lesson.exercises[0], {"b", "answer"})
    assert [cell.raw.source for cell in way] == [sources[0], sources[1], sources[3]]
