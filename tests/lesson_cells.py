"""How the tests see a notebook: its code cells, the names that they bind and use, its exercises and solutions."""

import ast
import re
import symtable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from store_notebooks import NOTEBOOKS

ALL_NOTEBOOKS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@dataclass
class Cell:
    """A code cell of a notebook; `index` counts all cells, not only code."""

    index: int
    raw: nbformat.NotebookNode

    @property
    def tags(self) -> list[str]:
        """As set in the notebook's metadata."""
        return self.raw.metadata.get("tags", [])

    @cached_property
    def python(self) -> str:
        """The source with `%magic` and `!command` turned into Python."""
        return TransformerManager().transform_cell(self.raw.source)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.python)

    @cached_property
    def binds(self) -> set[str]:
        """Names that this cell defines in the kernel."""
        return {s.get_name() for s in self._table.get_symbols() if s.is_assigned() or s.is_imported()}

    @cached_property
    def uses(self) -> set[str]:
        """Names looked up in the kernel, including from within functions defined here."""
        found = {s.get_name() for s in self._table.get_symbols() if s.is_referenced()}
        inner = list(self._table.get_children())
        while inner:
            table = inner.pop()
            found |= {s.get_name() for s in table.get_symbols() if s.is_global()}
            inner += table.get_children()
        return found

    @property
    def asserts(self) -> bool:
        """Does it assert something that could be false?"""
        return any(isinstance(n, ast.Assert) and not isinstance(n.test, ast.Constant) for n in ast.walk(self.tree))

    @property
    def checks(self) -> list[ast.Call]:
        """Its calls of `tl.check`."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return [call for call in calls if ast.unparse(call.func) == "tl.check"]

    @cached_property
    def _table(self) -> symtable.SymbolTable:
        return symtable.symtable(self.python, f"cell {self.index}", "exec")


class Lesson:
    """A notebook with its number ("07"), its cells as stored, and its code cells."""

    def __init__(self, path: Path):
        self.nb = nbformat.read(path, as_version=4)
        self.number = path.name[:2]
        self.code = [Cell(i, cell) for i, cell in enumerate(self.nb.cells) if cell.cell_type == "code"]
        self.exercises = [cell for cell in self.code if "exercise" in cell.tags]
        self.text = "\n".join(cell.source for cell in self.nb.cells if cell.cell_type == "markdown")

    def solution(self, exercise: Cell) -> str | None:
        """The Python in the `<details>` of the Markdown cell that follows an exercise."""
        following = self.nb.cells[exercise.index + 1 : exercise.index + 2]
        if not following or following[0].cell_type != "markdown":
            return None
        details = re.search(r"<details>\s*<summary>.*?</details>", following[0].source, re.S)
        blocks = re.findall(r"^```python\n(.*?)^```", details[0], re.S | re.M) if details else []
        return "\n".join(blocks) or None

    def leading_to(self, exercise: Cell, names: set[str]) -> list[Cell]:
        """The first code cell, and the cells before `exercise` that `names` come from, directly or indirectly."""
        chosen, wanted = [], set(names)
        for cell in reversed(self.code[: self.code.index(exercise)]):
            if "exercise" not in cell.tags and (cell.binds & wanted or cell is self.code[0]):
                chosen.insert(0, cell)
                wanted |= cell.uses
        return chosen
