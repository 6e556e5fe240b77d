"""The shape of the package: each floor imports only from below, and all of it stays small enough to read in an evening."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tl_helpers"
GROUND = {"device", "budget", "sources", "errors"}
BELOW = {
    "errors": set(),
    "sources": {"errors"},
    "budget": {"errors"},
    "memory": set(),
    "device": {"errors", "sources", "memory"},
    "data": GROUND,
    "models": GROUND,
    "engine": GROUND | {"data", "models"},
    "recipes": GROUND | {"data", "models", "engine"},
    "lessons": GROUND | {"data", "models", "engine", "recipes"},
    "doctor": GROUND,
    "cli": GROUND | {"data", "models", "engine", "recipes", "doctor"},
    "__main__": {"cli"},
    "__init__": set(),  # the front door names everything, and loads it when asked
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def _names(modules):
    return [str(path.relative_to(PACKAGE)) for path in modules]


def _unit(path: Path) -> str:
    """The floor that a module stands on: `data` for data/splits.py, `device` for device.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """The floors that a module imports from, at its top or inside a function, absolutely or relatively."""
    package = ["tl_helpers", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            targets = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {target.split(".")[1] for target in targets if target.startswith("tl_helpers.")}
        # through the front door one could reach any floor
        found |= {"the front door" for target in targets if target == "tl_helpers"}
    return found


@pytest.mark.parametrize("path", MODULES, ids=_names(MODULES))
def test_imports_go_downwards(path):
    unit = _unit(path)
    assert unit in BELOW, f"{unit} stands on no floor: add it to BELOW here, or move it"
    above = _imports(path) - BELOW[unit] - {unit}
    assert not above, f"{path.name} on floor {unit} imports from {above}; it may import from {sorted(BELOW[unit])}"


@pytest.mark.parametrize("path", MODULES, ids=_names(MODULES))
def test_a_module_fits_in_the_head_and_a_function_on_the_screen(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 300, f"{path.name} has {len(text.splitlines())} lines; 300 is the most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{node.name} in {path.name} has {length} lines; 60 is a screen"


def _lines_of_code(path: Path) -> int:
    """Lines that do something: no blank lines, no comments, no docstrings, which make the reading shorter, not longer."""
    text = path.read_text("utf-8")
    prose = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and not line.strip().startswith("#") and number not in prose)


def test_the_package_can_be_read_in_an_evening():
    lines = sum(_lines_of_code(path) for path in MODULES if "checks" not in path.parts)
    # 4,000 were planned; loading, reading and clustering texts and pictures, refusing what is bad, took this much more
    assert lines <= 7050, f"{lines} lines of code; the whole package has 7,050, exercise checks aside"


def test_importing_the_package_loads_no_torch():
    code = "import sys, tl_helpers; print([m for m in ('torch', 'numpy', 'matplotlib', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_the_front_door_names_is_there():
    import tl_helpers as tl

    for name in tl.__all__:
        assert getattr(tl, name) is not None
    with pytest.raises(AttributeError, match="it offers"):
        tl.no_such_name  # noqa: B018
