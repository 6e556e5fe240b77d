"""What must not stand in the repository: addresses of package registries, and paths of somebody's machine."""

import ast
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SET_UP = [
    "Makefile",
    ".ci/run",
    "environment.yml",
    "pyproject.toml",
    "requirements.txt",
    "data/requirements.in",
    "data/requirements.txt",
]


def _tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout, so there is no list of tracked files")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", SET_UP)
def test_set_up_names_no_address(name):
    assert not re.findall(r"\w+://\S+|--(?:extra-)?index-url|--find-links", (ROOT / name).read_text("utf-8"))


def test_no_file_names_a_registry():
    hosts = re.compile("|".join(["pypi" + r"\.org", "python" + r"hosted", "conda" + r"\.anaconda", "npmjs" + r"\.org"]))
    assert not [name for name in _tracked() if hosts.search((ROOT / name).read_text("utf-8", errors="ignore"))]


def test_nothing_that_is_installed_or_made_is_tracked():
    made = re.compile(r"^(\.venv|data/packages|data/cache|runs|build)/|__pycache__|\.ipynb_checkpoints")
    assert not [name for name in _tracked() if made.search(name)]


@pytest.mark.parametrize("name", ["requirements.txt", "data/requirements.txt"])
def test_every_locked_package_has_a_hash(name):
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text("utf-8").strip())
    assert len(blocks) > 5
    assert not [block.split()[0] for block in blocks if "--hash=sha256:" not in block]


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/benchmarks/*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path):
    """Nobody runs them in CI; a name changed in the package would break the commands behind data/results."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tl_helpers"):
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}"), f"{name} is gone"
