"""Sources: what is there is checked, what is not there is told with the command that mends it."""

import hashlib
import subprocess
import sys

import pytest

from tl_helpers import sources
from tl_helpers.errors import CourseError

ROW = """
[{name}]
path = "{path}"
package = "toy-carrier"
version = "1.2.0"
format = "text"
origin = "made here"
licence = "CC0-1.0"
attribution = "the tests"
sha256 = "{sha256}"
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A project of its own with one carrier: a file and a folder of two files."""
    packages = tmp_path / "data" / "packages"
    (packages / "toy" / "many").mkdir(parents=True)
    (packages / "toy" / "one.txt").write_text("one")
    (packages / "toy" / "many" / "b.txt").write_text("b")
    (packages / "toy" / "many" / "a.txt").write_text("a")
    (packages / "toy_carrier-1.2.0.dist-info").mkdir()
    (packages / "toy_carrier-1.2.0.dist-info" / "METADATA").write_text("Name: toy-carrier\nVersion: 1.2.0\n")
    digest = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("one", "a", "b")}
    many = hashlib.sha256(f"a.txt {digest['a']}\nb.txt {digest['b']}\n".encode()).hexdigest()
    table = ROW.format(name="one", path="toy/one.txt", sha256=digest["one"])
    table += ROW.format(name="many", path="toy/many", sha256=many) + 'files = ["*.txt"]\n'
    (tmp_path / "data" / "sources.toml").write_text(table)
    monkeypatch.setenv("TL_ROOT", str(tmp_path))
    return packages


@pytest.mark.parametrize("name", sorted(sources.sources()))
def test_every_source_of_the_course_is_whole(name):
    row, path = sources.source(name), sources.path_of(name)
    assert path.exists()
    assert row.licence and row.attribution and row.origin and row.format and len(row.sha256) == 64


def test_a_file_and_a_folder_are_found(toy):
    assert sources.path_of("one").read_text() == "one"
    assert sources.path_of("many") == toy / "toy" / "many"


def test_a_name_that_is_not_there_is_answered_with_those_that_are(toy):
    with pytest.raises(CourseError, match=r"no source 'two'.*many, one"):
        sources.path_of("two")


def test_a_missing_carrier_names_the_command(toy):
    (toy / "toy_carrier-1.2.0.dist-info" / "METADATA").unlink()
    (toy / "toy_carrier-1.2.0.dist-info").rmdir()
    with pytest.raises(
        CourseError, match=r"toy-carrier 1\.2\.0.*no such package.*python -m tl_helpers fetch$"
    ) as caught:
        sources.path_of("one")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_command_is_told_as_the_reader_types_it(toy, monkeypatch):
    folder, python = toy.parents[1], toy.parents[1] / ".venv" / "bin" / "python"
    assert sources.command("x") == "python -m x"
    monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))
    monkeypatch.setattr(sys, "executable", str(python))
    assert sources.command("x") == f"{python} -m x"
    monkeypatch.chdir(toy)
    assert sources.command("x").replace("\\", "/") == "../../.venv/bin/python -m x"


def test_another_version_names_the_repair(toy):
    (toy / "toy_carrier-1.2.0.dist-info").rename(toy / "toy_carrier-1.3.0.dist-info")
    (toy / "toy_carrier-1.3.0.dist-info" / "METADATA").write_text("Name: toy-carrier\nVersion: 1.3.0\n")
    with pytest.raises(CourseError, match=r"toy-carrier 1\.2\.0.*version 1\.3\.0.*fetch --repair"):
        sources.path_of("one")


@pytest.mark.parametrize("name", ["one", "many"])
def test_a_file_deleted_later_names_the_repair(toy, name):
    sources.path_of(name)
    for file in (toy / "toy" / "one.txt", toy / "toy" / "many" / "a.txt", toy / "toy" / "many" / "b.txt"):
        file.unlink()
    with pytest.raises(CourseError, match=r"is gone.*fetch --repair"):
        sources.path_of(name)


@pytest.mark.parametrize(("name", "file"), [("one", "one.txt"), ("many", "many/b.txt"), ("many", "many/c.txt")])
def test_a_file_changed_after_it_was_checked_is_noticed(toy, name, file):
    sources.path_of(name)
    (toy / "toy" / file).write_text("x")
    with pytest.raises(CourseError, match=r"damaged or was changed.*fetch --repair") as caught:
        sources.path_of(name)
    assert isinstance(caught.value, ValueError)


def test_one_of_many_deleted_is_noticed(toy):
    sources.path_of("many")
    (toy / "toy" / "many" / "a.txt").unlink()
    with pytest.raises(CourseError, match="damaged"):
        sources.path_of("many")


def test_a_state_is_hashed_once(toy, monkeypatch):
    sources.path_of("one")
    monkeypatch.setattr(sources, "_file_digest", lambda file: pytest.fail("hashed again"))
    sources.path_of("one")


def test_a_broken_memory_of_checks_is_no_obstacle(toy):
    sources.path_of("one")
    (sources.cache_dir() / "verified.json").write_text('{"one": [')
    assert sources.path_of("one").is_file()


def test_a_cache_that_cannot_be_made_is_no_obstacle(toy):
    (toy.parent / "cache").touch()  # nor may a read-only checkout make this folder
    assert not sources.cache_dir().is_dir() and sources.path_of("one").is_file()


def test_a_table_that_is_missing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_ROOT", str(tmp_path))
    with pytest.raises(CourseError, match=r"sources\.toml is not there.*TL_ROOT"):
        sources.path_of("elpv")


def test_writing_is_all_or_nothing(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    sources.write_atomically(target, "before")
    sources.write_atomically(target, b"after")
    with pytest.raises(ZeroDivisionError), sources.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "after"
    assert [file.name for file in target.parent.iterdir()] == ["file.txt"]


def test_sources_load_without_torch():
    code = "import sys, tl_helpers.sources as s; s.path_of('emoji-labels'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
